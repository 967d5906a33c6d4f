"""People: who may do what. Roles of members and departments; an admin gives and takes them."""

import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from tasks.audit import Act
from tasks.messages import Message
from tasks.people import members
from tasks.people.grants import MOST, TooMany
from tasks.people.roles import Grant, Kind, Role, read_role
from tasks.wecom import WeComAPIError, WeComClient, WeComError
from webhook.console import access, current, picker, wecom
from webhook.errcode_texts import errcode

PATIENCE = 1.5  # seconds for WeCom to say who they all are
AT_ONCE = 20  # that are given a role with one click
ASKED_AT_ONCE = 5  # of them about whom WeCom is asked at the same time
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
    wanted = list(dict.fromkeys(wanted))
    for kind, one in wanted:
        _check(kind, one)
    corp_id, who = current.app().settings.corp_id, current.person().who
    known = _known(wanted)
    return [Grant(corp_id, kind, one, role, name, who) for (kind, _), (one, name) in zip(wanted, known, strict=True)]


def _check(kind: Kind, identity: str) -> None:
    """Whether somebody may have this id. Raises Wrong."""
    if kind == Kind.MEMBER and not _USERID.fullmatch(identity):
        raise Wrong("id", Message.of("A userid has letters, digits and . _ - @, at most 64"))
    if kind == Kind.DEPARTMENT and not re.fullmatch(r"[0-9]{1,10}", identity):
        raise Wrong("id", Message.of("A department has a number"))


def _known(wanted: Sequence[tuple[Kind, str]]) -> list[tuple[str, str]]:
    """(id, name) of each, as WeCom has them: all of them, or else Wrong, within PATIENCE."""
    client = current.app().wecom.with_deadline(time.monotonic() + PATIENCE)
    with ThreadPoolExecutor(min(ASKED_AT_ONCE, len(wanted)), thread_name_prefix="people") as pool:
        answers = list(pool.map(lambda one: _told(client, *one), wanted))
    for wrong in (one for one in answers if isinstance(one, Wrong)):
        raise wrong
    silent = [identity for (_kind, identity), answer in zip(wanted, answers, strict=True) if answer is None]
    if silent and len(silent) < len(wanted):
        who = ", ".join(silent)
        raise Wrong(
            "id",
            Message.of(
                "WeCom did not say in time who this is: %(who)s. Nobody was given the role; try again in a moment",
                who=who,
            ),
        )
    if silent:
        raise Wrong("id", Message.of("WeCom does not answer. Try again in a moment"))
    return [one for one in answers if isinstance(one, tuple)]


def _told(client: WeComClient, kind: Kind, identity: str) -> tuple[str, str] | Wrong | None:
    """(id, name) as WeCom has them, or why not; None: it does not answer."""
    try:
        if kind == Kind.DEPARTMENT:
            told = client.department.get(int(identity))
            return str(int(identity)), str(told.get("department", {}).get("name") or "")
        found = members.active(client, identity)
    except WeComAPIError as error:
        meaning = errcode(error.errcode, error.errmsg)[0]
        why = Message.of("WeCom does not say who this is: %(meaning)s (%(code)s)", meaning=meaning, code=error.errcode)
        return Wrong("id", why)
    except WeComError:
        return None
    if found is None:
        return Wrong("id", Message.of("There is no such active member in the app's visible range"))
    return str(found["userid"]), str(found.get("name") or "")


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
