"""A request waits for a Redis that does not answer once, not for each of its reads: of pages and of the HTTP API."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tasks.storage.circuit_breaker import CircuitBreaker

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class WaitsOnce:
    """A WSGI application whose requests have a circuit breaker each."""

    def __init__(self, served: "WSGIApplication") -> None:
        self._served = served

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        with CircuitBreaker().around():
            return self._served(environ, start_response)
