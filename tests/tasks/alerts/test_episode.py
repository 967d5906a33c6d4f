"""When people are told of an alert, and when not: each transition."""

from collections.abc import Iterator

import pytest

from tasks.alerts.conditions import Patience
from tasks.alerts.episode import HOUR, RETRY, Episode, Notice, not_sent, sent, step

BEGAN, LASTS, AGAIN, OVER = Notice
EVERY = 5


def told(
    readings: Iterator[bool | None] | list[bool | None],
    patience: Patience = Patience(),  # noqa: B008  frozen
    fails: frozenset[int] = frozenset(),
) -> list[tuple[int, Notice]]:
    """(seconds, notice) of what people are told by readings every EVERY seconds; at the times of `fails` nobody is."""
    episode: Episode | None = None
    found = []
    for number, holds in enumerate(readings):
        now = float(number * EVERY)
        episode, notice = step(episode, holds, now, patience)
        if notice is not None and episode is not None:
            if int(now) in fails:
                episode = not_sent(episode, now)
            else:
                episode = sent(episode, notice, now)
                found.append((int(now), notice))
    return found


def lasting(*parts: tuple[bool | None, int]) -> list[bool | None]:
    """Readings: what holds, for how many seconds."""
    return [holds for holds, seconds in parts for _ in range(seconds // EVERY)]


def test_the_begin_is_told_once_and_the_end_once():
    assert told(lasting((False, 60), (True, 600), (False, 600))) == [(60, BEGAN), (665, OVER)]


def test_what_lasts_is_told_once_an_hour():
    assert told(lasting((True, 3 * 3600 + 60))) == [(0, BEGAN), (3600, LASTS), (7200, LASTS), (10800, LASTS)]


def test_what_is_over_before_anybody_has_to_know_is_not_told():
    assert told(lasting((True, 50), (False, 100), (True, 50), (False, 50)), Patience(after=60)) == []


def test_it_is_told_when_it_has_lasted_as_long_as_it_must():
    assert told(lasting((True, 120)), Patience(after=60)) == [(60, BEGAN)]


def test_it_is_over_only_when_it_has_been_for_a_while():
    flapping = lasting((True, 30), (False, 20), (True, 30), (False, 60))
    assert told(flapping, Patience(steady=30)) == [(0, BEGAN), (110, OVER)]


def test_what_comes_back_within_the_hour_is_told_and_then_over_only_after_an_hour_of_calm():
    readings = lasting((True, 60), (False, 60), (True, 60), (False, 300), (True, 60), (False, 2 * 3600))
    assert told(readings) == [(0, BEGAN), (65, OVER), (120, AGAIN), (540 + 3600, OVER)]


def test_what_comes_and_goes_all_day_is_told_three_times_in_an_hour_at_most():
    notices = told(lasting(*[(True, 30), (False, 30)] * 12 * 60))
    times = [at for at, _ in notices]
    assert max(sum(begin <= at < begin + HOUR for at in times) for begin in times) == 3
    assert {notice for at, notice in notices if at > HOUR} == {LASTS}


def test_what_comes_back_after_more_than_an_hour_is_a_new_one():
    readings = lasting((True, 60), (False, 2 * 3600), (True, 60))
    assert told(readings) == [(0, BEGAN), (65, OVER), (7260, BEGAN)]


def test_what_comes_back_for_moments_only_is_not_told():
    readings = lasting((True, 90), (False, 60), (True, 30), (False, 600))
    assert told(readings, Patience(after=60)) == [(60, BEGAN), (95, OVER)]


def test_what_is_not_known_stays_as_it_was():
    readings = lasting((True, 60), (None, 3 * 3600), (False, 60))
    assert told(readings) == [(0, BEGAN), (60 + 3 * 3600 + 5, OVER)]
    assert told(lasting((None, 600))) == []


@pytest.mark.parametrize(("fails", "first"), [({0}, 60), ({0, 60}, 120)])
def test_a_message_that_could_not_be_sent_is_tried_again_in_a_minute(fails: set[int], first: int):
    assert told(lasting((True, 300)), fails=frozenset(fails)) == [(first, BEGAN)]
    assert RETRY == 60


def test_one_that_could_not_be_sent_and_is_over_meanwhile_is_not_told():
    assert told(lasting((True, 30), (False, 300)), fails=frozenset({0})) == []


def test_that_it_is_over_is_tried_again_too_but_not_for_ever():
    readings = lasting((True, 60), (False, 3 * 3600))
    assert told(readings, fails=frozenset({65})) == [(0, BEGAN), (125, OVER)]
    assert told(readings, fails=frozenset(range(65, 3 * 3600))) == [(0, BEGAN)]


def test_a_clock_that_was_ahead_silences_nobody():
    episode = Episode(since=10_000.0, told_at=10_000.0, told=True)
    assert step(episode, True, 500.0, Patience())[1] is LASTS


def test_a_clock_that_is_set_back_while_it_waits_keeps_nobody_waiting():
    patience = Patience(after=60, steady=60)
    waits, nothing = step(None, True, 9000.0, patience)
    assert (waits, nothing) == (Episode(9000.0), None)
    assert step(waits, True, 5400.0, patience) == (waits, BEGAN)
    over, nothing = step(Episode(1.0, told_at=2.0, told=True), False, 9000.0, patience)
    assert over is not None
    assert (over.clear_since, nothing) == (9000.0, None)
    assert step(over, False, 5400.0, patience) == (over, OVER)


def test_it_begins_when_the_reading_says():
    episode, notice = step(None, True, 100.0, Patience(after=60), since=30.0)
    assert (episode, notice) == (Episode(since=30.0), BEGAN)
