"""What is done after the greeting, in the ledger: which follow-ups wait, and who works on one now.

    a row's follow_state    means                                     is in `followup:due` with the time at which …
    (none)                  nothing is to be done after it
    waiting                 to be done, or tried again                its next try may begin, or a worker's lease ends
    done, failed            done, or given up with the reason         (no longer in it)

The settling of an event enters its follow-up in the same step as its outcome (settle.lua), so nothing is lost between
the two. A claim is a lease with a number, as that of an event: see tasks.ledger.ledger.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from tasks.events import ContactAdded
from tasks.ledger import pauses
from tasks.ledger.query import read
from tasks.ledger.rows import event_of
from tasks.storage import keys
from tasks.storage.connections import Redis

LISTED = 100  # rows that are looked at for a list
LEASE = 10.0  # seconds that a worker has; a follow-up that takes longer is taken over

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
    number: int  # of the claim
    attempts: int  # begun, this one included
    received_at: int  # ms
    template: str
    revision: int | None  # of the book that the event was settled with; None: not noted
    tags: tuple[str, ...]  # group/tag, marked already
    remark: str | None  # "set" or "kept"; None: not looked at yet


@dataclass(frozen=True, slots=True)
class FollowUpProgress:
    """How far a follow-up came.

    state: "done", "failed", "waiting" or "none" (there is nothing to do). delay: seconds until the next try, when it
    waits. remark: "set", "kept" (the member has one) or None (not asked for, or not done yet).
    """

    state: str
    reason: str = ""
    delay: float = 0.0
    awaits_full_add: bool = False
    tags: Sequence[str] = ()
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class FollowUpStatus:
    """How follow-ups stand: `waiting` and `oldest` (seconds past its time) of all apps, the rest of one."""

    waiting: int
    oldest: float
    retried: Sequence[Mapping[str, str]]  # tried in vain, and to be tried again
    failed: Sequence[Mapping[str, str]]  # given up, those received last first
    failures: int  # given up in all


class FollowUps:
    """The follow-ups of one Redis. Thread-safe. Raises redis.RedisError when Redis cannot be asked."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        source = resources.files("tasks.followups")
        self._claim, self._note = (
            client.register_script(source.joinpath(f"{name}.lua").read_text()) for name in ("claim", "note")
        )
        self._again = client.register_script(_AGAIN)

    def claim(self, most: int) -> list[FollowUpTask]:
        """Take up to `most` that are due, those due longest first; none while the lane is paused."""
        flat = self._claim(
            keys=[keys.FOLLOWUP_DUE, keys.FOLLOWUP_AWAITED, keys.pause(pauses.FOLLOW_UPS)],
            args=[keys.event(""), most, int(LEASE * 1000)],
        )
        return [
            _task(identity, dict(zip(row[::2], row[1::2], strict=True)))
            for identity, row in zip(flat[::2], flat[1::2], strict=True)
        ]

    def note(self, task: FollowUpTask, progress: FollowUpProgress) -> bool:
        """Note how far it came. False: another worker has it now, or the customer was forgotten."""
        fields = {
            "follow_reason": progress.reason,
            "follow_tags": json.dumps(list(progress.tags), ensure_ascii=False),
            "follow_remark": progress.remark or "",
        }
        return bool(
            self._note(
                keys=[
                    keys.event(task.id),
                    keys.FOLLOWUP_DUE,
                    keys.FOLLOWUP_AWAITED,
                    keys.followup_failed(task.event.app),
                ],
                args=[
                    *(task.id, task.number, progress.state, int(progress.delay * 1000)),
                    "1" if progress.awaits_full_add else "",
                    *(part for pair in fields.items() for part in pair),
                ],
            )
        )

    def again(self, identity: str) -> bool:
        """Have one that failed, or waits, done now, with all its tries anew. False: there is nothing to do again."""
        return bool(
            self._again(keys=[keys.event(identity), keys.FOLLOWUP_DUE], args=[identity, keys.followup_failed("")])
        )

    def status(self, app: str) -> FollowUpStatus:
        """How those of an app stand. Bounded work: LISTED rows of each kind are looked at."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.zcard(keys.FOLLOWUP_DUE)
            pipe.zrange(keys.FOLLOWUP_DUE, 0, LISTED - 1)
            pipe.zcard(keys.followup_failed(app))
            pipe.zrevrange(keys.followup_failed(app), 0, LISTED - 1)
            (seconds, micros), waiting, soonest, failed, lately = pipe.execute()
        rows = read(self._redis, [*soonest, *lately])
        begun = [r for r in rows if r.get("follow_state") == "waiting" and r.get("follow_attempts", "0") != "0"]
        due = [int(row.get("follow_next_at") or 0) for row in rows if row.get("follow_state") == "waiting"]
        now = seconds * 1000 + micros // 1000
        return FollowUpStatus(
            waiting=waiting,
            oldest=max(0.0, (now - min(due)) / 1000) if due else 0.0,
            retried=[row for row in begun if row["app"] == app and row.get("follow_reason")],
            failed=[row for row in rows if row.get("follow_state") == "failed" and row["app"] == app],
            failures=failed,
        )


def _task(identity: str, row: Mapping[str, str]) -> FollowUpTask:
    return FollowUpTask(
        event=event_of(row),
        id=identity,
        number=int(row["follow_claims"]),
        attempts=int(row["follow_attempts"]),
        received_at=int(row["received_at"]),
        template=row.get("template", ""),
        revision=int(row["revision"]) if row.get("revision") else None,
        tags=tuple(json.loads(row.get("follow_tags") or "[]")),
        remark=row.get("follow_remark") or None,
    )
