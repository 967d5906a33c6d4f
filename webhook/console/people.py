"""People: who may do what. Roles of members and departments; an admin gives and takes them."""

import re
import time
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from tasks.audit import Act
from tasks.messages import Message
from tasks.people import members
from tasks.people.grants import MOST, TooMany
from tasks.people.roles import Grant, Kind, Role, read_role
from tasks.settings import App
from tasks.wecom import WeComAPIError, WeComError
from webhook.console import access, current, picker, wecom
from webhook.errcode_texts import errcode

PATIENCE = 4.0  # seconds for WeCom to say who it is
AT_ONCE = 20  # that are given a role with one click
_USERID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")

blueprint = Blueprint("people", __name__)


class Wrong(Exception):
    """What was typed cannot be given a role. `field`: at fault."""

    def __init__(self, field: str, why: Message) -> None:
        super().__init__(field)
        self.field, self.why = field, why


@blueprint.get("/people")
def show() -> ResponseReturnValue:
    """Who has which role, and the form that gives one."""
    return _page()


@blueprint.post("/people")
def give() -> ResponseReturnValue:
    """Give a role."""
    if picker.asked(request.form):
        return _page()
    try:
        for grant in _asked_for():
            current.services().grants.give(grant)
            current.record(Act.ROLE_GIVEN, target=f"{grant.id} → {grant.role.word}", of_app=False)
            flash(_("%(who)s has the role %(role)s", who=_named(grant), role=access.WORDS[grant.role]))
    except Wrong as wrong:
        return _page(wrong), 422
    except TooMany:
        why = Message.of("There are %(most)s roles already. Give one to a department", most=MOST)
        return _page(Wrong("id", why)), 422
    return redirect(url_for(".show"))


@blueprint.post("/people/take")
def take() -> ResponseReturnValue:
    """Take a role away: sessions that had it by this alone end with their next request."""
    taken = current.services().grants.take(request.form.get("field", ""))
    if taken is not None:
        current.record(Act.ROLE_TAKEN, target=f"{taken.id} → {taken.role.word}", of_app=False)
        flash(_("%(who)s has the role %(role)s no longer", who=_named(taken), role=access.WORDS[taken.role]))
    return redirect(url_for(".show"))


def _named(grant: Grant) -> str:
    return grant.name or grant.id


def _asked_for() -> list[Grant]:
    """What was chosen and typed, as WeCom knows it. Raises Wrong."""
    form, role = request.form, read_role(request.form.get("role"))
    if role is None:
        raise Wrong("role", Message.of("Choose a role"))
    wanted = [(kind, one) for kind in Kind for one in form.getlist(f"{kind}s")]
    typed = form.get("id", "").strip()
    wanted += [(kind, typed) for kind in Kind if typed and kind == form.get("kind")]
    if not wanted:
        raise Wrong("id", Message.of("Choose a member or a department"))
    if len(wanted) > AT_ONCE:
        raise Wrong("id", Message.of("At most %(most)s at once", most=AT_ONCE))
    return [_grant(role, kind, one) for kind, one in dict.fromkeys(wanted)]


def _grant(role: Role, kind: Kind, identity: str) -> Grant:
    """Raises Wrong."""
    app = current.app().settings
    try:
        found, name = _member(app, identity) if kind == Kind.MEMBER else _department(identity)
    except WeComAPIError as error:
        meaning = errcode(error.errcode, error.errmsg)[0]
        why = Message.of("WeCom does not say who this is: %(meaning)s (%(code)s)", meaning=meaning, code=error.errcode)
        raise Wrong("id", why) from None
    except WeComError:
        raise Wrong("id", Message.of("WeCom does not answer. Try again in a moment")) from None
    return Grant(app.corp_id, kind, found, role, name, current.person().who)


def _member(app: App, userid: str) -> tuple[str, str]:
    if not _USERID.fullmatch(userid):
        raise Wrong("id", Message.of("A userid has letters, digits and . _ - @, at most 64"))
    found = members.ask(current.app().wecom, app.corp_id, userid, time.monotonic() + PATIENCE)
    if found is None:
        raise Wrong("id", Message.of("There is no such active member in the app's visible range"))
    return found.userid, found.name


def _department(identity: str) -> tuple[str, str]:
    if not re.fullmatch(r"[0-9]{1,10}", identity):
        raise Wrong("id", Message.of("A department has a number"))
    told = current.app().wecom.with_deadline(time.monotonic() + PATIENCE).department.get(int(identity))
    return str(int(identity)), str(told.get("department", {}).get("name") or "")


def _page(wrong: Wrong | None = None) -> str:
    form, services, corp_id = request.form, current.services(), current.app().settings.corp_id
    corps = {app.corp_id for app in services.settings.apps.values()}
    shown: dict[str, Any] = {
        "grants": [one for one in services.grants.all() if one.corp_id == corp_id],
        "admins": [one for one in services.settings.console_admins if one.corp_id in ("", corp_id)],
        "others": sorted(corps - {corp_id}),
        "roles": [(role, access.WORDS[role]) for role in Role],
        "ways_in": wecom.offered(),
        "has_agent": bool(current.app().settings.agent_id),
        "with_password": bool(services.settings.console_password),
        "second": services.approvals.switched_on(current.app().name),
        "people": picker.make(
            "who", form, "members", "departments", form.getlist("members"), form.getlist("departments")
        ),
        "wrong": wrong,
        "typed": form,
    }
    return render_template("people/show.html", **shown)
