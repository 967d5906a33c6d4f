"""Counters, added up in Redis, so that every process counts into one place and a restart keeps them.

    count("outcomes_total", app="sales", outcome="sent")     → the name of one counter, as a field of a hash
    Counters                                                 a process' own counts, written to Redis once a second

A process that is killed loses the counts of its last second; outcomes and latencies are counted with the outcome
itself, in one step, and lose nothing. `tasks.monitoring.metrics` exports them.
"""

import threading
from collections import Counter
from functools import lru_cache

import redis

from tasks.storage import keys
from tasks.storage.connections import Redis

BUCKETS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 12, 16, 20)  # seconds from receipt to WeCom's ok
LATENCY = "greeting_seconds"


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

    def add(self, field: str) -> None:
        """Count one. `field`: see `count`."""
        with self._lock:
            self._counts[field] += 1

    def flush(self) -> None:
        """Add what was counted to Redis' counters; without an answer of Redis, keep it for the next time."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            with self._redis.pipeline() as pipe:
                for field, amount in counts.items():
                    pipe.hincrby(keys.COUNTERS, field, amount)
                pipe.execute()
        except redis.RedisError:
            with self._lock:
                self._counts.update(counts)
