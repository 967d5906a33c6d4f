"""Tallies as pages show them: how many, how many of them in time, how long it took, and why it did not work. Pure."""

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.ledger import statistics
from tasks.ledger.delivery import LIMITED, MISSED, OVERLOADED
from tasks.ledger.statistics import Tallies, Value
from tasks.messages import Message
from webhook import outcomes
from webhook.durations import seconds
from webhook.errcode_texts import errcode

ENDS = statistics.PACES  # ms: of the bars in the picture of the latencies
FEWEST = ENDS.index(200)  # the first bar ends there at the latest
LONGEST = ENDS[-1]  # ms: what took longer is counted, and not measured


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """How many were added, and what became of them, without rehearsals."""

    added: int = 0
    sent: int = 0
    missed: int = 0
    unconfirmed: int = 0
    no_code: int = 0
    lost: int = 0

    @property
    def on_time(self) -> float | None:
        """The part (0 to 1) of those with a welcome code that were sent their greeting; None where nobody had one."""
        with_code = self.added - self.no_code
        return self.sent / with_code if with_code else None

    def __add__(self, other: "OutcomeCount") -> "OutcomeCount":
        names = OutcomeCount.__slots__
        return OutcomeCount(*(getattr(self, name) + getattr(other, name) for name in names))


def counted(tallies: Tallies, dimension: str) -> dict[Value, OutcomeCount]:
    """Value of a dimension → its counts."""
    found: dict[Value, list[int]] = {}
    for (of, value, outcome), number in tallies.items():
        if of == dimension:
            counts = found.get(value)
            if counts is None:
                counts = found[value] = [0] * len(OutcomeCount.__slots__)
            counts[0] += number
            if (slot := _SLOTS.get(outcome)) is not None:
                counts[slot] += number
    return {value: OutcomeCount(*counts) for value, counts in found.items()}


_SLOTS = {  # outcome → its place in an OutcomeCount, of which the first counts all
    outcome: place
    for place, name in enumerate(OutcomeCount.__slots__)
    if name != "added"
    for outcome in (map(str, MISSED) if name == "missed" else (name,))
}


def total(tallies: Tallies) -> OutcomeCount:
    """The counts of all."""
    return counted(tallies, "total").get("", OutcomeCount())


# ------------------------------------------------------------------------------------------------ how long it took


@dataclass(frozen=True, slots=True)
class Latency:
    """How long greetings took, from receipt to WeCom's answer.

    bars: how many for each span of ENDS, (from, to in ms, how many), from the first one that has any to LONGEST; they
    are spaced by ratio. beyond: how many took longer. half, most: seconds within which half and 99 % were sent,
    slowest: an upper end of the longest; None beyond LONGEST. half_s: as half, to the hundredth, for programs.
    """

    number: int
    bars: tuple[tuple[int, int, int], ...]
    beyond: int
    half: str | None
    most: str | None
    slowest: str | None
    half_s: float | None

    @property
    def longest(self) -> int:
        """Seconds at the end of the bars."""
        return LONGEST // 1000

    @property
    def table(self) -> list[tuple[float, float | None, int]]:
        """(from, to in seconds, how many), where there were any; to None: beyond."""
        rows: list[tuple[float, float | None, int]] = [(a / 1000, b / 1000, n) for a, b, n in self.bars if n]
        return [*rows, (LONGEST / 1000, None, self.beyond)] if self.beyond else rows


def latency(tallies: Tallies) -> Latency | None:
    """How long greetings took; None where none was sent."""
    spans = statistics.distribution(tallies)
    if not spans:
        return None
    starts = [0, *ENDS[:-1]]
    counts = [0] * len(ENDS)
    for start, end, number in spans:
        if end is not None:
            at = bisect_left(ENDS, end)
            counts[at] += number
            starts[at] = min(starts[at], start)  # the first one is wider where nothing narrower is known
    first = next((at for at, number in enumerate(counts) if number), 0)
    slowest = spans[-1][1]
    half, most = statistics.quantile_of(spans, 0.5), statistics.quantile_of(spans, 0.99)
    return Latency(
        number=sum(number for _, _, number in spans),
        bars=tuple(zip(starts, ENDS, counts, strict=True))[min(first, FEWEST) :],
        beyond=sum(number for _, end, number in spans if end is None),
        half=_seconds(half),
        most=_seconds(most),
        slowest=None if slowest is None else _seconds(slowest / 1000),
        half_s=None if half is None or math.isinf(half) else round(half, 2),
    )


def half_within(tallies: Tallies) -> str | None:
    """Seconds within which half of the greetings were sent, in digits; None where none was, or beyond LONGEST."""
    return _seconds(statistics.quantile(tallies, 0.5))


def _seconds(value: float | None) -> str | None:
    return None if value is None or math.isinf(value) else seconds(value)


# ------------------------------------------------------------------------------------------------ why not


@dataclass(frozen=True, slots=True)
class OutcomeCause:
    """Why customers were missed: an outcome, and more. `days`: how many on each day, in the order of the days."""

    outcome: str
    what: Message
    cure: Message | None
    days: tuple[int, ...]

    @property
    def number(self) -> int:
        return sum(self.days)


def causes(days: Iterable[Tallies]) -> list[OutcomeCause]:
    """Why customers were missed on these days, the most frequent cause first."""
    listed = list(days)
    keys = {(outcome, value) for one in listed for (of, value, outcome) in one if of == "cause" and outcome in MISSED}
    found = [
        OutcomeCause(outcome, *_words(outcome, value), tuple(one.get(("cause", value, outcome), 0) for one in listed))
        for outcome, value in keys
    ]
    return sorted(found, key=lambda cause: (-cause.number, str(cause.what)))


def _words(outcome: str, value: Value) -> tuple[Message, Message | None]:
    code = int(value) if isinstance(value, str) and value.lstrip("-").isdecimal() else None
    name = Message(outcomes.name(outcome, code))
    if value == "paused":
        return Message.of("The lane was paused"), None
    if value == LIMITED:
        return Message.of("Held back by WeCom's rate limit"), None
    if value == OVERLOADED:
        return Message.of("More customers than could be greeted"), None
    if code is not None:
        meaning, cure = errcode(code)
        return Message.of("%(what)s: %(why)s (%(code)s)", what=name, why=meaning, code=code), cure
    return name, None
