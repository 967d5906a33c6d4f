"""The ledger: what became of each event, and which worker holds it. Redis stores it; five Lua scripts change it.

    a row is …     which means                                        is in `due` with the time at which …
    waiting        stored, not claimed                                it was received
    claimed        a worker holds it, under a lease                   the lease ends and another worker may claim it
    settled        it has an outcome; the welcome code is erased      (no longer in `due`)

So `due` holds every unfinished event, and one query finds both the new and the stranded: those whose time has come.

    accept   nothing → waiting      stores the row, its place in `due` and a task message, in one step;
                                    the first event with a welcome code owns the code (a half-add and the full add after
                                    it may carry the same one)
    claim    waiting, or claimed with an expired lease → claimed      increments the fencing token and records the try
                                    before its bytes leave, so that a successor knows of it; an event whose code another
                                    one owns waits until that one is settled; when more are due than may be taken, see
                                    tasks.greeting.admission
    extend   claimed → claimed      if the fencing token is still the claim's: records that a further try begins, or
                                    that one was answered, and moves the end of the lease
    settle   → settled              the first outcome stays (only `sent`, WeCom's own word, replaces another); starts
                                    the follow-up, see tasks.followups.store; updates the missed and the statistics
    requeue  queues a task message if a due event was not claimed, or a follow-up is due: all processes but beat do so,
                                    each second or two

    Index sets list the rows by outcome, member, channel, template and customer (see tasks.ledger.rows). accept and
    settle add a row; `trim` removes it when its life is over. A reader (tasks.ledger.query) checks each row against
    the set's value, so a set may list too many rows, and never too few.
    The missed of an app are the settled events, rehearsals apart, with an outcome of MISSED. One leaves when `sent`
    replaces that outcome, or when a later event of the same member and customer is a greeting, which the row then names
    in `greeted_later`.
    Statistics count every settled event, rehearsals apart, under the local day of its receipt.

Times are milliseconds of Redis' own clock: hosts' clocks differ.
"""

import hashlib
import logging
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

import redis
from redis.client import Pipeline
from redis.typing import EncodableT

from tasks.events import ContactAdded
from tasks.ledger import by_name, celery_message, idle, pauses, query, samples, statistics
from tasks.ledger.claims import LOOKED_AT, Admission, Batch, Claim, Kept, SettledEvent, Taken
from tasks.ledger.delivery import GREETED, MISSED, OUTCOMES, Delivery, Outcome, WorkerRecord
from tasks.ledger.query import Page
from tasks.ledger.recorded import Recorded
from tasks.ledger.rows import (
    WORKERS_KEPT,
    claim_of,
    course_field,
    course_fields,
    flat,
    from_row,
    index,
    new_row,
    settled_fields,
)
from tasks.rate_limits.limiter import CALLS_LUA
from tasks.rate_limits.limits import ALL_CORPS, SEND, Limits
from tasks.storage import keys, replies
from tasks.storage.clock import now_ms
from tasks.storage.connections import Redis, ScriptCall, repeatable, run_scripts
from tasks.storage.places import BATCH
from tasks.storage.scripts import registered

log = logging.getLogger(__name__)

CLAIM_LEASE = 4.0  # seconds: the first try's time-out and a second
WAITING_MESSAGES = 8  # each is a worker to come, which claims all that is due
LEFT_BEHIND = 0.25  # seconds after which a due event was evidently not taken
WAKE_PAUSE = 1.0  # seconds between two messages that wake the slow queue for follow-ups
SLOW_MESSAGES = 50  # on the slow queue, beyond which no more of them are added
TRIM_LATEST = 86400  # seconds past its life after which a row goes by itself, if nobody trims
CLOCKS_APART = 3600  # seconds that Redis' clock and WeCom's may differ by
CODE_LIFE = 7 * 86400  # seconds for which it is known whose a welcome code is: WeCom gives it once, for seconds
PUT_OFF = 0.25  # seconds after which it is looked again what became of the owner of an event's code
_EVERYBODY = Admission(worthwhile=-1e9)  # however late
LAST_TRY = 0.5  # seconds before the end of an event's window: it does not wait for WeCom's limits any more
SIBLING = 600.0  # seconds before an event in which another one of the same two may have used its code
CANARY = 2.0  # seconds without a message after which one is sent to prove that the workers consume


