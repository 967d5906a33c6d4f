"""Deliveries: what became of each added customer."""

from datetime import datetime, time, timedelta
from typing import Any

from tasks.people.api_tokens import Scope
from webhook.api import current
from webhook.api.problems import Problem
from webhook.api.schemas import DeliveriesQuery, DeliveriesSchema, DeliverySchema
from webhook.api.subject import Subject
from webhook.console.delivery_filter import outcomes_of
from webhook.delivery_record import record

_LATEST = 253_402_300_799_999  # ms: the end of the year 9999

blueprint = Subject("deliveries", "What became of each added customer.")


@blueprint.operation("GET", "/deliveries", Scope.DELIVERIES_READ, problems=(422,))
@blueprint.arguments(DeliveriesQuery, location="query")
@blueprint.response(200, DeliveriesSchema)
def list_deliveries(asked: dict[str, Any]) -> dict[str, Any]:
    """Deliveries, the newest first."""
    page = current.services().ledger.page(
        current.app().name,
        outcome=outcomes_of(asked.get("outcome", "")),
        user_id=asked.get("member"),
        external_user_id=asked.get("customer"),
        state=asked.get("channel"),
        template=asked.get("welcome"),
        since=_ms(asked.get("since"), time.min),
        until=_ms(asked.get("until"), time.max),
        before=asked.get("cursor"),
        limit=asked["limit"],
    )
    if page.rows:
        current.exported("deliveries")
    return {"items": [record(row) for row in page.rows], "next": page.older}


@blueprint.operation("GET", "/deliveries/<delivery>", Scope.DELIVERIES_READ)
@blueprint.response(200, DeliverySchema)
def get_delivery(delivery: str) -> dict[str, Any]:
    """One delivery, by the event's id."""
    row = current.services().ledger.delivery(delivery) if len(delivery) <= 64 else None
    if row is None or row.app != current.app().name:
        raise Problem(404, "no_delivery", "There is no such delivery, or it is past the days for which one is kept")
    current.looked_at(row.id)
    return record(row)


def _ms(moment: datetime | None, of_day: time) -> int | None:
    """ms of a moment; a date means the whole of it, in the installation's time zone."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        moment = datetime.combine(moment.date(), of_day, current.zone())
    since_epoch = moment - datetime.fromtimestamp(0, moment.tzinfo)
    return max(0, min(since_epoch // timedelta(milliseconds=1), _LATEST))
