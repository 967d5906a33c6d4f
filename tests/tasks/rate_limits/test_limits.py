"""How many calls may begin, as tables and properties; no minute, however cut, has more than its limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.rate_limits import limits
from tasks.rate_limits.limits import Calls, Limits, Window

T = 1_700_000_000  # a moment


@pytest.mark.parametrize(
    ("percent", "share", "minute", "hour"),
    [
        (100, 1.0, 10_000, 150_000),
        (limits.PERCENT, 1.0, 9_700, 145_500),
        (limits.PERCENT, limits.BACKGROUND, 7_760, 116_400),
        (1, 0.8, 80, 1_200),
        (200, 1.0, 20_000, 300_000),
    ],
)
def test_the_limits_are_a_part_of_wecoms(percent: int, share: float, minute: int, hour: int) -> None:
    found = Limits.of(percent, share)
    assert (found.minute, found.hour) == (minute, hour)
    assert (found.address_minute, found.address_hour) == (2 * minute, 4 * hour)


def test_a_burst_of_8000_in_a_second_is_within_them() -> None:
    assert Calls().begun(8000, T).left(Limits.of(), T) == 1700


@pytest.mark.parametrize(
    ("later", "left"),
    [(0, 0), (59.9, 0), (60, 0), (62.9, 0), (63, 10), (3600, 10)],
)
def test_a_call_counts_for_a_minute_and_its_way_to_wecom(later: float, left: int) -> None:
    window = Window(1, limits.SECONDS).begun(10, T)
    assert 10 - window.used(T + later) == left


def test_the_hour_holds_where_the_minute_would_not() -> None:
    found = Limits(minute=10, hour=25, address_minute=99, address_hour=99)
    calls = Calls()
    for minute in range(3):
        at = T + minute * 70
        calls = calls.begun(min(10, calls.left(found, at)), at)
    assert calls.left(found, T + 300) == 0
    assert calls.left(found, T + 61 * 60 + 59) > 0


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(1, 400), st.floats(0, 2)), max_size=60))
def test_no_sliding_minute_has_more_calls_than_the_limit(wishes: list[tuple[float, int, float]]) -> None:
    """Whoever wants whatever, when they want it; each call reaches WeCom up to two seconds after it was counted."""
    found, calls, now = Limits(minute=500, hour=10**9, address_minute=0, address_hour=0), Calls(), float(T)
    arrived: list[tuple[float, int]] = []
    for pause, wanted, way in wishes:
        now += pause
        number = min(wanted, calls.left(found, now))
        if number:
            calls = calls.begun(number, now)
            arrived.append((now + way, number))
    for start, _ in arrived:
        assert sum(number for at, number in arrived if start <= at < start + 60) <= 500


def test_a_clock_that_was_set_back_does_not_block_for_as_long_as_it_was_set_back() -> None:
    window = Window(1, limits.SECONDS).begun(10, T)
    back = window.at(T - 300)
    assert back.used(T - 300) == 10, "they may have been a moment ago"
    assert back.used(T - 300 + limits.SECONDS) == 0


@pytest.mark.parametrize(
    ("errcode", "times", "seconds"),
    [(45009, 1, 1.0), (45009, 2, 2.0), (45009, 4, 5.0), (45009, 9, 5.0), (45033, 3, 0.25)],
)
def test_the_pause_after_a_refusal(errcode: int, times: int, seconds: float) -> None:
    assert limits.pause(errcode, times) == seconds
