"""Recently added customers, as rules see them: a draft is tried on them. Bounded work."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from tasks.directory.lookup import directory
from tasks.ledger import query
from tasks.storage.clock import now_ms
from tasks.storage.connections import Redis
from tasks.storage.unreadable import readable
from tasks.templates.conditions import Contact

DAYS = 7
MOST = 1000  # events that are read, newest first; of all apps together


@dataclass(frozen=True, slots=True)
class RecentAdds:
    """`contacts`: (event's id, contact), newest first. `complete`: whether these are all of the last DAYS days.

    `since`: ms; of the oldest event that was read, or DAYS days ago.
    """

    contacts: tuple[tuple[str, Contact], ...]
    complete: bool
    since: int


def recent_adds(client: Redis, app: str, timezone: ZoneInfo, most: int = MOST) -> RecentAdds:
    """The adds of an app in the last DAYS days, of the `most` newest events; rehearsals are left out.

    Members' departments come from the cache; the customer's type and add way are never stored, so they are unknown
    here. Raises redis.RedisError.
    """
    since = now_ms(client) - DAYS * 86_400_000
    newest = readable("the newest adds", partial(query.newest_adds, client, since, most + 1)) or []
    complete = len(newest) <= most
    adds = [one for one in newest[:most] if one is not None and one.app == app and not one.rehearsal]
    known = directory(client, app, {one.user_id for one in adds})
    contacts = tuple(
        (
            one.id,
            Contact(
                app=app,
                user_id=one.user_id,
                external_user_id=one.external_user_id,
                state=one.state,
                change=one.change,
                at=datetime.fromtimestamp(one.received_ms / 1000, timezone),
                directory=known,
            ),
        )
        for one in adds
    )
    if not complete:
        since = query.received_ms(client, most - 1) or since
    return RecentAdds(contacts, complete, since)
