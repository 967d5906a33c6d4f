"""What became of the added customers, counted by day. The counts outlive the rows.

    Redis   welcome:day:APP:DAY:DIMENSION   a hash: outcome|value → how many. DAY counts from 1970-01-01

A field begins with its outcome, which has no "|", so whatever a value holds, no two are the same.
settle.lua counts every settled event but rehearsals, in the step that writes its outcome, under the local day and hour
of its receipt; an outcome that `sent` replaces is taken back. A value that is too long, or comes when a day has
FIELDS_LIMIT fields already, is counted without its value: what comes from outside does not decide how much is kept.

    dimension   value
    total       ""; not in Redis, but the sum of the hours
    hour        "00" to "23"
    channel     State; "" without one
    member      userid
    template    its name; "" where none was chosen
    variant     (rule, variant), of rules that have several; in Redis with the rule's length before it
    cause       of all but `sent`: WeCom's errcode, or a word ("paused", "limited", "overloaded"), or ""
    latency     of `sent` that was the answer of a try: ms from receipt, the upper end of one of BUCKETS; "inf"
    again       None, as the outcome "added": of customers who had left the member before, whatever became of them;
                since release 1.1
    pace        the same by hour: ("00" to "23", the upper end of one of PACES, which are spaced by ratio; "inf");
                since release 1.1, so a day may have latencies without it
"""

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import partial

from redis.client import CaseInsensitiveDict

from tasks.ledger.delivery import OUTCOMES
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.storage.unreadable import readable

LIFE = 400 * 86400  # seconds
FIELDS_LIMIT = 2000  # of one hash
VALUE_LIMIT = 600  # bytes; WeCom's own are far shorter, a rule and a variant come to 512 and a bit
DIMENSIONS = ("total", "hour", "channel", "member", "template", "variant", "cause", "latency", "pace")
BUCKETS = (*range(100, 2000, 100), *range(2000, 5000, 250), *range(5000, 10000, 500), *range(10000, 20001, 1000))  # ms
PACES = (10, 20, 30, 50, 70, 100, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 7000, 10000, 14000, 20000)  # ms

Value = str | tuple[str, str] | None  # None: of those for which there was no room
Tallies = dict[tuple[str, Value, str], int]  # (dimension, value, outcome) → how many


def key(app: str, day: date, dimension: str) -> str:
    """Where the counts of a day are."""
    return keys.tally(app, day.toordinal() - _EPOCH, dimension)


_EPOCH = date(1970, 1, 1).toordinal()


def latency(steps: Mapping[str, int]) -> tuple[str, str]:
    """Its buckets, of BUCKETS and PACES: by the time of the last answer of a greeting that was sent; "" without one."""
    answers = [at for name, at in steps.items() if name.startswith("answer_")]
    if not answers:
        return "", ""
    return _bucket(BUCKETS, max(answers)), _bucket(PACES, max(answers))


def _bucket(ends: Sequence[int], at: int) -> str:
    place = bisect_left(ends, at)
    return str(ends[place]) if place < len(ends) else "inf"


def read(
    client: Redis, app: str, days: Sequence[date], dimensions: Collection[str] = DIMENSIONS
) -> dict[date, Tallies]:
    """The counts of these days; a day without any is empty. One pipelined read. Raises redis.RedisError."""
    found: dict[date, Tallies] = {day: {} for day in days}
    for day, dimension, counts in _read(client, app, days, dimensions):
        found[day].update(_parsed(dimension, dict(counts), dimensions))
    return found


def read_totals(client: Redis, apps: Sequence[str], day: date) -> dict[str, Tallies]:
    """App → how many became what on a day, in one exchange. Raises redis.RedisError."""
    with client.pipeline(transaction=False) as pipe:
        for app in apps:
            pipe.hgetall(key(app, day, "hour"))
        stored = pipe.execute() if apps else []
    return {app: _parsed("hour", counts, {"total"}) for app, counts in zip(apps, stored, strict=True)}


