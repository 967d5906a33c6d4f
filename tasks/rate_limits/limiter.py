"""The limiter of one corp's calls, which all processes share: permits, refusals, and who waits.

    claim.lua, extend.lua   count a greeting's call in the step that begins its try: no round trip more
    Limiter.begin           for every other call: takes permits from Redis, a few at once while there are many calls
    SharedCalls.refused     after 45009 nobody calls for a pause; then one call tries, and its answer decides for all

Without Redis each process counts for itself: a limiter that does not answer stops no call.
"""

import logging
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field

import redis

from tasks.rate_limits import limits
from tasks.rate_limits.limits import Calls, Limits
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.storage.scripts import registered, source
from tasks.wecom.errors import Failure, NotSent, WeComAPIError, WeComError

log = logging.getLogger(__name__)

PERMITS_LAST = 1.0  # seconds: what is not used by then lapses, and counts all the same
MOST_PERMITS = 32  # at once, while the ones before were used up
PATIENCE = 2.0  # seconds for which a call waits for its permit; then its caller comes again later
AWAY = 5.0  # seconds for which Redis is not asked after it did not answer
REMEMBERED = 0.5  # seconds for which `held` is not read again

CALLS_LUA = source("tasks.rate_limits", "calls")


@dataclass(frozen=True, slots=True)
class Held:
    """When calls were held back, from the first moment to the last one (Unix seconds).

    by: WeCom's errcode, or 0 if WeCom refused none: the limits were kept by waiting.
    """

    since: float
    until: float
    by: int

    def overlaps(self, since: float, until: float) -> bool:
        return self.since < until and since < self.until


@dataclass(frozen=True, slots=True)
class Status:
    """The calls of one API. blocked: seconds for which none may begin; errcode: WeCom's, where it is the reason."""

    minute: int
    hour: int
    limits: Limits
    blocked: float
    errcode: int | None
    held: Held | None
    now: float  # Unix seconds, of Redis' clock

    @property
    def is_held(self) -> bool:
        """Whether calls are held back, or were within the last seconds."""
        return self.blocked > 0 or (self.held is not None and 0 <= self.now - self.held.until < limits.PROBE)


class SharedCalls:
    """The calls of one corp, in Redis. Thread-safe. `corp_ids`: whose greetings count for the IP address."""

    def __init__(self, client: Redis, corp_id: str, corp_ids: Collection[str], allowed: Limits) -> None:
        self._redis = client
        self._corp_id = corp_id
        several = len(set(corp_ids)) > 1  # a thousand keys in each step would keep Redis busy for 6 ms
        self._greetings = keys.calls(limits.SEND, limits.ALL_CORPS if several else corp_id)
        self.limits = allowed
        names = "take", "refused", "lifted", "status"
        self._take, self._refused, self._lifted, self._status = registered(
            client, "tasks.rate_limits", *names, before=CALLS_LUA
        )
        self._held: tuple[float, Held | None] = (0.0, None)  # when it was read (monotonic), and what it was

    def take(self, path: str, wanted: int, allowed: Limits) -> tuple[int, float, bool]:
        """(permits, seconds until there may be one, whether it is a probe). Raises redis.RedisError."""
        permits, wait, probe = self._take(
            keys=[keys.calls(path, self._corp_id), keys.ALL_CALLS, self._greetings],
            args=[wanted, allowed.minute, allowed.hour, allowed.address_minute, allowed.address_hour],
        )
        return int(permits), int(wait) / 1000, bool(probe)

    def refused(self, path: str, errcode: int, probe: bool) -> float:
        """WeCom refused a call for a limit: nobody calls for a while. → seconds. Raises redis.RedisError."""
        pauses = [int(one * 1000) for one in limits.PAUSES]
        crowded = [limits.TOO_MANY_AT_ONCE, int(limits.CROWDED * 1000), int(limits.CROWDED_GROWS * 1000)]
        return int(self._refused(keys=self._keys(path), args=[errcode, int(probe), *crowded, *pauses])) / 1000

    def lifted(self, path: str) -> None:
        """WeCom answered a probe: everybody may call again, not all at once. Raises redis.RedisError."""
        self._lifted(keys=self._keys(path), args=[limits.FIRST_AGAIN, int(limits.AGAIN_GROWS * 1000)])

    def not_tried(self, path: str) -> None:
        """A probe ended without a call: the next one is for another caller, at once. Raises redis.RedisError."""
        self._redis.hdel(keys.calls(path, self._corp_id), "until", "until_set")

    def _keys(self, path: str) -> list[str]:
        return [keys.calls(path, self._corp_id), *([keys.DUE] if path == limits.SEND else [])]

    def status(self, path: str = limits.SEND) -> Status:
        """Raises redis.RedisError."""
        minute, hour, blocked, refusals, errcode, since, at, by, now = self._status(
            keys=[keys.calls(path, self._corp_id)], args=[]
        )
        held = Held(int(since) / 1000, int(at) / 1000, int(by)) if at else None
        refused = int(errcode) if blocked or refusals else held.by if held is not None else 0
        return Status(minute, hour, self.limits, blocked / 1000, refused or None, held, int(now) / 1000)

    def held(self) -> Held | None:
        """When greetings were last held back; None: not lately, or Redis does not answer."""
        read_at, held = self._held
        if time.monotonic() - read_at > REMEMBERED:
            try:
                key = keys.calls(limits.SEND, self._corp_id)
                since, at, by = self._redis.hmget(key, ["held_from", "held_at", "held_by"])
            except redis.RedisError:
                return None
            held = Held(int(since) / 1000, int(at) / 1000, int(by or 0)) if since and at else None
            self._held = (time.monotonic(), held)
        return held


