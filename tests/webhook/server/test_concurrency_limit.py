"""Few requests of the console at once; everything else passes, and nobody waits long."""

import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest
from werkzeug.test import Client

from tests.support.until import until
from webhook.server import concurrency_limit
from webhook.server.concurrency_limit import ConcurrencyLimit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Slow:
    """An application that answers when it may, and knows how many it serves."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.lock = threading.Lock()
        self.inside = self.most = 0

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/console") and "static" not in environ["PATH_INFO"]:
            with self.lock:
                self.inside += 1
                self.most = max(self.most, self.inside)
            self.may.wait(60)
            with self.lock:
                self.inside -= 1
        if environ["PATH_INFO"] == "/console/broken":
            raise RuntimeError("broken")
        start_response("200 OK", [])
        return [b"ok"]


def test_few_are_inside_few_wait_and_the_rest_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency_limit, "PATIENCE", 10)
    slow = Slow()
    client = ConcurrencyLimit(slow, at_once=2, waiting=3)
    statuses: list[int] = []

    def one() -> None:
        statuses.append(Client(client).get("/console/x", buffered=True).status_code)

    threads = [threading.Thread(target=one) for _ in range(12)]
    for thread in threads:
        thread.start()
    until(lambda: len(statuses) >= 7, what="the answers to those who are sent away")
    assert statuses == [503] * 7
    for path in ("/callback", "/healthz", "/", "/console/static/console.css"):
        assert Client(client).get(path, buffered=True).status_code == 200
    slow.may.set()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 5 + [503] * 7
    assert slow.most == 2


def test_who_waits_is_let_go_before_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency_limit, "PATIENCE", 0.05)
    slow = Slow()
    client = ConcurrencyLimit(slow, at_once=1, waiting=1)
    holder = threading.Thread(target=lambda: Client(client).get("/console", buffered=True))
    holder.start()
    while not slow.inside:
        time.sleep(0.01)
    answer = Client(client).get("/console", buffered=True)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    slow.may.set()
    holder.join()
    assert Client(client).get("/console", buffered=True).status_code == 200


def test_a_fault_and_an_answer_that_is_broken_off_leave_room() -> None:
    slow = Slow()
    slow.may.set()
    client = Client(ConcurrencyLimit(slow, at_once=1, waiting=0))
    for _ in range(3):
        with pytest.raises(RuntimeError, match="broken"):
            client.get("/console/broken")
        client.get("/console/x").close()
    assert client.get("/console/x", buffered=True).status_code == 200