def read_sum(client: Redis, app: str, days: Sequence[date], dimensions: Collection[str] = DIMENSIONS) -> Tallies:
    """As `read`, all days as one; much less work where a dimension has many values."""
    totals: dict[str, defaultdict[str, int]] = {}
    for _, dimension, counts in _read(client, app, days, dimensions):
        total = totals.setdefault(dimension, defaultdict(int))
        for field, count in counts:  # tens of thousands of members' fields: nothing else belongs in this loop
            total[field] += _NUMBERS[count]
    found: Tallies = {}
    for dimension, total in totals.items():
        found.update(_parsed(dimension, total, dimensions))
    return found


def read_hours(
    client: Redis, app: str, days: Sequence[date], dimensions: Collection[str]
) -> tuple[Tallies, dict[date, int]]:
    """As `read_sum`, of "total" and "hour" alone; and day → a hash of its hours, which each settled event changes."""
    total: defaultdict[str, int] = defaultdict(int)
    marks = {}
    for day, _, counts in _read(client, app, days, {"hour"}):
        pairs = list(counts)
        marks[day] = hash(frozenset(pairs))
        for field, count in pairs:
            total[field] += _NUMBERS[count]
    return _parsed("hour", total, dimensions), marks


def read_values(
    client: Redis,
    app: str,
    days: Sequence[date],
    dimension: str,
    values: Sequence[Value],
    outcomes: Collection[str] = OUTCOMES,
) -> dict[date, Tallies]:
    """As `read`, these values of a dimension and these outcomes alone. Whatever there is beside them costs nothing."""
    asked = [(of, str(outcome)) for of in values for outcome in outcomes]
    fields = [f"{outcome}|{stored(of)}" for of, outcome in asked]
    if not fields:
        return {day: {} for day in days}
    with client.pipeline(transaction=False) as pipe:
        for day in days:
            pipe.hmget(key(app, day, dimension), fields)
        replies = pipe.execute()
    return {
        day: {(dimension, *cell): _NUMBERS[count] for cell, count in zip(asked, reply, strict=True) if count}
        for day, reply in zip(days, replies, strict=True)
    }


def read_known(
    client: Redis, app: str, days: Sequence[date], dimensions: Collection[str] = DIMENSIONS
) -> dict[date, Tallies | None]:
    """As `read`; None for a day of which nothing is known: neither it nor the week before it has any count.

    So a day before the first customer, or past the counts' life, is not taken for a day without customers.
    """
    found = read(client, app, days, dimensions)
    with client.pipeline(transaction=False) as pipe:
        for day in days:
            pipe.exists(*(key(app, day - timedelta(ago), "hour") for ago in range(8)))
        known = pipe.execute()
    return {day: tallies if counted else None for (day, tallies), counted in zip(found.items(), known, strict=True)}


class _Numbers(dict[str, int]):
    """Digits → number. Of a member's day most are small, and to look one up takes half as long as `int`."""

    def __missing__(self, digits: str) -> int:
        return readable("a count of a day", partial(int, digits)) or 0


_NUMBERS = _Numbers({str(number): number for number in range(256)})
_Pairs = Iterator[tuple[str, str]]  # (field, how many)


def _read(
    client: Redis, app: str, days: Sequence[date], dimensions: Collection[str]
) -> Iterator[tuple[date, str, _Pairs]]:
    """(day, dimension, its counts) of what is stored."""
    stored = {"hour" if dimension == "total" else dimension for dimension in dimensions}
    asked = [(day, dimension) for day in days for dimension in stored]
    with client.pipeline(transaction=False) as pipe:
        pipe.response_callbacks = CaseInsensitiveDict({})  # which would make a dict of each reply
        for day, dimension in asked:
            pipe.hgetall(key(app, day, dimension))
        for (day, dimension), reply in zip(asked, pipe.execute(), strict=True):
            both = iter(reply)  # a field, its value, the next field, …
            yield day, dimension, zip(both, both, strict=True)


