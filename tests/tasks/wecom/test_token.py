"""One token for all workers, one renewal at a time; a refused secret is not retried."""

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tasks.storage import connections
from tasks.wecom import WeComClient, WeComError
from tasks.wecom.errors import Misconfigured, NotSent
from tasks.wecom.token import FETCH, MARGIN, TokenStore
from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support.processes import RedisServer
from tests.support.servers import Server, answering, silent, whole

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def app(wecom: StandIn) -> App:
    return wecom.register(App.random())


def a_client(wecom: StandIn, app: App, redis: Any = None) -> WeComClient:
    return WeComClient(app.corp_id, app.secret, wecom.base_url, redis)


def soon(seconds: float = 30.0) -> float:
    return time.monotonic() + seconds


def a_process(base_url: str, corp_id: str, secret: str, redis_url: str, gate: Any, answers: Any) -> None:
    """Eight threads that call, find the token revoked at the same time, and call again."""
    with connections.connect(redis_url, timeout=5) as shared, ThreadPoolExecutor(8) as pool:
        client = WeComClient(corp_id, secret, base_url, shared)
        client.tokens.get(soon())
        gate.wait(90)  # all processes have the token
        gate.wait(90)  # it was revoked
        calls = [pool.submit(client.with_deadline(soon()).external_contact.get_follow_user_list) for _ in range(8)]
        answers.put([call.result()["errcode"] for call in calls])


# ------------------------------------------------------------------------------------------------ sharing


def test_an_expired_token_is_renewed_once_for_eight_threads_in_each_of_three_processes(
    wecom: StandIn, app: App, redis_url: str
) -> None:
    gate, answers = SPAWN.Barrier(4), SPAWN.Queue()
    arguments = (wecom.base_url, app.corp_id, app.secret, redis_url, gate, answers)
    workers = [SPAWN.Process(target=a_process, args=arguments, daemon=True) for _ in range(3)]
    for worker in workers:
        worker.start()
    gate.wait(90)
    before = wecom.summary().token_fetches["default"]
    wecom.faults(latency_ms=100, paths=("gettoken",))
    wecom.revoke_tokens()
    gate.wait(90)
    assert [answers.get(timeout=90) for _ in workers] == [[0] * 8] * 3
    for worker in workers:
        worker.join(60)
    assert wecom.summary().token_fetches["default"] - before == 1


def test_a_renewal_that_has_just_ended_is_not_repeated(wecom: StandIn, app: App, redis_client: Any) -> None:
    quick = a_client(wecom, app, redis_client)

    class Redis:
        """Redis, and another process whose renewal begins and ends just before this one takes the lock."""

        def __getattr__(self, name: str) -> Any:
            return getattr(redis_client, name)

        def set(self, key: str, *args: Any, **options: Any) -> Any:
            if options.get("nx"):
                quick.tokens.get(soon())
            return redis_client.set(key, *args, **options)

    a_client(wecom, app, Redis()).tokens.get(soon())
    assert wecom.summary().token_fetches == {"default": 1}


def test_a_process_uses_the_token_that_another_one_fetched(wecom: StandIn, app: App, redis_client: Any) -> None:
    first, second = (a_client(wecom, app, redis_client).tokens.get(soon()) for _ in range(2))
    assert first == second
    assert wecom.summary().token_fetches == {"default": 1}


def test_without_redis_threads_share_one_fetch(wecom: StandIn, app: App) -> None:
    client = a_client(wecom, app)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: client.tokens.get(soon()), range(32)))) == 1
    assert wecom.summary().token_fetches == {"default": 1}


def test_two_apps_of_one_corp_have_separate_tokens(wecom: StandIn, app: App, redis_client: Any) -> None:
    other = wecom.register(App.random("other", corp_id=app.corp_id))
    tokens = {a_client(wecom, one, redis_client).tokens.get(soon()) for one in (app, other)}
    assert len(tokens) == 2
    assert wecom.summary().token_fetches == {"default": 1, "other": 1}


def test_the_shared_copy_expires_with_the_token(wecom: StandIn, app: App, redis_client: Any) -> None:
    wecom.settings(token_life_s=300)
    a_client(wecom, app, redis_client).tokens.get(soon())
    (key,) = redis_client.keys("wecom:token:*")
    assert 290 < redis_client.ttl(key) <= 300


