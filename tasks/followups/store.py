"""Follow-ups in the ledger: which are waiting, and their claims.

    a row's follow_state    meaning                                   its score in `followup:due`: when …
    (none)                  there is nothing to do
    waiting                 to be done, or retried                    its next try may begin, or a worker's lease ends
    done, failed            done, or given up with a reason           (not in it)

settle.lua enters an event's follow-up in the same step as its outcome, so none can be lost in between. A claim is a
lease with a fencing token, like an event's: see tasks.ledger.ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.events import ContactAdded
from tasks.ledger import pauses
from tasks.ledger.claims import FollowUpProgress
from tasks.ledger.delivery import Delivery, FollowUpStatus
from tasks.ledger.query import claimed, read
from tasks.ledger.rows import flat, progress_fields
from tasks.storage import keys
from tasks.storage.clock import seconds
from tasks.storage.connections import Redis, repeatable
from tasks.storage.scripts import registered

LISTED = 100  # rows that are read for a list
LEASE = 10.0  # seconds that a worker has; then another may claim the follow-up

_AGAIN = """
local state = redis.call('HGET', KEYS[1], 'follow_state')
if state ~= 'failed' and state ~= 'waiting' then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'follow_state', 'waiting', 'follow_attempts', 0, 'follow_next_at', now)
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('ZREM', ARGV[2] .. redis.call('HGET', KEYS[1], 'app'), ARGV[1])
return 1
"""


@dataclass(frozen=True, slots=True)
class FollowUpTask:
    """A follow-up under a worker's lease. `template` is "" when the event was settled before one was chosen."""

    event: ContactAdded
    id: str
    fencing_token: int
    attempts: int  # begun, this one included
    received_at: int  # ms
    template: str
    revision: int | None  # of the book that the event was settled with; None: not recorded
    tags: tuple[str, ...]  # group/tag, marked already
    remark: str | None  # "set" or "kept"; None: not looked at yet


@dataclass(frozen=True, slots=True)
class FollowUpSummary:
    """The status of follow-ups: `waiting` and `oldest` (seconds overdue) of all apps, the rest of one app."""

    waiting: int
    oldest: float
    retried: Sequence[Delivery]  # failed, and to be retried
    failed: Sequence[Delivery]  # given up, newest first
    failures: int  # number given up


class FollowUps:
    """The follow-ups in one Redis. Thread-safe. Methods raise redis.RedisError when Redis is unavailable."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._claim, self._record = registered(client, "tasks.followups", "claim", "record")
        repeatable(self._record)  # it is for the claim's number alone, and says the same twice
        self._again = client.register_script(_AGAIN)

    def claim(self, most: int) -> list[FollowUpTask]:
        """Take up to `most` that are due, those due longest first; none while the queue is paused."""
        reply = self._claim(
            keys=[keys.FOLLOWUP_DUE, keys.FOLLOWUP_AWAITED, keys.pause(pauses.FOLLOW_UPS)],
            args=[keys.event(""), most, int(LEASE * 1000)],
        )
        return [_task(one) for one in claimed(reply)]

    def record(self, task: FollowUpTask, progress: FollowUpProgress) -> bool:
        """Record its progress. False: another worker has claimed it, or the customer was forgotten."""
        fields = progress_fields(progress)
        return bool(
            self._record(
                keys=[
                    keys.event(task.id),
                    keys.FOLLOWUP_DUE,
                    keys.FOLLOWUP_AWAITED,
                    keys.followup_failed(task.event.app),
                ],
                args=[
                    *(task.id, task.fencing_token, str(progress.status), int(progress.delay * 1000)),
                    "1" if progress.awaits_full_add else "",
                    *flat(fields),
                ],
            )
        )

    def again(self, identity: str) -> bool:
        """Make a failed or waiting follow-up due now, with its tries reset. False: it is neither."""
        return bool(
            self._again(keys=[keys.event(identity), keys.FOLLOWUP_DUE], args=[identity, keys.followup_failed("")])
        )

    def summary(self, app: str) -> FollowUpSummary:
        """The status of an app's follow-ups. Reads at most LISTED rows of each kind."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.zcard(keys.FOLLOWUP_DUE)
            pipe.zrange(keys.FOLLOWUP_DUE, 0, LISTED - 1)
            pipe.zcard(keys.followup_failed(app))
            pipe.zrevrange(keys.followup_failed(app), 0, LISTED - 1)
            time, waiting, soonest, failed, lately = pipe.execute()
        rows = [(one, one.follow_up) for one in read(self._redis, [*soonest, *lately]) if one.follow_up]
        waits = [(one, state) for one, state in rows if state.status is FollowUpStatus.WAITING]
        due = [state.next_at or 0.0 for _, state in waits]
        now = seconds(time)
        return FollowUpSummary(
            waiting=waiting,
            oldest=max(0.0, now - min(due)) if due else 0.0,
            retried=[one for one, state in waits if state.attempts and state.reason and one.app == app],
            failed=[one for one, state in rows if state.status is FollowUpStatus.FAILED and one.app == app],
            failures=failed,
        )


def _task(delivery: Delivery) -> FollowUpTask:
    state = delivery.follow_up
    if state is None:
        raise ValueError("a follow-up that was claimed has a state")
    return FollowUpTask(
        event=delivery.event,
        id=delivery.id,
        fencing_token=state.claims,
        attempts=state.attempts,
        received_at=delivery.received_ms,
        template=delivery.template,
        revision=delivery.revision,
        tags=state.tags,
        remark=state.remark,
    )
