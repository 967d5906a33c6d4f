"""Remote control: Celery's own client asks a worker in this process, over a real Redis."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery.worker import control
from kombu.utils.uuid import uuid

from tasks.ledger import celery_message
from tasks.monitoring import remote_control
from tasks.monitoring.task_names import GREET
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.controlled import NODE, Controlled, controlled
from tests.support.monitor import Monitor
from tests.support.processes import RedisServer
from tests.support.until import until

READ = {"ping", "active", "active_queues", "registered", "stats", "conf", "report", "clock", "query_task"}
EMPTY = {"reserved", "scheduled", "revoked"}
ABOUT_EVENTS = {"heartbeat", "enable_events"}


@pytest.fixture(scope="module", autouse=True)
def stops_at_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote_control, "TICK", 0.1)
        yield


@pytest.fixture(scope="module")
def shared(redis_server: RedisServer) -> Iterator[Controlled]:
    with controlled(redis_server.url) as one:
        yield one


@pytest.fixture
def worker(shared: Controlled) -> Controlled:
    return shared


def test_it_answers_and_says_what_is_true(worker: Controlled) -> None:
    worker.events.begun(GREET, "1f" * 16)
    worker.events.begun(GREET, "2e" * 16)
    worker.events.succeeded(GREET, "2e" * 16, "sent")
    try:
        (active,) = worker.ask("active")
        assert (active["id"], active["name"], active["hostname"]) == ("1f" * 16, GREET, NODE)
        assert (active["args"], active["kwargs"], active["delivery_info"]["routing_key"]) == ([], {}, "welcome")
        assert abs(active["time_start"] - time.time()) < 60
        assert worker.ask("query_task", ids=["1f" * 16, "33"]) == {"1f" * 16: ["active", active]}
        stats = worker.ask("stats")
        assert stats["total"] == {GREET: 1}
        assert stats["pool"]["max-concurrency"] == 256
        assert "address" not in stats["broker"]["transport_options"]
    finally:
        worker.events.left("1f" * 16)
    assert worker.ask("ping") == {"ok": "pong"}
    assert worker.ask("registered") == [GREET, celery_message.TASK]
    (queue,) = worker.ask("active_queues")
    assert (queue["name"], queue["exchange"]["name"], queue["exchange"]["type"]) == ("welcome", "welcome", "direct")
    assert [worker.ask(command) for command in EMPTY] == [[], [], []]


def test_each_command_that_changes_something_is_refused(worker: Controlled) -> None:
    for command in control.Panel.meta:
        answer = worker.ask(command)
        if command in ABOUT_EVENTS | READ | EMPTY:
            assert not (isinstance(answer, dict) and "error" in answer), command
        else:
            assert f"does not take {command} by remote control" in answer["error"]
    assert "SIGTERM" in worker.ask("shutdown")["error"]
    assert worker.takes_a_message()


def test_what_cannot_be_read_disturbs_nobody(worker: Controlled) -> None:
    mailbox = worker.app.control.mailbox
    with worker.app.connection_for_write() as connection:
        bound = mailbox(connection)
        bound._publish("no_such_command", {})
        bound._publish("query_task", {"nothing": 1})
        bound._publish("ping", {"too": "much"}, destination=[NODE])
        connection.default_channel.client.publish("/0.celery.pidbox", "no message")
    assert worker.ask("ping") == {"ok": "pong"}


def test_a_reply_to_somebody_who_has_gone_goes_too(worker: Controlled, redis_client: Redis) -> None:
    """kombu gives it no life, and such replies have filled Redis servers with gigabytes."""
    with worker.app.connection_for_write() as connection:
        bound = worker.app.control.mailbox(connection)
        bound._publish("stats", {}, reply_ticket=uuid(), channel=connection.default_channel)
        reply = keys.control_reply(bound.oid)
        until(lambda: redis_client.exists(reply), what="the reply")
        assert 0 < redis_client.pttl(reply) <= 10_000


def test_whoever_comes_to_listen_is_told_at_once(worker: Controlled, redis_url: str) -> None:
    """A monitor asks for a heartbeat when it begins, and from then on hears of tasks."""
    with Monitor(redis_url) as monitor:
        until(lambda: any(event["type"] == "worker-heartbeat" for event in monitor.events))
        worker.events.begun(GREET, "3d" * 16)
        worker.events.succeeded(GREET, "3d" * 16, "sent")
        until(lambda: len(monitor.of("3d" * 16)) == 3)
    assert monitor.state.workers[NODE].alive


def test_celery_exporter_finds_what_it_reads(worker: Controlled, redis_url: str) -> None:
    """danihodovic/celery-exporter: an app with the broker's URL alone; labels by name, queue and exception's class."""
    with Monitor(redis_url) as monitor:
        until(lambda: any(event["type"] == "worker-heartbeat" for event in monitor.events))
        worker.events.failed(GREET, "4c" * 16, "expired('window_over')")
        until(lambda: len(monitor.of("4c" * 16)) == 3)
        (beat, *_) = [event for event in monitor.events if event["type"] == "worker-heartbeat"]
        inspect = monitor.app.control.inspect(timeout=30, limit=1)
        stats, queues = inspect.stats(), inspect.active_queues()
        with monitor.app.connection() as connection:
            assert connection.info()["transport"] == "redis"
            assert connection.default_channel.client.llen(queues[NODE][0]["name"]) == 0
    task = monitor.state.tasks["4c" * 16]
    assert (task.name, task.queue, task.hostname) == (GREET, "welcome", NODE)
    match = re.match(r"^(\w+)\(", task.exception)
    assert match is not None
    assert match[1] == "expired"
    assert {"hostname", "timestamp", "utcoffset", "active"} <= set(beat)
    assert stats[NODE]["pool"]["max-concurrency"] == 256
    assert [one["name"] for one in queues[NODE]] == ["welcome"]


def test_a_connection_that_is_cut_is_made_again_and_no_message_waits_for_that(
    worker: Controlled, redis_client: Redis
) -> None:
    """Between a subscriber and Redis, what lies idle may be cut: only remote control has such a connection."""
    assert redis_client.client_kill_filter(_type="pubsub") >= 1
    assert worker.takes_a_message()
    until(lambda: worker.ask("ping", timeout=0.5) == {"ok": "pong"}, what="an answer")


def test_it_tells_no_secret(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server, server.client() as client:
        client.config_set("requirepass", "s3cr3t-password")
        url = server.url.replace("unix://", "unix://:s3cr3t-password@")
        with controlled(url) as worker:
            told = {command: worker.ask(command) for command in ("stats", "conf", "report")}
            with worker.app.connection() as connection:
                assert "s3cr3t-password" in connection.as_uri(include_password=True), "for Flower's page of queues"
                told["uri"] = connection.as_uri()
    assert all(told.values())
    assert "s3cr3t-password" not in str(told)


def test_it_comes_back_when_redis_does_and_messages_did_not_wait_for_it(server: RedisServer) -> None:
    with controlled(server.url) as worker:
        server.kill()
        worker.events.beat()
        until(lambda: worker.events.is_away, what="an outage that was noticed")
        server.start()
        assert worker.takes_a_message()
        until(lambda: worker.ask("ping", timeout=0.5) == {"ok": "pong"}, what="an answer")
