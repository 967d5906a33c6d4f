"""Who would get what, and why."""

from datetime import datetime, time
from typing import Any

from tasks.books.draft import Draft
from tasks.people.api_tokens import Scope
from tasks.templates.problems import BookError
from webhook import records
from webhook.api import current
from webhook.api.problems import Problem
from webhook.api.schemas import ExplainQuery, ExplanationSchema
from webhook.api.subject import Subject
from webhook.console.staff import PATIENCE
from webhook.explaining import Question, answer, in_zone

blueprint = Subject("explain", "Who would get what, and why.")


@blueprint.operation("GET", "/explain", Scope.BOOKS_WRITE, problems=(422,))
@blueprint.arguments(ExplainQuery, location="query")
@blueprint.response(200, ExplanationSchema)
def explain(asked: dict[str, Any]) -> dict[str, Any]:
    """The rule that wins, why the earlier ones do not, the greeting as it would be sent. The State may be any."""
    app, customer_id = current.app(), asked.get("customer_id", "")
    if customer_id and Scope.DELIVERIES_READ not in current.token().scopes:
        detail = f"What packages know of a customer is for tokens with the scope {Scope.DELIVERIES_READ}, too"
        raise Problem(403, "scope", detail, scope=Scope.DELIVERIES_READ)
    draft = _book(asked["book"])
    try:
        book = draft.book()
    except BookError as error:
        raise Problem.of_book(error) from None
    question = Question(
        asked["member"],
        _moment(asked.get("at")),
        asked["state"],
        asked["change"],
        asked.get("customer_type"),
        asked.get("add_way"),
        customer_id=customer_id,
    )
    if customer_id:
        current.exported("packages' placeholders")
    found = answer(app, book, question, PATIENCE)
    told = {name: getattr(question, name) for name in ("member", "state", "change")}
    return {"app": app.name, **told, "at": question.at.timestamp()} | records.explanation(found)


def _book(which: str) -> Draft:
    drafts, app = current.services().drafts, current.app().name
    if which == "draft":
        draft = drafts.get(app)
        if draft is None:
            raise Problem(404, "no_draft", "There is no draft: the live book is as it was published")
        return draft
    live = drafts.live(app)
    if not live.base:
        raise Problem(404, "no_book", "No welcome book is stored for this app")
    return live


def _moment(asked: datetime | None) -> datetime:
    """In the installation's zone; a date means its noon. Raises Problem."""
    zone = current.zone()
    if asked is None:
        return datetime.now(zone)
    try:
        return in_zone(asked if asked.tzinfo else datetime.combine(asked.date(), time(12)), zone)
    except ValueError:
        raise Problem.of_query("at", "A time of this century is meant") from None
