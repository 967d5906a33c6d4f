"""The customers who were added lately, as rules see them: what a draft is tried on. Always bounded."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tasks.directory.lookup import directory
from tasks.storage import keys
from tasks.storage.clock import now_ms
from tasks.storage.connections import Redis
from tasks.templates.conditions import Contact

DAYS = 7
MOST = 1000  # events that are looked at, the newest; of all apps together
_FIELDS = ("app", "change", "user_id", "external_user_id", "state", "received_at", "rehearsal")
# KEYS  events
# ARGV  prefix of rows, the oldest ms, how many at most, then fields
# → per event, the newest first: its id and these fields
_NEWEST = """
local found = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', ARGV[2], 'LIMIT', 0, ARGV[3])
for n, id in ipairs(found) do
  found[n] = { id, unpack(redis.call('HMGET', ARGV[1] .. id, unpack(ARGV, 4))) }
end
return found
"""  # a thousand commands of their own cost the page four times as much


@dataclass(frozen=True, slots=True)
class RecentAdds:
    """`contacts`: (event's id, contact), newest first. `complete`: whether these are all of the last DAYS days.

    `since`: ms, of the oldest event that was looked at, or DAYS days ago.
    """

    contacts: tuple[tuple[str, Contact], ...]
    complete: bool
    since: int


def recent_adds(client: Redis, app: str, timezone: ZoneInfo, most: int = MOST) -> RecentAdds:
    """The adds of an app in the last DAYS days, of the `most` newest events; rehearsals are left out.

    What is known of members' departments comes from the cache; the customer's type and add way are never kept, so they
    are unknown here. Raises redis.RedisError.
    """
    since = now_ms(client) - DAYS * 86400_000
    found = client.eval(_NEWEST, 1, keys.EVENTS, keys.event(""), since, most + 1, *_FIELDS)
    complete = len(found) <= most
    rows = list(_rows(found[:most], app))
    known = directory(client, app, {row["user_id"] for _, row in rows})
    contacts = tuple(
        (
            identity,
            Contact(
                app=app,
                user_id=row["user_id"],
                external_user_id=row["external_user_id"],
                state=row["state"],
                change=row["change"],
                at=datetime.fromtimestamp(int(row["received_at"]) / 1000, timezone),
                directory=known,
            ),
        )
        for identity, row in rows
    )
    if not complete:
        since = int(client.zscore(keys.EVENTS, found[most - 1][0]) or since)
    return RecentAdds(contacts, complete, since)


def _rows(found: Iterable[list[Any]], app: str) -> Iterable[tuple[str, Mapping[str, str]]]:
    for identity, *values in found:
        if None not in values:
            row = dict(zip(_FIELDS, values, strict=True))
            if row["app"] == app and row["rehearsal"] != "1":
                yield identity, row
