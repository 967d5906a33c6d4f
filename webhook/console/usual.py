"""What is usual: the same weekday of the last weeks, up to the same time of day. Pure, but for `read`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median

from tasks.ledger import statistics
from tasks.ledger.statistics import Tallies
from tasks.storage.connections import Redis
from webhook.console import statistics_summary
from webhook.console.heat import HOURS, Hours
from webhook.console.statistics_summary import OutcomeCount

WEEKS = 4
KINDS = ("added", "sent", "missed", "unconfirmed", "no_code", "lost")


@dataclass(frozen=True, slots=True)
class Usual:
    """The medians up to a time of the day; on_time: 0 to 1. None: not known. weeks: how many they are of."""

    weeks: int
    counts: Mapping[str, float]
    on_time: float | None


def read(client: Redis, app: str, day: date) -> list[Hours | None]:
    """The hours of the same weekday of the last WEEKS weeks, the latest first; None: not known."""
    days = [day - timedelta(weeks=ago) for ago in range(1, WEEKS + 1)]
    return [hours(one) for one in statistics.read_known(client, app, days, ["hour"]).values()]


def hours(tallies: Tallies | None) -> Hours | None:
    """The counts of each hour."""
    if tallies is None:
        return None
    return {str(hour): count for hour, count in statistics_summary.counted(tallies, "hour").items()}


def until(day: Hours, now: datetime) -> dict[str, float]:
    """Kind → how many until this time of a day; an hour that is not over counts by its part."""
    part = (now.minute * 60 + now.second) / 3600
    counts = [day.get(hour, OutcomeCount()) for hour in HOURS[: now.hour + 1]]
    return {kind: sum(getattr(one, kind) for one in counts[:-1]) + part * getattr(counts[-1], kind) for kind in KINDS}


def usual(past: Sequence[Hours | None], now: datetime) -> Usual | None:
    """The medians of the known days until this time; None where there is no such day."""
    known = [until(day, now) for day in past if day is not None]
    if not known:
        return None
    rates = [one["sent"] / with_code for one in known if (with_code := one["added"] - one["no_code"]) > 0]
    medians = {kind: median(one[kind] for one in known) for kind in KINDS}
    return Usual(len(known), medians, median(rates) if rates else None)


def by_hour(past: Sequence[Hours | None]) -> list[float | None]:
    """The median of each hour's adds over the known days."""
    known = [day for day in past if day is not None]
    return [median(day.get(hour, OutcomeCount()).added for day in known) if known else None for hour in HOURS]


def change(now: float, usually: float) -> int | None:
    """Per cent more than usual; None where usual is too little to compare with."""
    return round(100 * (now - usually) / usually) if usually >= LEAST else None


LEAST = 5  # customers: of fewer no per cent is told
