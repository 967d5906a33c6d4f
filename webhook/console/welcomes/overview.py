"""Welcomes: the rules in order with their hits, and the list of welcomes.

The draft is shown, or what is live if there is none (tasks.books.draft_store).
"""

import time
from dataclasses import dataclass

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from tasks.audit import Act
from tasks.books.draft import Draft, Moved, book_of
from tasks.books.recent import DAYS, recent_adds
from tasks.books.revisions import Revision
from tasks.templates.impact import Hits, hits
from tasks.templates.model import Book
from webhook.console import current
from webhook.console.paging import address
from webhook.console.staff import suggested_members
from webhook.console.welcomes import differences
from webhook.console.welcomes.lookups import states
from webhook.console.welcomes.rule_list import rule_list
from webhook.console.welcomes.vocabulary import vocabulary
from webhook.console.welcomes.welcome_list import welcome_list

LOOKED_AT = 500  # events for the hits on the overview
UNDO_S = 24 * 3600  # seconds for which a revision is offered to be undone


@dataclass(frozen=True, slots=True)
class Leftover:
    """A draft beside what is live. `behind`: the live revision, if the draft began from another one; else 0.

    `unseen`: what went live meanwhile and is not in the draft.
    """

    changes: int
    behind: int = 0
    unseen: tuple[differences.Change, ...] = ()


blueprint = Blueprint("welcomes", __name__)
blueprint.context_processor(vocabulary)


@blueprint.get("/welcomes")
def show() -> str:
    """The page."""
    services, app = current.services(), current.app().name
    draft = services.drafts.working(app)
    live = services.drafts.live(app) if draft.version else draft
    book = book_of(draft)
    revision = services.books.revision(app, live.base) if live.base else None
    latest = recent_adds(services.redis, app, current.zone(), LOOKED_AT)
    found = hits(book, latest.contacts) if book else None
    return render_template(
        "welcomes/show.html",
        draft=draft,
        live=live,
        leftover=leftover(draft, live),
        revision=revision,
        undo=_undoable(revision),
        published=request.args.get("published", type=int),
        rules=None if book is None else rule_list(draft, book, found),
        rest=None if book is None else _rest(book, found),
        welcomes=None if book is None else welcome_list(draft, book),
        members=suggested_members(),
        states=states(),
        hits=found,
        days=DAYS,
        address=address,
        complete=latest.complete,
        since=latest.since / 1000,
    )


@blueprint.post("/welcomes/discard")
def discard() -> ResponseReturnValue:
    """Discard the draft."""
    try:
        current.services().drafts.discard(current.app().name, request.form.get("version", 0, type=int))
        current.record(Act.DRAFT_DISCARDED)
        flash(_("The draft is discarded. What is live is unchanged"))
    except Moved:
        flash(_("The draft has changed meanwhile. Look at it again"))
    return redirect(url_for("welcomes.show"))


def leftover(draft: Draft, live: Draft) -> Leftover | None:
    """What the draft has that is not live, and what it lacks; None without a draft."""
    if not draft.version:
        return None
    if draft.base == live.base:
        return Leftover(differences.count(live.content, draft.content))
    origin = current.services().drafts.origin(draft)
    unseen = differences.unseen(origin, draft.content, live.content)
    return Leftover(differences.count(origin, draft.content), live.base, unseen)


def _undoable(revision: Revision | None) -> bool:
    """Whether a revision was published in the last day, so that it is offered to go back."""
    return revision is not None and revision.number > 1 and time.time() - revision.at / 1000 < UNDO_S


def _rest(book: Book, found: Hits | None) -> int | None:
    """How many no rule matched; None if a rule always matches."""
    return None if any(rule.when.always for rule in book.rules) else found.rules[0] if found else 0
