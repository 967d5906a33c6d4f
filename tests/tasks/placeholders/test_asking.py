"""Hooks are asked, and cost a greeting nothing but the values: not when they raise, hang, or return nonsense."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.counters import Counters
from tasks.placeholders import asking
from tasks.placeholders.asking import AT_ONCE, SILENT, Hooks, Result
from tasks.placeholders.hook import Request, read
from tasks.placeholders.installed import Installed
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.until import until

LONG = 60.0  # seconds: a deadline that is never met here
REQUEST = Request("sales", "ww1", "zhangsan", "wm1", "s", "add", None, datetime(2026, 10, 1, tzinfo=UTC), frozenset())


class Theirs:
    """A hook's package."""

    def __init__(self, answer: Callable[[Request], Any] = lambda _: {"level": "金卡"}) -> None:
        self.placeholders = {"level": {"bytes": 6}, "team": {}}
        self.answer = answer
        self.asked: list[Request] = []

    def values(self, request: Request, seconds: float) -> Any:
        assert 0 <= seconds <= LONG
        self.asked.append(request)
        return self.answer(request)


@pytest.fixture(autouse=True)
def any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls are made however little time is left, so that no test depends on how fast the machine is."""
    monkeypatch.setattr(asking, "LEAST", -LONG)


@pytest.fixture
def counters(redis_client: Redis) -> Counters:
    return Counters(redis_client)


def hooks_of(theirs: Theirs, counters: Counters, *apps: str) -> Hooks:
    return Hooks(Installed({"crm": read("crm", "crm 1.0", theirs)}), counters, apps)


def asked(hooks: Hooks, *wanted: str, seconds: float = LONG) -> dict[str, str]:
    return hooks.ask(REQUEST, frozenset(wanted or ("crm.level",)), time.monotonic() + seconds).values()


def counts(counters: Counters, client: Redis) -> dict[str, int]:
    counters.flush()
    stored = client.hgetall(keys.COUNTERS).items()
    return {field.rpartition("=")[2]: int(value) for field, value in stored if "hook=crm" in field}


def test_only_what_is_wanted_and_provided_is_asked_for(counters: Counters, redis_client: Redis) -> None:
    theirs = Theirs(lambda _: {"level": "金卡", "team": "东区", "other": "x"})
    hooks = hooks_of(theirs, counters)
    assert asked(hooks, "crm.level", "crm.gone", "erp.id") == {"crm.level": "金卡"}
    assert [one.names for one in theirs.asked] == [{"level"}]
    assert asked(hooks, "erp.id") == {}
    assert len(theirs.asked) == 1
    assert counts(counters, redis_client) == {"answered": 1}


def test_all_results_are_there_before_the_first_call(counters: Counters, redis_client: Redis) -> None:
    hooks_of(Theirs(lambda _: {}), counters, "sales")
    assert counts(counters, redis_client) == dict.fromkeys(Result, 0)


def test_values_are_cut_and_cleaned(counters: Counters, caplog: pytest.LogCaptureFixture) -> None:
    theirs = Theirs(lambda _: {"level": "\u202e金\n卡会员" + "x" * 10**6, "team": 7})
    assert asked(hooks_of(theirs, counters), "crm.level", "crm.team") == {"crm.level": "金卡"}
    assert "int for team, not a text" in caplog.text


@pytest.mark.parametrize("error", [ValueError("SECRET-1"), SystemExit(1), None])
def test_what_raises_costs_the_value(
    error: BaseException | None, counters: Counters, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(_: Request) -> Any:
        if error is not None:
            raise error
        return ["no mapping"]

    assert asked(hooks_of(Theirs(answer), counters)) == {}
    assert counts(counters, redis_client) == {"failed": 1}
    assert f"{'AttributeError' if error is None else type(error).__name__} at " in caplog.text
    assert "SECRET-1" not in caplog.text


class Hanging(Theirs):
    """Hangs until it is let go."""

    def __init__(self) -> None:
        super().__init__(self._hang)
        self.go = threading.Event()

    def _hang(self, _: Request) -> Any:
        self.go.wait(LONG)
        return {"level": "金卡"}


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    one = Hanging()
    yield one
    one.go.set()


def test_what_hangs_is_left_and_its_late_answer_is_nobodys(
    hanging: Hanging, counters: Counters, redis_client: Redis
) -> None:
    hooks, lent = hooks_of(hanging, counters), []

    @contextmanager
    def waiting() -> Iterator[None]:
        lent.append(True)
        yield

    answers = hooks.ask(REQUEST, frozenset({"crm.level"}), time.monotonic() + 0.1)
    assert answers.values(waiting) == {}
    assert lent == [True]
    hanging.go.set()
    until(lambda: asked(hooks) == {"crm.level": "金卡"})
    assert answers.values() == {}
    assert counts(counters, redis_client)["late"] == 1


def test_after_many_failures_one_at_a_time_asks_until_it_answers(
    hanging: Hanging, counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = hooks_of(hanging, counters)
    begun = [hooks.ask(REQUEST, frozenset({"crm.level"}), time.monotonic()) for _ in range(SILENT)]
    assert [answers.values() for answers in begun] == [{}] * SILENT
    assert hooks.states() == {"crm": "silent"}
    monkeypatch.setattr(asking, "PROBE", 0.0)  # the probe is due again at once, although the last one hangs
    assert [asked(hooks, seconds=0.0) for _ in range(2)] == [{}] * 2
    monkeypatch.setattr(asking, "PROBE", LONG)
    assert [asked(hooks, seconds=0.0) for _ in range(5)] == [{}] * 5
    until(lambda: len(hanging.asked) == SILENT + 3, what="two probes, and the one that finds out for the five")
    hanging.go.set()
    until(lambda: asked(hooks) == {"crm.level": "金卡"})
    assert hooks.states() == {"crm": "fine"}


def test_there_are_never_more_calls_than_a_hook_may_have(
    hanging: Hanging, counters: Counters, redis_client: Redis
) -> None:
    hooks = hooks_of(hanging, counters)
    begun = [hooks.ask(REQUEST, frozenset({"crm.level"}), time.monotonic() + LONG) for _ in range(AT_ONCE + 10)]
    until(lambda: len(hanging.asked) == AT_ONCE)
    hanging.go.set()
    assert sum(answers.values() == {"crm.level": "金卡"} for answers in begun) == AT_ONCE
    assert counts(counters, redis_client) == {"answered": AT_ONCE, "skipped": 10}


def test_without_time_nobody_is_asked(counters: Counters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "LEAST", 0.05)
    theirs = Theirs()
    assert asked(hooks_of(theirs, counters), seconds=0.0) == {}
    assert theirs.asked == []
