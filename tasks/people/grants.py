"""The roles that were given, in Redis.

welcome:people   corp|kind|id → JSON: role, name, by, at
"""

import json
import time
from collections.abc import Collection
from dataclasses import replace

from tasks.people.roles import Grant, Kind, fields_of, read_role
from tasks.storage import keys, replies
from tasks.storage.connections import Redis

MOST = 500  # grants


class TooMany(Exception):
    """There are MOST grants already."""


class Grants:
    """The grants of one Redis. Thread-safe. Methods raise redis.RedisError."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    def all(self) -> list[Grant]:
        """Every grant: departments after members, each kind by its id."""
        stored = replies.fields(self._redis.hgetall(keys.PEOPLE))
        found = [one for one in (_read(field, value) for field, value in stored.items()) if one is not None]
        return sorted(found, key=lambda one: (one.corp_id, one.kind != Kind.MEMBER, -one.role, one.id.lower()))

    def any(self) -> bool:
        """Whether somebody has a role."""
        return bool(self._redis.exists(keys.PEOPLE))

    def of(self, corp_id: str, userid: str, departments: Collection[int]) -> list[Grant]:
        """A member's grants. `departments`: the member's, with those above them."""
        names = fields_of(corp_id, userid, departments)
        stored = self._redis.hmget(keys.PEOPLE, names)
        found = [_read(name, value) for name, value in zip(names, stored, strict=True) if value is not None]
        return [one for one in found if one is not None]

    def give(self, grant: Grant) -> None:
        """Give a role, in place of the one that was given before. Raises TooMany."""
        if not self._redis.hexists(keys.PEOPLE, grant.field) and int(self._redis.hlen(keys.PEOPLE)) >= MOST:
            raise TooMany
        grant = replace(grant, at=grant.at or time.time())
        values = {"id": grant.id, "role": grant.role.word, "name": grant.name, "by": grant.by, "at": round(grant.at)}
        self._redis.hset(keys.PEOPLE, grant.field, json.dumps(values, ensure_ascii=False))

    def take(self, field: str) -> Grant | None:
        """Take a role away. → the grant; None if there was none."""
        stored = self._redis.hget(keys.PEOPLE, field)
        removed = self._redis.hdel(keys.PEOPLE, field)
        return _read(field, stored) if stored is not None and removed else None


def _read(field: str, stored: object) -> Grant | None:
    """None for what is no grant, or has a role that this release does not know: nobody has more by it."""
    try:
        values = json.loads(str(stored))
        corp_id, kind, identity = field.split("|", 2)
        role = read_role(values.get("role"))
        told = str(values.get("id") or identity)
        if role is None or told.lower() != identity:
            return None
        name, by = str(values.get("name") or ""), str(values.get("by") or "")
        return Grant(corp_id, Kind(kind), told, role, name, by, float(values.get("at") or 0))
    except (ValueError, TypeError, AttributeError):
        return None
