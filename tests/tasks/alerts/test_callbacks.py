"""Whether nobody now is unusual, against the installation's own history."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tasks.alerts.callbacks import LEAST, silent_hours, usual

ZONE = ZoneInfo("Asia/Shanghai")
TODAY = date(2026, 11, 26)  # a Thursday
OPEN = range(9, 21)


def at(hour: int, minute: int = 0, day: date = TODAY) -> float:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZONE).timestamp()


def shop(per_hour: int, weekend: bool = True, closed: frozenset[date] = frozenset()) -> Callable[[date, int], int]:
    """So many customers in each hour from nine to nine, until today."""

    def hourly(day: date, hour: int) -> int:
        is_open = day < TODAY and hour in OPEN and day not in closed and (weekend or day.weekday() < 5)
        return per_hour if is_open else 0

    return hourly


def judged(begin: float, end: float, hourly: Callable[[date, int], int], days: int = 60) -> int | None:
    return usual(begin, end, ZONE, hourly, TODAY - timedelta(days))


def test_only_whole_hours_count():
    hours = silent_hours(at(9, 10), at(12, 59), ZONE)
    assert [hour.hour for hour in hours] == [10, 11]
    assert silent_hours(at(9, 10), at(10, 50), ZONE) == []


@pytest.mark.parametrize(
    ("per_hour", "from_nine_until", "found"), [(10, 11, 10), (4, 11, None), (4, 13, 12), (1, 19, None), (1, 20, 10)]
)
def test_it_takes_as_long_as_the_hours_need_to_bring_ten(per_hour: int, from_nine_until: int, found: int | None):
    assert judged(at(9, 30), at(from_nine_until, 5), shop(per_hour)) == found
    assert LEAST == 10


def test_the_night_is_no_alarm_however_busy_the_days_are():
    assert judged(at(20, 59), at(9, 55, TODAY + timedelta(1)), shop(500)) is None


def test_a_weekend_without_customers_is_none_for_who_has_none_on_weekends():
    saturday = TODAY + timedelta(2)
    assert judged(at(20, 30, TODAY + timedelta(1)), at(18, 0, saturday), shop(50, weekend=False)) is None
    assert judged(at(9, 30), at(12, 0), shop(50, weekend=False)) == 100  # and on a Thursday it is


def test_one_quiet_day_among_those_compared_makes_it_wait():
    holiday = frozenset({TODAY - timedelta(14)})
    week = frozenset({TODAY - timedelta(number) for number in range(14, 17)})
    assert judged(at(9, 30), at(12, 0), shop(50, closed=holiday)) == 100  # each of the last seven days had some
    assert judged(at(9, 30), at(12, 0), shop(50, closed=week | {TODAY - timedelta(3)})) is None


def test_who_gets_few_never_has_this_alert():
    three_a_day: Callable[[date, int], int] = lambda day, hour: int(day < TODAY and hour in (10, 14, 18))  # noqa: E731
    for hours in range(1, 24 * 20):
        assert judged(at(9), at(9) + hours * 3600, three_a_day) is None


@pytest.mark.parametrize(("days", "found"), [(5, None), (6, None), (7, 100), (13, 100), (21, 100)])
def test_a_new_installation_has_a_week_before_it_is_judged(days: int, found: int | None):
    assert judged(at(9, 30), at(12, 0), shop(50), days) == found


def test_a_silence_of_a_day_and_more_is_compared_with_weeks_only():
    begin, end = at(9, 30), at(9, 30) + 30 * 3600
    assert judged(begin, end, shop(50), days=13) is None
    assert judged(begin, end, shop(50), days=35) is not None
