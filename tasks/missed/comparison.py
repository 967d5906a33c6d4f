"""The nightly comparison: finds customers whom WeCom never announced, since its callbacks are not guaranteed.

Once a night, all customers of the members in the app's range (`batch_get_by_user`, doc 92994) are compared with the
ledger. A customer who was added in the compared period and has no event there goes on the work list.

    due or requested → the run is recorded → advanced in slices of at most PATIENCE seconds → the last good run

The run's progress is saved in Redis after every page, so a slice may end at any moment: at a rate limit, which is
waited out, when the process dies, or when its time is up. A lock admits one slice at a time.

    welcome:comparison:APP    begun_at: Unix seconds of the installation's first event or first run
                              run: the run in progress    good: the last run that completed
                              failed: what stopped the run last      (JSON)
"""

import hashlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from redis.exceptions import LockError
from redis.lock import Lock

from tasks.ledger import earlier, query
from tasks.ledger.delivery import Delivery, Outcome
from tasks.ledger.rows import pair
from tasks.missed.comparison_run import (
    CURSOR_ENDED,
    FARTHEST,
    MARGIN,
    PERIOD,
    ComparisonFailure,
    ComparisonRun,
    ComparisonStatus,
    Unannounced,
    is_due,
    not_announced,
    period,
    unannounced_id,
)
from tasks.missed.work_list import WorkList
from tasks.reasons import Kind, Reason
from tasks.settings import App
from tasks.state.erasure import forgotten
from tasks.storage import keys, replies
from tasks.storage.clock import now_ms
from tasks.storage.connections import Redis
from tasks.storage.places import walk
from tasks.wecom import WeComAPIError, WeComClient, WeComError
from tasks.wecom.errors import Busy, Failure, Limited, NoAnswer, Unanswered

log = logging.getLogger(__name__)

PATIENCE = 50.0  # seconds for one slice of a run
CALL = 10.0  # seconds for one call
LEASE = 600.0  # seconds the lock lives: a slice first reads the period's events, some 10,000 a second
SOON, LATER = 60, 3600  # seconds to wait after a transient error; after a rate limit or a wrong setting
MEMBERS = 100  # of one call, doc 92994
CUSTOMERS = 100  # of one page

MEMBER_ERRORS = frozenset({40003, 46004, 50002, 60011, 60021, 60111, 84074})  # errcodes: a member of the batch, unnamed
NO_CUSTOMERS = 84061  # reported for members without any customer
UNLICENSED = 701008  # every member of the batch


class ComparisonInProgress(Exception):
    """Another process holds the lock of this app's comparison."""


