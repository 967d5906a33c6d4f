"""One token for all workers, one renewal at a time; a refused secret is not retried."""

import contextlib
import itertools
import json
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tasks.storage import connections
from tasks.wecom import WeComClient, WeComError
from tasks.wecom import token as token_module
from tasks.wecom.errors import Busy, Misconfigured, NotSent, from_answer
from tasks.wecom.token import FETCH, MARGIN, TokenStore
from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support.processes import RedisServer
from tests.support.servers import GIVES_TOKEN, Server, answering, nobody, silent, whole
from tests.support.until import until

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
    ends_at = float(redis_client.hget(key, "ends_at"))
    assert redis_client.pexpiretime(key) >= ends_at * 1000 - 10, "and not up to a second before it"


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


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The wall clock, which stands still until a test moves it."""
    now = [time.time()]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("life", [2, 30, MARGIN - 1, MARGIN])
def test_a_token_with_a_short_life_is_used_to_its_end(life: float) -> None:
    gettoken = Gettoken(life=life)
    store = TokenStore("ww0", "secret", gettoken)
    assert {store.get(soon()) for _ in range(50)} == {"token-1"}
    assert gettoken.calls == 1


@pytest.mark.parametrize("life", [0, -5, 0.3, 1])
def test_a_token_whose_life_is_told_as_next_to_nothing_is_not_fetched_for_every_call(
    life: float, clock: list[float]
) -> None:
    gettoken = Gettoken(life=life)
    store = TokenStore("ww0", "secret", gettoken)
    assert {store.get(soon()) for _ in range(50)} == {"token-1"}
    clock[0] += 1.1
    assert store.get(soon()) == "token-2", "and not used for ever"


class SameToken(Gettoken):
    """gettoken as WeCom's: the same token until it has ended. It answers while it `may`."""

    def __init__(self, life: float) -> None:
        super().__init__(life)
        self.may, self.ends, self.number, self.answers = threading.Event(), 0.0, 0, 0
        self.may.set()

    def __call__(self, by: float) -> dict[str, Any]:
        self.calls += 1
        assert self.may.wait(60)
        self.answers += 1
        if time.monotonic() >= self.ends:
            self.number, self.ends = self.number + 1, time.monotonic() + self.life
        left = self.ends - time.monotonic()
        return {"errcode": 0, "access_token": f"token-{self.number}", "expires_in": max(int(left), 1)}


def test_near_its_end_a_token_is_asked_for_once_by_all_processes_and_nobody_waits(redis_client: Any) -> None:
    gettoken = SameToken(life=MARGIN + 2)
    stores = [TokenStore("ww0", "secret", gettoken, redis_client) for _ in range(4)]
    assert {store.get(soon()) for store in stores} == {"token-1"}
    until(lambda: (stores[0].left() or 0) < MARGIN)
    gettoken.may.clear()
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda store: store.get(soon()), stores * 4)) == {"token-1"}
        until(lambda: gettoken.calls == 2)
        assert set(pool.map(lambda store: store.get(soon()), stores * 4)) == {"token-1"}
        assert gettoken.answers == 1, "no call waited for the second"
        gettoken.may.set()
        until(lambda: not [one for one in threading.enumerate() if one.name == "access token"])
        assert set(pool.map(lambda store: store.get(soon()), stores * 4)) == {"token-1"}
    assert gettoken.calls == 2


def test_upkeep_asks_once_ahead_for_a_token_that_stays_the_same(redis_client: Any) -> None:
    gettoken = SameToken(life=500)
    worker, *upkeep = (TokenStore("ww0", "secret", gettoken, redis_client) for _ in range(4))
    assert worker.get(soon()) == "token-1"
    for store in upkeep * 3:
        store.refresh(600, soon())
    assert gettoken.calls == 2
    assert worker.get(soon()) == "token-1"


def test_a_new_token_that_another_process_has_ahead_is_taken_over_without_a_fetch(redis_client: Any) -> None:
    gettoken = Gettoken(life=MARGIN + 0.5)
    worker, upkeep = (TokenStore("ww0", "secret", gettoken, redis_client) for _ in range(2))
    assert worker.get(soon()) == "token-1"
    gettoken.life = 7200
    upkeep.refresh(600, soon())
    time.sleep(0.6)
    until(lambda: worker.get(soon()) == "token-2")
    assert gettoken.calls == 2


