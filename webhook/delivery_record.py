"""One delivery as programs read it: `deliveries --json`, a line each. Pure. The names and their order are fixed."""

from typing import Any

from tasks.ledger.delivery import Attempt, Delivery, FollowUpState
from tasks.messages import translate
from webhook.reason_texts import describe, describe_all


def record(delivery: Delivery) -> dict[str, Any]:
    """Name → value. Times are Unix seconds; None while, or where, there is none. `steps`: name → ms since receipt.

    `without`: numbers, from 1, of the attachments that were not sent.
    """
    return {
        "id": delivery.id,
        "app": delivery.app,
        "change": delivery.change,
        "user_id": delivery.user_id,
        "external_user_id": delivery.external_user_id,
        "state": delivery.state,
        "created_at": delivery.created_at,
        "received_at": delivery.received_at,
        "outcome": delivery.outcome,
        "errcode": delivery.errcode,
        "reason": reason_text(delivery),
        "template": delivery.template,
        "rule": delivery.rule,
        "variant": delivery.variant,
        "attempts": delivery.attempts,
        "recoveries": delivery.redeliveries,
        "steps": dict(delivery.steps),
        "cause": delivery.cause,
        "revision": delivery.revision,
        "tries": [_try(one) for one in delivery.tries],
        "without": [one.number for one in delivery.left_out],
        "lifeboat": delivery.lifeboat,
        "followup": None if delivery.follow_up is None else _follow_up(delivery.follow_up),
    }


def reason_text(delivery: Delivery) -> str:
    """Why, in English; "" where there is nothing to say."""
    return "; ".join(translate(one) for one in describe_all(delivery))


def _try(attempt: Attempt) -> dict[str, Any]:
    return {"errcode": attempt.errcode, "reason": "" if attempt.reason is None else translate(describe(attempt.reason))}


def _follow_up(state: FollowUpState) -> dict[str, Any]:
    return {
        "state": state.status,
        "attempts": state.attempts,
        "at": state.at,
        "next_at": state.next_at,
        "reason": "" if state.reason is None else translate(describe(state.reason)),
        "tags": list(state.tags),
        "remark": state.remark,
    }
