"""What a view of the console works with: the services, the app that its page is about, and who is signed in."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from flask import g

from tasks.books.revisions import NoRevision
from tasks.services import AppServices
from tasks.templates.model import Book
from tasks.templates.problems import BookError
from webhook.current import services, set_services

__all__ = ["app", "live_book", "operator", "services", "set_services", "today", "zone"]


def app() -> AppServices:
    """What belongs to the app of one corp that the page is about; not the Flask application."""
    return services().app(g.app.name)


def operator() -> str:
    """The name of whoever is signed in."""
    return str(g.operator)


def zone() -> ZoneInfo:
    """The time zone in which pages tell times."""
    return services().settings.timezone


def today() -> date:
    """The day in that zone."""
    return datetime.now(zone()).date()


def live_book() -> Book | None:
    """The book that the app's customers are greeted with; None where there is none, or none that can be read."""
    books, name = services().books, app().name
    number = books.current(name)
    try:
        return None if number is None else books.book(name, number)
    except (NoRevision, BookError):
        return None
