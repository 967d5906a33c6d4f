"""The periods in which no worker took messages: who came then was not greeted for that reason.

The claim that ends one writes it down (claim.lua); the latest IDLE_KEPT of them are kept.

    welcome:idle    "since:until" (ms) → until
"""

from dataclasses import dataclass

from tasks.storage import keys
from tasks.storage.connections import Redis

LEAST = 10.0  # seconds without a message taken: five canary messages
IDLE_KEPT = 100


@dataclass(frozen=True, slots=True)
class IdlePeriod:
    """Unix seconds."""

    since: float
    until: float


def idle_period(client: Redis, received_at: float, window: float) -> IdlePeriod | None:
    """The first such period while an event, received then (Unix seconds), could have been greeted; None: there is none.

    Raises redis.RedisError.
    """
    found = client.zrangebyscore(keys.IDLE, received_at * 1000, "+inf", start=0, num=1)
    for one in found:
        since, _, until = str(one).partition(":")
        if since.isdecimal() and until.isdecimal() and int(since) / 1000 < received_at + window:
            return IdlePeriod(int(since) / 1000, int(until) / 1000)
    return None
