"""The queues' status: depth, age of the oldest event, whether workers consume. One pipelined read of fixed keys."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import redis

from tasks.media_renewal import MediaStatus
from tasks.rate_limits.limiter import SharedCalls, Status
from tasks.storage import keys
from tasks.storage.clock import now_ms
from tasks.storage.connections import Redis
from tasks.storage.unreadable import readable
from tasks.wecom import WeComClient

SILENT = 6.0  # seconds without a message taken after which the workers count as not consuming: three canary messages
NEARLY_FULL = 0.95  # of what Redis may use: from there on it refuses some writes, and workers take nothing when it does


@dataclass(frozen=True, slots=True)
class Reading:
    """The status of the queues. Seconds, counts and bytes (`memory`); None: not known."""

    waiting: int
    in_flight: int
    oldest: float | None
    silence: float | None
    upkeep: int
    memory: int | None
    tokens: Mapping[str, float | None]  # app → seconds left
    media: Mapping[str, MediaStatus] = field(default_factory=dict)  # by app
    calls: Mapping[str, Status] = field(default_factory=dict)  # by app: greetings of its corp, against WeCom's limits
    memory_limit: int | None = None  # bytes; None: not known, or there is none

    @property
    def consuming(self) -> bool:
        return self.silence is not None and self.silence < SILENT

    @property
    def memory_share(self) -> float | None:
        """Of what Redis may use; None: not known, or it may use any."""
        return self.memory / self.memory_limit if self.memory is not None and self.memory_limit else None

    @property
    def is_nearly_full(self) -> bool:
        """A probe may still be written: Redis frees a little now and then."""
        return (self.memory_share or 0.0) > NEARLY_FULL


class Queues:
    """Reads the status of the queues, tokens, media and limits.

    media: returns the status of each app's media. calls, corps (corp id): by app.
    """

    def __init__(
        self,
        client: Redis,
        clients: Mapping[str, WeComClient],
        media: Callable[[], Mapping[str, MediaStatus]] = dict,
        calls: Mapping[str, SharedCalls] | None = None,
        corps: Mapping[str, str] | None = None,
    ) -> None:
        self._redis = client
        self._clients = clients
        self._media = media
        self._calls = calls or {}
        self.corps = corps or {}

    def probe(self) -> None:
        """Raises redis.RedisError unless Redis accepts a write: a full or read-only one still answers a ping."""
        self._redis.set(keys.PROBE, 1, ex=60)

    def read(self) -> Reading:
        """Raises redis.RedisError."""
        now = now_ms(self._redis)
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zcard(keys.DUE)
            pipe.zcount(keys.DUE, "-inf", now)
            pipe.zrange(keys.DUE, 0, 0)
            pipe.get(keys.CONSUMED)
            pipe.llen(keys.SLOW_QUEUE)
            unfinished, waiting, first, consumed, upkeep = pipe.execute()
        oldest = None
        if waiting and first:
            received = self._redis.hget(keys.event(first[0]), "received_at")
            oldest = readable(f"the row of {first[0]}", lambda: (now - int(received)) / 1000) if received else None
        in_memory = memory(self._redis)
        return Reading(
            waiting=waiting,
            in_flight=unfinished - waiting,
            oldest=oldest if waiting else 0.0,
            silence=readable("when a message was taken", lambda: (now - int(consumed)) / 1000) if consumed else None,
            upkeep=upkeep,
            memory=in_memory.get("used_memory"),
            memory_limit=in_memory.get("maxmemory") or None,
            tokens={app: client.tokens.left() for app, client in self._clients.items()},
            media=self._media(),
            calls=self._limits(),
        )

    def _limits(self) -> dict[str, Status]:
        found = {app: readable(f"the calls of {app}", calls.status) for app, calls in self._calls.items()}
        return {app: status for app, status in found.items() if status is not None}

    def refusals(self) -> dict[str, bool]:
        """App → whether WeCom refuses its secret. Raises redis.RedisError."""
        return {app: client.tokens.refusal() is not None for app, client in self._clients.items()}


def memory(client: Redis) -> Mapping[str, Any]:
    """What the server says of its memory; empty where this user may not ask (INFO): then it is not known."""
    try:
        found: dict[str, Any] = client.info("memory")
    except redis.exceptions.NoPermissionError:
        return {}
    return found
