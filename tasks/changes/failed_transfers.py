"""Customers whom a colleague was to take over and did not (继承): nobody greets them, and nobody may look after them.

WeCom tells it by an event, `transfer_fail` (doc 92130), and when it is asked, by `transfer_result` (docs 94088, 94082).
Each of them is put on the app's work list once, under the member who was to take over.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tasks.events import LEFT, NOT_TRANSFERRED, REMOVED, ContactChanged
from tasks.ledger import query, without_event
from tasks.ledger.delivery import Delivery, Outcome
from tasks.reasons import Kind, Reason
from tasks.state.erasure import forgotten, forgotten_since
from tasks.storage import keys
from tasks.storage.clock import now_ms
from tasks.storage.connections import Redis
from tasks.wecom.members import is_same_member

REFUSED, LIMIT = "customer_refused", "customer_limit_exceed"  # values of FailReason, doc 92130


@dataclass(frozen=True, slots=True)
class FailedTransfer:
    """A customer who was not handed over to the member `user_id`.

    why: WeCom's FailReason, or "". at: when it failed, in Unix seconds; None: WeCom does not say, only that it did.
    """

    app: str
    corp_id: str
    user_id: str
    external_user_id: str
    why: str
    at: int | None = None

    @classmethod
    def of(cls, event: ContactChanged) -> "FailedTransfer":
        """Of an event NOT_TRANSFERRED. Raises ValueError if it has no time."""
        at = int(event.created_at)
        return cls(event.app, event.corp_id, event.user_id, event.external_user_id, why=event.detail, at=at)


def is_news(failed: FailedTransfer, known: Sequence[Delivery], to_do: Collection[str]) -> bool:
    """Whether somebody has to be told. Pure.

    known: the customer's rows; to_do: those of their ids that are on the list. It is no news while the customer is on
    the list for this member, if it was listed after it had failed, nor if the two became contacts later. Where WeCom
    does not say when it failed, it is none either if the two were contacts, or the customer was ever listed.
    """
    of_both = [
        row
        for row in known
        if row.app == failed.app
        and row.external_user_id == failed.external_user_id
        and is_same_member(row.user_id, failed.user_id)
        and not row.rehearsal
    ]
    if failed.at is None:
        return not any(all(one.change not in (LEFT, REMOVED) for one in row.changes) for row in of_both)
    return not any(
        row.received_ms >= failed.at * 1000 or (row.outcome is Outcome.NOT_TRANSFERRED and row.id in to_do)
        for row in of_both
    )


def row_of(failed: FailedTransfer, now: int) -> Delivery:
    """The row that the work list shows. now: ms. Pure."""
    at = now // 1000 if failed.at is None else failed.at
    parts = (str(Outcome.NOT_TRANSFERRED), failed.app, failed.user_id, failed.external_user_id, str(at))
    return Delivery(
        id=hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32],
        app=failed.app,
        corp_id=failed.corp_id,
        change=NOT_TRANSFERRED,
        user_id=failed.user_id,
        external_user_id=failed.external_user_id,
        state="",
        created_at=at,
        received_ms=at * 1000,
        outcome=Outcome.NOT_TRANSFERRED,
        reason=Reason.of(Kind.NOT_TRANSFERRED, why=failed.why),
        found_ms=now,
    )


def failed_for(delivery: Delivery) -> str:
    """WeCom's FailReason of a row; "" for none, and of a delivery of another outcome. Pure."""
    reason = delivery.reason
    return str(reason.params.get("why", "")) if reason is not None and reason.kind is Kind.NOT_TRANSFERRED else ""


def add(client: Redis, failed: FailedTransfer, life: int) -> bool:
    """Put the customer on the work list, unless that is no news, or `forget` has erased the customer since.

    life: seconds of a row. → whether it is new. Raises redis.RedisError.
    """
    if _is_forgotten(client, failed):
        return False
    known = query.newest_of(client, failed.app, failed.external_user_id)
    ids = [row.id for row in known]
    places = client.zmscore(keys.missed(failed.app), ids) if ids else []
    to_do = {one for one, place in zip(ids, places, strict=True) if place is not None}
    if not is_news(failed, known, to_do):
        return False
    return without_event.add(client, row_of(failed, now_ms(client)), life)


def _is_forgotten(client: Redis, failed: FailedTransfer) -> bool:
    """Whether `forget` has erased the customer since it failed; at any time, where WeCom does not say when it did."""
    if failed.at is None:
        return bool(forgotten(client, failed.app, [failed.external_user_id]))
    return forgotten_since(client, failed, failed.at)
