"""Customers of the past: rows, day totals and lists as if they had been greeted then, by the ledger's own functions.

    write(services, [Past(event, received_at, settlement)])

A row keeps the time that it is given. The totals count it under that day and hour, and the lists have it at that place.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from tasks.events import ContactAdded
from tasks.followups.retries import DELAYS
from tasks.ledger.claims import FollowUpProgress, Settlement
from tasks.ledger.delivery import FollowUpStatus
from tasks.ledger.recorded import Recorded
from tasks.ledger.rows import progress_fields
from tasks.services import Services
from tasks.storage import keys

BATCH = 500  # rows of one exchange with Redis
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Past:
    """A customer who was added at `received_at` (Unix seconds), and what became of it.

    follow_up: how far it came, a second after the outcome, or when it was given up; None: there was nothing to do.
    """

    event: ContactAdded
    received_at: float
    settlement: Settlement
    follow_up: FollowUpProgress | None = None


def write(services: Services, past: Iterable[Past]) -> int:
    """Write them, each at its time; of one that is there already, nothing. → how many."""
    written = 0
    for some in in_batches(past, BATCH):
        with services.redis.pipeline(transaction=False) as pipe:
            services.ledger.take_in(map(_recorded, some), pipe)
            for one in some:
                if one.follow_up is not None:
                    pipe.hset(keys.event(one.event.id), mapping=_follow_up(one, one.follow_up))
                    if one.follow_up.status is FollowUpStatus.FAILED:
                        pipe.zadd(keys.followup_failed(one.event.app), {one.event.id: round(one.received_at * 1000)})
            pipe.execute()
        written += len(some)
    services.redis.delete(keys.QUEUE)  # the messages that would have woken workers then
    return written


def in_batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of so many of them; the last one may be shorter."""
    rest = iter(values)
    while some := list(islice(rest, size)):
        yield some


def _recorded(one: Past) -> Recorded:
    answers = sum(1 for step in one.settlement.steps if step.startswith("answer_"))
    return Recorded(one.event, one.received_at, one.settlement.attempts, answers, one.settlement)


def _follow_up(one: Past, progress: FollowUpProgress) -> dict[str, str | int]:
    """As record.lua writes it after one try, or after the last of them."""
    given_up = progress.status is FollowUpStatus.FAILED
    tries, took = (len(DELAYS) + 1, sum(DELAYS)) if given_up else (1, 1)
    at = round((one.received_at + took) * 1000) + max(one.settlement.steps.values(), default=0)
    return {"follow_state": str(progress.status), "follow_claims": tries, "follow_attempts": tries, "follow_at": at} | (
        progress_fields(progress)
    )