class Comparison:
    """The comparison for one app. `life`: seconds for which the ledger keeps a row. Methods raise redis.RedisError."""

    def __init__(
        self, client: Redis, app: App, wecom: WeComClient, work_list: WorkList, life: int, zone: ZoneInfo
    ) -> None:
        self._redis = client
        self._app = app
        self._wecom = wecom
        self._life = life
        self._zone = zone
        self._list = work_list
        self._key = keys.comparison(app.name)

    def status(self) -> ComparisonStatus:
        return comparison_status(self._redis, self._app.name)

    def request(self, who: str) -> bool:
        """Request a run now; the upkeep role starts it within a minute. False: one is in progress already."""
        now = self._now()
        run = asdict(ComparisonRun(since=0, until=0, started_at=now, by=who))
        if self._redis.hsetnx(self._key, "run", json.dumps(run, ensure_ascii=False)):
            return True
        under_way = self.status().run
        if under_way is not None and under_way.not_before > now:  # it is waiting out an error: let it go on now
            self._save(replace(under_way, not_before=0))
            return True
        return False

    def advance(self, now: float | None = None) -> ComparisonRun | None:
        """Advance the run that is in progress or due by one slice. → the run afterwards; None: nothing to do.

        `now`: Unix seconds; None: by Redis' clock. Raises ComparisonInProgress. WeCom's errors are recorded, and
        postpone the run.
        """
        at = int(self._now() if now is None else now)
        known = self.status()
        due = is_due(known, at, self._zone)
        if not due and (known.run is None or known.run.not_before > at):
            return None
        name = keys.comparison_lock(self._app.name)
        try:
            with Lock(self._redis, name, timeout=LEASE, blocking=False, raise_on_release_error=False) as lease:
                known = self.status()  # the previous slice may have ended the run
                run = ComparisonRun(0, 0, started_at=at) if due or known.run is None else known.run
                return self._advance(run, known, at, lease)
        except LockError:  # held by another process from the start, or taken over by one after it had expired
            raise ComparisonInProgress(
                "a comparison of this app is under way; its result is shown in a minute"
            ) from None

    def _advance(self, run: ComparisonRun, known: ComparisonStatus, now: int, lease: Lock) -> ComparisonRun:
        run = replace(run, not_before=0)
        begun_at = known.begun_at
        if run.until == 0 or begun_at is None:
            begun_at = self._installed_at(known, now)
            since, until = period(known, now, begun_at, self._life)
            run = replace(run, since=since, until=until)
        self._save(run)
        try:
            announced = self._announced(run.since)
            by = time.monotonic() + PATIENCE
            members = self._calls(by).get_follow_user_list().get("follow_user") or []
            left = sorted(one for one in members if isinstance(one, str) and one > run.after)
            while run.batch or left:
                if not run.batch:
                    run = replace(run, batch=left[:MEMBERS], cursor="")
                run = self._compare_batch(run, announced, by, lease)
                if run.batch:  # out of time
                    return run
                left = [one for one in left if one > run.after]
        except WeComError as error:
            return self._postpone(self.status().run or run, error)
        return self._complete(run, announced)

    def _compare_batch(self, run: ComparisonRun, announced: "Announced", by: float, lease: Lock) -> ComparisonRun:
        """Compare the customers of a batch of members, page by page. → the run after the batch, or when time is up."""
        while run.batch and time.monotonic() <= by:
            try:
                page = self._calls(by).batch_get_by_user(list(run.batch), run.cursor or None, CUSTOMERS)
            except WeComAPIError as error:
                run = self._skip(run, error)
            else:
                run = self._compare_page(run, page, announced)
                lease.reacquire()  # raises LockError if it was lost: do not overwrite the new holder's progress
                self._save(run)
        return run

    def _skip(self, run: ComparisonRun, error: WeComAPIError) -> ComparisonRun:
        """The run without the members that an error was about. Raises the error when it was about none."""
        if error.errcode == CURSOR_ENDED and run.cursor:
            return self._save(replace(run, cursor=""))
        if error.errcode == NO_CUSTOMERS:
            return self._save(_after(run))
        if error.errcode == UNLICENSED:
            return self._save(_after(run, left_out=len(run.batch)))
        if error.errcode in MEMBER_ERRORS:  # it does not say which one: halve the batch until one is left
            return self._halve(run)
        raise error

    def _compare_page(self, run: ComparisonRun, page: Mapping[str, Any], announced: "Announced") -> ComparisonRun:
        """The run after a page, whose unannounced customers it puts on the work list. Raises NoAnswer."""
        entries = page.get("external_contact_list") or []
        judged = [not_announced(entry, run, announced.has) for entry in entries]
        now = self._now()
        unknown = self._without_forgotten([one for _, one in judged if one is not None])
        found = self._list.add_unannounced([self._row(one, now) for one in unknown], self._life)
        unlicensed = () if run.cursor else (page.get("fail_info") or {}).get("unlicensed_userid_list") or ()
        cursor = page.get("next_cursor") or ""
        if cursor and cursor == run.cursor:
            raise NoAnswer("externalcontact/batch/get_by_user", Failure.REPEATED_CURSOR)
        run = replace(
            run,
            customers=run.customers + len(entries),
            new=run.new + sum(is_new for is_new, _ in judged),
            found=run.found + found,
            cursor=cursor,
            left_out=run.left_out + len(unlicensed),
        )
        return run if cursor else _after(run)

    def _halve(self, run: ComparisonRun) -> ComparisonRun:
        """The run with the first half of its batch; the rest follows later. A batch of one member is left out."""
        if len(run.batch) == 1:
            return self._save(_after(run, left_out=1))
        return self._save(replace(run, batch=run.batch[: len(run.batch) // 2], cursor=""))

    def _installed_at(self, known: ComparisonStatus, now: int) -> int:
        """Unix seconds at which the installation began, recorded once: nobody added before could be announced here."""
        if known.begun_at is not None:
            return known.begun_at
        first = Announced.of(self._redis, self._app.name, now - PERIOD).first
        begun_at = now if first is None else min(first, now)
        self._redis.hsetnx(self._key, "begun_at", begun_at)
        return begun_at

    def _announced(self, since: int) -> "Announced":
        return Announced.of(self._redis, self._app.name, since - MARGIN)

    def _without_forgotten(self, found: Sequence[Unannounced]) -> list[Unannounced]:
        """Without those erased by `forget`: the comparison must not bring them back."""
        gone = forgotten(self._redis, self._app.name, [one.external_user_id for one in found])
        return [one for one in found if one.external_user_id not in gone]

    def _row(self, found: Unannounced, now: int) -> Delivery:
        """The row that the work list shows in place of an event that never came."""
        return Delivery(
            id=unannounced_id(self._app.name, found.user_id, found.external_user_id, found.created_at),
            app=self._app.name,
            corp_id=self._app.corp_id,
            change="add",
            user_id=found.user_id,
            external_user_id=found.external_user_id,
            state=found.state,
            created_at=found.created_at,
            received_ms=found.created_at * 1000,
            outcome=Outcome.UNANNOUNCED,
            found_ms=now * 1000,
            customer_name=found.customer_name,
        )

    def _complete(self, run: ComparisonRun, announced: "Announced") -> ComparisonRun:
        """Record a completed run; take customers off the list whom WeCom has announced since an earlier run."""
        late = [
            one.id
            for one in self._list.since(run.since * 1000)
            if one.outcome is Outcome.UNANNOUNCED and announced.has(one.user_id, one.external_user_id)
        ]
        self._list.drop(late)
        run = replace(run, ended_at=self._now())
        with self._redis.pipeline() as pipe:
            pipe.hset(self._key, "good", json.dumps(asdict(run), ensure_ascii=False))
            pipe.hdel(self._key, "run", "failed")
            pipe.zremrangebyscore(keys.FORGOTTEN, "-inf", run.started_at - FARTHEST - PERIOD)
            pipe.execute()
        level = logging.WARNING if run.found else logging.INFO
        log.log(level, "compared %s customers of %s members: %s never announced", run.customers, run.members, run.found)
        return run

    def _postpone(self, run: ComparisonRun, error: WeComError) -> ComparisonRun:
        """Record why the run cannot go on now, and when it will."""
        soon = isinstance(error, Busy | Unanswered) and not isinstance(error, Limited)
        now = self._now()
        again_at = now + (SOON if soon else LATER)
        failure = {"at": now, "reason": Reason.from_error(error).to_data(), "again_at": again_at}
        self._redis.hset(self._key, "failed", json.dumps(failure, ensure_ascii=False))
        log.error("the comparison with WeCom's customers is postponed: %s", error)
        return self._save(replace(run, not_before=again_at))

    def _save(self, run: ComparisonRun) -> ComparisonRun:
        self._redis.hset(self._key, "run", json.dumps(asdict(run), ensure_ascii=False))
        return run

    def _calls(self, by: float) -> Any:
        """WeCom's calls, each limited to CALL seconds and to the rest of the slice, but to no less than a second."""
        return self._wecom.with_deadline(time.monotonic() + max(1.0, min(CALL, by - time.monotonic()))).external_contact

    def _now(self) -> int:
        return now_ms(self._redis) // 1000


class Announced:
    """The (member, customer) pairs announced to an app since a given time, as 64-bit hashes of some 60 bytes each.

    `first`: Unix seconds of the first of these events; None: there was none.
    """

    def __init__(self, app: str, pairs: set[int], first: int | None) -> None:
        self._app = app
        self._pairs = pairs
        self.first = first

    @classmethod
    def of(cls, client: Redis, app: str, since: int, batch: int = 1000) -> "Announced":
        """Read the ledger's events since `since` (Unix seconds), a batch at a time. Raises redis.RedisError."""
        pairs: set[int] = set()
        first: int | None = None
        places = walk(client, keys.EVENTS, since * 1000, batch=batch)
        while some := list(islice(places, batch)):
            found = query.pairs(client, [identity for _, identity in some])
            for (at, _), one in zip(some, found, strict=True):
                if one is not None and one.app == app and not one.rehearsal:
                    pairs.add(_hash(app, one.user_id, one.external_user_id))
                    first = at // 1000
        return cls(app, pairs, first)

    def has(self, member: str, customer: str) -> bool:
        return _hash(self._app, member, customer) in self._pairs


def comparison_status(client: Redis, app: str) -> ComparisonStatus:
    """The state of an app's comparison; every field is None before its first run. Raises redis.RedisError."""
    stored = replies.fields(client.hgetall(keys.comparison(app)))
    read = {name: json.loads(stored[name]) for name in ("run", "good", "failed") if name in stored}
    return ComparisonStatus(
        run=ComparisonRun(**read["run"]) if "run" in read else None,
        good=ComparisonRun(**read["good"]) if "good" in read else None,
        failed=_failure(read["failed"]) if "failed" in read else None,
        begun_at=int(stored["begun_at"]) if "begun_at" in stored else None,
    )


def last_good(stored: str | None) -> float | None:
    """When the last completed run began, of its stored field `good`; Unix seconds. None: there was none yet. Pure."""
    return None if stored is None else float(ComparisonRun(**json.loads(stored)).started_at)


def _failure(stored: Mapping[str, Any]) -> ComparisonFailure:
    reason = earlier.reason_of_data(stored["reason"], stored.get("errcode")) or Reason.of(Kind.TEXT, text="")
    return ComparisonFailure(stored["at"], reason, stored.get("again_at", 0))


def _after(run: ComparisonRun, left_out: int = 0) -> ComparisonRun:
    """The run after its batch."""
    compared = len(run.batch) - left_out
    return replace(
        run,
        members=run.members + compared,
        left_out=run.left_out + left_out,
        after=run.batch[-1],
        batch=(),
        cursor="",
    )


def _hash(app: str, member: str, customer: str) -> int:
    """Of a pair; a userid's case does not matter."""
    return int.from_bytes(hashlib.blake2b(pair(app, member.lower(), customer).encode(), digest_size=8).digest(), "big")
