"""The ledger on a test's Redis: a ledger of one's own, customers in it of whom this became, and time that passes."""

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from tasks.followups.store import FollowUpProgress, FollowUps, FollowUpTask
from tasks.ledger.ledger import Claim, Ledger, Settlement
from tasks.missed.work_list import UNANNOUNCED
from tasks.services import Services
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.builders import a_contact


def a_ledger(client: Redis, **different: Any) -> Ledger:
    values: dict[str, Any] = {"keep_days": 30, "window": 20.0, "timezone": ZoneInfo("Asia/Shanghai")}
    return Ledger(client, **values | different)


def let_time_pass(client: Redis, seconds: float) -> None:
    """As if everybody had slept: what is due comes nearer by so many seconds."""
    for identity, _ in client.zscan_iter(keys.DUE):
        client.zincrby(keys.DUE, -round(seconds * 1000), identity)


def held(claim: Claim, seconds: float) -> Claim:
    """The claim, as if its worker had had it for so many seconds."""
    return replace(claim, claimed_at=claim.claimed_at - seconds)


def missed(client: Redis, outcome: str = "expired", errcode: int | None = None, **different: str) -> str:
    """The id of a customer who was not greeted."""
    ledger, event = a_ledger(client), a_contact(**different)
    ledger.accept(event)
    ledger.claim(9)
    ledger.settle(event, Settlement(outcome, "the reason", errcode, attempts=0))
    return event.id


def unannounced(identity: str, **different: str | int) -> dict[str, str | int]:
    """The row of a customer of whom WeCom never told."""
    values: dict[str, str | int] = {
        "id": identity,
        "app": "default",
        "corp_id": "ww1",
        "change": "add",
        "user_id": "zhangsan",
        "external_user_id": "wm9",
        "state": "",
        "created_at": 1000,
        "received_at": 1_000_000,
        "customer_name": "赵敏",
        "outcome": UNANNOUNCED,
        "rehearsal": 0,
        "claims": 0,
        "attempts": 0,
    }
    return values | different


def a_failed_follow_up(services: Services, **different: object) -> FollowUpTask:
    """A follow-up that was given up."""
    store, event = FollowUps(services.redis), a_contact(**different)
    services.ledger.accept(event)
    services.ledger.settle(event, Settlement("sent"), follow_up=True)
    (task,) = store.claim(1)
    store.note(task, FollowUpProgress("failed", "no such tag <b>"))
    return task
