"""What a target is sent: an event as JSON, without its welcome code. Pure.

    {"type": "contact.add", "timestamp": "2026-11-26T02:31:58Z", "data": {…}}

`type` is "contact." and the change, as `changes` in WELCOME_CONFIG names it; `timestamp` is WeCom's CreateTime. `data`
of an add is what `wecom-welcome deliveries --json` prints of it, without what is internal; of a later change it is who
and what. Ids and names are there as the target's setting says.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tasks.events import ContactChanged
from tasks.ledger.delivery import Delivery
from tasks.settings import Target

IDS = ("corp_id", "user_id", "external_user_id")


def of_add(delivery: Delivery, to: Target) -> bytes:
    """An added contact, with what became of it."""
    data = {
        "id": delivery.id,
        "app": delivery.app,
        "corp_id": delivery.corp_id,
        "user_id": delivery.user_id,
        "external_user_id": delivery.external_user_id,
        "state": delivery.state,
        "outcome": None if delivery.outcome is None else str(delivery.outcome),
        "errcode": delivery.errcode,
        "template": delivery.template or None,
        "rule": delivery.rule or None,
        "variant": delivery.variant or None,
        "attempts": delivery.attempts,
    }
    names = {**(delivery.names or {}), **({"customer": delivery.customer_name} if delivery.customer_name else {})}
    return _body(delivery.change, delivery.created_at, data, names, to)


def of_change(event: ContactChanged, to: Target) -> bytes:
    """What became of a contact later."""
    data = {
        "id": event.id,
        "app": event.app,
        "corp_id": event.corp_id,
        "user_id": event.user_id,
        "external_user_id": event.external_user_id,
        "detail": event.detail or None,
    }
    return _body(event.change, event.created_at, data, {}, to)


def _body(change: str, at: int, data: Mapping[str, Any], names: Mapping[str, str], to: Target) -> bytes:
    shown = {name: value for name, value in data.items() if to.ids or name not in IDS}
    if to.names and names:
        shown["names"] = dict(names)
    when = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps({"type": f"contact.{change}", "timestamp": when, "data": shown}, ensure_ascii=False).encode()
