"""Publishing by a second person: asking for it, approving, declining; an admin switches it on for an app."""

from dataclasses import dataclass

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from tasks.audit import Act, Via
from tasks.books.approvals import Said, Standing, digest, standing
from tasks.books.draft import Behind, Draft, Moved, book_of
from tasks.books.media_store import MediaFull
from tasks.books.revisions import NoRevision, NotApproved
from tasks.templates.problems import BookError
from webhook.console import current, wecom
from webhook.console.language import sentence
from webhook.console.welcomes.lookups import UNPROVIDED, needs_a_word

NOTE_LIMIT = 200  # characters

blueprint = Blueprint("approvals", __name__)


@dataclass(frozen=True, slots=True)
class Approval:
    """What the review page shows of it. `declined`: the last answer, if it was about this draft."""

    asked: Said | None
    standing: str
    declined: Said | None


def of(draft: Draft) -> Approval | None:
    """The approval of a draft; None: whoever may publish does it alone."""
    approvals = current.services().approvals
    if approvals.switched_on(draft.app) is None:
        return None
    asked, declined = approvals.asked(draft.app), approvals.declined(draft.app)
    is_about_it = declined is not None and declined.version == draft.version
    return Approval(asked, _standing(asked, draft).name, declined if is_about_it else None)


@blueprint.post("/welcomes/approval/ask")
def ask() -> ResponseReturnValue:
    """Ask another publisher for an approval of the draft that was seen."""
    services, app, person = current.services(), current.app().name, current.person()
    draft = services.drafts.get(app)
    if services.approvals.switched_on(app) is None or draft is None:
        return _back(_("There is nothing to approve"))
    if draft.version != request.form.get("version", 0, type=int):
        return _back(_("The draft has changed while you looked at it. Look at it again, then ask"))
    services.approvals.ask(draft, person.who, person.label, request.form.get("note", "").strip()[:NOTE_LIMIT])
    current.record(Act.APPROVAL_ASKED)
    flash(_("Asked. Another publisher can approve it on this page"))
    return redirect(url_for("publishing.publish"))


@blueprint.post("/welcomes/approval/approve")
def approve() -> ResponseReturnValue:
    """Publish exactly what was asked for and seen."""
    services, app, person = current.services(), current.app().name, current.person()
    asked, draft = services.approvals.asked(app), services.drafts.get(app)
    if services.approvals.switched_on(app) is None or asked is None or draft is None:
        return _back(_("There is nothing to approve"))
    seen = (request.form.get("version", 0, type=int), request.form.get("digest", ""))
    found = _standing(asked, draft)
    if found is not Standing.MAY or seen != (draft.version, digest(draft)):
        return _back(_why_not(found))
    if needs_a_word(book_of(draft)):
        return _back(sentence(UNPROVIDED))
    note = f"{asked.note} ✓ {person.label}".strip()
    try:
        number = services.drafts.publish(app, draft.version, asked.label, note, asked.digest)
    except (Moved, NotApproved):
        return _back(_("The draft has changed meanwhile: its author has to ask again"))
    except Behind:
        return _back(_("Something else was published meanwhile: bring the two together, then ask again"))
    except (MediaFull, BookError, NoRevision) as error:
        return _back(str(error))
    current.record(Act.APPROVED, asked.who, number)
    return redirect(url_for("welcomes.show", published=number))


@blueprint.post("/welcomes/approval/decline")
def decline() -> ResponseReturnValue:
    """Decline a request, with a note for its author."""
    services, app, person = current.services(), current.app().name, current.person()
    asked, draft = services.approvals.asked(app), services.drafts.get(app)
    if asked is None or draft is None or asked.version != request.form.get("version", 0, type=int):
        return _back(_("There is nothing to approve"))
    note = request.form.get("note", "").strip()[:NOTE_LIMIT]
    services.approvals.decline(asked, app, person.who, person.label, note)
    current.record(Act.DECLINED, asked.who)
    flash(_("Declined. The author sees your note on this page"))
    return redirect(url_for("publishing.publish"))


@blueprint.post("/people/second-person")
def switch() -> ResponseReturnValue:
    """Switch it on or off for the page's app. On: by a member alone, who shows that members can sign in."""
    on, person = request.form.get("on") == "1", current.person()
    if on and (person.via != Via.WECOM or not wecom.offered()):
        flash(_("Only an admin who signed in with WeCom switches this on: those who approve sign in so too"), "bad")
        return redirect(url_for("people.show"))
    if current.services().approvals.switch(current.app().name, on, person.who, person.label):
        current.record(Act.SECOND_PERSON_ON if on else Act.SECOND_PERSON_OFF)
    return redirect(url_for("people.show"))


def _why_not(found: Standing) -> str:
    if found is Standing.OWN:
        return _("You asked for it, or have changed it: somebody else approves it")
    if found is Standing.NO_MEMBER:
        return _("Sign in with WeCom to approve: the password does not say who you are")
    return _("The draft has changed meanwhile: its author has to ask again")


def _standing(asked: Said | None, draft: Draft) -> Standing:
    person = current.person()
    return standing(asked, draft, person.who, person.label, person.via == Via.WECOM)


def _back(why: str) -> ResponseReturnValue:
    flash(why, "bad")
    return redirect(url_for("publishing.publish"))