def _parsed(dimension: str, counts: Mapping[str, int | str], dimensions: Collection[str]) -> Tallies:
    found: Tallies = {}
    for field, number in counts.items():
        outcome, bar, text = field.partition("|")
        count = number if isinstance(number, int) else _NUMBERS[number]
        if not count:
            continue
        if dimension in dimensions:
            found[dimension, value(dimension, text) if bar else None, outcome] = count
        if dimension == "hour" and "total" in dimensions:
            found["total", "", outcome] = found.get(("total", "", outcome), 0) + count
    return found


def stored(of: Value) -> str:
    """A value of a dimension as it stands in a field."""
    if isinstance(of, tuple):
        rule, variant = of
        return f"{len(rule.encode())}|{rule}{variant}"
    return of or ""


def value(dimension: str, text: str) -> Value:
    """The other way round."""
    if dimension == "pace":
        hour, _, end = text.partition("|")
        return hour, end
    if dimension != "variant":
        return text
    length, _, names = text.partition("|")
    rule = names.encode()[: int(length)].decode()
    return rule, names.removeprefix(rule)


def added(tallies: Iterable[Tallies]) -> Tallies:
    """Several days as one."""
    total: Counter[tuple[str, Value, str]] = Counter()
    for one in tallies:
        total.update(one)
    return dict(total)


Spans = Sequence[tuple[int, int | None, int]]  # (from, to in ms, how many), ascending; to None: longer


def distribution(tallies: Tallies) -> Spans:
    """How long greetings took, in the narrowest spans that are known, without empty ones."""
    counts: Counter[str] = Counter()
    paces: Counter[str] = Counter()
    for (dimension, value, _), count in tallies.items():
        if dimension == "latency":
            counts[str(value)] += count
        elif dimension == "pace" and isinstance(value, tuple):
            paces[value[1]] += count
    finer = [end for end in PACES if end < BUCKETS[0]]
    if sum(paces.values()) == sum(counts.values()):  # else some were counted by an earlier release
        shortest = {end: paces[str(end)] for end in (*finer, BUCKETS[0])}
    else:
        shortest = {BUCKETS[0]: counts[str(BUCKETS[0])]}
    ends = [*shortest.items(), *((end, counts[str(end)]) for end in BUCKETS[1:])]
    found: list[tuple[int, int | None, int]] = []
    start = 0
    for end, count in ends:
        if count:
            found.append((start, end, count))
        start = end
    return [*found, (start, None, counts["inf"])] if counts["inf"] else found


def distribution_of_hour(tallies: Tallies, hour: str) -> Spans:
    """As `distribution`, of an hour ("00" to "23") of one day, from what is counted by hour."""
    counts = {
        value[1]: count
        for (dimension, value, _), count in tallies.items()
        if dimension == "pace" and isinstance(value, tuple) and value[0] == hour
    }
    ends: list[int | None] = [*PACES, None]
    starts = (0, *PACES)
    return [
        (start, end, counts[text])
        for start, end in zip(starts, ends, strict=True)
        if (text := "inf" if end is None else str(end)) in counts
    ]


def quantile(tallies: Tallies, part: float) -> float | None:
    """Seconds within which this part (0 to 1) of the greetings were sent, from the buckets; None without any.

    Inside a bucket they count as evenly spread; beyond the last one: infinite.
    """
    return quantile_of(distribution(tallies), part)


def quantile_of(spans: Spans, part: float) -> float | None:
    """As `quantile`, of a distribution."""
    if not spans:
        return None
    rank, below = part * sum(count for _, _, count in spans), 0
    for start, end, count in spans:
        if end is not None and below + count >= rank:
            inside: float = (end - start) * (rank - below) / count
            return (start + inside) / 1000
        below += count
    return math.inf
