"""A request's body as gunicorn reads it, where what is malformed is the client's fault: 400 instead of 500."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from gunicorn.http.errors import NoMoreData, ParseException
from werkzeug.exceptions import BadRequest

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class MalformedBodies:
    """An application to which a malformed body is a BadRequest, raised where it is read."""

    def __init__(self, served: "WSGIApplication") -> None:
        self._served = served

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        environ["wsgi.input"] = _Body(environ["wsgi.input"])
        return self._served(environ, start_response)


class _Body:
    """gunicorn parses chunks while they are read, so that a bad one is found in the middle of the application."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def read(self, size: int | None = None) -> bytes:
        with _refusing():
            found: bytes = self._body.read(size)
        return found

    def readline(self, size: int | None = None) -> bytes:
        with _refusing():
            found: bytes = self._body.readline(size)
        return found

    def readlines(self, size: int | None = None) -> list[bytes]:
        with _refusing():
            found: list[bytes] = self._body.readlines(size)
        return found

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (ParseException, NoMoreData) as error:
        raise BadRequest("The body is malformed.") from error
