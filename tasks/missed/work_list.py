"""The work list of customers who were not greeted, and what people did about each: told the member, ticked it off.

    to do    welcome:missed:APP         id → ms at which the customer was added. The ledger adds missed events
                                        (settle.lua), the comparison customers who were never announced,
                                        tasks.changes.failed_transfers those whom a colleague did not take over. A
                                        customer who is greeted after all is removed, and one who was not handed
                                        over with any later add
    done     welcome:missed-done:APP    id → ms at which it was ticked off

What was done about a customer is stored in its row, so that it expires, is backed up and is erased with it:
    ticked_by, ticked_at                                  by whom, and when (ms)
    reminder, reminded_at, reminded_by, reminder_why      see tasks.missed.reminders
    customer_name                                         as WeCom has it, for people who greet by hand
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from tasks.changes.failed_transfers import LIMIT, REFUSED, failed_for
from tasks.ledger import by_name, query, without_event
from tasks.ledger.delivery import LIMITED, OVERLOADED, Delivery, Outcome
from tasks.ledger.query import Page
from tasks.ledger.rows import erase, index
from tasks.storage import keys, replies
from tasks.storage.connections import Redis
from tasks.storage.places import cursor_of, place_of, walk
from tasks.visible_text import plain

PAGE = 50  # rows

_TICK = """
-- KEYS  row, to do, done        ARGV  id, who, ms        → 1 ticked off, 0 not on the list, or no longer
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'ticked_by', ARGV[2], 'ticked_at', ARGV[3])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
return 1
"""
_UNTICK = """
-- KEYS  row, to do, done, the customer's events        ARGV  id, prefix of rows
-- → 1 on the list again, 0 it was not ticked, or was greeted meanwhile
local call = redis.call
if call('ZREM', KEYS[3], ARGV[1]) == 0 or call('EXISTS', KEYS[1]) == 0 then return 0 end
call('HDEL', KEYS[1], 'ticked_by', 'ticked_at')
local at, outcome, member, later = unpack(call('HMGET', KEYS[1], 'received_at', 'outcome', 'user_id', 'greeted_later'))
if outcome == 'sent' or outcome == 'unconfirmed' or later then return 0 end
for _, other in ipairs(call('ZRANGEBYSCORE', KEYS[4], at, '+inf', 'LIMIT', 0, 50)) do
  local row = call('HMGET', ARGV[2] .. other, 'user_id', 'outcome', 'rehearsal')
  if row[1] == member and row[3] ~= '1' and (row[2] == 'sent' or row[2] == 'unconfirmed') then
    call('HSET', KEYS[1], 'greeted_later', other) -- settle.lua marks only rows that are to do
    return 0
  end
end
call('ZADD', KEYS[2], at, ARGV[1])
return 1
"""


class UsedUpBy(StrEnum):
    """What used up the window of an event that expired."""

    QUEUE = "queue"
    TRIES = "tries"
    LIMITS = "limits"  # of WeCom's, which held greetings back
    OTHERS = "others"  # who were greeted instead: more were added than could be


@dataclass(frozen=True, slots=True)
class MissedCause:
    """Why customers were missed; one cause has one remedy. `errcode` None: WeCom's answer had no part in it.

    `used_up_by`: for expired events; else None. `failed_for`: WeCom's FailReason of a hand-over,
    REFUSED or LIMIT; "" for any other, and without.
    """

    outcome: Outcome
    errcode: int | None = None
    used_up_by: UsedUpBy | None = None
    failed_for: str = ""


def cause_of(delivery: Delivery) -> MissedCause:
    """Why a customer was missed. Pure. Raises ValueError for one that is still in progress."""
    if delivery.outcome is None:
        raise ValueError("a delivery in progress was not missed")
    used_up_by = None
    if delivery.outcome is Outcome.EXPIRED:
        waited_for = UsedUpBy.TRIES if delivery.attempts else UsedUpBy.QUEUE
        used_up_by = {LIMITED: UsedUpBy.LIMITS, OVERLOADED: UsedUpBy.OTHERS}.get(delivery.cause, waited_for)
    why = failed_for(delivery)
    return MissedCause(delivery.outcome, delivery.errcode, used_up_by, why if why in (REFUSED, LIMIT) else "")


def customer_name(delivery: Delivery) -> str:
    """The customer's name as WeCom gave it or the text had it; "" where none is known, or it shows nothing. Pure."""
    return plain(delivery.customer_name or (delivery.names or {}).get("customer", ""))