def test_no_key_in_redis_shows_corp_or_secret(wecom: StandIn, app: App, redis_client: Any) -> None:
    a_client(wecom, app, redis_client).tokens.get(soon())
    stored = str([(key, redis_client.hgetall(key)) for key in redis_client.keys("*")])
    assert app.secret not in stored
    assert app.corp_id not in stored


def test_a_process_that_died_while_fetching_is_not_waited_for_long(wecom: StandIn, app: App, redis_client: Any) -> None:
    client = a_client(wecom, app, redis_client)
    client.tokens.get(soon())
    (key,) = redis_client.keys("wecom:token:*")
    redis_client.delete(key)
    began = time.monotonic()
    redis_client.set(f"{key}:lead", "somebody who was killed", px=500)
    a_client(wecom, app, redis_client).tokens.get(soon())
    assert 0.4 < time.monotonic() - began < 10


def test_waiting_for_another_process_ends_at_the_deadline(wecom: StandIn, app: App, redis_client: Any) -> None:
    client = a_client(wecom, app, redis_client)
    client.tokens.get(soon())
    (key,) = redis_client.keys("wecom:token:*")
    redis_client.delete(key)
    redis_client.set(f"{key}:lead", "somebody who is slow", px=5000)
    began = time.monotonic()
    with pytest.raises(NotSent):
        a_client(wecom, app, redis_client).tokens.get(soon(0.3))
    assert time.monotonic() - began < 4, "and not until the other is done"


def test_a_lock_that_another_process_holds_by_now_is_not_released(redis_client: Any) -> None:
    def gettoken(by: float) -> dict[str, Any]:
        (lead,) = redis_client.keys("wecom:token:*")
        redis_client.set(lead, "another")  # ours has expired meanwhile
        return {"errcode": 0, "access_token": "token", "expires_in": 7200}

    assert TokenStore("ww0", "secret", gettoken, redis_client).get(soon()) == "token"
    assert redis_client.get(*redis_client.keys("wecom:token:*:lead")) == "another"


# ------------------------------------------------------------------------------------------------ before it expires


class Gettoken:
    """gettoken as a function: each token is valid for `life` seconds."""

    def __init__(self, life: float) -> None:
        self.life, self.calls = life, 0

    def __call__(self, by: float) -> dict[str, Any]:
        self.calls += 1
        return {"errcode": 0, "access_token": f"token-{self.calls}", "expires_in": self.life}


def test_a_token_about_to_expire_is_not_used() -> None:
    gettoken = Gettoken(life=MARGIN - 1)
    store = TokenStore("ww0", "secret", gettoken)
    assert [store.get(soon()), store.get(soon())] == ["token-1", "token-2"]


def test_refresh_fetches_ahead_and_get_uses_the_new_token() -> None:
    gettoken = Gettoken(life=500)
    store = TokenStore("ww0", "secret", gettoken)
    assert store.get(soon()) == "token-1"
    assert store.refresh(400, soon()) == pytest.approx(500, abs=20)
    assert gettoken.calls == 1
    gettoken.life = 7200
    assert store.refresh(600, soon()) == pytest.approx(7200, abs=20)
    assert store.get(soon()) == "token-2"
    assert gettoken.calls == 2


def test_one_process_refreshes_for_all(redis_client: Any) -> None:
    gettoken = Gettoken(life=500)
    worker, upkeep = (TokenStore("ww0", "secret", gettoken, redis_client) for _ in range(2))
    worker.get(soon())
    gettoken.life = 7200
    upkeep.refresh(600, soon())
    assert worker.left() == pytest.approx(7200, abs=20)
    assert worker.refresh(600, soon()) == pytest.approx(7200, abs=20)
    assert gettoken.calls == 2


def test_a_shared_token_that_redis_lost_is_shared_again_without_a_fetch(redis_client: Any) -> None:
    gettoken = Gettoken(life=7200)
    upkeep, worker = (TokenStore("ww0", "secret", gettoken, redis_client) for _ in range(2))
    upkeep.get(soon())
    redis_client.flushall()
    upkeep.refresh(600, soon())
    assert worker.get(soon()) == "token-1"
    assert gettoken.calls == 1


def test_the_time_left_is_unknown_before_the_first_fetch(redis_client: Any) -> None:
    gettoken = Gettoken(life=100)
    store = TokenStore("ww0", "secret", gettoken, redis_client)
    assert store.left() is None
    assert gettoken.calls == 0
    store.get(soon())
    assert store.left() == pytest.approx(100, abs=20)


