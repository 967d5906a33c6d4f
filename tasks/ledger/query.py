"""Rows of the ledger a page at a time, newest first, by their index sets: bounded work, whatever there is.

A cursor names a place between two rows, "ms of receipt-id", see tasks.storage.places.
"""

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from tasks.ledger.delivery import Delivery
from tasks.ledger.rows import erase, from_row, index
from tasks.storage import keys, replies
from tasks.storage.connections import Redis
from tasks.storage.places import BATCH, Place, cursor_of, place_of, walk
from tasks.storage.unreadable import readable

LOOKED = 1000  # rows looked at for one page, at the most
OF_CUSTOMER = 50  # rows of a customer that are looked at for what became of one


@dataclass(frozen=True, slots=True)
class Page:
    """Deliveries, newest first. `older`, `newer`: cursors; None where there is nothing there.

    whole: False when LOOKED rows were looked at before the page was full; `older` goes on from there.
    """

    rows: Sequence[Delivery]
    older: str | None = None
    newer: str | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows. A field's values: any of these. since, until: ms of receipt, both included."""

    app: str
    fields: Mapping[str, Collection[str]]  # of tasks.ledger.rows.INDEXED
    since: int = 0
    until: int | None = None

    def holds(self, row: Mapping[str, str]) -> bool:
        return row.get("app") == self.app and all((row.get(f) or "") in among for f, among in self.fields.items())


def keys_for(client: Redis, wanted: Wanted) -> list[str]:
    """The sets to walk: those of the filter that leaves the fewest rows; all events where there is no filter."""
    sets = [[index(wanted.app, name, value) for value in values] for name, values in wanted.fields.items()]
    if len(sets) < 2:
        return sets[0] if sets else [keys.EVENTS]
    with client.pipeline(transaction=False) as pipe:
        for names in sets:
            for key in names:
                pipe.zcount(key, wanted.since, "+inf" if wanted.until is None else wanted.until)
        sizes = iter(pipe.execute())
    return min((sum(islice(sizes, len(names))), number, names) for number, names in enumerate(sets))[2]


def page(client: Redis, sets: Sequence[str], wanted: Wanted, before: str | None, after: str | None, limit: int) -> Page:
    """Up to `limit` rows of these sets: the newest, or those that are older than `before`, or newer than `after`.

    Raises ValueError for what is no cursor, redis.RedisError.
    """
    down = after is None
    bound = None if (cursor := before if down else after) is None else place_of(cursor)
    walks = [walk(client, key, wanted.since, wanted.until, bound, down) for key in sets]
    places = heapq.merge(*walks, reverse=down)
    found: list[Place] = []
    looked = 0
    last = bound
    while len(found) <= limit and looked < LOOKED:
        batch = list(islice(places, min(BATCH, LOOKED - looked)))
        if not batch:
            break
        looked += len(batch)
        with client.pipeline(transaction=False) as pipe:
            for _, identity in batch:
                pipe.hmget(keys.event(identity), "app", *wanted.fields)
            rows = pipe.execute()
        for place, values in zip(batch, rows, strict=True):
            if wanted.holds(dict(zip(("app", *wanted.fields), values, strict=True))) and place not in found[-1:]:
                found.append(place)
                if len(found) > limit:
                    break
            last = place
    more = len(found) > limit
    whole = more or looked < LOOKED
    found = found[:limit]
    ahead = cursor_of(found[-1]) if more and found else None if whole or last is None else cursor_of(last)
    back = None if bound is None else cursor_of(found[0] if found else bound)
    shown = found if down else found[::-1]
    return Page(read(client, [identity for _, identity in shown]), *((ahead, back) if down else (back, ahead)), whole)


def read(client: Redis, identities: Sequence[str]) -> list[Delivery]:
    """The events of these ids that are here, in this order; without those that cannot be read."""
    with client.pipeline(transaction=False) as pipe:
        for identity in identities:
            pipe.hgetall(keys.event(identity))
        return _readable(zip(identities, pipe.execute(), strict=True))


def claimed(reply: Sequence[Any]) -> list[Delivery]:
    """The events of a script's reply: id, row as a flat list, … Without those that cannot be read."""
    rows = (dict(zip(row[::2], row[1::2], strict=True)) for row in reply[1::2])
    return _readable(zip(reply[::2], rows, strict=True))


