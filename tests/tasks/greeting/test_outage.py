"""Outage: while Redis is away, it is asked by one thread, and those who wait go on as soon as it is back."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
import redis

from tasks.greeting.outage import Outage


@dataclass
class Server:
    """A Redis that answers or does not."""

    away: bool = True
    asked: list[float] = field(default_factory=list)

    def ask(self) -> str:
        self.asked.append(time.monotonic())
        if self.away:
            raise redis.ConnectionError
        return "an answer"


def test_an_answer_is_returned_at_once() -> None:
    server = Server(away=False)
    assert Outage().until_answered(server.ask, 60) == "an answer"
    assert len(server.asked) == 1


@pytest.mark.parametrize("patience", [0.0, 0.5])
def test_without_an_answer_to_the_end_there_is_none(patience: float) -> None:
    server, began = Server(), time.monotonic()
    assert Outage().until_answered(server.ask, patience) is None
    assert time.monotonic() - began < patience + 5
    assert server.asked


def test_of_hundreds_one_asks_again_and_all_go_on_when_it_is_back() -> None:
    server, outage = Server(), Outage()

    def come_back() -> None:
        time.sleep(2.0)
        server.away = False

    with ThreadPoolExecutor(201) as pool:
        pool.submit(come_back)
        answers = list(pool.map(lambda _: outage.until_answered(server.ask, 60), range(200)))
    assert answers == ["an answer"] * 200
    assert len(server.asked) < 200 + 100 + 200, "each at first and at last; in between about ten times one of them"


def test_when_the_one_that_asks_gives_up_another_one_asks() -> None:
    server, outage = Server(), Outage()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(outage.until_answered, server.ask, 0.6)
        time.sleep(0.1)
        second = pool.submit(outage.until_answered, server.ask, 60)
        assert first.result(30) is None
        asked = len(server.asked)
        time.sleep(2.5)
        assert len(server.asked) > asked
        server.away = False
        assert second.result(30) == "an answer"


def test_who_waits_waits_no_longer_than_it_may() -> None:
    server, outage = Server(), Outage()
    with ThreadPoolExecutor(2) as pool:
        long = pool.submit(outage.until_answered, server.ask, 8)
        time.sleep(0.1)
        began = time.monotonic()
        assert outage.until_answered(server.ask, 0.7) is None
        assert time.monotonic() - began < 4
        server.away = False
        assert long.result(30) == "an answer"


def test_a_step_that_fails_for_a_reason_of_its_own_does_not_run_hot_while_others_have_answers() -> None:
    outage, stop = Outage(), threading.Event()
    refused = Server()

    def others() -> None:
        while not stop.wait(0.001):
            outage.until_answered(lambda: "an answer", 60)

    with ThreadPoolExecutor(3) as pool:
        pool.submit(others)
        failing: list[Callable[[], object]] = [lambda: outage.until_answered(refused.ask, 1.5) for _ in range(2)]
        assert [one.result(30) for one in [pool.submit(work) for work in failing]] == [None, None]
        stop.set()
    assert len(refused.asked) <= 2 * (1.5 / 0.2 + 2)
