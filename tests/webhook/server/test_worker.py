"""A web process shows that it works: while it starts, and in the middle of a long turn of its loop too."""

import os
import threading
import time
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import pytest

from tasks.liveness import Stamp, open_stamp
from tasks.settings import Settings
from tests.support.builders import some_settings
from tests.support.until import until
from webhook.server import web
from webhook.server import worker as worker_module
from webhook.server.worker import PERIOD, Worker


class _Callback:
    """A channel whose callback takes less than the time after which callbacks have threads."""

    connected = False

    def __init__(self) -> None:
        self.served_at = 0.0

    def service(self) -> None:
        time.sleep(0.05)
        self.served_at = time.monotonic()


def test_a_turn_that_serves_a_burst_shows_that_it_works_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """gunicorn's own process would kill it after five seconds: in a burst, of all times."""
    monkeypatch.setattr(worker_module, "QUICK", 60.0)  # on a busy machine a callback may take longer than it should
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


def test_the_web_role_shows_that_it_works_while_it_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[object] = []
    file = tmp_path / "alive"

    def import_slowly(_: Settings) -> None:
        os.utime(file, (0, 0))
        until(lambda: file.stat().st_mtime > 0, what="a renewed stamp")

    monkeypatch.setattr(web, "_share", import_slowly)
    monkeypatch.setattr(web._Server, "run", lambda server: served.append(server))
    web.serve(some_settings(), "127.0.0.1", 0, Stamp(open_stamp(file)))
    assert served


@pytest.mark.parametrize("in_use", [True, False])
def test_what_the_lifeboat_takes_is_not_served_in_the_loop(in_use: bool) -> None:
    """It waits for the disk each time, and with a slow one the loop would do nothing else."""
    server = web._Server(some_settings(), {}, Stamp())
    server._lifeboat = SimpleNamespace(is_in_use_here=lambda: in_use)
    worker = Worker.__new__(Worker)
    worker.app, worker._loop, worker._here, worker._threads_until = server, threading.get_ident(), deque(), 0.0
    in_threads: list[object] = []
    callback = SimpleNamespace(requests=[SimpleNamespace(is_callback=True)])
    worker._add(in_threads.append, callback)
    assert (in_threads, list(worker._here)) == (([callback], []) if in_use else ([], [callback]))
