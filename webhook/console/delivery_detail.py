"""One delivery: its outcome in words, its timeline, the message as sent, and why this welcome was chosen."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tasks.books.revisions import NoRevision
from tasks.directory import lookup
from tasks.directory.members import department_names
from tasks.ledger.delivery import Delivery
from tasks.messages import Message
from tasks.services import Services
from tasks.templates.conditions import Contact, why_not
from tasks.templates.model import Book
from tasks.templates.problems import BookError
from tasks.templates.render import wanted, welcome_text
from webhook import change_texts, errcode_texts, outcomes, timeline
from webhook.console.welcomes.preview import Bubble, bubbles
from webhook.console.welcomes.rule_words import Names, why_lost
from webhook.idle_texts import why_no_worker


@dataclass(frozen=True, slots=True)
class AsSent:
    """A message as the customer saw it. `complete`: the names in it were stored."""

    bubbles: list[Bubble]
    text: str
    complete: bool


def view(services: Services, row: Delivery, now: float) -> dict[str, Any]:
    """The template's values. WeCom is not called. Raises redis.RedisError."""
    window = services.settings.window
    known = lookup.known_members(services.redis, row.app, [row.user_id]).get(row.user_id, ("", ""))
    used = row.names or {}
    book = _book(services, row)
    bars = timeline.bars_of_all(row)
    took = timeline.took(row)
    no_worker = why_no_worker(services.redis, row, window, services.settings.timezone)
    return {
        "row": row,
        "verdict": outcomes.outcome_text(row, window, now, no_worker),
        "member": used.get("member") or known[0],
        "department": used.get("department") or known[1],
        "bars": bars,
        "names": outcomes.STEPS,
        "answered": errcode_texts.answered,
        "sentence": Message,
        "took": took,
        "whole": max(1, took or 0, *(bar.end for bar in bars)),
        "window": window,
        "changes": [(one.at, change_texts.describe(one)) for one in row.changes],
        "left": max(0.0, row.received_at + window - now),
        "message": as_sent(book, row) if book else None,
        "passed_over": list(passed_over(book, row, services)) if book else [],
        "raw": json.dumps(services.ledger.fields(row.id) or {}, ensure_ascii=False, indent=2),
        "lives": window > now - row.received_at,
    }


def as_sent(book: Book, row: Delivery) -> AsSent | None:
    """The message, rendered again from its revision and the stored names; None if none was sent."""
    template = book.templates.get(row.template)
    if template is None:
        return None
    values = row.names or {}
    without = {one.number for one in row.left_out}
    kept = [one for number, one in enumerate(template.attachments, 1) if number not in without]
    shown = replace(template, attachments=tuple(kept))
    return AsSent(bubbles(shown, values), welcome_text(template, values), row.names is not None or not wanted(template))


def passed_over(book: Book, row: Delivery, services: Services) -> Iterator[tuple[str, Message]]:
    """(rule, why it did not apply) for each rule before the one that chose.

    By what the row itself tells, and by the departments that its member is in today; with the names that are cached.
    """
    known = lookup.known_members(services.redis, row.app, [row.user_id]).get(row.user_id, ("", ""))
    names = Names({row.user_id: known[0]}, department_names(services.redis, row.app))
    contact = Contact(
        app=row.app,
        user_id=row.user_id,
        external_user_id=row.external_user_id,
        state=row.state,
        change=row.change,
        at=datetime.fromtimestamp(row.received_at, services.settings.timezone),
        directory=lookup.directory(services.redis, row.app, [row.user_id]),
    )
    for number, rule in enumerate(book.rules, 1):
        if rule.label(number) == row.rule:
            return
        why = why_not(rule.when, contact)
        asked = Message("something that it asks for was not known in time")
        yield rule.label(number), asked if why is None else why_lost(why, names)


def _book(services: Services, row: Delivery) -> Book | None:
    """The book that chose; None where none did, or it cannot be read any more."""
    if row.revision is None or not row.template:
        return None
    try:
        return services.books.book(row.app, row.revision)
    except (NoRevision, BookError):
        return None
