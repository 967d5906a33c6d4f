"""What the worker roles do beside their tasks."""

import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis

from tasks import upkeep, workers
from tasks.ledger import celery_message
from tasks.liveness import HUNG
from tasks.services import build_services
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.workers import _first_tokens, _once_aside
from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support.builders import ENVIRONMENT, some_settings
from tests.support.processes import Process, RedisServer
from tests.support.until import until


def test_a_second_sigterm_does_not_wait_for_what_the_first_one_holds() -> None:
    held, stops = threading.Lock(), []

    def stop() -> None:
        with held:
            stops.append(threading.current_thread().name)

    receive = _once_aside(stop)
    with held:  # as if the signal came while this thread was in `stop` already
        receive(sender="worker", sig="SIGTERM")
        receive(sender="worker", sig="SIGTERM")
        assert stops == []
    until(lambda: stops == ["stop"])


REFRESH = keys.job("tasks.upkeep.refresh_tokens")


def first_tokens(wecom: StandIn, redis_url: str) -> threading.Thread:
    app = wecom.register(App.random())
    services = build_services(some_settings(**app.environment(wecom.base_url), REDIS_URL=redis_url), timeout=5)
    thread = threading.Thread(target=_first_tokens, args=(services,), daemon=True)
    thread.start()
    return thread


def test_a_token_is_followed_at_its_end_although_nobody_calls_and_upkeep_runs_once_a_minute(
    wecom: StandIn, redis_url: str, redis_client: Redis
) -> None:
    wecom.settings(token_life_s=2)
    app = wecom.register(App.random())
    services = build_services(some_settings(**app.environment(wecom.base_url), REDIS_URL=redis_url))
    tokens = services.clients["default"].tokens
    for _ in range(3):  # by several runs, and one thread all the same
        assert upkeep.refresh_tokens(services)
    first = tokens.get(time.monotonic() + 5)
    followers = [thread for thread in threading.enumerate() if thread.name == "tokens at their end"]
    assert len(followers) == 1
    (key,) = redis_client.keys("wecom:token:*")
    until(lambda: redis_client.hget(key, "value") not in (None, first), what="the next token")
    wecom.settings(token_life_s=7200)
    followers[0].join(60)
    assert not followers[0].is_alive(), "a token that lasts is left to the schedule"
    assert (tokens.left() or 0) > 7000


def test_an_upkeep_workers_start_fetches_a_token_for_all_without_any_message(
    wecom: StandIn, redis_url: str, redis_client: Redis
) -> None:
    thread = first_tokens(wecom, redis_url)
    thread.join(60)
    assert not thread.is_alive()
    assert list(redis_client.scan_iter("wecom:token:*"))
    assert redis_client.exists(REFRESH)
    assert sum(wecom.summary().token_fetches.values()) == 1


def test_a_first_token_that_wecom_does_not_give_is_asked_for_again_soon(
    wecom: StandIn, redis_url: str, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "FIRST_TOKENS", (0.2,) * 100)
    wecom.faults(http_5xx=1.0, paths=("gettoken",))
    thread = first_tokens(wecom, redis_url)
    until(lambda: wecom.summary().answers.get("gettoken"), what="a first try")
    assert thread.is_alive()
    wecom.faults()
    thread.join(60)
    assert not thread.is_alive()
    assert list(redis_client.scan_iter("wecom:token:*"))


def test_a_first_token_waits_for_redis(wecom: StandIn, tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis")
    thread = first_tokens(wecom, server.url)
    thread.join(0.5)
    assert thread.is_alive()
    assert wecom.summary().token_fetches == {}, "it would be fetched in vain"
    with server, server.client() as client:
        thread.join(60)
        assert list(client.scan_iter("wecom:token:*"))


HANGING = """
import sys, time
from tasks import celery, workers
from tasks import liveness
from tasks.liveness import Stamp
from tasks.settings import load
# the consumer comes round every two seconds, and a stall of the machine counts for 2.5
liveness.TO_COME_ROUND = 3.0 if sys.argv[1] == "consumer" else 5.0
registered = celery.PromptConsumer.register_with_event_loop
def register(self, hub):
    registered(self, hub)
    if sys.argv[1] == "consumer":
        hub.call_later(2.5, time.sleep, 600)
celery.PromptConsumer.register_with_event_loop = register
if sys.argv[1] == "dispatcher":
    workers.Dispatcher._take = lambda self, poll_again_within: time.sleep(600)
workers.welcome(load(), Stamp())
"""


@pytest.mark.parametrize("loop", ["consumer", "dispatcher"])
def test_a_worker_one_of_whose_loops_hangs_ends_itself(loop: str, redis_url: str, tmp_path: Path) -> None:
    environ = ENVIRONMENT | {"REDIS_URL": redis_url}
    worker = Process("welcome", [sys.executable, "-c", HANGING, loop], environ, tmp_path).start()
    try:
        services = build_services(some_settings(REDIS_URL=redis_url))
        services.redis.lpush(keys.QUEUE, celery_message.message("1"))
        assert worker.wait(60) == HUNG
        assert f"the {loop} hangs" in worker.output()
        assert "thread MainThread:" in worker.output()
    finally:
        worker.kill()


def test_a_worker_that_waits_for_redis_says_so_when_something_is_new_and_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A line a second would bury what came before."""
    away = [redis.exceptions.ConnectionError("gone")] * 130 + [
        redis.exceptions.BusyLoadingError("LOADING its file")
    ] * 3
    answers = iter(away)

    def import_books(_: object) -> None:
        if (error := next(answers, None)) is not None:
            raise error

    monkeypatch.setattr(workers, "import_books", import_books)
    monkeypatch.setattr(workers, "time", SimpleNamespace(sleep=lambda _: None))
    workers._import_books(build_services(some_settings(REDIS_URL="redis://127.0.0.1:1/0")))
    said = [record.getMessage() for record in caplog.records if "waiting for Redis" in record.getMessage()]
    assert said == ["waiting for Redis, which does not answer"] * 3 + [
        "waiting for Redis, which is still reading its file"
    ]
