"""Changes of contacts: kept when WeCom tells them, and applied on the slow queue to the row of the add.

    record      stores a change, and wakes the slow queue; in the callback                    record.lua
    apply_due   finds the row of the add; enters the change there, and counts a loss, once    apply.lua
                a customer who was not handed over goes on the work list                      failed_transfers.py

    Redis   welcome:changes       a sorted set: change → ms from which it may be applied
            welcome:change:ID     JSON of a change, and once it is applied "": so that one sent again is known

A change whose add is not settled yet waits for it: a greeting is never looked at before it has its outcome.
"""

import json
import logging
import uuid
from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime
from zoneinfo import ZoneInfo

from tasks.changes import failed_transfers, losses
from tasks.changes.failed_transfers import FailedTransfer
from tasks.events import NOT_TRANSFERRED, ContactChanged
from tasks.ledger import celery_message, query, statistics
from tasks.ledger.delivery import Delivery, Outcome
from tasks.ledger.ledger import SLOW_MESSAGES, WAKE_PAUSE, Acceptance
from tasks.storage import keys, replies
from tasks.storage.clock import now_ms
from tasks.storage.connections import Redis, repeatable
from tasks.storage.scripts import registered
from tasks.wecom.members import is_same_member

log = logging.getLogger(__name__)

KEPT = 20  # changes in one row
AT_ONCE = 100
PUT_OFF = 30_000  # ms after which it is looked again whether the add is settled
PATIENCE = 600  # seconds from the change after which an add that is not settled is waited for no longer


class ContactChanges:
    """The changes in one Redis. Thread-safe. Methods raise redis.RedisError."""

    def __init__(self, client: Redis, keep_days: int, timezone: ZoneInfo, forwarding: Collection[str] = ()) -> None:
        """`forwarding`: apps whose events other systems get."""
        self._redis = client
        self._forwarding = forwarding
        self._life = keep_days * 86_400
        self._timezone = timezone
        self._record, self._apply = map(repeatable, registered(client, "tasks.changes", "record", "apply"))

    def record(self, event: ContactChanged) -> Acceptance:
        """Store a change, unless it is there already, or a replay."""
        text = json.dumps({name: value for name, value in asdict(event).items() if name not in ("id", "pushed_at")})
        stored = self._record(
            keys=[keys.change(event.id), keys.CHANGES, keys.SLOW_QUEUE, keys.FOLLOWUP_WOKEN, keys.FORWARD_NEW],
            args=[
                event.id,
                text,
                self._life,
                event.created_at if event.pushed_at is None else event.pushed_at,
                SLOW_MESSAGES,
                celery_message.slow_message(uuid.uuid4().hex),
                int(WAKE_PAUSE * 1000),
                "1" if event.app in self._forwarding else "",
            ],
        )
        return {1: Acceptance.STORED, 0: Acceptance.DUPLICATE}.get(stored, Acceptance.OUTDATED)

    def apply_due(self) -> int:
        """Apply all changes that are due. → how many."""
        applied = 0
        while due := self._due(now := now_ms(self._redis)):
            with self._redis.pipeline(transaction=False) as pipe:
                for identity in due:
                    pipe.get(keys.change(identity))
                stored = pipe.execute()
            applied += sum(self._one(identity, text, now) for identity, text in zip(due, stored, strict=True))
        return applied

    def _due(self, now: int) -> list[str]:
        return replies.texts(self._redis.zrangebyscore(keys.CHANGES, "-inf", now, start=0, num=AT_ONCE))

    def _one(self, identity: str, text: str | None, now: int) -> int:
        try:
            event = ContactChanged(**json.loads(text or ""))
            add = self._add(event)
            if event.change == NOT_TRANSFERRED:  # before it counts as applied: done twice, it is still listed once
                failed_transfers.add(self._redis, FailedTransfer.of(event), self._life)
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
        ) as error:  # past its life, forgotten; of another release
            if text:
                log.error("what became of a contact cannot be read: %s", type(error).__name__)
            self._redis.zrem(keys.CHANGES, identity)
            return 0
        if add is not None and add.outcome is None and now < (event.created_at + PATIENCE) * 1000:
            self._redis.zadd(keys.CHANGES, {identity: now + PUT_OFF}, xx=True)
            return 0
        at = now if add is None else add.received_ms
        days = 0 if add is None else (event.created_at - add.created_at) // 86_400
        return int(
            self._apply(
                keys=[
                    keys.change(identity),
                    keys.CHANGES,
                    "" if add is None else keys.event(add.id),
                    statistics.key(event.app, datetime.fromtimestamp(at / 1000, self._timezone).date(), "left"),
                ],
                args=[
                    identity,
                    json.dumps(_in_row(event, add)),
                    KEPT,
                    "1" if event.is_loss else "",
                    statistics.LIFE,
                    statistics.FIELDS_LIMIT,
                    *(losses.fields(add, days) if add is not None and event.is_loss else ()),
                ],
            )
        )

    def _add(self, event: ContactChanged) -> Delivery | None:
        """The last add of the two before the change; None if none is known."""
        return _add_before(event, query.newest_of(self._redis, event.app, event.external_user_id))


def _in_row(event: ContactChanged, add: Delivery | None) -> list[str | int]:
    """A change as the row of the add keeps it: see ContactChange."""
    named = [] if add is None or add.user_id == event.user_id else [event.user_id]
    return [event.change, event.created_at, event.detail, *named]


def _add_before(event: ContactChanged, rows: Sequence[Delivery]) -> Delivery | None:
    """The newest add of the two that is not after the change, of rows sorted newest first. Pure."""
    for row in rows:
        same = is_same_member(row.user_id, event.user_id) and row.external_user_id == event.external_user_id
        is_add = not row.rehearsal and row.outcome is not Outcome.NOT_TRANSFERRED
        if same and row.app == event.app and row.created_at <= event.created_at and is_add:
            return row
    return None
