"""What a view of the console works with: the services, the page's app, and the operator."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from flask import g, request

from tasks.audit import Act
from tasks.books.revisions import NoRevision
from tasks.services import AppServices
from tasks.templates.model import Book
from tasks.templates.problems import BookError
from webhook import looks
from webhook.console import sessions
from webhook.console.sessions import Operator
from webhook.current import lifeboat, services, set_services

__all__ = ["app", "lifeboat", "live_book", "operator", "person", "record", "services", "set_services", "today", "zone"]


def app() -> AppServices:
    """The services of the WeCom app that the page is about (not of the Flask application)."""
    return services().app(g.app.name)


def operator() -> str:
    """Who is signed in, for people: the name that was typed, or a member's name and userid."""
    return str(g.operator)


def person() -> Operator:
    """Who is signed in."""
    found: Operator = g.person
    return found


def set_person(found: Operator | None) -> None:
    """Set who is signed in, for the rest of this request."""
    g.person, g.operator = found, None if found is None else found.label


def session_begun(found: Operator) -> None:
    """A session has just begun: put it into the list of open ones, and into the audit trail."""
    set_person(found)
    sessions.note(services(), found)
    record(Act.SIGNED_IN, of_app=False)


def record(act: Act, target: str = "", number: int | None = None, of_app: bool = True) -> None:
    """Put an act of the operator into the audit trail. `of_app`: it was about the page's app alone."""
    name = app().name if of_app else ""
    who = person()
    services().audit.record(act, who.who, who.via, name, target, number, request.remote_addr or "")


def looked_at(delivery: str) -> None:
    """Put a look at a customer into the audit trail, if it is to have it."""
    who = person()
    found = looks.told(services().redis, app().name, who.via, who.who, delivery)
    if found is not None:
        act, target, number = found
        record(act, target, number)


def zone() -> ZoneInfo:
    """The time zone of all times on pages."""
    return services().settings.timezone


def today() -> date:
    """The date in that zone."""
    return datetime.now(zone()).date()


def live_book() -> Book | None:
    """The app's current book; None if there is none, or it cannot be read."""
    books, name = services().books, app().name
    number = books.current(name)
    try:
        return None if number is None else books.book(name, number)
    except (NoRevision, BookError):
        return None