def test_at_its_end_a_token_is_replaced_by_one_fetch(redis_client: Any) -> None:
    gettoken = SameToken(life=2.0)
    stores = [TokenStore("ww0", "secret", gettoken, redis_client) for _ in range(3)]
    for store in stores:
        store.get(soon())
    until(lambda: time.monotonic() > gettoken.ends)
    gettoken.life = 100
    before, number = gettoken.calls, gettoken.number
    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(lambda store: store.get(soon()), stores * 4)) == {f"token-{number + 1}"}
    assert gettoken.calls == before + 1


@pytest.mark.usefixtures("short_pauses")
def test_a_living_token_is_used_although_gettoken_fails(redis_client: Any) -> None:
    failures = []
    TokenStore("ww0", "secret", SameToken(life=MARGIN - 1), redis_client).get(soon())
    (key,) = redis_client.keys("wecom:token:*")
    redis_client.hdel(key, "asked_at")  # as the previous release stored it

    def busy(by: float) -> dict[str, Any]:
        failures.append(by)
        raise from_answer(-1, "system busy", "gettoken")

    other = TokenStore("ww0", "secret", busy, redis_client)
    began = time.monotonic()
    until(lambda: other.get(soon()) == "token-1" and len(failures) >= 3)
    assert len(failures) <= most_fetches(time.monotonic() - began)


def test_greetings_with_a_token_near_its_end_need_no_more_fetches(wecom: StandIn, app: App, redis_client: Any) -> None:
    """30 calls a second over the API, with 80 ms for each answer, while 55 s and fewer are left."""
    wecom.settings(token_life_s=55)
    wecom.faults(latency_ms=80, paths=("*",))
    a_client(wecom, app, redis_client).tokens.get(soon())
    (key,) = redis_client.keys("wecom:token:*")
    redis_client.hset(key, "asked_at", "inf")  # as if it had had a long life at first
    clients = [a_client(wecom, app, redis_client) for _ in range(3)]
    with ThreadPoolExecutor(16) as pool:
        calls = []
        for number in range(60):
            client = clients[number % 3].with_deadline(soon())
            calls.append(pool.submit(client.external_contact.get_follow_user_list))
            time.sleep(1 / 30)
        assert {call.result()["errcode"] for call in calls} == {0}
    assert wecom.summary().token_fetches["default"] <= 2


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


def test_after_a_reset_of_the_secret_no_process_shares_the_token_that_died(
    wecom: StandIn, app: App, redis_client: Any
) -> None:
    client, other = (a_client(wecom, app, redis_client) for _ in range(2))
    died = client.tokens.get(soon())
    assert other.tokens.get(soon()) == died
    wecom.register(App(corp_id=app.corp_id, secret="the-new-secret"))
    wecom.revoke_tokens()
    with pytest.raises(Misconfigured):
        client.user.get("zhangsan")
    other.tokens.refresh(60, soon())  # what the schedule does
    assert not client.tokens.is_shared()
    assert client.tokens.left() is None


# ------------------------------------------------------------------------------------------------ failures

ALWAYS = {  # what every gettoken answers
    "busy": {"busy": 1.0},
    "a frequency limit": {"limited": 1.0},
    "a gateway's page": {"http_5xx": 1.0},
    "no JSON": {"not_json": 1.0},
    "a cut connection": {"dropped_before": 1.0},
    "an expired token": {"expired": 1.0},
}


LONG, SHORT = 4, 3  # calls of gettoken: one of each kind is followed until the pauses are at their longest
SOON_AGAIN = 15.0  # seconds, on any machine, until a call succeeds: what is left of the pause, and the call


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_module, "PAUSES", tuple(pause / 4 for pause in token_module.PAUSES))


def most_fetches(seconds: float) -> int:
    """How many fetches that fail there may be in this time, and two more."""
    pauses = itertools.chain((0.0,), token_module.PAUSES, itertools.repeat(token_module.PAUSES[-1]))
    return sum(1 for _ in itertools.takewhile(lambda begin: begin <= seconds, itertools.accumulate(pauses))) + 2


def call_until(clients: list[WeComClient], least: int, fetches: Callable[[], int]) -> None:
    """Call often, for as long as `least` fetches take or longer; and see that they are not many more."""
    began = time.monotonic()
    call_often(clients, sum(token_module.PAUSES[: least - 1]) * 1.2)
    until(lambda: fetches() >= least or call_often(clients, token_module.PAUSES[-1]), what="so many fetches")
    assert fetches() <= most_fetches(time.monotonic() - began)


