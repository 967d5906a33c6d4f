"""Counters, added up in Redis, so that every process counts into one place and a restart keeps them.

    count("outcomes_total", app="sales", outcome="sent")     → the name of one counter, as a field of a hash
    Counters                                                 a process' own counts, written to Redis every second or two

    Redis   welcome:counters        a hash: the name of a counter → its value
            welcome:last-callback   a hash: app → ms of Redis' clock at which WeCom last sent it an event

A process that is killed loses its last counts; outcomes and latencies are counted with the outcome
itself, in one step, and lose nothing. `tasks.monitoring.metrics` exports them.
"""

import contextlib
import threading
from collections import Counter
from enum import StrEnum
from functools import lru_cache

import redis

from tasks.storage import keys
from tasks.storage.clock import now_ms
from tasks.storage.connections import Redis

BUCKETS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 12, 16, 20)  # seconds from receipt to WeCom's ok
LATENCY = "greeting_seconds"


class CallbackResult(StrEnum):
    """How a callback was answered. The values are stored and exported."""

    STORED = "stored"
    DUPLICATE = "duplicate"  # WeCom sent it again
    LIFEBOAT = "lifeboat"  # Redis did not take it: the web process greets by itself
    REHEARSAL = "rehearsal"
    CHANGED = "changed"  # what became of a contact after the add
    IGNORED = "ignored"  # an event of no concern
    FORGOTTEN = "forgotten"  # replays
    OUTDATED = "outdated"
    VERIFIED = "verified"  # a URL verification
    UNAVAILABLE = "unavailable"  # 503: WeCom sends it again
    FORGED = "forged"
    UNREADABLE = "unreadable"
    MALFORMED = "malformed"  # well signed, and not understood

    @property
    def is_of_wecom(self) -> bool:
        """Whether it shows that WeCom sends events: it is signed, and nobody's rehearsal, replay or verification."""
        return self in _OF_WECOM


_OF_WECOM = frozenset(
    {
        CallbackResult.STORED,
        CallbackResult.DUPLICATE,
        CallbackResult.LIFEBOAT,
        CallbackResult.CHANGED,
        CallbackResult.IGNORED,
        CallbackResult.UNAVAILABLE,
        CallbackResult.MALFORMED,
    }
)


@lru_cache(maxsize=4096)
def count(name: str, **labels: str | int) -> str:
    """The field of a counter. Labels come from fixed sets: never an id, a name or anything that a request holds."""
    return "|".join((name, *(f"{key}={value}" for key, value in sorted(labels.items()))))


def latency(app: str, seconds: float) -> dict[str, int]:
    """What one greeting adds to the histogram of latencies: field → amount."""
    bucket = next((str(limit) for limit in BUCKETS if seconds <= limit), "+Inf")
    return {
        count(LATENCY, app=app, le=bucket): 1,
        count(f"{LATENCY}_sum_ms", app=app): round(seconds * 1000),
    }


class Counters:
    """Counts of this process, until `flush` adds them to Redis'. Thread-safe."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._called: set[str] = set()  # apps to which WeCom has sent an event since the last flush

    def add(self, field: str, amount: int = 1) -> None:
        """Count one, or so many; 0 has the counter appear. `field`: see `count`."""
        with self._lock:
            self._counts[field] += amount

    def answered(self, app: str, result: CallbackResult) -> None:
        """Count a callback, and remember the time at which WeCom last sent the app an event."""
        with self._lock:
            self._counts[count("callbacks_total", app=app, result=result)] += 1
            if result.is_of_wecom:
                self._called.add(app)

    def flush(self) -> None:
        """Add what was counted to Redis' counters; without an answer of Redis, keep it for the next time."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            called, self._called = self._called, set()
        if not counts:
            return
        try:
            now = now_ms(self._redis) if called else 0
            with self._redis.pipeline() as pipe:
                for field, amount in counts.items():
                    pipe.hincrby(keys.COUNTERS, field, amount)
                for app in called:
                    pipe.hset(keys.LAST_CALLBACK, app, now)
                answers = pipe.execute(raise_on_error=False)
        except redis.RedisError:
            with self._lock:
                self._counts.update(counts)
                self._called |= called
            return
        # One that is no number begins anew, as in settle.lua; the others have been added.
        damaged = [field for field, answer in zip(counts, answers, strict=False) if isinstance(answer, Exception)]
        with contextlib.suppress(redis.RedisError):
            for field in damaged:
                self._redis.hset(keys.COUNTERS, field, counts[field])
