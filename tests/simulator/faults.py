"""Fault injection of the API: rates in [0, 1], latency in milliseconds, a seed that makes runs repeatable; limits."""

import random
from collections import Counter, deque
from dataclasses import dataclass, fields
from itertools import accumulate

SEND = "externalcontact/send_welcome_msg"

KINDS = {  # a field of Faults → what happens to the call
    "busy": "errcode -1, no effect",
    "busy_after": "the call takes effect, errcode -1",
    "http_5xx": "HTTP 502 with a page, no effect",
    "dropped_before": "the connection closes, no effect",
    "dropped_after": "the call takes effect, the connection closes unanswered",
    "hang": "silence for hang_s, no effect, then the connection closes",
    "trickle": "the call takes effect, the answer comes one byte per half second",
    "not_json": "HTTP 200 with a page instead of JSON, no effect",
    "revoke": "the token is revoked first: errcode 40014",
    "expired": "errcode 42001 whatever the token, no effect",
    "limited": "errcode 45009, no effect",
    "racing": "errcode 41096, no effect",
    "crowded": "errcode 45033, no effect",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """At most one fault hits a call, so the rates add up to 1 at most. `paths`: below /cgi-bin/, "*" for all.

    per_unit: calls of each path that WeCom accepts within unit_s seconds, however they are cut; who calls more gets
    45009, as does everybody for the next unit_s. at_once: calls of each path under way; one more gets 45033. 0: any.
    """

    latency_ms: float = 0
    jitter_ms: float = 0  # uniform, ± around the mean
    busy: float = 0
    busy_after: float = 0
    http_5xx: float = 0
    dropped_before: float = 0
    dropped_after: float = 0
    hang: float = 0
    hang_s: float = 30
    trickle: float = 0
    not_json: float = 0
    revoke: float = 0
    expired: float = 0
    limited: float = 0
    racing: float = 0
    crowded: float = 0
    per_unit: int = 0
    unit_s: float = 60
    at_once: int = 0
    paths: tuple[str, ...] = (SEND,)
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", tuple(self.paths))
        rates = [getattr(self, kind) for kind in KINDS]
        if not all(0 <= rate <= 1 for rate in rates) or sum(rates) > 1 + 1e-9:
            raise ValueError("each rate is in [0, 1], and together they are 1 at most")
        if min(self.latency_ms, self.jitter_ms, self.hang_s) < 0:
            raise ValueError("a latency is not negative")
        if min(self.per_unit, self.at_once) < 0 or self.unit_s <= 0:
            raise ValueError("a limit is not negative, and its unit is positive")

    @classmethod
    def parse(cls, text: str) -> "Faults":
        """From `latency_ms=80,busy=0.1,paths=*`; several paths are joined by `+`. ValueError names what is wrong."""
        types = {f.name: f.type for f in fields(cls)}
        given: dict[str, object] = {}
        for item in filter(None, text.split(",")):
            name, _, value = item.partition("=")
            if name not in types:
                raise ValueError(f"no such fault: {name}; there are {', '.join(types)}")
            given[name] = tuple(value.split("+")) if name == "paths" else types[name](value)
        return cls(**given)


class Dice:
    """Draws the fault of each call from `Faults`. The same order of calls gives the same faults."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._random = random.Random(faults.seed)
        kinds = [(kind, getattr(faults, kind)) for kind in KINDS]
        self._limits = [
            (limit, kind)
            for (kind, rate), limit in zip(kinds, accumulate(rate for _, rate in kinds), strict=True)
            if rate
        ]

    def draw(self, path: str) -> tuple[str | None, float]:
        """(fault or None, seconds until the answer) for the next call of `path`."""
        faults = self.faults
        if path not in faults.paths and "*" not in faults.paths:
            return None, 0.0
        chance = self._random.random() if self._limits else 1.0
        fault = next((kind for limit, kind in self._limits if chance < limit), None)
        delay = faults.latency_ms + (self._random.uniform(-1, 1) * faults.jitter_ms if faults.jitter_ms else 0)
        return fault, max(delay, 0.0) / 1000


class RateLimits:
    """WeCom's limits on calls of a path, of `Faults`. Docs 90312, 90454, and 90313 for 45033."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._calls: dict[str, deque[float]] = {}  # path → when each call of the last unit was accepted
        self._blocked_until: dict[str, float] = {}
        self._under_way: Counter[str] = Counter()

    def began(self, path: str, now: float) -> str | None:
        """The fault that a call of `path` meets now; None: it is accepted, counts, and is under way until `ended`."""
        refusal = self._refusal(path, now)
        self._under_way[path] += refusal is None
        return refusal

    def ended(self, path: str) -> None:
        """An accepted call has ended."""
        self._under_way[path] -= 1

    def _refusal(self, path: str, now: float) -> str | None:
        faults = self._faults
        if path not in faults.paths and "*" not in faults.paths:
            return None
        if faults.at_once and self._under_way[path] >= faults.at_once:
            return "crowded"
        if not faults.per_unit:
            return None
        calls = self._calls.setdefault(path, deque())
        while calls and calls[0] <= now - faults.unit_s:
            calls.popleft()
        if now < self._blocked_until.get(path, 0.0):
            return "limited"
        if len(calls) >= faults.per_unit:
            self._blocked_until[path] = now + faults.unit_s
            return "limited"
        calls.append(now)
        return None
