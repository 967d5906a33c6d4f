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


def body(event: Delivery | ContactChanged, to: Target) -> bytes:
    """An added contact with what became of it, or what became of a contact later."""
    if isinstance(event, ContactChanged):
        return _body(event, {"detail": event.detail or None}, {}, to)
    return _of_add(event, to)


def _of_add(delivery: Delivery, to: Target) -> bytes:
    data = {
        "state": delivery.state,
        "outcome": None if delivery.outcome is None else str(delivery.outcome),
        "errcode": delivery.errcode,
        "template": delivery.template or None,
        "rule": delivery.rule or None,
        "variant": delivery.variant or None,
        "attempts": delivery.attempts,
    }
    names = {**(delivery.names or {}), **({"customer": delivery.customer_name} if delivery.customer_name else {})}
    return _body(delivery, data, names, to)


def _body(event: Delivery | ContactChanged, further: Mapping[str, Any], names: Mapping[str, str], to: Target) -> bytes:
    who = {name: getattr(event, name) for name in ("id", "app", *(IDS if to.ids else ()))}
    shown = {**who, **further}
    if to.names and names:
        shown["names"] = dict(names)
    when = datetime.fromtimestamp(event.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps(
        {"type": f"contact.{event.change}", "timestamp": when, "data": shown}, ensure_ascii=False
    ).encode()
