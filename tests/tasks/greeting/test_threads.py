"""ThreadPool: threads come when there is work for them, take turns, and go."""

import logging
import threading
import time
from collections.abc import Callable

import pytest

from tasks.greeting.threads import ThreadPool
from tests.support.until import until


def at_once(pool: ThreadPool, count: int) -> tuple[threading.Event, list[int]]:
    """(what ends them, which threads have begun) of `count` pieces of work that last until then."""
    end, begun = threading.Event(), []

    def work() -> None:
        begun.append(threading.get_ident())
        end.wait(60)

    for _ in range(count):
        pool.submit(work)
    return end, begun


def test_work_that_comes_at_once_is_done_at_once_by_as_many_threads() -> None:
    pool = ThreadPool("test", 300)
    assert pool.size == 0
    end, begun = at_once(pool, 300)
    until(lambda: len(begun) == 300)
    assert (pool.size, len(set(begun))) == (300, 300)
    end.set()


def test_more_than_there_may_be_threads_waits_its_turn() -> None:
    pool = ThreadPool("test", 3)
    end, begun = at_once(pool, 10)
    until(lambda: len(begun) == 3)
    time.sleep(0.1)
    assert (pool.size, len(begun)) == (3, 3)
    end.set()
    until(lambda: len(begun) == 10)
    assert len(set(begun)) == 3


def test_work_that_comes_one_after_the_other_needs_one_thread() -> None:
    pool, done = ThreadPool("test", 100), []
    for number in range(50):
        pool.submit(lambda number=number: done.append(number))
        until(lambda number=number: len(done) > number and len(pool._free) == 1)
    assert (pool.size, done) == (1, list(range(50)))


def test_threads_without_work_end_and_those_in_use_stay() -> None:
    pool = ThreadPool("test", 100, idle=0.3)
    end, begun = at_once(pool, 100)
    until(lambda: len(begun) == 100)
    end.set()
    for _ in range(20):  # one thread is enough for these, and it is always the same
        time.sleep(0.05)
        pool.submit(lambda: None)
    until(lambda: pool.size <= 1)
    again, begun = at_once(pool, 5)
    until(lambda: len(begun) == 5)
    again.set()
    until(lambda: pool.size == 0)


def test_nothing_is_lost_where_threads_end_at_the_moment_in_which_work_comes() -> None:
    pool, done = ThreadPool("test", 20, idle=0.001), []
    for number in range(2000):
        pool.submit(lambda number=number: done.append(number))
        if number % 3 == 0:
            time.sleep(0.001)
    until(lambda: len(done) == 2000)
    assert sorted(done) == list(range(2000))


def test_work_that_fails_is_logged_and_the_next_is_done(caplog: pytest.LogCaptureFixture) -> None:
    pool, done = ThreadPool("test", 1), []

    def fail() -> None:
        raise MemoryError

    pool.submit(fail)
    pool.submit(lambda: done.append(1))
    until(lambda: done)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize("allowed", [0, 2])
def test_where_the_system_allows_no_more_threads_all_is_done_by_those_that_there_are(
    monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    start, started = threading.Thread.start, []

    def limited(thread: threading.Thread) -> None:
        if len(started) == allowed:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    pool, done = ThreadPool("test", 100), []

    def work(number: int) -> Callable[[], None]:
        return lambda: (time.sleep(0.01), done.append(number))[1]

    for number in range(20):
        pool.submit(work(number))
    until(lambda: len(done) == 20)
    assert (len(started), pool.size) == (allowed, allowed)
