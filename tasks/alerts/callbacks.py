"""Whether it is unusual that no customer was added for so long: against the same hours of earlier days. Pure.

Installations differ by a thousand times, hours of a day by ten, weekends from working days. So there is no number to
set: what is silent now is compared with what the ledger's daily tallies have for the very same hours

    a week, two, three and four weeks before    of at least three weeks, or
    on each of the seven days before            where the silence is shorter than a day.

If on every one of them LEAST customers or more were added in these hours, nobody now is unusual: with as few as ten
expected, chance alone brings nobody once in 22 000 times. Who has fewer in up to three days never gets this alert. One
quiet day among those compared (a holiday) makes it wait for longer.
"""

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, tzinfo

LEAST = 10  # customers
LONGEST = 72  # hours of a silence that are compared: its last ones
WEEKS, ENOUGH_WEEKS = (7, 14, 21, 28), 3
DAYS = (1, 2, 3, 4, 5, 6, 7)
SHORTER = 24  # hours: days are compared for a shorter silence, which none of them is part of
REACH = max(WEEKS) + LONGEST // 24 + 1  # days before today whose tallies are looked at

Hourly = Callable[[date, int], int]  # (day, hour) → customers added


def silent_hours(since: float, now: float, zone: tzinfo) -> list[datetime]:
    """The whole hours between two times (Unix seconds), oldest first, LONGEST at most; as local times without zone."""
    begin, end = datetime.fromtimestamp(since, zone), datetime.fromtimestamp(now, zone)
    hour = end.replace(minute=0, second=0, microsecond=0, tzinfo=None)
    found: list[datetime] = []
    while len(found) < LONGEST:
        hour -= timedelta(hours=1)
        if hour < begin.replace(tzinfo=None):
            break
        found.append(hour)
    return found[::-1]


def usual(since: float, now: float, zone: tzinfo, hourly: Hourly, first_day: date) -> int | None:
    """The fewest customers that these hours have brought on a day compared; None: nobody now is not unusual.

    first_day: that the tallies know of.
    """
    hours = silent_hours(since, now, zone)
    if not hours:
        return None
    weeks = list(_totals(hours, WEEKS, hourly, first_day))
    if len(weeks) >= ENOUGH_WEEKS and min(weeks) >= LEAST:
        return min(weeks)
    days = list(_totals(hours, DAYS, hourly, first_day)) if len(hours) < SHORTER else []
    if len(days) == len(DAYS) and min(days) >= LEAST:
        return min(days)
    return None


def _totals(hours: list[datetime], before: tuple[int, ...], hourly: Hourly, first_day: date) -> Iterator[int]:
    """What the same hours brought so many days before; not of days before the first."""
    for number in before:
        then = [hour - timedelta(days=number) for hour in hours]
        if then[0].date() >= first_day:
            yield sum(hourly(hour.date(), hour.hour) for hour in then)
