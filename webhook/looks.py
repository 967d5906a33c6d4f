"""How often what is looked at goes into the audit trail: nobody fills it by looking.

told       a look at a customer: once an hour for each person and delivery; from LOOKS deliveries in an hour on, one
           entry says that there were more
is_first   whether it is the first time in an hour that somebody reads something
"""

from hashlib import sha256

import redis

from tasks.audit import Act, Via
from tasks.storage import keys
from tasks.storage.connections import Redis

LOOKS, HOUR = 60, 3600  # deliveries in an hour that are told one by one

Told = tuple[Act, str, int | None]  # an act, its target and number


def told(client: Redis, app: str, via: Via, who: str, delivery: str) -> Told | None:
    """What the audit trail is to have of a look at a delivery's customer; None: nothing."""
    try:
        if not is_first(client, app, via, who, delivery):
            return None
        name = keys.looks(_digest(via, who))
        with client.pipeline() as pipe:
            pipe.set(name, 0, nx=True, ex=HOUR)
            pipe.incr(name)
            count = int(pipe.execute()[1])
    except redis.RedisError:
        return None  # nothing was read, and nothing is shown
    if count <= LOOKS:
        return Act.LOOKED, delivery, None
    return (Act.LOOKED_AT_MANY, "", LOOKS) if count == LOOKS + 1 else None


def is_first(client: Redis, app: str, via: Via, who: str, what: str) -> bool:
    """Whether this person has not read this within the hour. Raises redis.RedisError."""
    name = keys.looked(app, f"{_digest(via, who)}-{sha256(what.encode()).hexdigest()[:20]}")
    return bool(client.set(name, 1, nx=True, ex=HOUR))


def _digest(via: Via, who: str) -> str:
    return sha256(f"{via}|{who}".encode("utf-8", "replace")).hexdigest()[:20]
