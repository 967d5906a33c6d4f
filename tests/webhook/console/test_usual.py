"""Buckets, medians and levels over generated histories, each against a count by hand."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from statistics import mean, median

import pytest

from tasks.ledger import statistics
from tasks.ledger.statistics import BUCKETS, PACES, Tallies
from webhook.console import heat, statistics_summary, usual
from webhook.console.heat import Hours
from webhook.console.statistics_summary import OutcomeCount

KINDS = ("sent", "missed", "unconfirmed", "no_code", "lost")
DAY = date(2026, 11, 26)


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, 26, hour, minute, tzinfo=UTC)


def history(chance: random.Random) -> list[tuple[int, str]]:
    """(second of the day, outcome) of each customer of a day."""
    outcomes = chance.choices(("sent", "expired", "unconfirmed", "no_code", "lost"), (90, 4, 2, 3, 1), k=120)
    return [(chance.randrange(86400), outcome) for outcome in outcomes]


def tallied(day: list[tuple[int, str]]) -> Tallies:
    return dict(Counter(("hour", f"{at // 3600:02}", outcome) for at, outcome in day))


def as_hours(day: list[tuple[int, str]]) -> Hours:
    found = usual.hours(tallied(day))
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(8))
def test_what_is_usual_until_now_is_the_median_of_the_known_weeks(seed: int) -> None:
    chance = random.Random(seed)
    weeks = [history(chance) if chance.random() < 0.8 else None for _ in range(4)]
    now = at(chance.randrange(24), 0)
    found = usual.usual([None if one is None else as_hours(one) for one in weeks], now)
    known = [[outcome for at, outcome in one if at < now.hour * 3600] for one in weeks if one is not None]
    if not known:
        assert found is None
        return
    assert found is not None
    assert found.weeks == len(known)
    assert found.counts["added"] == median(map(len, known))
    assert found.counts["missed"] == median(one.count("expired") for one in known)
    rates = [one.count("sent") / of for one in known if (of := len(one) - one.count("no_code"))]
    assert found.on_time == (pytest.approx(median(rates)) if rates else None)


def test_an_hour_that_is_not_over_counts_by_its_part() -> None:
    day = {"09": OutcomeCount(added=10, sent=10), "10": OutcomeCount(added=40, sent=20)}
    assert usual.until(day, at(10, 15))["added"] == 20
    assert usual.until(day, at(10, 0))["added"] == 10
    assert usual.until(day, at(0, 59))["added"] == 0


def test_where_nothing_is_known_nothing_is_said() -> None:
    assert usual.usual([None] * 4, at(12)) is None
    assert usual.by_hour([None, None]) == [None] * 24
    assert usual.change(7, 4.9) is None
    assert usual.change(7, 0) is None
    assert usual.change(12, 10) == 20


@pytest.mark.parametrize("seed", range(4))
def test_the_heat_map_of_weekdays_is_the_mean_of_the_known_days(seed: int) -> None:
    chance = random.Random(seed)
    days = {DAY - timedelta(n): history(chance) if chance.random() < 0.8 else None for n in range(24)}
    found = heat.of_weekdays({day: one and as_hours(one) for day, one in days.items()}, range(7))
    assert found.mean
    for weekday, cells in found.rows:
        known = [one for day, one in days.items() if day.weekday() == weekday and one is not None]
        for hour, cell in enumerate(cells):
            here = [[outcome for at, outcome in one if at // 3600 == hour] for one in known]
            assert cell.added == (pytest.approx(mean(map(len, here))) if known else None)
            assert cell.missed == (pytest.approx(mean(one.count("expired") for one in here)) if known else 0)
    most = max(cell.added or 0 for _, cells in found.rows for cell in cells)
    assert {cell.level for _, cells in found.rows for cell in cells if cell.added == most} == {heat.LEVELS}


def test_a_day_that_is_not_known_and_what_is_still_to_come_are_no_zeros() -> None:
    days = {DAY - timedelta(1): None, DAY: {"09": OutcomeCount(added=8, missed=1), "10": OutcomeCount(added=2)}}
    found = heat.of_days(days, str, lambda day, hour: f"/{day}/{hour}", until=(DAY, 10))
    (_, unknown), (name, cells) = found.rows
    assert {one.added for one in unknown} == {None}
    assert name == "2026-11-26"
    assert [one.added for one in cells] == [*[0] * 9, 8, 2, *[None] * 13]
    assert [(one.level, one.missed, one.url) for one in cells[8:11]] == [
        (0, 0, ""),
        (4, 1, "/2026-11-26/09"),
        (1, 0, "/2026-11-26/10"),
    ]


@pytest.mark.parametrize("seed", range(8))
def test_latencies_from_both_kinds_of_buckets_are_those_that_were_counted(seed: int) -> None:
    chance = random.Random(seed)
    times = [round(chance.lognormvariate(5.5, 1.2)) for _ in range(chance.choice((1, 9, 400)))]
    tallies: Counter[tuple[str, statistics.Value, str]] = Counter()
    for at in times:
        bucket, pace = statistics.latency({"answer_1": at})
        tallies["latency", bucket, "sent"] += 1
        tallies["pace", ("09", pace), "sent"] += 1
    for known in (dict(tallies), {cell: n for cell, n in tallies.items() if cell[0] == "latency"}):
        spans = statistics.distribution(known)
        assert sum(number for _, _, number in spans) == len(times)
        for start, end, number in spans:
            assert number == sum(start < max(at, 1) <= (end or 10**9) for at in times)
        half = statistics.quantile(known, 0.5)
        middle = sorted(times)[(len(times) - 1) // 2] / 1000
        width = next(end or 10**9 for start, end, _ in spans if start < max(1000 * middle, 1) <= (end or 10**9))
        assert half is not None
        assert half <= width / 1000
        latency = statistics_summary.latency(known)
        assert latency is not None
        assert sum(number for _, _, number in latency.bars) + latency.beyond == len(times)
        for start, end, number in latency.bars:
            assert number == sum(start < max(at, 1) <= end for at in times)
    assert statistics.distribution_of_hour(tallies, "09")
    assert statistics.distribution_of_hour(tallies, "10") == []
    of_hour = {end: number for _, end, number in statistics.distribution_of_hour(tallies, "09")}
    for start, end in zip((0, *PACES), (*PACES, None), strict=True):
        assert of_hour.get(end, 0) == sum(start < max(at, 1) <= (end or 10**9) for at in times)


def test_a_day_of_which_only_some_greetings_are_known_by_hour_has_the_wider_buckets() -> None:
    """The day of the upgrade, and for as long as a role of the release before works beside."""
    tallies: Tallies = {("latency", "100", "sent"): 5, ("pace", ("09", "30"), "sent"): 2}
    assert statistics.distribution(tallies) == [(0, BUCKETS[0], 5)]
