"""Adds by day and hour: a table whose cells say how many, how many is many, and if somebody was missed. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import ceil
from statistics import fmean
from typing import Any

from webhook.console.statistics_summary import OutcomeCount

LEVELS = 4  # of colour; 0: none
HOURS = tuple(f"{hour:02}" for hour in range(24))
Pair = tuple[float, float]  # added, missed
Hours = Mapping[str, OutcomeCount]  # "00" to "23" → counts; an hour without any is missing


@dataclass(frozen=True, slots=True)
class Cell:
    """An hour. added: None: not known, or still to come. url: of its deliveries; "" where there is none."""

    added: float | None
    missed: float = 0
    level: int = 0
    url: str = ""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Rows with their names, a cell for each hour. mean: the cells are means of several days."""

    rows: Sequence[tuple[Any, Sequence[Cell]]]
    mean: bool


def of_days(
    days: Mapping[date, Hours | None],
    name: Callable[[date], Any],
    url: Callable[[date, str], str],
    until: tuple[date, int],
) -> HeatMap:
    """A row for each day. A day that is None is not known; after the hour `until` everything is still to come."""
    rows = []
    for day, hours in days.items():
        counts = [None if hours is None else hours.get(hour, OutcomeCount()) for hour in HOURS]
        pairs = [
            None if one is None or (day, hour) > until else (one.added, one.missed) for hour, one in enumerate(counts)
        ]
        rows.append((name(day), pairs, [url(day, hour) for hour in HOURS]))
    return HeatMap(_levelled(rows), mean=False)


def of_weekdays(days: Mapping[date, Hours | None], names: Sequence[Any]) -> HeatMap:
    """A row for each weekday, Monday first: means of the known days. `names`: of the seven."""
    rows = []
    for weekday, name in enumerate(names):
        known = [hours for day, hours in days.items() if day.weekday() == weekday and hours is not None]
        rows.append((name, [_mean([hours.get(hour, OutcomeCount()) for hours in known]) for hour in HOURS], [""] * 24))
    return HeatMap(_levelled(rows), mean=True)


def _mean(counts: Sequence[OutcomeCount]) -> Pair | None:
    return (fmean(one.added for one in counts), fmean(one.missed for one in counts)) if counts else None


def _levelled(rows: Sequence[tuple[Any, Sequence[Pair | None], Sequence[str]]]) -> list[tuple[Any, list[Cell]]]:
    most = max((pair[0] for _, pairs, _ in rows for pair in pairs if pair), default=0.0)
    return [
        (name, [_cell(pair, most, url) for pair, url in zip(pairs, urls, strict=True)]) for name, pairs, urls in rows
    ]


def _cell(pair: Pair | None, most: float, url: str) -> Cell:
    if pair is None:
        return Cell(None)
    return Cell(*pair, level=level(pair[0], most), url=url if pair[0] else "")


def level(value: float, most: float) -> int:
    """0 for none, else 1 to LEVELS, by quarters of the most."""
    return 0 if value <= 0 or most <= 0 else min(LEVELS, ceil(LEVELS * value / most))
