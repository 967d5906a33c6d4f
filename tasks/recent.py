"""The customers who were added lately, as rules see them: what a draft is tried on. Always bounded."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from tasks.connections import Redis
from tasks.ledger import EVENTS, PREFIX
from tasks.people import directory
from tasks.templates.conditions import Contact

DAYS = 7
MOST = 1000  # events that are looked at, the newest; of all apps together
_FIELDS = ("app", "change", "user_id", "external_user_id", "state", "received_at", "rehearsal")
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Recent:
    """`contacts`: (event's id, contact), newest first. `complete`: whether these are all of the last DAYS days.

    `since`: ms, of the oldest event that was looked at, or DAYS days ago.
    """

    contacts: tuple[tuple[str, Contact], ...]
    complete: bool
    since: int


def recent(client: Redis, app: str, timezone: ZoneInfo, most: int = MOST) -> Recent:
    """The adds of an app in the last DAYS days, of the `most` newest events; rehearsals are left out.

    What is known of members' departments comes from the cache; the customer's type and add way are never kept, so they
    are unknown here. Raises redis.RedisError.
    """
    seconds, _ = client.time()
    since = (int(seconds) - DAYS * 86400) * 1000
    ids = client.zrevrangebyscore(EVENTS, "+inf", since, start=0, num=most + 1)
    complete = len(ids) <= most
    rows = list(_rows(client, ids[:most], app))
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
        since = int(client.zscore(EVENTS, ids[most - 1]) or since)
    return Recent(contacts, complete, since)


def _rows(client: Redis, ids: list[str], app: str) -> Iterable[tuple[str, Mapping[str, str]]]:
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        with client.pipeline(transaction=False) as pipe:
            for identity in batch:
                pipe.hmget(PREFIX + identity, _FIELDS)
            for identity, values in zip(batch, pipe.execute(), strict=True):
                row = dict(zip(_FIELDS, values, strict=True))
                if row["app"] == app and row["rehearsal"] != "1" and None not in row.values():
                    yield identity, row
