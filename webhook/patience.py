"""What a request makes of a Redis that does not answer, or of a part of what is stored that cannot be read."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tasks.storage import damage
from tasks.storage.circuit_breaker import CircuitBreaker

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class WaitsOnce:
    """A WSGI application whose requests wait for a Redis that does not answer once, not for each of their reads."""

    def __init__(self, served: "WSGIApplication") -> None:
        self._served = served

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        with CircuitBreaker().around():
            return self._served(environ, start_response)


class ShowsTheRest:
    """A WSGI application whose requests that change nothing do without keys of another type, see `damage`."""

    def __init__(self, served: "WSGIApplication") -> None:
        self._served = served

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return self._served(environ, start_response)
        with damage.left_out():
            return self._served(environ, start_response)
