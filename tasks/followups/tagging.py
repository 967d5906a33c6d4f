"""Tags that people put on customers from the console: which are waiting, and their claims.

    ask      enters the tags in the customers' rows and wakes the slow queue        tag_ask.lua
    claim    takes those that are due, each under a lease with a fencing token      tag_claim.lua
    record   what became of a try                                                   tag_record.lua

    Redis   welcome:tagging    a sorted set: event → ms at which its next try may begin

The rest stands in the event's row (fields `tagging_…`), so that it ends, is backed up and is erased with it. It is no
part of the welcome's follow-up, whose state stays as it is; a process of an earlier release leaves it alone.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.ledger import celery_message, pauses
from tasks.ledger.claims import TaggingProgress
from tasks.ledger.delivery import Delivery
from tasks.ledger.ledger import SLOW_MESSAGES, WAKE_PAUSE
from tasks.ledger.query import claimed
from tasks.ledger.rows import flat, tagging_fields
from tasks.storage import keys, replies
from tasks.storage.connections import Redis, repeatable
from tasks.storage.scripts import registered
from tasks.templates.model import Tag

MOST = 200  # customers of one request
MOST_TAGS = 20  # of one request
LEASE = 10.0  # seconds that a worker has; then another may claim it


@dataclass(frozen=True, slots=True)
class TaggingTask:
    """A customer whom a worker is to tag. `tags`: wanted, all of them."""

    delivery: Delivery
    tags: tuple[Tag, ...]
    fencing_token: int
    attempts: int  # begun, this one included

    @property
    def id(self) -> str:
        return self.delivery.id


class Taggings:
    """The tags asked for in one Redis. Thread-safe. Methods raise redis.RedisError when Redis is unavailable."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        names = "tag_ask", "tag_claim", "tag_record"
        self._ask, self._claim, self._record = registered(client, "tasks.followups", *names)
        repeatable(self._ask)  # tags that are wanted twice are wanted once
        repeatable(self._record)  # it is for the claim's number alone, and says the same twice

    def ask(self, app: str, ids: Sequence[str], tags: Sequence[Tag], by: str) -> list[str]:
        """Have the customers of these rows tagged. `by`: the operator. → the ids that will be.

        Left out are rows that do not exist, of other apps, in progress or of a rehearsal. Tags that a row still waits
        for are kept. Raises ValueError for more than MOST rows or MOST_TAGS tags, or none.
        """
        if not 0 < len(ids) <= MOST or not 0 < len(tags) <= MOST_TAGS:
            raise ValueError(f"1 to {MOST} customers and 1 to {MOST_TAGS} tags")
        return replies.texts(
            self._ask(
                keys=[keys.TAGGING, keys.SLOW_QUEUE, keys.FOLLOWUP_WOKEN],
                args=[
                    *(keys.event(""), app, by, json.dumps([[tag.group, tag.name] for tag in tags])),
                    *(SLOW_MESSAGES, celery_message.slow_message(uuid.uuid4().hex), int(WAKE_PAUSE * 1000)),
                    *dict.fromkeys(ids),
                ],
            )
        )

    def claim(self, most: int) -> list[TaggingTask]:
        """Take up to `most` that are due, those due longest first; none while the queue is paused."""
        reply = self._claim(
            keys=[keys.TAGGING, keys.pause(pauses.FOLLOW_UPS)], args=[keys.event(""), most, int(LEASE * 1000)]
        )
        return [_task(one) for one in claimed(reply)]

    def record(self, task: TaggingTask, progress: TaggingProgress) -> bool:
        """Record its progress. False: it was claimed or asked for anew, or the customer was forgotten."""
        return bool(
            self._record(
                keys=[keys.event(task.id), keys.TAGGING],
                args=[
                    *(task.id, task.fencing_token, str(progress.status), int(progress.delay * 1000)),
                    *flat(tagging_fields(progress)),
                ],
            )
        )


def _task(delivery: Delivery) -> TaggingTask:
    state = delivery.tagging
    if state is None:
        raise ValueError("a tagging that was claimed has a state")
    return TaggingTask(delivery, tuple(Tag(*one) for one in state.wanted), state.claims, state.attempts)
