"""Open sessions: whose, since when, on what and from where; each can be ended."""

import re
import time

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from tasks.audit import Act
from tasks.people.roles import Role
from tasks.people.sign_ins import SignIn
from webhook.console import current, sessions

_BROWSERS = (  # pattern, name: the first that is found, since most call themselves several
    ("wxwork", "WeCom"),
    ("MicroMessenger", "WeChat"),
    ("Edg/|EdgA/|EdgiOS/", "Edge"),
    ("Firefox/|FxiOS/", "Firefox"),
    ("Chrome/|CriOS/|Chromium/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone|iPad", "iOS"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X|Macintosh", "macOS"),
    ("Linux|X11", "Linux"),
)

blueprint = Blueprint("sessions", __name__)


@blueprint.get("/sessions")
def show() -> ResponseReturnValue:
    """One's own; an admin sees all."""
    found, own = _visible()
    others = sum(_is_own(one) for one in found if one.id != own)
    return render_template("people/sessions.html", open=found, own=own, others=others, device=device)


@blueprint.post("/sessions/end")
def end() -> ResponseReturnValue:
    """End one, or one's own others. Somebody else's: an admin's to end."""
    found, own = _visible()
    asked = request.form.get("id", "")
    ending = [one for one in found if one.id == asked]
    if asked == "others":
        ending = [one for one in found if one.id != own and _is_own(one)]
    if not ending:
        if asked and asked != "others":
            flash(_("This session has ended already"))
        return redirect(url_for(".show"))
    if any(one.id == own for one in ending):
        abort(400)  # that is signing out
    current.services().sign_ins.end([one.id for one in ending])
    for who in sorted({one.who for one in ending}):
        current.record(Act.SESSION_ENDED, target=who, of_app=False)
    flash(ngettext("%(num)s session has ended", "%(num)s sessions have ended", len(ending)))
    return redirect(url_for(".show"))


def device(words: str) -> str:
    """A browser and its system, of how it calls itself: Chrome, Windows."""
    found = [
        next((name for pattern, name in known if re.search(pattern, words)), "") for known in (_BROWSERS, _SYSTEMS)
    ]
    return ", ".join(one for one in found if one)


def _visible() -> tuple[list[SignIn], str]:
    """(the open sessions that one may see, one's own session's id)."""
    person = current.person()
    found = current.services().sign_ins.open(time.time() - sessions.IDLE)
    if person.role < Role.ADMIN:
        found = [one for one in found if _is_own(one)]
    return found, person.session


def _is_own(one: SignIn) -> bool:
    person = current.person()
    return (one.who, one.via, one.corp) == (person.who, person.via, person.corp_id)
