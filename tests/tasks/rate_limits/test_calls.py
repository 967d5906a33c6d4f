"""The scripts that count calls in Redis: they say what the pure model says, and all processes share what they know."""

import threading
import time
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.ledger.claims import Kept
from tasks.rate_limits import limits
from tasks.rate_limits.limiter import CALLS_LUA, Limiter, SharedCalls
from tasks.rate_limits.limits import SEND, Calls, Limits
from tasks.storage import connections, keys
from tasks.storage.connections import Redis
from tasks.wecom.errors import Failure, NoAnswer, NotSent, from_answer
from tests.support.builders import CORP
from tests.support.ledger import a_ledger, accepted
from tests.support.processes import RedisServer

PATH = "externalcontact/get"
BEGIN_AT = """
local calls = calls_of(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]))
local number = math.min(calls.left, tonumber(ARGV[4]))
if number > 0 then calls.begin(number) end
return { number, calls.minute + number, calls.hour + number }
"""


@pytest.fixture(autouse=True)
def _time_for_slow_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever takes time takes long enough for any machine; `_forward` lets it pass."""
    monkeypatch.setattr(limits, "PAUSES", (30.0, 60.0, 120.0))
    monkeypatch.setattr(limits, "CROWDED", 30.0)
    monkeypatch.setattr(limits, "AGAIN_GROWS", 50.0)


def shared(client: Redis, percent: int = 1, corp: str = "ww1") -> SharedCalls:
    return SharedCalls(client, corp, {corp}, Limits.of(percent))


def taken(calls: SharedCalls, number: int, allowed: Limits) -> int:
    return sum(calls.take(PATH, 1, allowed)[0] for _ in range(number))


steps = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 300, 999, 1000, 5_000, 61_000, 63_000, 400_000, 4_000_000, -90_000]), st.integers(0, 60)
    ),
    max_size=40,
)


@given(steps)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_the_script_counts_as_the_model_does(redis_client: Redis, steps: list[tuple[int, int]]) -> None:
    redis_client.flushall()
    begin = redis_client.register_script(CALLS_LUA + BEGIN_AT)
    allowed, model, now = Limits(100, 300, 0, 0), Calls(), 1_700_000_000_000
    for pause, wanted in steps:
        now += pause
        at = now / 1000
        model = Calls(model.minute.at(at), model.hour.at(at))
        number = min(wanted, model.left(allowed, at))
        model = model.begun(number, at) if number else model
        found = begin(keys=[keys.calls(PATH, "ww1")], args=[now, allowed.minute, allowed.hour, wanted])
        assert found == [number, model.minute.used(at), model.hour.used(at)]
    assert all(keys.find(name) for name in redis_client.scan_iter("*"))


def test_two_processes_together_take_no_more_than_the_limit(redis_url: str) -> None:
    found: list[int] = []

    def process() -> None:
        with connections.connect(redis_url, timeout=5) as client:
            limiter = Limiter(shared(client), 1)  # 100 a minute
            count = 0
            while count < 200:
                try:
                    limiter.begin(PATH, time.monotonic())
                except NotSent:
                    break
                count += 1
            found.append(count)

    threads = [threading.Thread(target=process) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(found) <= 100
    assert sum(found) >= 100 - 32, "what one of them took and did not use has lapsed"


def test_what_is_no_greeting_leaves_a_part_of_the_limit(redis_client: Redis) -> None:
    calls = shared(redis_client)
    assert taken(calls, 200, Limits.of(1, limits.BACKGROUND)) == 80
    assert taken(calls, 200, Limits.of(1)) == 20, "a look-up for a greeting has the rest"


@pytest.mark.parametrize("corps", [{"ww1"}, {"ww1", "ww2"}])
def test_the_address_limit_counts_every_api_and_the_greetings_of_all_corps(
    redis_client: Redis, corps: set[str]
) -> None:
    begin = redis_client.register_script(CALLS_LUA + BEGIN_AT)
    now = int(redis_client.time()[0]) * 1000
    greetings = keys.calls(SEND, limits.ALL_CORPS if len(corps) > 1 else "ww1")
    assert begin(keys=[greetings], args=[now, 10_000, 150_000, 180])[0] == 180
    calls = SharedCalls(redis_client, "ww1", corps, Limits.of(1))
    allowed = Limits.of(1)  # 100 of an API, 200 of the address
    assert sum(calls.take("user/get", 1, allowed)[0] for _ in range(9)) == 9
    assert taken(calls, 99, allowed) == 11


def test_where_there_are_several_corps_each_greeting_counts_among_those_of_all(redis_client: Redis) -> None:
    ledger = a_ledger(redis_client, corps=2)
    redis_client.set(keys.book("default"), 1)
    for corp in ("ww1", "ww2", "ww2"):
        accepted(ledger, corp_id=corp)
    claims = ledger.claim(9)
    assert ledger.begin_try(claims[0], 2, 1.0) is Kept.YES
    counted = {corp: int(redis_client.hget(keys.calls(SEND, corp), "s:total") or 0) for corp in ("ww1", "ww2", "all")}
    assert counted == {"ww1": 2, "ww2": 2, "all": 4}


def test_the_step_of_a_call_is_as_large_whatever_number_of_corps_there_is(redis_client: Redis) -> None:
    def commands(corps: int) -> int:
        calls = SharedCalls(redis_client, "ww1", {f"ww{n}" for n in range(1, corps + 1)}, Limits.of())
        calls.take(PATH, 1, Limits.of())
        before = redis_client.info("stats")["total_commands_processed"]
        calls.take(PATH, 1, Limits.of())
        return int(redis_client.info("stats")["total_commands_processed"] - before)

    assert commands(1000) < commands(2) + 100  # which seconds have lapsed meanwhile makes a few of difference


def test_calls_of_one_api_do_not_count_for_another_nor_for_another_corp(redis_client: Redis) -> None:
    allowed = Limits.of(1)
    assert taken(shared(redis_client), 101, allowed) == 100
    assert shared(redis_client).take("user/get", 1, allowed)[0] == 1
    assert shared(redis_client, corp="ww2").take(PATH, 1, allowed)[0] == 1


# ------------------------------------------------------------------------------------------------ refusals


def test_after_a_refusal_nobody_calls_until_one_call_has_been_tried(redis_client: Redis) -> None:
    ours, theirs, allowed = shared(redis_client), shared(redis_client), Limits.of(1)
    assert ours.refused(PATH, 45009, probe=False) == limits.PAUSES[0]
    permits, wait, _ = theirs.take(PATH, 9, allowed)
    assert (permits, wait <= limits.PAUSES[0]) == (0, True)
    assert ours.refused(PATH, 45009, probe=False) <= limits.PAUSES[0], "a call that began before: known already"
    _forward(redis_client, limits.PAUSES[0])
    assert theirs.take(PATH, 9, allowed) == (1, 0.0, True), "one call tries"
    assert ours.take(PATH, 9, allowed)[0] == 0, "and the others wait for its answer"
    assert theirs.refused(PATH, 45009, probe=True) == limits.PAUSES[1]
    _forward(redis_client, limits.PAUSES[1])
    assert ours.take(PATH, 9, allowed) == (1, 0.0, True)
    ours.lifted(PATH)
    assert theirs.take(PATH, 9, allowed) == (9, 0.0, False)


def test_a_probe_that_brings_no_answer_is_followed_by_another_one(redis_client: Redis) -> None:
    calls, allowed = shared(redis_client), Limits.of(1)
    calls.refused(PATH, 45009, probe=False)
    _forward(redis_client, limits.PAUSES[0])
    assert calls.take(PATH, 1, allowed)[2]
    _forward(redis_client, limits.PROBE + 0.1)
    assert calls.take(PATH, 1, allowed)[2]


def test_when_the_clock_is_set_back_nobody_waits_for_it_to_catch_up(redis_client: Redis) -> None:
    calls, allowed = shared(redis_client), Limits.of(1)
    calls.refused(PATH, 45009, probe=False)
    _forward(redis_client, -600.0)
    status = calls.status(PATH)
    assert (status.blocked, status.is_held) == (0, False)
    assert calls.take(PATH, 9, allowed) == (1, 0.0, True), "one call finds out"
    _forward(redis_client, -600.0)
    assert calls.take(PATH, 9, allowed) == (1, 0.0, True), "and is not waited for either"


def test_too_many_at_once_holds_calls_back_for_a_moment_and_is_no_matter_of_a_probe(redis_client: Redis) -> None:
    calls = shared(redis_client)
    assert calls.refused(PATH, 45033, probe=False) == limits.CROWDED
    assert calls.take(PATH, 1, Limits.of(1))[0] == 0
    _forward(redis_client, limits.CROWDED)
    assert calls.take(PATH, 3, Limits.of(1)) == (3, 0.0, False)


def test_when_it_is_over_greetings_begin_with_few_at_once(redis_client: Redis) -> None:
    ledger, calls = a_ledger(redis_client), shared(redis_client, percent=100, corp=CORP)
    redis_client.set(keys.book("default"), 1)
    for number in range(60):
        accepted(ledger, external_user_id=f"wm{number}", welcome_code=f"c{number}")
    calls.refused(SEND, 45009, probe=False)
    assert ledger.claim(60) == []
    _forward(redis_client, limits.PAUSES[0])
    (probe,) = ledger.claim(60)
    assert probe.probe
    assert ledger.claim(60) == []
    calls.lifted(SEND)
    assert len(ledger.claim(60)) == limits.FIRST_AGAIN - 1
    _forward(redis_client, 0.3)
    assert ledger.claim(60) == []
    held = calls.status().held
    assert held
    assert held.by == 45009, "not our own counting"
    _forward(redis_client, limits.AGAIN_GROWS)
    assert len(ledger.claim(60)) == limits.FIRST_AGAIN
    _forward(redis_client, 60.0)
    assert len(ledger.claim(60)) == 60 - 2 * limits.FIRST_AGAIN, "there is no cap any more"
    assert not calls.status().is_held


def test_the_status_says_what_is_counted_and_what_holds_calls_back(redis_client: Redis) -> None:
    calls = shared(redis_client)
    empty = calls.status(PATH)
    assert (empty.minute, empty.hour, empty.errcode, empty.held, empty.is_held) == (0, 0, None, None, False)
    taken(calls, 3, Limits.of(1))
    calls.refused(PATH, 45009, probe=False)
    found = calls.status(PATH)
    assert (found.minute, found.hour, found.errcode, found.is_held) == (3, 3, 45009, True)
    assert 0 < found.blocked <= limits.PAUSES[0]
    assert found.held
    assert found.held.by == 45009
    _forward(redis_client, 60)
    assert not calls.status(PATH).is_held


def test_what_the_limits_hold_back_by_themselves_is_said_too(redis_client: Redis) -> None:
    calls = shared(redis_client)
    taken(calls, 101, Limits.of(1))
    held = calls.status(PATH).held
    assert held
    assert held.by == 0


# ------------------------------------------------------------------------------------------------ the client's limiter


def test_a_limiter_tells_the_others_of_a_refusal_and_of_its_end(redis_client: Redis) -> None:
    ours, theirs = (Limiter(shared(redis_client), 1) for _ in range(2))
    ours.begin(PATH, time.monotonic() + 1)
    ours.ended(PATH, from_answer(45009, "", PATH))
    with pytest.raises(NotSent, match="held back"):
        theirs.begin(PATH, time.monotonic() + 0.2)
    _forward(redis_client, limits.PAUSES[0])
    theirs.begin(PATH, time.monotonic() + 1)
    with pytest.raises(NotSent):
        ours.begin(PATH, time.monotonic() + 0.2)
    theirs.ended(PATH, None)
    ours.begin(PATH, time.monotonic() + 1)


@pytest.mark.parametrize(
    ("error", "lifts"),
    [
        (None, True),
        (from_answer(84061, "", PATH), True),
        (from_answer(45009, "", PATH), False),
        (NoAnswer(PATH, Failure.ANSWER_TIMEOUT), False),
    ],
    ids=["ok", "84061", "45009", "no answer"],
)
def test_an_answer_to_a_probe_lifts_the_limit(redis_client: Redis, error: Any, lifts: bool) -> None:
    limiter = Limiter(shared(redis_client), 1)
    shared(redis_client).refused(PATH, 45009, probe=False)
    _forward(redis_client, limits.PAUSES[0])
    limiter.begin(PATH, time.monotonic() + 1)
    limiter.ended(PATH, error)
    assert (shared(redis_client).take(PATH, 1, Limits.of(1))[0] == 1) is lifts


def test_while_there_are_many_calls_few_of_them_ask_redis(redis_client: Redis) -> None:
    limiter = Limiter(shared(redis_client, percent=100), 100)
    redis_client.config_resetstat()
    for _ in range(500):
        limiter.begin(PATH, time.monotonic() + 1)
    assert redis_client.info("commandstats")["cmdstat_evalsha"]["calls"] < 500 / 8


def test_a_greeting_asks_nobody(redis_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = Limiter(shared(redis_client), 1, free={SEND})
    monkeypatch.setattr(redis_client.connection_pool, "get_connection", lambda *_, **__: pytest.fail("Redis was asked"))
    for path in (SEND, "gettoken"):
        limiter.begin(path, time.monotonic() + 1)
        limiter.ended(path, None)
    with pytest.raises(pytest.fail.Exception):
        redis_client.ping()


def test_without_redis_each_process_counts_for_itself(server: RedisServer) -> None:
    client = connections.connect(server.url, timeout=0.2)
    limiter = Limiter(shared(client), 1)
    server.kill()
    for _ in range(100):
        limiter.begin(PATH, time.monotonic() + 0.5)
    with pytest.raises(NotSent):
        limiter.begin(PATH, time.monotonic() + 0.5)
    limiter.ended(PATH, from_answer(45009, "", PATH))
    with pytest.raises(redis.RedisError):
        client.ping()


def test_a_process_alone_lets_one_call_try_too() -> None:
    limiter = Limiter(None, 1)

    def may_call() -> bool:
        try:
            limiter.begin(PATH, time.monotonic() + 0.01)
        except NotSent:
            return False
        return True

    def wait(seconds: float) -> None:
        limiter._stocks[PATH].blocked_until -= seconds

    assert all(may_call() for _ in range(5))
    for _ in range(5):  # they were under way together
        limiter.ended(PATH, from_answer(45009, "", PATH))
    assert not may_call()
    wait(limits.PAUSES[0])
    assert [may_call() for _ in range(2)] == [True, False]
    limiter.ended(PATH, from_answer(45009, "", PATH))
    wait(limits.PAUSES[0])
    assert not may_call(), "the pause has grown"
    wait(limits.PAUSES[1] - limits.PAUSES[0])
    assert may_call()
    limiter.ended(PATH, None)
    assert all(may_call() for _ in range(5))


def _forward(client: Redis, seconds: float) -> None:
    """Let time pass for what is stored in ms: until when nobody calls, and since when."""
    for key in list(client.scan_iter(keys.calls("*", "*"))):
        for field in ("until", "until_set", "held_from", "held_at", "cap_at"):
            if client.hexists(key, field):
                client.hincrby(key, field, -round(seconds * 1000))
