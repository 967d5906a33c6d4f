"""How many of the customers who were greeted on a day have left, and after how long. By the day of the add.

    Redis   welcome:day:APP:DAY:left   a hash: DAYS|DIMENSION|VALUE → how many left DAYS days after they were added

DAYS are whole days, 0 within the first 24 hours; from HORIZON on they are counted as HORIZON. DIMENSION and VALUE are
those of tasks.ledger.statistics, whose counts of greeted customers are what these are a part of. A customer is lost
once for each add; one who comes back is added anew. All but `read` is pure.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from tasks.ledger import statistics
from tasks.ledger.delivery import GREETED, Delivery
from tasks.ledger.statistics import Tallies, Value
from tasks.storage.connections import Redis

HORIZON = 31  # days after the add from which it is no longer told apart when a customer left
DIMENSIONS = ("total", "channel", "member", "template", "variant")
WITHIN = (1, 7, 30)  # days within which the customers who left are counted, for pages

Losses = Mapping[tuple[str, Value], Mapping[int, int]]  # (dimension, value) → days after the add → how many left


@dataclass(frozen=True, slots=True)
class Cohort:
    """The customers greeted on one day, of one kind. `left`: days after the add → how many left then."""

    greeted: int
    observed: int  # whole days since the end of the day on which they were added: what is known of all of them
    left: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many: `left` of `greeted`, of those alone who have been contacts for long enough to tell."""

    left: int
    greeted: int


def fields(delivery: Delivery, days: int) -> list[str]:
    """The fields to which the loss of a customer adds one; none where the customer was not greeted."""
    if delivery.outcome not in GREETED or delivery.rehearsal:
        return []
    values: list[tuple[str, Value]] = [
        ("total", ""),
        ("channel", delivery.state),
        ("member", delivery.user_id),
        ("template", delivery.template),
    ]
    if delivery.variant:
        values.append(("variant", (delivery.rule, delivery.variant)))
    days = max(0, min(days, HORIZON))
    return [
        field
        for dimension, value in values
        if len((field := f"{days}|{dimension}|{statistics.stored(value)}").encode()) <= statistics.VALUE_LIMIT
    ]


def read(client: Redis, app: str, days: Sequence[date], dimensions: Collection[str] = DIMENSIONS) -> dict[date, Losses]:
    """The losses of the adds of these days. One pipelined read. Raises redis.RedisError."""
    with client.pipeline(transaction=False) as pipe:
        for day in days:
            pipe.hgetall(statistics.key(app, day, "left"))
        return {day: _parsed(counts, dimensions) for day, counts in zip(days, pipe.execute(), strict=True)}


def _parsed(counts: Mapping[str, str], dimensions: Collection[str]) -> Losses:
    found: dict[tuple[str, Value], dict[int, int]] = {}
    for field, number in counts.items():
        days, _, rest = field.partition("|")
        dimension, _, value = rest.partition("|")
        if dimension in dimensions and days.isdigit() and number.isdigit():
            found.setdefault((dimension, statistics.value(dimension, value)), {})[int(days)] = int(number)
    return found


def cohorts(
    greeted: Mapping[date, Tallies], losses: Mapping[date, Losses], dimension: str, value: Value, today: date
) -> list[Cohort]:
    """One for each day on which somebody of this kind was greeted."""
    return [
        Cohort(count, max(0, (today - day).days - 1), losses.get(day, {}).get((dimension, value), {}))
        for day, tallies in greeted.items()
        if (count := sum(tallies.get((dimension, value, str(outcome)), 0) for outcome in GREETED))
    ]


def within(cohorts: Iterable[Cohort], days: int) -> Share:
    """How many left within so many days, among those whose whole day was so long ago."""
    old = [one for one in cohorts if one.observed >= days]
    left = sum(count for one in old for after, count in one.left.items() if after < days)
    return Share(left, sum(one.greeted for one in old))


def survival(cohorts: Sequence[Cohort]) -> list[float]:
    """The share of customers who are still contacts after 0, 1, 2 … days, as far as anything is known (Kaplan-Meier).

    Each day's customers count for as long as they have been observed. [] without any.
    """
    if not cohorts:
        return []
    curve, remaining = [1.0], Counter(dict(enumerate(one.greeted for one in cohorts)))
    for day in range(min(HORIZON, max(one.observed for one in cohorts))):
        at_risk = [number for number, one in enumerate(cohorts) if one.observed > day]
        there = sum(remaining[number] for number in at_risk)
        gone = {number: min(remaining[number], cohorts[number].left.get(day, 0)) for number in at_risk}
        curve.append(curve[-1] * (1 - sum(gone.values()) / there) if there else curve[-1])
        remaining.subtract(gone)
    return curve
