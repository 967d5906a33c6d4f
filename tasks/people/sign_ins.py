"""The sessions that are open: who, since when, from where; and which have ended, so that copies of their cookies fail.

    welcome:sessions            session → ms of its last use
    welcome:session:ID          who, label, via, corp, address, device, began, used
    welcome:session-ended:ID    present when it was ended

A session itself is a signed cookie: this list is what people see of it, and what ends it.
"""

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from redis.typing import EncodableT, FieldT

from tasks.storage import keys, replies
from tasks.storage.connections import Redis

LIFE = 7 * 86_400  # seconds after which a session ends anyhow
SHOWN = 200  # sessions in a list: the latest used
_DEVICE = 160  # characters


@dataclass(frozen=True, slots=True)
class SignIn:
    """An open session. `who`, `via`: as in the audit trail. `began`, `used`: Unix seconds."""

    id: str
    who: str
    label: str
    via: str
    corp: str
    address: str
    device: str  # the browser's own words
    began: int
    used: int


class SignIns:
    """The sessions of one Redis. Thread-safe. Methods raise redis.RedisError."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    def note(self, one: SignIn) -> None:
        """A session was begun, or used."""
        values: dict[FieldT, EncodableT] = {
            name: str(value)[:_DEVICE] for name, value in asdict(one).items() if name != "id"
        }
        now = int(time.time())
        with self._redis.pipeline() as pipe:
            pipe.hset(keys.session(one.id), mapping=values)
            pipe.expire(keys.session(one.id), LIFE)
            pipe.zadd(keys.SESSIONS, {one.id: one.used * 1000})
            pipe.zremrangebyscore(keys.SESSIONS, "-inf", (now - LIFE) * 1000)
            pipe.execute()

    def has_ended(self, identity: str) -> bool:
        return bool(self._redis.exists(keys.session_ended(identity)))

    def end(self, identities: Iterable[str]) -> None:
        """End sessions, also for copies of their cookies."""
        with self._redis.pipeline() as pipe:
            for one in identities:
                pipe.set(keys.session_ended(one), 1, ex=LIFE)
                pipe.delete(keys.session(one))
                pipe.zrem(keys.SESSIONS, one)
            pipe.execute()

    def open(self, used_since: float = 0.0) -> list[SignIn]:
        """The latest used first, at most SHOWN. `used_since`: Unix seconds."""
        names = replies.texts(
            self._redis.zrevrangebyscore(keys.SESSIONS, "+inf", int(used_since * 1000), start=0, num=SHOWN)
        )
        with self._redis.pipeline() as pipe:
            for one in names:
                pipe.hgetall(keys.session(one))
            found = pipe.execute()
        read = (_read(name, replies.fields(values)) for name, values in zip(names, found, strict=True))
        return [one for one in read if one is not None]


def _read(identity: str, values: dict[str, str]) -> SignIn | None:
    try:
        texts = {name: values.get(name, "") for name in ("who", "label", "via", "corp", "address", "device")}
        return SignIn(identity, **texts, began=int(values["began"]), used=int(values["used"]))
    except (KeyError, ValueError):
        return None