# ------------------------------------------------------------------------------------------------ a refused secret


@pytest.mark.parametrize("corp_id", [None, "ww9999999999999999"], ids=["wrong secret", "wrong corp id"])
def test_a_refused_secret_is_not_retried_by_any_process(
    wecom: StandIn, app: App, redis_client: Any, corp_id: str | None
) -> None:
    wrong = corp_id or app.corp_id, "wrong-secret", wecom.base_url, redis_client
    first, second = WeComClient(*wrong), WeComClient(*wrong)
    for client in (first, first, second, second):
        with pytest.raises(Misconfigured) as error:
            client.user.get("zhangsan")
        assert error.value.errcode == (40013 if corp_id else 40001)
    assert wecom.summary().token_refusals == 1


def test_without_redis_each_process_remembers_a_refusal_itself(wecom: StandIn, app: App) -> None:
    client = WeComClient(app.corp_id, "wrong-secret", wecom.base_url)
    with ThreadPoolExecutor(8) as pool:
        for attempt in [pool.submit(client.user.get, "zhangsan") for _ in range(20)]:
            with pytest.raises(Misconfigured):
                attempt.result()
    assert wecom.summary().token_refusals == 1


def test_a_refusal_expires_and_never_delays_the_right_secret(wecom: StandIn, app: App, redis_client: Any) -> None:
    with pytest.raises(Misconfigured):
        WeComClient(app.corp_id, "wrong-secret", wecom.base_url, redis_client).user.get("zhangsan")
    (key,) = redis_client.keys("*:refused")
    assert 590 < redis_client.ttl(key) <= 600
    assert a_client(wecom, app, redis_client).tokens.get(soon())


def test_a_busy_gettoken_is_not_a_refusal(wecom: StandIn, app: App, redis_client: Any) -> None:
    client = a_client(wecom, app, redis_client)
    wecom.faults(busy=1, paths=("gettoken",))
    with pytest.raises(WeComError):
        client.tokens.get(soon())
    wecom.faults()
    assert client.tokens.get(soon())


def test_after_a_failed_fetch_the_next_process_may_fetch_at_once(wecom: StandIn, app: App, redis_client: Any) -> None:
    wecom.faults(http_5xx=1, paths=("gettoken",))
    with pytest.raises(NotSent):
        a_client(wecom, app, redis_client).tokens.get(soon())
    wecom.faults()
    began = time.monotonic()
    a_client(wecom, app, redis_client).tokens.get(soon())
    assert time.monotonic() - began < FETCH, "not only when the lock of the failed one expires"


# ------------------------------------------------------------------------------------------------ Redis is away


@pytest.fixture
def away(tmp_path: Path) -> Iterator[connections.Redis]:
    """A client whose server is stopped."""
    with RedisServer(tmp_path / "redis") as server, connections.connect(server.url, timeout=0.5) as client:
        client.ping()
        server.kill()
        yield client


def test_tokens_work_while_redis_is_away(wecom: StandIn, app: App, away: connections.Redis) -> None:
    client = a_client(wecom, app, away)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.external_contact.get_follow_user_list(), range(16)))
    wecom.revoke_tokens()
    client.external_contact.get_follow_user_list()
    assert client.tokens.left() > 7000
    assert wecom.summary().token_fetches == {"default": 2}


def test_a_refusal_is_remembered_while_redis_is_away(wecom: StandIn, app: App, away: connections.Redis) -> None:
    client = WeComClient(app.corp_id, "wrong-secret", wecom.base_url, away)
    for _ in range(3):
        with pytest.raises(Misconfigured):
            client.user.get("zhangsan")
    assert wecom.summary().token_refusals == 1


def test_an_unresponsive_redis_delays_nobody_beyond_the_deadline() -> None:
    """It costs one time-out, not one for each thing that is asked of it."""
    answer = whole(b'{"errcode": 0, "access_token": "TOKEN-1234", "expires_in": 7200}')
    with Server(silent) as stalled, Server(answering(answer)) as wecom:
        shared = connections.connect(f"redis://127.0.0.1:{stalled.port}", timeout=1.0, retries=0)
        client = WeComClient("ww0", "secret", wecom.url, shared)
        by = soon(3.0)
        assert client.tokens.get(by) == "TOKEN-1234"
        assert time.monotonic() < by
