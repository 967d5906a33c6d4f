"""The Celery app: the settings on which promises rest, and what they do on a real server."""

import functools
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import Celery

from tasks import upkeep
from tasks.celery import PromptConsumer, make_app
from tasks.ledger import celery_message
from tasks.monitoring.jobs import SCHEDULE
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.ailing import read_only
from tests.support.broker import watched
from tests.support.ledger import a_ledger
from tests.support.processes import RedisServer
from tests.support.until import until
from tests.support.worker import consuming


@contextmanager
def a_worker(
    redis_url: str, work: Callable[[], None], came_round: Callable[[], None] = lambda: None
) -> Iterator[Celery]:
    """A worker of the welcome queue in this process, whose task does `work`."""
    app = make_app(redis_url)
    app.conf.worker_consumer = functools.partial(PromptConsumer, came_round=came_round)

    @app.task(name=celery_message.TASK, shared=False)
    def task() -> None:
        work()

    with consuming(app, keys.QUEUE):
        yield app


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("result_backend", None),  # nobody asks back
        ("task_ignore_result", True),
        ("worker_prefetch_multiplier", 1),
        ("worker_disable_prefetch", True),
        ("broker_channel_error_retry", True),  # a failover must not end the worker
        ("worker_send_task_events", False),
        ("worker_enable_remote_control", False),
        ("worker_cancel_long_running_tasks_on_connection_loss", False),
        ("broker_connection_max_retries", None),  # the default gives up, and the worker exits
        ("broker_connection_retry_on_startup", True),
        ("accept_content", ["json"]),
        ("task_serializer", "json"),
        ("task_default_queue", keys.SLOW_QUEUE),
        ("worker_hijack_root_logger", False),
    ],
)
def test_a_setting_on_which_a_promise_rests(setting: str, value: Any) -> None:
    assert make_app("redis://127.0.0.1:1/0").conf[setting] == value


def test_greetings_have_a_queue_of_their_own() -> None:
    app = make_app("redis://127.0.0.1:1/0")
    assert app.amqp.router.route({}, celery_message.TASK)["queue"].name == "welcome"
    assert {app.amqp.router.route({}, name)["queue"].name for name in SCHEDULE} == {"upkeep"}


def test_each_queue_has_the_exchange_of_its_name() -> None:
    queues = make_app("redis://127.0.0.1:1/0").amqp.queues
    assert {name: (queue.exchange.name, queue.routing_key) for name, queue in queues.items()} == {
        "welcome": ("welcome", "welcome"),
        "upkeep": ("upkeep", "upkeep"),
    }


def test_no_message_waits_for_an_ack() -> None:
    """Acks that are lost with a connection stay counted, and kombu then asks for no more messages."""
    queues = make_app("redis://127.0.0.1:1/0").conf.task_queues
    assert {queue.name: queue.no_ack for queue in queues} == {"welcome": True, "upkeep": True}


def test_everything_on_the_schedule_exists_and_piles_nothing_up() -> None:
    entries = make_app("redis://127.0.0.1:1/0").conf.beat_schedule
    assert set(entries) == set(SCHEDULE)
    for name, entry in entries.items():
        assert callable(getattr(upkeep, name.removeprefix("tasks.upkeep.")))
        assert entry["options"]["expires"] <= entry["schedule"]


def test_making_an_app_connects_to_nothing_and_becomes_nobodys_default() -> None:
    from celery import current_app

    app = make_app("redis://127.0.0.1:1/0")
    assert current_app._get_current_object() is not app


def test_a_worker_leaves_neither_results_nor_events_in_redis(redis_url: str, redis_client: Redis) -> None:
    done: list[int] = []
    with watched(redis_client, "unacked") as held, a_worker(redis_url, lambda: done.append(1)) as app:
        app.send_task(celery_message.TASK)
        until(lambda: done)
        assert held() == set()
    assert not [key for key in redis_client.keys("*") if "celery" in key or "reply" in key or "event" in key]


def test_neither_a_lost_binding_nor_an_unknown_message_stops_a_worker(redis_url: str, redis_client: Redis) -> None:
    done: list[int] = []
    with a_worker(redis_url, lambda: done.append(1)) as app:
        redis_client.flushall()
        redis_client.lpush(
            keys.QUEUE, celery_message.message("0" * 32).replace(celery_message.TASK, "tasks.nobody.knows")
        )
        app.send_task(celery_message.TASK)
        until(lambda: done)


def test_a_worker_consumes_within_two_seconds_of_redis_return(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The stock back-off tries after 2, 6 and then 12 s. `make soak` measures the two seconds."""
    woken: list[float] = []

    def waits() -> list[float]:
        told = (re.search(r"Trying again in ([\d.]+) second", line) for line in caplog.messages)
        return [float(found[1]) for found in told if found]

    with a_worker(server.url, lambda: woken.append(time.monotonic())):
        a_ledger(server.client()).requeue()
        until(lambda: woken)
        server.kill()
        until(lambda: len(waits()) >= 6, what="further tries")
        assert max(waits()) <= 1.0
        server.start()
        returned = time.monotonic()
        with server.client() as client:
            client.lpush(keys.QUEUE, celery_message.message("f" * 32))
        until(lambda: woken[-1] > returned)
        assert woken[-1] - returned < 15.0


def test_a_worker_whose_redis_takes_no_messages_shows_that_it_tries_and_does_not_flood_the_log(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Its loop does not hang; a process that was taken to hang would end."""
    rounds, woken = [], []
    with a_worker(server.url, lambda: woken.append(1), came_round=lambda: rounds.append(1)):
        a_ledger(server.client()).requeue()
        until(lambda: woken)
        with read_only(server):
            rounds.clear()
            until(lambda: len(rounds) >= 8)
        woken.clear()
        with server.client() as client:
            client.lpush(keys.QUEUE, celery_message.message("f" * 32))
        until(lambda: woken)
    assert "Frequent restarts" not in caplog.text