def call_often(clients: list[WeComClient], seconds: float) -> None:
    """A call every 20 ms by each client, with 3 s each."""

    def calls(client: WeComClient) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            with contextlib.suppress(WeComError):
                client.with_deadline(min(soon(3), ends)).external_contact.get_follow_user_list()
            time.sleep(0.02)

    with ThreadPoolExecutor(4 * len(clients)) as pool:
        list(pool.map(calls, clients * 4))


def recovered(client: WeComClient) -> float:
    """Seconds until a call succeeds."""
    began = time.monotonic()

    def succeeds() -> bool:
        with contextlib.suppress(WeComError):
            return bool(client.with_deadline(soon(3)).external_contact.get_follow_user_list())
        return False

    until(succeeds)
    return time.monotonic() - began


@pytest.mark.parametrize("fault", ALWAYS)
@pytest.mark.parametrize("with_redis", [True, False], ids=["three processes", "without Redis"])
def test_a_gettoken_that_fails_is_called_seldom_and_soon_enough_after_it_recovers(
    wecom: StandIn, app: App, redis_client: Any, fault: str, with_redis: bool, request: pytest.FixtureRequest
) -> None:
    if fault != "busy":
        request.getfixturevalue("short_pauses")
    clients = [a_client(wecom, app, redis_client if with_redis else None) for _ in range(3 if with_redis else 1)]
    wecom.faults(paths=("gettoken",), **ALWAYS[fault])
    call_until(
        clients, LONG if fault == "busy" else SHORT, lambda: sum(wecom.summary().answers.get("gettoken", {}).values())
    )
    wecom.faults()
    assert recovered(clients[0]) < SOON_AGAIN
    if with_redis:
        assert redis_client.keys("*:failed") == []


@pytest.mark.usefixtures("short_pauses")
def test_no_answer_and_no_connection_count_as_failures(redis_client: Any) -> None:
    def fetches() -> int:
        return sum(json.loads(redis_client.get(key))["times"] for key in redis_client.keys("*:failed"))

    with nobody() as url:
        call_until([WeComClient("ww0", "secret", url, redis_client) for _ in range(2)], SHORT, fetches)


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("same", [True, False], ids=["the same token", "a new one each time"])
@pytest.mark.parametrize("code", [42001, 40014, 40001])
def test_a_renewed_token_that_is_refused_again_is_followed_by_a_pause_of_all_processes(
    redis_client: Any, code: int, same: bool
) -> None:
    refused = whole(json.dumps({"errcode": code, "errmsg": "refused"}).encode())
    fetched: list[int] = []
    recovers = threading.Event()

    def serve(server: Server, connection: Any) -> None:
        while request := server.request(connection):
            if b"/gettoken?" in request:
                fetched.append(1)
                token = {"access_token": "same" if same else f"token-{len(fetched)}", "expires_in": 7200}
                connection.sendall(whole(json.dumps({"errcode": 0, **token}).encode()))
            else:
                connection.sendall(whole() if recovers.is_set() else refused)

    with Server(serve) as server:
        clients = [WeComClient("ww0", "secret", server.url, redis_client) for _ in range(3)]
        # the first, its renewal at once, and then as above
        call_until(clients, LONG if code == 42001 else SHORT, lambda: len(fetched) - 1)
        recovers.set()
        assert recovered(clients[0]) < SOON_AGAIN
        assert redis_client.keys("*:failed") == []


