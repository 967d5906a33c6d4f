"""One delivery as bars in time: which step took how long. Pure.

`steps` of a row are moments, in ms since receipt; a bar is what lies between two of them. A moment that was not
recorded makes no bar: nothing is guessed, and nothing is zero that was not measured.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tasks.ledger.delivery import Attempt, Delivery, WorkerRecord

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
TAKEN_OVER = "taken over"  # a worker stopped, and until another one took over
TAKEN_OVER_IN_TRY = "taken over in a try"  # the same, after it began a try, for all we know
GIVEN_BACK = "given back"  # no call of WeCom's might begin

_BEFORE = (  # step → what it ends
    ("started", QUEUE),
    ("chosen", CHOICE),
    ("named", NAMES),
    ("prepared", MEDIA),
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One step from `start` to `end`, ms since receipt. `number`: of the try; `attempt`: what came of it.

    `worker`: the number of the worker whose step it is; 0 where only one is known.
    """

    kind: str
    start: int
    end: int
    number: int = 0
    attempt: Attempt | None = None
    slowest: bool = False
    worker: int = 0

    @property
    def took(self) -> int:
        return self.end - self.start


def bars(delivery: Delivery) -> tuple[Bar, ...]:
    """The bars of the worker that settled a delivery, in order. The longest of several is the slowest."""
    return _with_slowest(_bars(delivery.steps, delivery.tries))


def bars_of_all(delivery: Delivery) -> tuple[Bar, ...]:
    """The bars of all workers that had the event, one after the other; as `bars` where only one is known."""
    if not delivery.others:
        return bars(delivery)
    return _with_slowest(_of_workers(delivery))


def _of_workers(delivery: Delivery) -> Iterator[Bar]:
    own = [WorkerRecord(delivery.worker, delivery.steps, delivery.tries)] if delivery.steps else []
    before: WorkerRecord | None = None
    for one in sorted([*delivery.others, *own], key=lambda one: one.number):
        if before is not None and "started" in one.steps and before.steps:
            kind, number = _end_of(before)
            yield Bar(kind, max(before.steps.values()), one.steps["started"], number, worker=before.number)
        for bar in _bars(one.steps, one.tries):
            if before is None or bar.kind != QUEUE:  # it was in the queue before the first one took it
                yield replace(bar, worker=one.number)
        before = one


def _end_of(one: WorkerRecord) -> tuple[str, int]:
    """Why there is nothing more from this worker: the kind of the bar, and the number of the try that it was in."""
    if one.given_back:
        return GIVEN_BACK, 0
    in_try = one.begun and f"answer_{one.begun}" not in one.steps
    return (TAKEN_OVER_IN_TRY, one.begun) if in_try else (TAKEN_OVER, 0)


def _with_slowest(drawn: Iterable[Bar]) -> tuple[Bar, ...]:
    found = [bar for bar in drawn if bar.took >= 0]
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
