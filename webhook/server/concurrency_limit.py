"""Gates before the console and the API: so many of their requests at once, and the callback has all other threads.

running     AT_ONCE: they share the interpreter with the callback, and each may wait seconds for WeCom
waiting     WAITING more, for PATIENCE seconds: a browser asks for up to six pictures at once
the rest    503 within microseconds, so that no thread is held

Styles and scripts pass: they wait for nobody, and a page without them is worse than a late one.
"""

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from werkzeug.wrappers import Response
from werkzeug.wsgi import ClosingIterator

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

AT_ONCE, WAITING = 4, 6
PATIENCE = 1.0  # seconds
BUSY = "控制台正忙，请稍后再试 · The console is busy, try again in a moment\n"
API_AT_ONCE, API_WAITING = 2, 2  # programs can wait; with the console's, less than all threads
API_BUSY = (
    '{"type":"about:blank","title":"Not available","status":503,"code":"busy","detail":"Others ask now; ask again"}\n'
)


def limited(served: "WSGIApplication") -> "ConcurrencyLimit":
    """The web application behind its gates."""
    programs = ConcurrencyLimit(served, "/api", API_AT_ONCE, API_WAITING, (API_BUSY, "application/problem+json"))
    return ConcurrencyLimit(programs)


class ConcurrencyLimit:
    """An application of which one part is entered by few requests at once. `busy`: (text, media type) for the rest.

    A request is inside until its answer has been made, whole: then the server closes it, and sends it without a thread.
    """

    def __init__(
        self,
        served: "WSGIApplication",
        part: str = "/console",
        at_once: int = AT_ONCE,
        waiting: int = WAITING,
        busy: tuple[str, str] = (BUSY, "text/plain"),
    ) -> None:
        self._served = served
        self._part = part
        self._busy_text, self._busy_type = busy
        self._threads = threading.BoundedSemaphore(at_once + waiting)
        self._running = threading.BoundedSemaphore(at_once)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = f"{environ.get('PATH_INFO', '')}/"
        if not path.startswith(f"{self._part}/") or path.startswith(f"{self._part}/static/"):
            return self._served(environ, start_response)
        if not self._threads.acquire(blocking=False):
            return self._busy(environ, start_response)
        if not self._running.acquire(timeout=PATIENCE):
            self._threads.release()
            return self._busy(environ, start_response)
        try:
            answer = self._served(environ, start_response)
        except BaseException:
            self._leave()
            raise
        return ClosingIterator(answer, self._leave)

    def _leave(self) -> None:
        self._running.release()
        self._threads.release()

    def _busy(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        headers = {"Retry-After": "1", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return Response(self._busy_text, 503, headers, self._busy_type)(environ, start_response)
