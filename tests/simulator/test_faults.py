"""Each fault has the effect that its name says, at its rate, from its seed."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.client import StandIn
from tests.simulator.faults import KINDS, SEND, Dice, Faults, RateLimits
from tests.support.until import until
from tests.support.wecom_app import Api


@pytest.mark.parametrize(
    ("fault", "errcode"), [("busy", -1), ("limited", 45009), ("racing", 41096), ("crowded", 45033), ("revoke", 40014)]
)
def test_a_fault_with_an_errcode_has_no_effect(wecom: StandIn, api: Api, fault: str, errcode: int) -> None:
    added = wecom.add(push=False)
    wecom.faults(**{fault: 1})
    assert api.greet(added.welcome_code) == errcode
    wecom.faults()
    api.get_token()
    assert api.greet(added.welcome_code) == 0
    assert [send.result for send in wecom.record(added).sends] == ([errcode, 0])


@pytest.mark.parametrize(("fault", "status"), [("http_5xx", 502), ("not_json", 200)])
def test_a_page_instead_of_an_answer_has_no_effect(wecom: StandIn, api: Api, fault: str, status: int) -> None:
    added = wecom.add(push=False)
    wecom.faults(**{fault: 1})
    response = api.greet_raw(added.welcome_code)
    assert response.status_code == status
    assert response.text.startswith("<html>")
    assert wecom.record(added).spent_at is None


@pytest.mark.parametrize(("fault", "greeted"), [("dropped_before", 0), ("dropped_after", 1), ("hang", 0)])
def test_a_connection_closes_unanswered(wecom: StandIn, api: Api, fault: str, greeted: int) -> None:
    added = wecom.add(push=False)
    api.get_token()
    wecom.faults(**{fault: 1}, hang_s=0.1)
    with pytest.raises(requests.ConnectionError):
        api.greet_raw(added.welcome_code)
    until(lambda: wecom.record(added).sends[0].answered is False)
    assert wecom.record(added).sends[0].result == fault
    assert wecom.summary().greeted == greeted


def test_a_hang_outlasts_the_caller_s_patience(wecom: StandIn, api: Api) -> None:
    added = wecom.add(push=False)
    api.get_token()
    wecom.faults(hang=1)
    with pytest.raises(requests.ReadTimeout):
        api.greet_raw(added.welcome_code, timeout=0.5)
    assert wecom.record(added).spent_at is None


def test_a_trickle_takes_effect_and_defeats_a_read_timeout(wecom: StandIn, api: Api) -> None:
    added = wecom.add(push=False)
    api.get_token()
    wecom.faults(trickle=1)
    body = {"welcome_code": added.welcome_code, "text": {"content": "hello"}}
    with api.call("POST", SEND, timeout=30, json=body, stream=True) as response:
        assert next(response.iter_content(1)) == b"{"
    assert wecom.record(added).greeted_at is not None


def test_who_could_not_know_of_the_success_is_excused_for_trying_again(wecom: StandIn, api: Api) -> None:
    added = wecom.add(push=False)
    api.get_token()
    wecom.faults(dropped_after=1)
    with pytest.raises(requests.ConnectionError):
        api.greet_raw(added.welcome_code)
    wecom.faults()
    assert api.greet(added.welcome_code) == 41050
    assert (wecom.summary().retried_after_lost_answer, wecom.summary().spent_twice) == (1, 0)
    assert api.greet(added.welcome_code) == 41050  # by now it was told
    assert (wecom.summary().retried_after_lost_answer, wecom.summary().spent_twice) == (1, 1)


def test_who_gave_up_waiting_is_excused_too(wecom: StandIn, api: Api) -> None:
    added = wecom.add(push=False)
    api.get_token()
    wecom.faults(latency_ms=2000)
    with pytest.raises(requests.ReadTimeout):
        api.greet_raw(added.welcome_code, timeout=0.5)
    until(lambda: wecom.record(added).sends[0].answered is not None)
    wecom.faults()
    assert api.greet(added.welcome_code) == 41050
    assert (wecom.summary().retried_after_lost_answer, wecom.summary().spent_twice) == (1, 0)


def test_latency_is_part_of_the_time_to_greeting(wecom: StandIn, api: Api) -> None:
    api.get_token()
    wecom.faults(latency_ms=100)
    added = wecom.add(push=False)
    started = time.monotonic()
    assert api.greet(added.welcome_code) == 0
    assert time.monotonic() - started >= 0.1
    assert wecom.record(added).greeted_after >= 0.1


def test_faults_strike_the_named_paths_only(wecom: StandIn, api: Api) -> None:
    wecom.faults(busy=1)
    assert api.get("getcallbackip")["errcode"] == 0
    wecom.faults(busy=1, paths=["*"])
    assert api.get("getcallbackip")["errcode"] == -1
    assert api.get_token()["errcode"] == -1


@given(st.integers(), st.lists(st.floats(0, 1 / len(KINDS)), min_size=len(KINDS), max_size=len(KINDS)))
def test_the_same_seed_draws_the_same_faults(seed: int, rates: list[float]) -> None:
    faults = Faults(**dict(zip(KINDS, rates, strict=True)), latency_ms=80, jitter_ms=20, seed=seed)
    one, other = Dice(faults), Dice(faults)
    draws = [one.draw(SEND) for _ in range(50)]
    assert draws == [other.draw(SEND) for _ in range(50)]
    assert all(0.06 <= delay <= 0.1 for _, delay in draws)


def test_faults_come_at_their_rates() -> None:
    dice = Dice(Faults(busy=0.1, hang=0.03, dropped_after=0.05))
    drawn = [dice.draw(SEND)[0] for _ in range(20_000)]
    shares = {kind: drawn.count(kind) / len(drawn) for kind in set(drawn)}
    assert shares == pytest.approx({None: 0.82, "busy": 0.1, "hang": 0.03, "dropped_after": 0.05}, abs=0.01)


def test_rates_are_checked_and_read_from_a_command_line() -> None:
    assert Faults.parse("latency_ms=80,busy=0.1,paths=*+gettoken") == Faults(
        latency_ms=80, busy=0.1, paths=("*", "gettoken")
    )
    with pytest.raises(ValueError, match="no such fault: bussy"):
        Faults.parse("bussy=1")
    with pytest.raises(ValueError, match="1 at most"):
        Faults(busy=0.6, hang=0.6)


@given(st.lists(st.floats(0.01, 3), max_size=60))
def test_no_unit_however_cut_has_more_calls_accepted_than_its_limit(pauses: list[float]) -> None:
    limits, now = RateLimits(Faults(per_unit=5, unit_s=4)), 1000.0
    accepted: list[float] = []
    for pause in pauses:
        now += pause
        if limits.began(SEND, now) is None:
            accepted.append(now)
    for start in accepted:
        assert sum(start <= at < start + 4 for at in accepted) <= 5


def test_who_exceeds_a_limit_is_refused_for_a_whole_unit() -> None:
    limits = RateLimits(Faults(per_unit=2, unit_s=60))
    told = [limits.began(SEND, at) for at in (0, 59, 59.5, 61, 119, 119.6)]
    assert told == [None, None, "limited", "limited", "limited", None]
    assert limits.began("gettoken", 59.6) is None, "another path"


def test_the_stand_in_answers_as_the_limits_say(wecom: StandIn, api: Api) -> None:
    wecom.faults(per_unit=2, unit_s=2)
    until(lambda: api.greet(wecom.add(push=False).welcome_code) == 45009, what="a third call within 2 s")
    until(lambda: api.greet(wecom.add(push=False).welcome_code) == 0, every=0.5, what="the next unit")


def test_too_many_calls_at_once_are_refused(wecom: StandIn, api: Api) -> None:
    wecom.faults(at_once=2, latency_ms=1500)
    api.get_token()
    codes = [wecom.add(push=False).welcome_code for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(api.greet, codes)) == [0, 0, 45033]