def by_cause(rows: Iterable[Delivery]) -> dict[MissedCause, list[Delivery]]:
    """Cause → its rows, in the given order. Pure."""
    groups: dict[MissedCause, list[Delivery]] = {}
    for row in rows:
        groups.setdefault(cause_of(row), []).append(row)
    return groups


class WorkList:
    """The work list of one app. Thread-safe. Every method raises redis.RedisError when Redis is unavailable."""

    def __init__(self, client: Redis, app: str) -> None:
        self._redis = client
        self._app = app
        self._todo, self._done = keys.missed(app), keys.missed_done(app)
        self._tick = client.register_script(_TICK)
        self._untick = client.register_script(_UNTICK)

    def counts(self) -> tuple[int, int]:
        """(number to do, number done)."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zcard(self._todo)
            pipe.zcard(self._done)
            todo, done = pipe.execute()
        return todo, done

    def page(
        self, done: bool = False, before: str | None = None, limit: int = PAGE, named: by_name.Named | None = None
    ) -> Page:
        """A page of what is to do, or of what is done. `before`: a page's `older`. ValueError for another cursor.

        named: whose customer is meant.
        """
        if named is not None:
            listed = self._done if done else self._todo
            return by_name.page(self._redis, query.Wanted(self._app, {}), named, before, limit, listed)
        bound = None if before is None else place_of(before)
        walked = walk(self._redis, self._done if done else self._todo, bound=bound, batch=limit + 1)
        places = list(islice(walked, limit + 1))
        older = cursor_of(places[limit - 1]) if len(places) > limit else None
        return Page(self.rows([identity for _, identity in places[:limit]]), older)

    def rows(self, ids: Sequence[str]) -> list[Delivery]:
        """The rows of these ids that exist and belong to this app, in the given order."""
        return [one for one in query.read(self._redis, ids) if one.app == self._app and one.outcome]

    def open(self, ids: Sequence[str]) -> list[Delivery]:
        """The rows of these ids that are still to do, in the given order."""
        if not ids:
            return []
        scores = self._redis.zmscore(self._todo, list(ids))
        return self.rows([identity for identity, score in zip(ids, scores, strict=True) if score is not None])

    def tick(self, ids: Iterable[str], who: str, now: int) -> list[str]:
        """Tick off rows. `who`: the operator; `now`: ms. → the ids that were on the list; others stay as they are."""
        return [one for one in ids if self._tick(keys=self._keys(one), args=[one, who, now])]

    def untick(self, ids: Sequence[str]) -> list[str]:
        """Undo ticks. → the ids that are on the list again."""
        return [
            row.id
            for row in self.rows(ids)
            if self._untick(
                keys=[*self._keys(row.id), index(self._app, "external_user_id", row.external_user_id)],
                args=[row.id, keys.event("")],
            )
        ]

    def ticked_at(self, at: int) -> list[str]:
        """The ids that were ticked off at `at` (ms), which is one request's `now`; at most PAGE."""
        return replies.texts(self._redis.zrangebyscore(self._done, at, at, start=0, num=PAGE))

    def add_unannounced(self, found: Iterable[Delivery], life: int) -> int:
        """Put customers on the list for whom no event came; rows are kept `life` s. → how many are new.

        One that was ticked off stays so.
        """
        return sum(without_event.add(self._redis, one, life) for one in found)

    def drop(self, ids: Sequence[str]) -> None:
        """Erase rows, such as those of customers who were announced after all."""
        erase(self._redis, query.read(self._redis, ids))

    def since(self, ms: int, most: int = 10_000) -> Iterator[Delivery]:
        """Rows to do of customers added since `ms`, newest first; looks at `most` at the most."""
        return query.listed(self._redis, self._todo, ms, most=most)

    def name(self, identity: str, customer: str) -> None:
        """Record a customer's name in its row, if the row still exists."""
        self._redis.eval(
            "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'customer_name', ARGV[1]) end",
            *(1, keys.event(identity), customer),
        )

    def trim(self, before: int) -> int:
        """Erase rows added or ticked off up to `before` (ms), whose life is over. → how many."""
        return sum(query.trim(self._redis, key, before) for key in (self._todo, self._done))

    def _keys(self, identity: str) -> list[str]:
        return [keys.event(identity), self._todo, self._done]