@dataclass(slots=True)
class _Stock:
    """The permits of one API that this process holds, and what it knows while Redis is away."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    permits: int = 0
    lapse_at: float = 0.0  # monotonic
    wanted: int = 1
    probe: bool = False
    alone: Calls = field(default_factory=Calls)
    refusals: int = 0
    blocked_until: float = 0.0  # monotonic

    def use(self, now: float) -> bool:
        if self.permits == 0 or now > self.lapse_at:
            return False
        self.permits -= 1
        return True

    def next_wanted(self, now: float) -> int:
        """Twice as many as before if those were used up before they lapsed."""
        used_up = self.permits == 0 and now <= self.lapse_at
        return min(2 * self.wanted, MOST_PERMITS) if used_up else 1

    def wait_alone(self, now: float, allowed: Limits) -> float:
        """Seconds until there may be a permit by what this process knows; 0.0: there was one, and it is used."""
        if now < self.blocked_until:
            return self.blocked_until - now
        if self.alone.left(allowed, time.time()) == 0:
            return 1.0
        if self.refusals:
            self.blocked_until, self.probe = now + limits.PROBE, True
        self.alone = self.alone.begun(1, time.time())
        return 0.0

    def refused(self, errcode: int, probe: bool) -> None:
        self.permits = 0
        now = time.monotonic()
        if probe or now >= self.blocked_until:  # else it began before, and the limit is known
            self.refusals += errcode == limits.TOO_MANY
            self.blocked_until = now + limits.pause(errcode, self.refusals)

    def lifted(self) -> None:
        self.refusals, self.blocked_until = 0, 0.0


class Limiter:
    """What a WeCom client asks before each call (`tasks.wecom.client.Limiter`). Thread-safe.

    calls: those of all processes; None: this process counts for itself. share: of the limits. free: paths that are
    counted elsewhere, or not at all.
    """

    def __init__(self, calls: SharedCalls | None, percent: int, share: float = 1.0, free: Collection[str] = ()) -> None:
        self._calls = calls
        self._allowed = Limits.of(percent, share)
        self._free = frozenset({"gettoken", *free})
        self._stocks: dict[str, _Stock] = {}
        self._away_until = 0.0

    def begin(self, path: str, by: float) -> None:
        """Return when the call may begin. Raises NotSent if that is neither within PATIENCE nor before `by`."""
        if path in self._free:
            return
        stock = self._stocks.setdefault(path, _Stock())
        until = min(by, time.monotonic() + PATIENCE)
        while True:
            if not stock.lock.acquire(timeout=max(0.0, until - time.monotonic())):
                raise NotSent(path, Failure.LIMITED)
            try:
                wait = self._wait(path, stock)
            finally:
                stock.lock.release()
            if wait == 0:
                return
            if time.monotonic() + wait > until:
                raise NotSent(path, Failure.LIMITED)
            time.sleep(wait)

    def ended(self, path: str, error: WeComError | None) -> None:
        """Learn from a call's end: a refusal holds everybody back, the answer to a probe lifts it."""
        stock = self._stocks.get(path)
        if stock is None:
            return
        refused = isinstance(error, WeComAPIError) and error.errcode in limits.LIMIT_CODES
        if not refused and not stock.probe:
            return
        probe, stock.probe = stock.probe, False
        try:
            if isinstance(error, WeComAPIError) and refused:
                stock.refused(error.errcode, probe)
                if self._calls is not None:
                    self._calls.refused(path, error.errcode, probe)
            elif error is None or isinstance(error, WeComAPIError):
                stock.lifted()
                if self._calls is not None:
                    self._calls.lifted(path)
        except redis.RedisError as failed:
            self._is_away(failed)

    def _wait(self, path: str, stock: _Stock) -> float:
        """Seconds to wait for a permit; 0.0: there was one, and it is used."""
        now = time.monotonic()
        if stock.use(now):
            return 0.0
        if self._calls is None or now < self._away_until:
            return stock.wait_alone(now, self._allowed)
        stock.wanted = stock.next_wanted(now)
        try:
            permits, wait, probe = self._calls.take(path, stock.wanted, self._allowed)
        except redis.RedisError as error:
            self._is_away(error)
            return stock.wait_alone(time.monotonic(), self._allowed)
        if permits == 0:
            return max(wait, 0.01)
        stock.permits, stock.lapse_at, stock.probe = permits - 1, now + PERMITS_LAST, probe
        return 0.0

    def _is_away(self, error: redis.RedisError) -> None:
        log.warning("WeCom's limits are not shared at the moment: %s", type(error).__name__)
        self._away_until = time.monotonic() + AWAY
