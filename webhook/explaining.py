"""Who would get what, and why, for whoever asks: the command `templates explain`, and the API."""

import time
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from tasks.events import ContactAdded
from tasks.services import AppServices
from tasks.templates import explain
from tasks.templates.conditions import DEPARTMENTS
from tasks.templates.explain import Explanation
from tasks.templates.model import Book
from tasks.templates.render import ABOUT_CUSTOMER, placeholders
from tasks.templates.select import needs


@dataclass(frozen=True, slots=True)
class Question:
    """A customer who is added. None, or "" for the State, name and id: not known. With an id, packages are asked."""

    member: str
    at: datetime
    state: str = ""
    change: str = "add"
    customer_type: str | None = None
    add_way: int | None = None
    customer: str = ""
    customer_id: str = ""


def in_zone(at: datetime, zone: ZoneInfo) -> datetime:
    """A moment to ask about, in the installation's zone, as one without a zone is. ValueError: not of this century."""
    if not 2000 <= at.year < 2100:
        raise ValueError(at)
    return at.astimezone(zone) if at.tzinfo else at.replace(tzinfo=zone)


def answer(app: AppServices, book: Book, asked: Question, patience: float) -> Explanation:
    """What a book has for a customer. `patience`: seconds for what WeCom and packages are asked."""
    at, by = asked.at.timestamp(), time.monotonic() + patience
    who = (asked.change, asked.member, asked.customer_id)
    event = ContactAdded(app.name, app.settings.corp_id, *who, int(at), state=asked.state)
    lookup = app.shared.lookups.about(app.wecom, event, int(at * 1000), by, patience)
    texts = [text for template in book.templates.values() for text in (template.text, template.then.remark)]
    wanted = frozenset(one.name for text in texts for one in placeholders(text)) - ABOUT_CUSTOMER
    contact = lookup.contact(needs(book) & {DEPARTMENTS})
    contact = replace(contact, customer_type=asked.customer_type, add_way=asked.add_way)
    return explain.explain(book, contact, lookup.values(wanted) | {"customer": asked.customer})
