"""The two queues, greetings and follow-ups: pause and resume. Who paused one, and when, is kept.

    Redis   welcome:lane:QUEUE   a hash: by, at, until, resumed_by. ms of Redis' clock. It outlives the pause, so that
            a page can say why a customer missed the greeting meanwhile

Nothing is claimed from a paused queue (the two claim.lua look at `until`); what is in flight is finished. The welcome
queue resumes by itself: every minute of its pause costs customers their greeting.
"""

from dataclasses import dataclass
from functools import partial

from tasks.storage import keys
from tasks.storage.clock import seconds
from tasks.storage.connections import Redis
from tasks.storage.unreadable import readable

WELCOME, FOLLOW_UPS = "welcome", "follow-ups"
QUEUES = (WELCOME, FOLLOW_UPS)
MOST = 600.0  # seconds for which the welcome queue may be paused
_FOR_EVER = 10**15  # ms

_PAUSE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if tonumber(redis.call('HGET', KEYS[1], 'until') or 0) > now then return 0 end
redis.call('DEL', KEYS[1])
local till = tonumber(ARGV[2])
if till < 1e15 then till = now + till end
redis.call('HSET', KEYS[1], 'by', ARGV[1], 'at', now, 'until', string.format('%.0f', till))
return 1
"""
_RESUME = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if tonumber(redis.call('HGET', KEYS[1], 'until') or 0) <= now then return 0 end
redis.call('HSET', KEYS[1], 'until', now, 'resumed_by', ARGV[1])
return 1
"""


@dataclass(frozen=True, slots=True)
class Pause:
    """The last pause of a queue. Unix seconds by Redis' clock; `until` None: until somebody resumes it."""

    by: str
    at: float
    until: float | None
    now: float
    resumed_by: str = ""

    @property
    def holds(self) -> bool:
        """Whether the queue is paused now."""
        return self.until is None or self.until > self.now

    @property
    def left(self) -> float | None:
        """Seconds until the queue resumes by itself; None: it does not."""
        return None if self.until is None else max(0.0, self.until - self.now)

    def overlaps(self, since: float, until: float) -> bool:
        """Whether the queue was paused at a time between the two (Unix seconds)."""
        return self.at < until and (self.until is None or self.until > since)


class QueuePauses:
    """The queues of one Redis. Thread-safe. Raises redis.RedisError when Redis does not answer."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._pause = client.register_script(_PAUSE)
        self._resume = client.register_script(_RESUME)

    def pause(self, queue: str, by: str) -> bool:
        """Claim nothing more, for MOST seconds from the welcome queue. False: it is paused already; nothing changes."""
        life = int(MOST * 1000) if queue == WELCOME else _FOR_EVER
        return bool(self._pause(keys=[keys.pause(queue)], args=[by, life]))

    def resume(self, queue: str, by: str) -> bool:
        """Go on. False: it was not paused, or not any more."""
        return bool(self._resume(keys=[keys.pause(queue)], args=[by]))

    def last(self) -> dict[str, Pause]:
        """Queue → its last pause, over or not; of those that ever had one."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            for queue in QUEUES:
                pipe.hgetall(keys.pause(queue))
            time, *found = pipe.execute()
        now = seconds(time)
        rows = zip(QUEUES, found, strict=True)
        pauses = {queue: readable(f"the pause of {queue}", partial(_pause, row, now)) for queue, row in rows if row}
        return {queue: pause for queue, pause in pauses.items() if pause is not None}

    def paused(self) -> dict[str, Pause]:
        """Queue → its pause, of the queues that are paused now."""
        return {queue: pause for queue, pause in self.last().items() if pause.holds}


def _pause(row: dict[str, str], now: float) -> Pause:
    until = int(row["until"])
    return Pause(
        by=row["by"],
        at=int(row["at"]) / 1000,
        until=None if until >= _FOR_EVER else until / 1000,
        now=now,
        resumed_by=row.get("resumed_by", ""),
    )
