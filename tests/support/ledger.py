"""The ledger on a test's Redis: waiting and settled events, of any age, and time that passes."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from tasks.events import ContactAdded
from tasks.followups.store import FollowUpTask
from tasks.ledger.claims import Claim, FollowUpProgress, SettledEvent, Settlement
from tasks.ledger.delivery import Delivery, FollowUpStatus, Outcome
from tasks.ledger.ledger import Ledger
from tasks.rate_limits.limiter import SharedCalls
from tasks.rate_limits.limits import SEND, Limits
from tasks.services import Services
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.builders import a_contact, a_delivery, answered, in_words

SENT = Settlement(Outcome.SENT)


def a_ledger(client: Redis, **different: Any) -> Ledger:
    values: dict[str, Any] = {"keep_days": 30, "window": 20.0, "timezone": ZoneInfo("Asia/Shanghai")}
    return Ledger(client, **values | different)


def let_time_pass(client: Redis, seconds: float) -> None:
    """Let time pass for what is scheduled: everything becomes due so many seconds earlier."""
    for identity, _ in client.zscan_iter(keys.DUE):
        client.zincrby(keys.DUE, -round(seconds * 1000), identity)


def held(claim: Claim, seconds: float) -> Claim:
    """The claim, as if it had been made so many seconds earlier."""
    return replace(claim, claimed_at=claim.claimed_at - seconds)


def accepted(ledger: Ledger, event: ContactAdded | None = None, *, ago: float = 0.0, **different: Any) -> ContactAdded:
    """A waiting event, received so many seconds ago. `different`: fields of the contact, unless an event is given.

    It has a millisecond of its own: rows of the same one have no order that a test could know.
    """
    event = event or a_contact(**different)
    time.sleep(0.001)
    assert ledger.accept(event)
    if ago:
        _age(ledger._redis, event.id, round(ago * 1000))
    return event


def settled(
    ledger: Ledger,
    settlement: Settlement = SENT,
    counts: Mapping[str, int] | None = None,
    *,
    ago: float = 0.0,
    claimed: bool = False,
    follow_up: bool = False,
    **different: Any,
) -> ContactAdded:
    """A settled event, received so many seconds ago. `different`: fields of the contact.

    claimed: a worker took it first, and all else that waited.
    """
    event = accepted(ledger, ago=ago, **different)
    if claimed:
        ledger.claim(9)
    assert ledger.settle(SettledEvent(event, settlement, counts or {}, follow_up))
    return event


def missed(
    client: Redis, outcome: str = "expired", errcode: int | None = None, *, ago: float = 0.0, **different: str
) -> str:
    """The event id of a customer who was not greeted."""
    reason = in_words("the reason") if errcode is None else answered(errcode)
    settlement = Settlement(Outcome(outcome), reason, errcode, attempts=0)
    return settled(a_ledger(client), settlement, ago=ago, claimed=True, **different).id


def _age(client: Redis, identity: str, milliseconds: int) -> None:
    """Make the event older: in its row, and in every set that lists it by its time of receipt."""
    received_at = client.hget(keys.event(identity), "received_at")
    client.hincrby(keys.event(identity), "received_at", -milliseconds)
    for key in client.scan_iter(keys.ALL, _type="zset"):
        if client.zscore(key, identity) == float(received_at):
            client.zincrby(key, -milliseconds, identity)


def unannounced(identity: str, **different: Any) -> Delivery:
    """A customer whom WeCom never announced."""
    values: dict[str, Any] = {
        "id": identity,
        "external_user_id": "wm9",
        "created_at": 1000,
        "received_ms": 1_000_000,
        "customer_name": "赵敏",
    }
    return a_delivery("unannounced", **values | different)


def a_failed_follow_up(services: Services, **different: object) -> FollowUpTask:
    """A follow-up that was given up."""
    store = services.follow_ups
    settled(services.ledger, follow_up=True, **different)
    (task,) = store.claim(1)
    store.record(task, FollowUpProgress(FollowUpStatus.FAILED, in_words("no such tag <b>")))
    return task


def refused_for_its_limit(client: Redis, corp_id: str) -> None:
    """WeCom has refused a greeting with 45009, and nobody sends for a minute: time enough for a test."""
    SharedCalls(client, corp_id, {corp_id}, Limits.of()).refused(SEND, 45009, probe=False)
    client.hincrby(keys.calls(SEND, corp_id), "until", 60_000)
