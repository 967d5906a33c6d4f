"""Events on their way to a target, in Redis: at least once, in order for each customer.

    settle.lua, record.lua                  name each event of an app that forwards, in the step that stores it
    route      the event → a body for each target that wants it, at the end of the customer's line there    route.lua
    claim      the first event of each due line, under a lease                                              claim.lua
    finish     delivered; or tried again later; or parked, after a day                                      finish.lua
    retry      a parked one to the end of its line                                                          retry.lua
    hasten     one that waits for its next try is due now                                                   hasten.lua
    replay     what happened in a period is to be routed once more                                          replay.lua

    Redis   welcome:forward-new                 a list of what is to be routed: "event:ID", "change:JSON"
            welcome:forward-entry:APP:TARGET:ID a hash: an event on its way to a target
            welcome:forward-line:APP:TARGET:C   a list: entries of one customer, by a digest, the oldest first
            welcome:forward-due:APP:TARGET      a sorted set: line → ms from which its first event may be tried
            welcome:forward-target:APP:TARGET   a hash: how the target is
            welcome:forward-waiting:APP:TARGET  a sorted set: entry on its way → ms at which it was routed
            welcome:forward-parked:APP:TARGET   a sorted set: entry → ms at which it was given up

A target that cannot be reached is tried with one event at a time, with growing rests, and costs the others nothing.
Once it answers again, what waits for its next try is due.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import redis

from tasks.events import ContactChanged
from tasks.forwards import payload
from tasks.ledger.delivery import ContactChange, Delivery, Outcome
from tasks.ledger.ledger import Ledger
from tasks.ledger.rows import customer_line
from tasks.reasons import Reason
from tasks.settings import App, Target
from tasks.storage import clock, keys, replies
from tasks.storage.connections import Redis
from tasks.storage.scripts import registered
from tasks.storage.unreadable import readable

log = logging.getLogger(__name__)

DAY = 86_400.0  # seconds for which an event is tried
DELAYS = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 21600.0)  # seconds between two tries; then the last
LEASE = 20.0  # seconds: a try's time-out, and some
REST, LONGEST_REST = 2.0, 30.0  # seconds for which a target rests that cannot be reached: twice as long each time
LIFE = 8 * 86_400  # seconds for which an event on its way, or parked, is kept
AT_ONCE = 100  # events routed in one go
MADE_DUE = 5000  # lines in one go: some 20 ms of Redis; fewer fail in a day while a target cannot be reached


@dataclass(frozen=True, slots=True)
class Entry:
    """An event on its way to a target. `tries`: begun, this one included, and the fencing token of a claim.

    at: when it was routed; next_at: of its next try, parked_at: when it was given up; Unix seconds.
    """

    id: str  # of the event
    app: str
    target: str
    change: str
    line: str
    body: bytes
    at: float
    tries: int
    why: Reason | None = None  # of the last failure
    next_at: float | None = None
    parked_at: float | None = None
    too_old: bool = False  # to be tried again

    @property
    def key(self) -> str:
        return keys.forward_entry(self.app, self.target, self.id)


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """How a target is, and its events: how many are on their way, and parked. `failures`: in a row, of reaching it.

    oldest: seconds for which the first of those on their way has been, 0 if none is; delivered_at, parked_at: of the
    last, Unix seconds.
    """

    waiting: int
    oldest: float = 0.0
    failures: int = 0
    why: Reason | None = None
    delivered: int = 0
    delivered_at: float | None = None
    parked: int = 0
    parked_at: float | None = None


class Forwards:
    """The events on their way. Thread-safe. Methods raise redis.RedisError."""

    def __init__(self, client: Redis, apps: Mapping[str, App], ledger: Ledger) -> None:
        self._redis = client
        self._apps = apps
        self._ledger = ledger
        names = "route", "claim", "finish", "retry", "hasten", "replay"
        self._route, self._claim, self._finish, self._retry, self._hasten, self._replay = registered(
            client, "tasks.forwards", *names
        )

    def route(self) -> int:
        """Give the next events that are to be forwarded to their targets. → how many: AT_ONCE if there may be more."""
        items = replies.texts(self._redis.lrange(keys.FORWARD_NEW, 0, AT_ONCE - 1))
        return sum(self._route_one(item) for item in items)

    def _route_one(self, item: str) -> int:
        kind, _, rest = item.partition(":")
        names = [keys.FORWARD_NEW, keys.event(rest) if kind == "event" else ""]
        bodies, line = list[str | bytes](), ""
        try:
            entries = list(self._bodies(kind, rest))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError) as error:
            log.error("an event cannot be forwarded, since it cannot be read: %s", type(error).__name__)
            entries = []  # of another release: it holds up none behind it
        for one in entries:
            line = one.line
            names += _places(one)
            bodies += [one.app, one.target, one.change, one.body]
        return int(self._route(keys=names, args=[item, LIFE, line, *bodies]))

    def _bodies(self, kind: str, rest: str) -> Iterator[Entry]:
        event: Delivery | ContactChanged | None
        if kind == "event":
            event = self._ledger.delivery(rest)
            if event is None or event.rehearsal:
                return
        elif kind == "change":
            event = ContactChanged(**json.loads(rest))
        else:
            raise ValueError("no kind of event")
        line = customer_line(event.app, event.external_user_id)
        for target in self._targets(event.app, event.change):
            yield Entry(event.id, event.app, target.id, event.change, line, payload.body(event, target), 0, 0)

    def _targets(self, app: str, change: str) -> list[Target]:
        known = self._apps.get(app)
        return [] if known is None else [target for target in known.forwards if change in target.changes]

    def due(self, targets: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Those of these targets (app, target) that have a due line, in their order; in one exchange with Redis."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            for app, target in targets:
                pipe.zrange(keys.forward_due(app, target), 0, 0, withscores=True)
            time, *firsts = pipe.execute(raise_on_error=False)
        if isinstance(time, redis.RedisError):
            raise time
        now = clock.seconds(time) * 1000
        # of a reply that is an error, `claim` speaks
        pairs = zip(targets, firsts, strict=True)
        return [one for one, first in pairs if first and (isinstance(first, Exception) or first[0][1] <= now)]

    def claim(self, app: str, target: str, most: int) -> list[Entry]:
        """The first events of up to `most` due lines of a target, under a lease of LEASE seconds."""
        flat = self._claim(
            keys=[keys.forward_due(app, target), keys.forward_target(app, target), keys.forward_waiting(app, target)],
            args=[keys.forward_line(app, target, ""), most, int(LEASE * 1000), int(DAY * 1000)],
        )
        found = []
        for key, old, fields in zip(flat[::3], flat[1::3], flat[2::3], strict=True):
            entry = _read(key, dict(zip(fields[::2], fields[1::2], strict=True)), old == "1")
            if entry is None:
                log.error("an event that was on its way is given up, since it cannot be read")
                self._redis.delete(key)  # the next claim goes on with its line
            else:
                found.append(entry)
        return found

    def delivered(self, entry: Entry) -> bool:
        """False: another process has claimed it since."""
        return self._finished(entry, "delivered")

    def failed(self, entry: Entry, why: Reason, unwell: bool, wait: float = 0.0) -> bool:
        """Try it again later, after `wait` seconds at least. → as `delivered`.

        unwell: the target cannot be reached, or says so itself: it rests, too.
        """
        delay = max(wait, DELAYS[min(entry.tries, len(DELAYS)) - 1])
        return self._finished(entry, "later", delay, why, "unwell" if unwell else "well", max(REST, wait))

    def parked(self, entry: Entry, why: Reason | None = None) -> bool:
        """Give an event up that is too old, or that the target wants no more, which is `why`; it can be looked at."""
        return self._finished(entry, "parked", why=why or entry.why, target="" if why is None else "well")

    def _finished(
        self,
        entry: Entry,
        how: str,
        delay: float = 0.0,
        why: Reason | None = None,
        target: str = "",
        rest: float = REST,
    ) -> bool:
        return bool(
            self._finish(
                keys=[
                    entry.key,
                    keys.forward_line(entry.app, entry.target, entry.line),
                    keys.forward_due(entry.app, entry.target),
                    keys.forward_target(entry.app, entry.target),
                    keys.forward_parked(entry.app, entry.target),
                    keys.forward_waiting(entry.app, entry.target),
                ],
                args=[
                    *(entry.tries, how, int(delay * 1000), why.to_json() if why else ""),
                    *(target, int(rest * 1000), int(LONGEST_REST * 1000), LIFE, entry.line),
                    *(int(LEASE * 1000), MADE_DUE),
                ],
            )
        )

    def status(self, app: str) -> dict[str, TargetStatus]:
        """Target → how it is; of those in the settings."""
        return {target.id: status for _, target, status in self.statuses([app])}

    def statuses(self, apps: Iterable[str]) -> list[tuple[str, Target, TargetStatus]]:
        """How each target of these apps is, in one exchange with Redis: (app, target, status)."""
        targets = [(app, target) for app in apps for target in self._apps[app].forwards]
        if not targets:
            return []
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            for app, target in targets:
                pipe.zcard(keys.forward_waiting(app, target.id))
                pipe.zrange(keys.forward_waiting(app, target.id), 0, 0, withscores=True)
                pipe.hgetall(keys.forward_target(app, target.id))
                pipe.zcard(keys.forward_parked(app, target.id))
                pipe.zrange(keys.forward_parked(app, target.id), -1, -1, withscores=True)
            time, *found = pipe.execute()
        rows = zip(found[::5], found[1::5], found[2::5], found[3::5], found[4::5], strict=True)
        return [
            (app, target, _status(f"how the target {target.id} of {app} is", clock.seconds(time), *row))
            for (app, target), row in zip(targets, rows, strict=True)
        ]

    def listed(self, app: str, most: int) -> list[Entry]:
        """The parked events, newest first, then those that failed and are tried again: up to `most` of each."""
        targets = [target.id for target in self._apps[app].forwards]
        with self._redis.pipeline(transaction=False) as pipe:
            for target in targets:
                pipe.zrevrange(keys.forward_parked(app, target), 0, most - 1, withscores=True)
            for target in targets:
                pipe.zrange(keys.forward_due(app, target), 0, most - 1)
            found = pipe.execute()
            scored = sorted((pair for one in found[: len(targets)] for pair in one), key=lambda pair: -pair[1])
            parked = [key for key, _ in scored[:most]]
            for target, due in zip(targets, found[len(targets) :], strict=True):
                for line in due:
                    pipe.lindex(keys.forward_line(app, target, line), 0)
            heads = [key for key in pipe.execute() if key]
            for key in (*parked, *heads):
                pipe.hgetall(key)
            rows = pipe.execute()
        entries = [_read(key, row) for key, row in zip((*parked, *heads), rows, strict=True) if row]
        return [one for one in entries if one is not None and (one.parked_at is not None or one.why is not None)]

    def retry(self, app: str, identity: str) -> int:
        """Put the parked events of this id at the end of their lines, and let those that wait be tried now.

        → how many there were, one for a target.
        """
        names = [keys.forward_entry(app, target.id, identity) for target in self._apps[app].forwards]
        return sum(self._retry_one(name) for name in names)

    def retry_all(self, app: str) -> int:
        """The same for all events of an app, the parked ones in the order in which they were given up."""
        waited = sum(self._hasten_all(app, target.id) for target in self._apps[app].forwards)
        names = [
            name
            for target in self._apps[app].forwards
            for name in replies.texts(self._redis.zrange(keys.forward_parked(app, target.id), 0, -1))
        ]
        return waited + sum(self._retry_one(name) for name in names)

    def _retry_one(self, name: str) -> int:
        entry = _read(name, replies.fields(self._redis.hgetall(name)))
        if entry is None:
            return 0
        if entry.parked_at is None and entry.why is not None:
            return self._hasten_some(entry.app, entry.target, entry.line)
        return int(self._retry(keys=_places(entry), args=[entry.line, LIFE]))

    def _hasten_all(self, app: str, target: str) -> int:
        """MADE_DUE lines at a time, so that Redis is never held up for long. → how many."""
        steps = -(-int(self._redis.zcard(keys.forward_due(app, target))) // MADE_DUE)
        return sum(self._hasten_some(app, target) for _ in range(steps))

    def _hasten_some(self, app: str, target: str, line: str = "") -> int:
        """A line, or "" for MADE_DUE of them. → how many."""
        places = [keys.forward_due(app, target), keys.forward_target(app, target)]
        return int(self._hasten(keys=places, args=[int(LEASE * 1000), MADE_DUE, line]))

    def replay(self, app: str, since: int, until: int) -> int:
        """Forward what happened from `since` to `until` (ms) once more, under the same ids, in its order. → how many.

        The adds received then, and the later changes that WeCom told of then, of adds whose rows are kept.
        """
        found = []
        for row in self._ledger.deliveries(until=until):
            if row.app == app and not row.rehearsal and row.outcome not in (None, Outcome.NOT_TRANSFERRED):
                name = keys.event(row.id)
                if row.received_ms >= since:
                    found.append((row.created_at, 0, f"event:{row.id}", name))
                changes = (one for one in row.changes if since <= one.at * 1000 <= until)
                found += [(one.at, 1, _change(row, one), name) for one in changes]
        found.sort()
        some = (found[begin : begin + AT_ONCE] for begin in range(0, len(found), AT_ONCE))
        return sum(
            int(self._replay(keys=[keys.FORWARD_NEW, *(one[3] for one in part)], args=[one[2] for one in part]))
            for part in some
        )


def _change(row: Delivery, one: ContactChange) -> str:
    """A change as it is to be routed."""
    who = {"app": row.app, "corp_id": row.corp_id, "user_id": one.user_id or row.user_id}
    what = {"change": one.change, "created_at": one.at, "detail": one.detail}
    return "change:" + json.dumps({**who, "external_user_id": row.external_user_id, **what})


def _read(key: str, row: Mapping[str, str], too_old: bool = False) -> Entry | None:
    """None for what is no entry, or only half of one."""
    try:
        return _entry(key, row, too_old)
    except (ValueError, KeyError, TypeError):
        return None


def _entry(key: str, row: Mapping[str, str], too_old: bool = False) -> Entry:
    return Entry(
        id=key.rpartition(":")[2],
        app=row["app"],
        target=row["target"],
        change=row["change"],
        line=row["line"],
        body=row["body"].encode(),
        at=int(row["at"]) / 1000,
        tries=int(row["tries"]),
        why=Reason.from_json(row.get("why")),
        next_at=int(row["next_at"]) / 1000 if row.get("next_at") else None,
        parked_at=int(row["parked_at"]) / 1000 if row.get("parked_at") else None,
        too_old=too_old,
    )


def _places(entry: Entry) -> list[str]:
    """The names of an entry, of its customer's line, and of what the target has of them."""
    app, target = entry.app, entry.target
    of_target = (keys.forward_due, keys.forward_waiting, keys.forward_parked)
    return [entry.key, keys.forward_line(app, target, entry.line), *(name(app, target) for name in of_target)]


def _status(
    what: str,
    now: float,
    waiting: int,
    first: Sequence[tuple[str, float]],
    known: Mapping[str, str],
    parked: int,
    last: Sequence[tuple[str, float]],
) -> TargetStatus:
    """`what`: for the log, where it is known no more than how many events there are."""
    events = TargetStatus(
        waiting=waiting,
        oldest=max(0.0, now - first[0][1] / 1000) if first else 0.0,
        parked=parked,
        parked_at=last[0][1] / 1000 if last else None,
    )
    return readable(what, partial(_known, events, known)) or events


def _known(events: TargetStatus, known: Mapping[str, str]) -> TargetStatus:
    return replace(
        events,
        failures=int(known.get("failures") or 0),
        why=Reason.from_json(known.get("why")),
        delivered=int(known.get("delivered") or 0),
        delivered_at=int(known["delivered_at"]) / 1000 if known.get("delivered_at") else None,
    )