class Acceptance(Enum):
    """What became of an event at the door; true if it is stored now. The values are counted."""

    STORED = "stored"
    DUPLICATE = "duplicate"  # WeCom sent it again
    FORGOTTEN = "forgotten"  # its customer was erased since: somebody replays it
    OUTDATED = "outdated"  # older than what is remembered: replayed, or our clock is days off

    def __bool__(self) -> bool:
        return self is Acceptance.STORED


_ACCEPTED = {1: Acceptance.STORED, 0: Acceptance.DUPLICATE, -1: Acceptance.FORGOTTEN, -2: Acceptance.OUTDATED}

_KEPT = {1: Kept.YES, 0: Kept.NO, 2: Kept.LIMITED}


class Ledger:
    """The ledger in one Redis. Thread-safe. Every method raises redis.RedisError when Redis does not answer."""

    def __init__(
        self,
        client: Redis,
        keep_days: int,
        window: float,
        timezone: ZoneInfo,
        limits: Limits | None = None,
        corps: int = 1,
        forwarding: Collection[str] = (),
    ) -> None:
        """`corps`: how many there are; `forwarding`: apps whose events other systems get (tasks.forwards)."""
        self._redis = client
        self._life = keep_days * 86400
        self.window = window
        self._timezone = timezone
        self._forwarding = forwarding
        self._limits = limits or Limits.of()
        self._all_corps = keys.calls(SEND, ALL_CORPS) if corps > 1 else ""
        self._accept, self._settle, self._requeue = registered(client, "tasks.ledger", "accept", "settle", "requeue")
        self._claim, self._extend = registered(client, "tasks.ledger", "claim", "extend", before=CALLS_LUA)
        # An event that is there already is only counted as sent again; `extend` says how many tries there are. Of the
        # others, `claim` and `requeue` are called again anyway; who calls `settle` decides what a lost answer means.
        repeatable(self._accept)
        repeatable(self._extend)

    def accept(self, event: ContactAdded) -> Acceptance:
        """Store an event and queue a task message. Neither for one that is there already, nor for a replay."""
        return _ACCEPTED[self._accept(*self._to_accept(event))]

    def take_in(self, recorded: Iterable[Recorded], pipe: Pipeline) -> None:
        """Queue what stores events that were recorded without Redis, and their outcomes, in one step of `pipe`.

        An event without an outcome is queued for a worker, with the age that it has. Doing it again changes nothing.
        """
        for one in recorded:
            age = max(0, round((time.time() - one.received_at) * 1000))
            self._accept(*self._to_accept(one.event, max(1, age), one.attempts, one.answers), client=pipe)
            if one.settlement is not None:
                settled = SettledEvent(one.event, one.settlement, one.counts, one.follow_up)
                self._settle(*self._to_settle(settled), client=pipe)

    def claim(self, most: int, poll_again_within: float = 0.0) -> Sequence[Claim]:
        """Take up to `most` events that are due, oldest first, however late it is; none while the queue is paused.

        `poll_again_within` > 0 promises to ask again within so many seconds, so that no message is queued meanwhile.
        """
        return self.take(most, _EVERYBODY, poll_again_within).claims

    def take(
        self, most: int, admission: Admission, poll_again_within: float = 0.0, settled: Batch | None = None
    ) -> Taken:
        """As `claim`; when more are due than `most`, those whom `admission` says. Before it, `settled` is written.

        What of it could be written is, whatever becomes of the claim.
        """
        order = "newest_first" if admission.newest_first else "oldest_first"
        return self._taken(most, admission, order, poll_again_within, settled)

    def take_too_late(self, most: int, possible: float) -> Sequence[Claim]:
        """Take up to `most` due events that have less than `possible` seconds left, to settle them: no try begins."""
        return self._taken(most, Admission(possible), "too_late").claims

    def _taken(
        self,
        most: int,
        admission: Admission,
        whom: str,
        poll_again_within: float = 0.0,
        settled: Batch | None = None,
    ) -> Taken:
        asked_at = time.monotonic()  # before Redis looked at its clock, so that no deadline comes out too late
        left, shares = [int(one * 1000) for one in (self.window, admission.worthwhile)], admission.shares
        claim = ScriptCall(
            self._claim,
            [keys.DUE, keys.POLLING_UNTIL, keys.CONSUMED, keys.pause(pauses.WELCOME), keys.IDLE],
            [
                keys.event(""),
                most,
                int(CLAIM_LEASE * 1000),
                int(poll_again_within * 1000),
                keys.book(""),
                int(PUT_OFF * 1000),
                whom,
                *left,
                keys.calls(SEND, ""),
                self._limits.minute,
                self._limits.hour,
                int(LAST_TRY * 1000),
                self._all_corps,
                *("" if shares is None else shares.each, LOOKED_AT),
                *(int(idle.LEAST * 1000), idle.IDLE_KEPT, WORKERS_KEPT),
                *flat(shares.held if shares else {}),
            ],
        )
        (answer,) = self._exchange(settled or Batch(), claim)
        if isinstance(answer, redis.RedisError):
            raise answer
        now, waits, passed_over, *rows = answer
        claims = []
        for fields, revision, became in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
            row = dict(zip(fields[::2], fields[1::2], strict=True))
            try:
                claims.append(claim_of(row, revision, became, now, asked_at, self.window))
            except (KeyError, ValueError) as error:  # of another release: it must not cost those beside it the greeting
                log.error("an event in the ledger cannot be read (%s), and is left to others", type(error).__name__)
        return Taken(claims, bool(waits), passed_over)

    def greeted_sibling(self, event: ContactAdded, received_at: int) -> str | None:
        """The id of another event of the same two that was greeted, received less than SIBLING before `received_at`.

        Or after it. None: there is none.
        """
        greeted = self.page(
            event.app,
            outcome=frozenset(GREETED),
            user_id=event.user_id,
            external_user_id=event.external_user_id,
            since=received_at - int(SIBLING * 1000),
            limit=1,
        )
        return greeted.rows[0].id if greeted.rows else None

    def begin_try(self, claim: Claim, number: int, timeout: float, so_far: WorkerRecord | None = None) -> Kept:
        """Record that try `number` begins; hold the lease for its time-out and a second. Its call counts.

        so_far, here and below: what the worker has recorded, kept in the same step should another one take over.
        """
        calls = [keys.calls(SEND, claim.event.corp_id), *filter(None, [self._all_corps])]
        return _KEPT[self._extended(claim, timeout + 1.0, {"attempts": number, **course_fields(so_far)}, calls)]

    def extend_lease(self, claim: Claim, timeout: float, so_far: WorkerRecord | None = None) -> bool:
        """For the try that the claim itself has recorded and counted. False: not ours any more."""
        return bool(self._extended(claim, timeout + 1.0, course_fields(so_far)))

    def answered(self, claim: Claim, answers: int, wait: float, so_far: WorkerRecord | None = None) -> bool:
        """Record that `answers` of the tries were answered, and hold the lease for `wait` seconds, and a second."""
        return bool(self._extended(claim, wait + 1.0, {"answers": answers, **course_fields(so_far)}))

    def give_back(self, claim: Claim, tries: int, answers: int, so_far: WorkerRecord | None = None) -> bool:
        """Let the event wait again as before the claim, after so many tries and answers. False: not ours any more."""
        counts = {"attempts": tries, "answers": answers, "given_back": claim.given_back + 1}
        return bool(self._extended(claim, None, {**counts, **course_fields(so_far)}))

    def settle(self, one: SettledEvent) -> bool:
        """Write the outcome, erase the code, add the counts to the counters. False: another outcome was first."""
        return bool(self._settle(*self._to_settle(one)))

    def settle_all(self, batch: Batch) -> None:
        """As `settle`, each for itself, in one exchange with Redis. Raises ResponseError if it took none of them."""
        self._exchange(batch)
        if batch.events and all(written is None for written in batch.written):
            raise redis.ResponseError("no outcome was accepted")

    def _exchange(self, batch: Batch, *calls: ScriptCall) -> list[Any]:
        """Settle the batch, then make the calls, in one exchange. → what the calls return, or their errors."""
        settles = [ScriptCall(self._settle, *self._to_settle(one)) for one in batch.events]
        answers = run_scripts(self._redis, [*settles, *calls])
        for one, answer in zip(batch.events, answers, strict=False):
            if isinstance(answer, redis.RedisError):
                log.error("the outcome of %s is not accepted: %s", one.event.id, type(answer).__name__)
        settled = answers[: len(settles)]
        batch.written = [None if isinstance(answer, redis.RedisError) else bool(answer) for answer in settled]
        return answers[len(settles) :]

    def requeue(self) -> int:
        """Queue a task message if a due event was not claimed, or the queue was silent. → how many events were not."""
        return int(
            self._requeue(
                keys=[
                    *(keys.DUE, keys.QUEUE, keys.CONSUMED),
                    *(keys.FOLLOWUP_DUE, keys.SLOW_QUEUE, keys.FOLLOWUP_WOKEN),
                    *(keys.SAMPLES, keys.EVENTS, keys.COUNTERS, keys.CHANGES, keys.TAGGING),
                ],
                args=[
                    *(
                        int(LEFT_BEHIND * 1000),
                        int(CANARY * 1000),
                        WAITING_MESSAGES,
                        celery_message.message(uuid.uuid4().hex),
                    ),
                    *(int(WAKE_PAUSE * 1000), SLOW_MESSAGES, celery_message.slow_message(uuid.uuid4().hex)),
                    *(samples.EVERY_MS, samples.KEPT, samples.LIFE, samples.GREETED_SO_FAR, samples.MISSED_SO_FAR),
                ],
            )
        )

    # --- reading ---

    def delivery(self, identity: str) -> Delivery | None:
        """One event, and what became of it; None if it is not here."""
        row = self.fields(identity)
        return from_row(identity, row) if row else None

    def fields(self, identity: str) -> dict[str, str] | None:
        """A row as it is stored, for people who look into it, without the welcome code; None if there is none."""
        row = replies.fields(self._redis.hgetall(keys.event(identity)))
        row.pop("welcome_code", None)
        return {"id": identity, **row} if row else None

    def page(
        self,
        app: str,
        *,
        outcome: frozenset[str] | None = None,
        user_id: str | None = None,
        external_user_id: str | None = None,
        state: str | None = None,
        template: str | None = None,
        since: int | None = None,
        until: int | None = None,
        before: str | None = None,
        after: str | None = None,
        limit: int = 50,
        named: by_name.Named | None = None,
    ) -> Page:
        """Up to `limit` rows of an app, newest first, for which all that is given holds.

        outcome: any of these, "" for those that have none yet. state, template: "" for those without. since, until: ms
        of receipt, both included. before, after: a cursor of another page. Bounded work: see `Page.whole`. Rows that
        were stored before there were index sets come only where nothing but a time is asked for. named: whose customer
        is meant; `after` does not count then. Raises ValueError for what is no cursor.
        """
        given = {"user_id": user_id, "external_user_id": external_user_id, "state": state, "template": template}
        fields: dict[str, Collection[str]] = {name: (value,) for name, value in given.items() if value is not None}
        if outcome is not None:
            fields["outcome"] = outcome
        wanted = query.Wanted(app, fields, since or 0, until)
        if named is not None:
            return by_name.page(self._redis, wanted, named, before, limit)
        return query.page(self._redis, query.keys_for(self._redis, wanted), wanted, before, after, limit)

    def count(self, app: str, since: int = 0, until: int | None = None) -> dict[str, int]:
        """Outcome → how many indexed rows of an app, rehearsals too, received from `since` to `until` (ms).

        "": of those without an outcome.
        """
        outcomes = ["", *map(str, OUTCOMES)]
        with self._redis.pipeline(transaction=False) as pipe:
            for outcome in outcomes:
                pipe.zcount(index(app, "outcome", outcome), since, "+inf" if until is None else until)
            return dict(zip(outcomes, pipe.execute(), strict=True))

    def counts(self, apps: Sequence[str], outcomes: Collection[str], since: int = 0) -> dict[str, dict[str, int]]:
        """App → outcome → how many, as `count`, of these outcomes and several apps in one exchange."""
        asked = [(app, outcome) for app in apps for outcome in outcomes]
        with self._redis.pipeline(transaction=False) as pipe:
            for app, outcome in asked:
                pipe.zcount(index(app, "outcome", outcome), since, "+inf")
            found: dict[str, dict[str, int]] = {app: {} for app in apps}
            for (app, outcome), number in zip(asked, pipe.execute() if asked else [], strict=True):
                found[app][outcome] = number
        return found

    def deliveries(self, since: int = 0, until: int | None = None, batch: int = BATCH) -> Iterator[Delivery]:
        """Events received from `since` to `until` (ms), newest first. Reads `batch` rows at a time."""
        return query.listed(self._redis, keys.EVENTS, since, until, batch)

    def trim(self) -> int:
        """Erase the rows that are past their life, from all lists that name them. → how many."""
        return query.trim(self._redis, keys.EVENTS, self.now() - self._life * 1000)

    def now(self) -> int:
        """Redis' clock, in ms."""
        return now_ms(self._redis)

    def _to_accept(
        self, event: ContactAdded, age: int = 0, attempts: int = 0, answers: int = 0
    ) -> tuple[list[str], list[Any]]:
        """KEYS and ARGV of accept.lua. `age`: ms since the receipt; attempts, answers: see `new_row`."""
        identity, row = event.id, new_row(event, attempts, answers)
        code = "" if event.rehearsal else event.welcome_code
        indexes = {"outcome": "", "user_id": event.user_id, "state": event.state}
        indexes["external_user_id"] = event.external_user_id
        listed = [index(event.app, field, value) for field, value in indexes.items()]
        pushed_at = event.created_at if event.pushed_at is None else min(event.created_at, event.pushed_at)
        return (
            [
                *(keys.event(identity), keys.DUE, keys.EVENTS, keys.QUEUE, keys.POLLING_UNTIL),
                *(keys.code_owner(_digest(event.app, code)), keys.forgotten_event(identity), *listed),
            ],
            [
                *(identity, self._life + TRIM_LATEST, WAITING_MESSAGES, celery_message.message(identity)),
                *(min(CODE_LIFE, self._life) if code else 0, pushed_at, self._life - CLOCKS_APART),
                *(age, *flat(row)),
            ],
        )

    def _extended(
        self,
        claim: Claim,
        lease: float | None,
        counts: Mapping[str, str | int] | None = None,
        calls: Iterable[str] = (),
    ) -> int:
        args: list[str | int] = [claim.id, claim.fencing_token, "" if lease is None else int(lease * 1000)]
        args += [self._limits.minute, self._limits.hour, *flat(counts or {})]
        return int(self._extend(keys=[keys.event(claim.id), keys.DUE, *calls], args=args))

    def _to_settle(self, one: SettledEvent) -> tuple[list[str], list[EncodableT]]:
        """KEYS and ARGV of settle.lua."""
        event, settlement, counts = one.event, one.settlement, {**one.counts, **samples.so_far(one)}
        fields, app, outcome = settled_fields(settlement), event.app, settlement.outcome
        latency, pace = statistics.latency(settlement.steps) if outcome is Outcome.SENT else ("", "")
        ahead = datetime.now(self._timezone).utcoffset() or timedelta()
        names = [
            *(keys.event(event.id), keys.DUE, keys.COUNTERS, keys.FOLLOWUP_DUE, keys.FOLLOWUP_AWAITED),
            keys.missed(app),
            index(app, "external_user_id", event.external_user_id),
            *(index(app, "outcome", outcome), index(app, "template", settlement.template)),
            keys.FORWARD_NEW,
        ]
        return names, [
            event.id,
            len(fields),
            *flat(fields),
            len(counts),
            *flat(counts),
            *("1" if holds else "" for holds in (one.follow_up, outcome in MISSED, outcome in GREETED)),
            *(keys.event(""), index(app, "outcome", ""), index(app, "template", "")),
            *(keys.tallies(app), statistics.LIFE, statistics.FIELDS_LIMIT, statistics.VALUE_LIMIT),
            *(int(ahead.total_seconds()), latency, self._life + TRIM_LATEST, pace),
            *("1" if app in self._forwarding else "", course_field(settlement.worker)),
        ]


def _digest(app: str, code: str) -> str:
    """What is kept of a welcome code: enough to know it again, and nothing to greet with."""
    return hashlib.sha256(f"{app}\0{code}".encode()).hexdigest()[:32]
