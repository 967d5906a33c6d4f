"""One delivery as bars in time: which step took how long. Pure.

`steps` of a row are moments, in ms since receipt; a bar is what lies between two of them. A moment that was not
recorded makes no bar: nothing is guessed, and nothing is zero that was not measured.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tasks.ledger.delivery import Attempt, Delivery

NOTICED = 5  # ms from which a wait is worth a bar of its own

QUEUE = "queue"  # kinds of bars
CHOICE = "choice"
NAMES = "names"
MEDIA = "media"
PREPARATION = "preparation"  # the three above in one, of rows that do not tell them apart
REDIS = "redis"
TOKEN = "token"
TRY = "try"
WAIT = "wait"

_BEFORE = (  # step → what it ends
    ("started", QUEUE),
    ("chosen", CHOICE),
    ("named", NAMES),
    ("prepared", MEDIA),
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One step from `start` to `end`, ms since receipt. `number`: of the try; `attempt`: what came of it."""

    kind: str
    start: int
    end: int
    number: int = 0
    attempt: Attempt | None = None
    slowest: bool = False

    @property
    def took(self) -> int:
        return self.end - self.start


def bars(delivery: Delivery) -> tuple[Bar, ...]:
    """The bars of a delivery, in order. The longest of several is the slowest."""
    found = [bar for bar in _bars(delivery.steps, delivery.tries) if bar.took >= 0]
    if len(found) < 2:
        return tuple(found)
    slowest = max(found, key=lambda bar: bar.took)
    return tuple(replace(bar, slowest=bar is slowest and bar.took > 0) for bar in found)


def took(delivery: Delivery) -> int | None:
    """ms from receipt to the last step that was recorded; None if none was."""
    return max(delivery.steps.values(), default=None)


def _bars(steps: Mapping[str, int], tries: Sequence[Attempt]) -> Iterator[Bar]:
    at = 0
    for step, kind in _BEFORE:
        if step in steps:
            whole = step == "prepared" and "chosen" not in steps
            yield Bar(PREPARATION if whole else kind, at, steps[step])
            at = steps[step]
    numbers = sorted(int(step[4:]) for step in steps if step.startswith("try_"))
    for index, number in enumerate(numbers):
        begun = steps[f"try_{number}"]
        if begun - at >= NOTICED:
            yield Bar(WAIT if index else REDIS, at, begun)
        if not index and begun <= steps.get("token", -1) and steps["token"] - begun >= NOTICED:
            yield Bar(TOKEN, begun, steps["token"])
            begun = steps["token"]
        if f"answer_{number}" in steps:
            at = steps[f"answer_{number}"]
            yield Bar(TRY, begun, at, number, tries[index] if index < len(tries) else None)
