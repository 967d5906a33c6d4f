"""The queue in the last hour: a sample each ten seconds, taken by whichever process looks after the queue first.

requeue.lua, which all processes but beat run anyway, takes it in the same step: one writer, and no lease.

    Redis   welcome:samples     a list, newest first: ms|waiting|in flight|added since the last|greeted|missed
                                greeted, missed: of all apps, so far; they are fields of welcome:counters

A reader of a later release finds further values behind these.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.ledger.claims import SettledEvent
from tasks.ledger.delivery import MISSED, Outcome
from tasks.storage import keys, replies
from tasks.storage.connections import Redis

EVERY_MS = 10_000
KEPT = 361  # an hour, and the one before it, from which its first rate is taken
LIFE = 7200  # seconds
GREETED_SO_FAR, MISSED_SO_FAR = "greeted_so_far", "missed_so_far"  # fields of the counters
_GAP = 3 * EVERY_MS  # without a sample for so long, nobody looked: what was then is not known


@dataclass(frozen=True, slots=True)
class Sample:
    """The queue at a time (Unix s). added, greeted, missed: in the `seconds` since the one before. None: not known."""

    at: float
    waiting: int | None = None
    in_flight: int | None = None
    seconds: float | None = None
    added: int | None = None
    greeted: int | None = None
    missed: int | None = None


def so_far(one: SettledEvent) -> Mapping[str, int]:
    """What an outcome adds to the counters: field → amount."""
    outcome = one.settlement.outcome
    if one.event.rehearsal:
        return {}
    return {GREETED_SO_FAR: 1} if outcome is Outcome.SENT else {MISSED_SO_FAR: 1} if outcome in MISSED else {}


def read(client: Redis) -> Sequence[Sample]:
    """The samples of the last hour, oldest first; see `parsed`. One read. Raises redis.RedisError."""
    return parsed(replies.texts(client.lrange(keys.SAMPLES, 0, KEPT - 1)))


def parsed(stored: Sequence[str]) -> Sequence[Sample]:
    """Samples as they are stored, newest first → oldest first, with one of nothing known where nobody took any. Pure.

    What cannot be read is left out. A count that has become less, since a backup was restored, is not known.
    """
    found: list[Sample] = []
    before: tuple[int, ...] | None = None
    for text in reversed(stored):
        parts = text.split("|")[:6]
        if len(parts) < 6 or not all(part.isdecimal() for part in parts):
            continue
        at, waiting, in_flight, added, greeted, missed = now = tuple(map(int, parts))
        if before is None or not 0 < at - before[0] <= _GAP:
            if before is not None:
                found.append(Sample((before[0] + at) / 2000))
            found.append(Sample(at / 1000, waiting, in_flight))
        else:
            more = [None if less < 0 else less for less in (greeted - before[4], missed - before[5])]
            found.append(Sample(at / 1000, waiting, in_flight, (at - before[0]) / 1000, added, *more))
        before = now
    return found
