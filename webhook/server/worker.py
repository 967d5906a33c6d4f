"""gunicorn's threads, where no client can hold them by doing nothing.

    connected, and silent     gunicorn waits 5 s in a thread; here the poller waits, which takes none
    answered, body to come    gunicorn waits 5 s for it in a thread; here the connection is closed
    answered, and stays       gunicorn waits 2 s in its main loop, so that nobody else is heard; here threads apart do

A server that is reached without a proxy hears everybody's clients, and WeCom waits one second for a verification.
"""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from gunicorn.workers.gthread import _DEFER, ThreadWorker

DRAIN = 0.05  # seconds for the rest of a body that nobody read
LINGERING = 32  # connections whose client is waited for; if there are more, they are cut off


class Worker(ThreadWorker):
    """gthread, but for how it waits."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._room = threading.BoundedSemaphore(LINGERING)

    def init_process(self) -> None:
        self._lingerers = ThreadPoolExecutor(LINGERING, "lingering")
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """Serve a connection on which there is something to read; the poller tells when there is."""
        if not conn.initialized and not conn.data_ready and not conn.wait_for_data(0):
            return _DEFER
        return super().handle(conn)

    def _keepalive_after(self, conn: Any, keepalive: Any) -> bool:
        """Whether a connection can serve another request."""
        return bool(keepalive and conn.parser.finish_body(deadline=time.monotonic() + DRAIN))

    def finish_request(self, conn: Any, fs: "Future[Any]") -> None:
        """In the main loop, after `handle`: nothing here may wait."""
        ended = not fs.cancelled() and fs.exception() is None and not fs.result()
        if not ended or not self.alive:
            super().finish_request(conn, fs)
            return
        self.nr_conns -= 1
        if self._room.acquire(blocking=False):
            self._lingerers.submit(self._linger, conn)
        else:
            conn.close()

    def _linger(self, conn: Any) -> None:
        try:
            conn.close(graceful=True)
        finally:
            self._room.release()
