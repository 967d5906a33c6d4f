"""Numbers: how many were added and greeted, and who stays."""

from datetime import date, datetime, timedelta
from typing import Any

from tasks.changes.losses import WITHIN, survival
from tasks.ledger.statistics import Value
from tasks.people.api_tokens import Scope
from webhook.api import current
from webhook.api.problems import Problem
from webhook.api.schemas import NumbersQuery, NumbersSchema, StayingQuery, StayingSchema
from webhook.api.subject import Subject
from webhook.console import losses, statistics
from webhook.console.statistics import MOST_DAYS, MOST_OF_OTHERS
from webhook.console.statistics_summary import OutcomeCount

blueprint = Subject("numbers", "How many were added, what became of them, and who stays.")


@blueprint.operation("GET", "/numbers", Scope.NUMBERS_READ, problems=(422,))
@blueprint.arguments(NumbersQuery, location="query")
@blueprint.response(200, NumbersSchema)
def get_numbers(asked: dict[str, Any]) -> dict[str, Any]:
    """The page Numbers: what became of the customers of some days, by day, channel, member, welcome or variant."""
    by, days = asked["by"], _days(asked["since"], asked["until"], asked["by"])
    app = current.app()
    most = None if by == "day" else asked["limit"]
    found = statistics.table(app.shared, app.name, days, by, most)
    return {
        "app": app.name,
        "since": days[0].isoformat(),
        "until": days[-1].isoformat(),
        "by": by,
        "items": [_of(row.value, row.name) | _counts(row.count) for row in found.rows],
        "further": found.further,
        "total": _counts(found.total.count) | {"half_s": found.total.half_s},
    }


@blueprint.operation("GET", "/numbers/staying", Scope.NUMBERS_READ, problems=(422,))
@blueprint.arguments(StayingQuery, location="query")
@blueprint.response(200, StayingSchema)
def get_staying(asked: dict[str, Any]) -> dict[str, Any]:
    """The page Who stays: of the greeted customers, how many left within 1, 7 and 30 days."""
    app, by, days = current.app(), asked["by"], asked["days"]
    if days > losses.MOST_DAYS.get(by, days):
        raise Problem.of_query("days", f"By {by} at most {losses.MOST_DAYS[by]} days")
    today = datetime.now(current.zone()).date()
    found = losses.known(app.shared, app.name, today, days, by)
    return {
        "app": app.name,
        "days": days,
        "by": by,
        "items": [_staying(row) for row in found.rows],
        "total": _staying(found.total),
        "again": found.again,
        "compared": [
            {
                "rule": one.rule,
                "first": _of(one.first.value)["value"],
                "other": _of(one.other.value)["value"],
                "low": one.low,
                "high": one.high,
                "needed": one.needed,
            }
            for one in found.compared
        ],
    }


def _days(since: date, until: date, by: str) -> list[date]:
    most = MOST_DAYS.get(by, MOST_OF_OTHERS)
    if until < since:
        raise Problem.of_query("until", "It is before since")
    if (until - since).days >= most:
        raise Problem.of_query("until", f"By {by} at most {most} days at once")
    return [since + timedelta(n) for n in range((until - since).days + 1)]


def _of(value: date | Value, name: str = "") -> dict[str, Any]:
    if isinstance(value, tuple):
        return {"value": value[1], "rule": value[0], "name": name}
    return {"value": value.isoformat() if isinstance(value, date) else value, "rule": None, "name": name}


def _counts(count: OutcomeCount) -> dict[str, Any]:
    return {name: getattr(count, name) for name in (*OutcomeCount.__slots__, "on_time")}


def _staying(row: losses.Row) -> dict[str, Any]:
    left = [
        {"within": days, "left": one.left, "of": one.of, "share": one.share, "low": one.low, "high": one.high}
        for days, one in zip(WITHIN, row.left, strict=True)
    ]
    staying = [round(share, 4) for share in survival(row.cohorts)]
    return _of(row.value, row.name) | {"greeted": row.greeted, "left": left, "staying": staying}
