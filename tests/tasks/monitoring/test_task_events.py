"""Task events: a real Redis, and a listener that knows nothing of the product, as celery-exporter."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
from kombu.exceptions import OperationalError

from tasks.celery import make_app
from tasks.monitoring import task_events
from tasks.monitoring.task_events import TaskEvents, pause_after
from tasks.monitoring.task_names import GREET
from tasks.storage.connections import NotPrimary, Redis
from tests.support.monitor import Monitor
from tests.support.processes import RedisServer
from tests.support.until import until


@contextmanager
def sending(redis_url: str) -> Iterator[TaskEvents]:
    events = TaskEvents(make_app(redis_url), "welcome@here", "welcome")
    events.start()
    try:
        yield events
    finally:
        events.stop()
        events.join(30)
    assert not events.is_alive()


@contextmanager
def heard(events: TaskEvents, redis_url: str) -> Iterator[Monitor]:
    """Somebody listens, and the worker has noticed that."""
    with Monitor(redis_url) as monitor:

        def noticed() -> bool:
            events.beat()  # as the command `heartbeat` does it
            events.begun("noticed", "0")
            events.left("0")
            return bool(monitor.of("0"))

        until(noticed, every=0.1, what="the first events")
        yield monitor


@pytest.fixture(scope="module")
def shared(redis_server: RedisServer) -> Iterator[tuple[TaskEvents, Monitor]]:
    with sending(redis_server.url) as events, heard(events, redis_server.url) as monitor:
        yield events, monitor


@pytest.fixture
def events(shared: tuple[TaskEvents, Monitor]) -> TaskEvents:
    """Of a worker to which somebody listens."""
    return shared[0]


@pytest.fixture
def monitor(shared: tuple[TaskEvents, Monitor]) -> Monitor:
    return shared[1]


@pytest.fixture
def identity() -> str:
    return secrets.token_hex(16)


def test_work_is_a_task_to_whoever_listens(events: TaskEvents, monitor: Monitor, identity: str) -> None:
    events.begun(GREET, identity, retries=2)
    events.succeeded(GREET, identity, "sent")
    received, started, succeeded = until(lambda: len(monitor.of(identity)) == 3 and monitor.of(identity))
    assert [received["type"], started["type"], succeeded["type"]] == ["task-received", "task-started", "task-succeeded"]
    assert {(one["name"], one["queue"], one["hostname"]) for one in (received, started, succeeded)} == {
        (GREET, "welcome", "welcome@here")
    }
    assert (received["args"], received["kwargs"], received["retries"]) == ("()", "{}", 2)
    task = monitor.state.tasks[identity]
    assert (task.state, task.result, task.root_id, task.parent_id) == ("SUCCESS", "sent", identity, None)
    assert 0 <= task.runtime < 30
    assert abs(task.received - time.time()) < 60


@pytest.mark.parametrize(
    ("end", "state", "counts"),
    [("failed", "FAILURE", 1), ("put_off", "RETRY", 0), ("succeeded", "SUCCESS", 1), ("left", "STARTED", 0)],
)
def test_how_work_ended(events: TaskEvents, monitor: Monitor, identity: str, end: str, state: str, counts: int) -> None:
    name = f"tasks.{end}"
    events.begun(name, identity)
    assert [task.id for task in events.running()] == [identity]
    events.left(identity) if end == "left" else getattr(events, end)(name, identity, "expired('window_over')")
    until(lambda: identity in monitor.state.tasks and monitor.state.tasks[identity].state == state, what=state)
    assert events.running() == []
    assert events.totals().get(name, 0) == counts


def test_what_never_began_has_begun_when_it_ends(events: TaskEvents, monitor: Monitor, identity: str) -> None:
    """Those who are too late to be greeted are settled many at a time, and have no thread of their own."""
    events.failed(GREET, identity, "expired('window_over')")
    until(lambda: len(monitor.of(identity)) == 3)
    assert monitor.state.tasks[identity].exception == "expired('window_over')"


def test_what_another_event_led_to_is_its_child(events: TaskEvents, monitor: Monitor, identity: str) -> None:
    events.begun("tasks.followups.follow_up", f"{identity}-follow-up", identity)
    events.left(f"{identity}-follow-up")
    until(lambda: monitor.of(f"{identity}-follow-up"))
    task = monitor.state.tasks[f"{identity}-follow-up"]
    assert (task.root_id, task.parent_id) == (identity, identity)


def test_a_burst_shares_its_messages(events: TaskEvents, monitor: Monitor, redis_client: Redis) -> None:
    before = published(redis_client)
    ids = [secrets.token_hex(16) for _ in range(500)]
    for one in ids:
        events.begun(GREET, one)
        events.succeeded(GREET, one, "sent")
    until(lambda: all(len(monitor.of(one)) == 3 for one in (ids[0], ids[-1])), what="500 greetings")
    assert sum(event["type"] == "task-succeeded" and event["uuid"] in ids for event in monitor.events) == 500
    assert published(redis_client) - before < 500, "1500 events"
    assert events.dropped == 0


def published(client: Redis) -> int:
    stats = client.info("commandstats")
    return stats["cmdstat_publish"]["calls"] if "cmdstat_publish" in stats else 0


def test_a_heartbeat_says_how_much_is_being_done(events: TaskEvents, monitor: Monitor) -> None:
    done = sum(events.totals().values())
    events.begun(GREET, "a")
    events.begun(GREET, "b")
    events.succeeded(GREET, "b", "sent")
    events.beat()
    until(lambda: any(one.get("processed") == done + 1 and one["active"] == 1 for one in list(monitor.events)))
    events.left("a")
    worker = monitor.state.workers["welcome@here"]
    assert worker.alive
    assert worker.freq == task_events.BEAT


def test_nothing_stays_in_redis(events: TaskEvents, monitor: Monitor, redis_client: Redis, identity: str) -> None:
    events.begun(GREET, identity)
    events.left(identity)
    until(lambda: monitor.of(identity))
    assert redis_client.keys("*") == []


def test_who_listens_learns_of_the_end(redis_url: str) -> None:
    with sending(redis_url) as events, heard(events, redis_url) as monitor:
        events.stop()
        until(lambda: monitor.events[-1]["type"] == "worker-offline", what="goodbye")
        assert not monitor.state.workers["welcome@here"].alive


def test_while_nobody_listens_only_heartbeats_are_sent(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_events, "BEAT", 0.1)
    with sending(server.url) as events, server.client() as client, client.monitor() as seen:
        lines = seen.listen()
        sent = [next(lines)["command"]]
        for number in range(100):
            events.begun(GREET, f"{number}")
            events.succeeded(GREET, f"{number}", "sent")
        while sum("celeryev" in line for line in sent) < 3:
            sent.append(next(lines)["command"])
    assert not [line for line in sent if "task.multi" in line]
    assert events.totals() == {GREET: 100}


def test_while_redis_is_away_nothing_waits_for_it_and_memory_is_bounded(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_events, "MOST", 200)
    with sending(server.url) as events, heard(events, server.url):
        server.freeze()
        began = time.monotonic()
        for number in range(500):
            events.begun(GREET, f"{number:032x}")
            events.succeeded(GREET, f"{number:032x}", "sent")
        assert time.monotonic() - began < 20, "not even once until a time-out, of 3 s"
        assert events.dropped >= 1500 - 200 - task_events.BATCH
        server.thaw()
        until(lambda: not events.backlog, what="the events that waited")


def test_they_come_back_when_redis_does(server: RedisServer, identity: str) -> None:
    with sending(server.url) as events, heard(events, server.url) as monitor:
        server.kill()
        events.beat()
        until(lambda: events.is_away, what="an outage that was noticed")
        seen = len(monitor.events)
        server.start()
        until(lambda: any(event["type"] == "worker-online" for event in monitor.events[seen:]), what="the worker")

        def again() -> bool:
            events.begun(GREET, identity)
            events.left(identity)
            return bool(monitor.of(identity))

        until(again, every=0.1)


@pytest.mark.parametrize(
    ("error", "pause"),
    [
        (redis.exceptions.NoPermissionError("NOPERM"), task_events.REFUSED),
        (redis.ConnectionError(), task_events.RETRY),
        (redis.TimeoutError(), task_events.RETRY),
        (NotPrimary("READONLY"), task_events.RETRY),
        (OperationalError(), task_events.RETRY),
    ],
)
def test_what_is_refused_is_not_tried_again_at_once(error: Exception, pause: float) -> None:
    assert pause_after(error) == pause