@pytest.mark.parametrize("shared", [True, False], ids=["of another process", "of another thread"])
def test_a_renewed_token_that_is_refused_to_another_caller_is_not_renewed_before_a_pause(
    redis_client: Any, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    """Of many who wait for a token, each would else be given a new one and have it refused."""
    monkeypatch.setattr("tasks.wecom.token.PAUSES", (600.0,))
    gettoken = Gettoken(life=7200)
    store = TokenStore("ww0", "secret", gettoken, redis_client)
    other = TokenStore("ww0", "secret", gettoken, redis_client) if shared else store
    second = store.renew(store.get(soon()), soon())
    assert other.get(soon()) == second
    with pytest.raises(NotSent, match="the renewed access token is refused too"):
        other.renew(second, soon())
    for one in (store, other):
        with pytest.raises(NotSent, match="the renewed access token is refused too"):
            one.renew(second, soon())
    assert gettoken.calls == 2


def test_when_a_refused_token_is_given_up_the_pause_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """In between, whoever waits for a token would fetch one."""
    gettoken = Gettoken(life=7200)
    store = TokenStore("ww0", "secret", gettoken)
    second = store.renew(store.get(soon()), soon())
    while_it_is_entered = []
    fail = store._fail

    def entered(error: WeComError) -> None:
        while_it_is_entered.append(store.get(soon()))
        fail(error)

    monkeypatch.setattr(store, "_fail", entered)
    store.refused_again(second, from_answer(42001, "refused", "user/get"))
    assert while_it_is_entered == [second]
    assert gettoken.calls == 2


def test_a_renewed_token_that_was_accepted_may_be_revoked_like_any_other() -> None:
    gettoken = Gettoken(life=7200)
    store = TokenStore("ww0", "secret", gettoken)
    for number in range(1, 5):
        token = store.get(soon())
        assert token == f"token-{number}"
        store.accepted(token)
        assert store.renew(token, soon(0.3)) == f"token-{number + 1}", "at once"


def test_a_call_that_is_refused_late_costs_the_token_in_its_place_nothing() -> None:
    gettoken = Gettoken(life=7200)
    store = TokenStore("ww0", "secret", gettoken)
    first = store.get(soon())
    second = store.renew(first, soon())
    assert store.renew(first, soon()) == second == store.get(soon())
    store.refused_again(first, from_answer(42001, "refused", "user/get"))
    assert store.get(soon(0.1)) == second
    assert gettoken.calls == 2


def test_a_call_that_cannot_await_the_end_of_a_pause_fails_at_once_with_what_failed(
    wecom: StandIn, app: App, redis_client: Any
) -> None:
    wecom.faults(busy=1, paths=("gettoken",))
    first, second = (a_client(wecom, app, redis_client) for _ in range(2))
    with pytest.raises(Busy):
        first.tokens.get(soon())
    (key,) = redis_client.keys("*:failed")
    redis_client.pexpire(key, redis_client.pttl(key) + 20_000)  # a pause of 20 s more
    began = time.monotonic()
    with pytest.raises(Busy) as error:
        second.tokens.get(soon(10))
    assert time.monotonic() - began < 8
    assert (error.value.errcode, error.value.path) == (-1, "gettoken")


def test_a_failure_of_another_release_is_a_failure(redis_client: Any) -> None:
    store = TokenStore("ww0", "secret", Gettoken(100), redis_client)
    redis_client.set(f"{store._key}:failed", '{"times": 9, "failure": "of_later"}', px=31_000)
    with pytest.raises(NotSent):
        store.get(soon(0.5))
    assert store.get(soon()) == "token-1"


@pytest.mark.parametrize("code", [40001, 40014, 41001, 42001])
def test_a_call_whose_token_is_refused_is_made_once_more_with_a_new_token(code: int) -> None:
    def serve(server: Server, connection: Any) -> None:
        while request := server.request(connection):
            fetches = sum(b"/gettoken?" in one for one in server.requests)
            if b"/gettoken?" in request:
                answer = {"errcode": 0, "access_token": f"token-{fetches}", "expires_in": 7200}
            else:
                answer = {"errcode": 0 if b"access_token=token-2" in request else code, "errmsg": "refused"}
            connection.sendall(whole(json.dumps(answer).encode()))

    with Server(serve) as server:
        client = WeComClient("ww0", "secret", server.url)
        assert client.external_contact.send_welcome_msg({"welcome_code": "c", "text": {"content": "x"}})
        assert len(server.requests) == 4


def test_a_busy_gettoken_is_not_a_refusal(wecom: StandIn, app: App, redis_client: Any) -> None:
    client = a_client(wecom, app, redis_client)
    wecom.faults(busy=1, paths=("gettoken",))
    with pytest.raises(WeComError):
        client.tokens.get(soon())
    wecom.faults()
    assert client.tokens.get(soon())


def test_after_a_failed_fetch_the_next_process_waits_for_the_pause_alone(
    wecom: StandIn, app: App, redis_client: Any
) -> None:
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
    with Server(silent) as stalled, Server(answering(GIVES_TOKEN)) as wecom:
        shared = connections.connect(f"redis://127.0.0.1:{stalled.port}", timeout=1.0, retries=0)
        client = WeComClient("ww0", "secret", wecom.url, shared)
        by = soon(3.0)
        assert client.tokens.get(by) == "TOKEN-1234"
        assert time.monotonic() < by
