"""A web process shows that it works: while it starts, and in the middle of a long turn of its loop too."""

import threading
import time
from collections import deque

from tests.support.until import until
from webhook.server.worker import PERIOD, Worker


class _Callback:
    """A channel whose callback takes less than the time after which callbacks have threads."""

    connected = False

    def __init__(self) -> None:
        self.served_at = 0.0

    def service(self) -> None:
        time.sleep(0.05)
        self.served_at = time.monotonic()


def test_a_turn_that_serves_a_burst_shows_that_it_works_meanwhile() -> None:
    """gunicorn's own process would kill it after five seconds: in a burst, of all times."""
    worker = Worker.__new__(Worker)
    shown: list[float] = []
    worker.notify = lambda: shown.append(time.monotonic())
    burst = [_Callback() for _ in range(round(4 * PERIOD / 0.05))]
    worker._here, worker._shown_at, worker._threads_until = deque(burst), 0.0, 0.0
    worker._serve_here()
    assert len(shown) >= 3
    assert all(one.served_at for one in burst)


def test_a_process_that_is_long_in_starting_shows_that_it_works() -> None:
    """Where many start at once on one core, all of them would be killed after five seconds, again and again."""
    worker = Worker.__new__(Worker)
    shown: list[float] = []
    worker.notify = lambda: shown.append(time.monotonic())

    class SlowToLoad:
        def wsgi(self) -> str:
            until(lambda: len(shown) > 1)
            return "application"

    worker.app = SlowToLoad()
    worker.load_wsgi()
    assert worker.wsgi == "application"
    assert "loading" not in {thread.name for thread in threading.enumerate()}