def _readable(rows: Iterable[tuple[str, Mapping[str, str]]]) -> list[Delivery]:
    found = [readable(f"the row of {identity}", partial(from_row, identity, row)) for identity, row in rows if row]
    return [one for one in found if one is not None]


def listed(
    client: Redis, key: str, since: int = 0, until: int | None = None, batch: int = BATCH, most: int | None = None
) -> Iterator[Delivery]:
    """The events that a set lists from `since` to `until` (ms), newest first; looks at `most` at the most."""
    places = islice(walk(client, key, since, until, batch=batch), most)
    while some := list(islice(places, batch)):
        yield from read(client, [identity for _, identity in some])


def trim(client: Redis, key: str, before: int) -> int:
    """Erase the events that a set lists up to `before` (ms), and take them out of it. → how many it listed."""
    trimmed = 0
    while ids := replies.texts(client.zrangebyscore(key, "-inf", before, start=0, num=BATCH)):
        erase(client, read(client, ids))
        client.zrem(key, *ids)  # whose rows were gone already
        trimmed += len(ids)
    return trimmed


@dataclass(frozen=True, slots=True)
class Add:
    """Of an event, what rules ask about: less than a Delivery, for pages that look at a thousand."""

    id: str
    app: str
    change: str
    user_id: str
    external_user_id: str
    state: str
    received_ms: int
    rehearsal: bool


_ADD_FIELDS = ("app", "change", "user_id", "external_user_id", "state", "received_at", "rehearsal")
_NEWEST_ADDS = """
-- KEYS  events
-- ARGV  prefix of rows, the oldest ms, how many at most, then fields
-- → per event, the newest first: its id and these fields
local found = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', ARGV[2], 'LIMIT', 0, ARGV[3])
for n, id in ipairs(found) do
  found[n] = { id, unpack(redis.call('HMGET', ARGV[1] .. id, unpack(ARGV, 4))) }
end
return found
"""  # a thousand commands of their own cost a page four times as much


def newest_adds(client: Redis, since: int, most: int) -> list[Add | None]:
    """Up to `most` events of all apps since a ms, the newest first; None for one whose row is gone."""
    found = client.eval(_NEWEST_ADDS, 1, keys.EVENTS, keys.event(""), since, most, *_ADD_FIELDS)
    return [_add(identity, values) for identity, *values in found]


@dataclass(frozen=True, slots=True)
class Pair:
    """Who the two of an event are."""

    app: str
    user_id: str
    external_user_id: str
    rehearsal: bool


def pairs(client: Redis, identities: Sequence[str]) -> list[Pair | None]:
    """The two of each of these events, in this order; None for one whose row is gone."""
    with client.pipeline(transaction=False) as pipe:
        for identity in identities:
            pipe.hmget(keys.event(identity), "app", "user_id", "external_user_id", "rehearsal")
        return [
            None if app is None else Pair(app, user_id, external_user_id, rehearsal == "1")
            for app, user_id, external_user_id, rehearsal in pipe.execute()
        ]


def of_customer(
    client: Redis, identities: Sequence[str], external_user_id: str, app: str | None = None
) -> list[Delivery]:
    """Of these events those of a customer, in one app or in all."""
    found = zip(identities, pairs(client, identities), strict=True)
    wanted = [
        identity
        for identity, one in found
        if one is not None and one.external_user_id == external_user_id and app in (None, one.app)
    ]
    return read(client, wanted)


def newest_of(client: Redis, app: str, external_user_id: str) -> list[Delivery]:
    """A customer's newest OF_CUSTOMER rows in an app, the newest first."""
    listed = index(app, "external_user_id", external_user_id)
    return read(client, replies.texts(client.zrevrange(listed, 0, OF_CUSTOMER - 1)))


def received_ms(client: Redis, rank: int) -> int | None:
    """When the event at this rank from the newest (0) was received; None if there are not so many."""
    found = client.zrevrange(keys.EVENTS, rank, rank, withscores=True)
    return int(found[0][1]) if found else None


def _add(identity: str, values: Sequence[str | None]) -> Add | None:
    app, change, user_id, external_user_id, state, received_at, rehearsal = values
    if app is None or change is None or user_id is None or external_user_id is None or received_at is None:
        return None
    return Add(identity, app, change, user_id, external_user_id, state or "", int(received_at), rehearsal == "1")
