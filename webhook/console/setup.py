"""Set-up: the callback URL and WeCom's last request to it, the doctor's findings, a rehearsal through the real path."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Response, flash, g, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_limiter import Limiter, RateLimitExceeded
from flask_wtf import FlaskForm
from markupsafe import Markup, escape
from wtforms import StringField
from wtforms.validators import DataRequired, Length

from tasks.books.revisions import NoRevision
from tasks.channels import ChannelError, Channels
from tasks.directory.lookup import known_members
from tasks.directory.members import list_members
from tasks.messages import Message
from tasks.services import Services
from tasks.settings import App
from tasks.templates.problems import BookError
from webhook.callback.diagnosis import is_proven, sentence
from webhook.console import rehearsal_steps
from webhook.console.checkup import Checkup, Examination
from webhook.console.delivery_detail import as_sent
from webhook.console.welcomes.preview import Bubble
from webhook.rehearsal import rehearse

CHECKS, REHEARSALS = "1 per 10 seconds", "10 per minute"  # of one session
OUTCOME_WITHIN = 1.5  # seconds for which whoever rehearses may wait for the outcome
LOOK_UP = 1.0  # seconds for the list of members
LAST_EVENTS = 20  # rows among which the last real one is looked for
_ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104


class Rehearsal(FlaskForm):
    """Whom the customer who does not exist adds, and through which channel."""

    member = StringField(
        validators=[
            DataRequired(lazy_gettext("Enter the account of a member")),
            Length(max=64, message=lazy_gettext("An account has at most 64 characters")),
        ],
        filters=[lambda text: (text or "").strip()],
    )
    state = StringField(
        validators=[Length(max=64, message=lazy_gettext("A State has at most 64 characters"))],
        filters=[lambda text: (text or "").strip()],
    )


@dataclass(frozen=True, slots=True)
class Callback:
    """How the callback stands. tone: ok | bad | warn | unknown. `at`: Unix seconds, None while nothing came."""

    tone: str
    at: int | None = None
    verdict: Message | None = None
    event: Mapping[str, str] | None = None  # the last that was no rehearsal: a row of the ledger


def setup(services: Services, limiter: Limiter) -> Blueprint:
    """The page, the check, the rehearsal and the sheet for whoever administers WeCom."""
    blueprint = Blueprint("setup", __name__)
    blueprint.add_app_template_filter(coded)
    checkup = Checkup(services)

    def page(form: Rehearsal) -> str:
        app: App = g.app
        last = checkup.last(app)
        kept = rehearsal_steps.last(services.redis, app.name)
        row = services.ledger.row(kept.event) if kept else None
        steps = rehearsal_steps.steps(kept, row, services.ledger.now() / 1000) if kept else ()
        return render_template(
            "setup/show.html",
            form=form,
            url=_callback_url(app),
            callback=_callback(app),
            examination=last,
            checking=checkup.running_since(app),
            checks=_tone_of_checks(last),
            kept=kept,
            steps=steps,
            row=row,
            rehearsal=_tone_of_steps(steps),
            preview=_preview(row) if row else None,
            member=_name(app, kept.member) if kept else "",
            members=list_members(services.redis, app.name, services.clients[app.name], LOOK_UP),
            states=_states(app),
        )

    @blueprint.get("/setup")
    def show() -> str:
        kept = rehearsal_steps.last(services.redis, g.app.name)
        return page(Rehearsal(data={"member": kept.member, "state": kept.state} if kept else None))

    @blueprint.get("/setup/sheet")
    def sheet() -> str:
        today = datetime.now(services.settings.timezone).date().isoformat()
        return render_template("setup/sheet.html", url=_callback_url(g.app), today=today)

    @blueprint.post("/setup/check")
    def check() -> Response:
        try:
            with limiter.limit(CHECKS, key_func=_session):
                ended = checkup.begin(g.app)
        except RateLimitExceeded:
            flash(_("Checked a moment ago. Once in 10 seconds is possible"))
        else:
            flash(_("Checked") if ended else _("The check is running"))
        return _to("checks")

    @blueprint.post("/setup/rehearsal")
    def rehearsal() -> Response | tuple[str, int]:
        form = Rehearsal()
        url = _reachable(g.app)
        if url is None:
            no_url = _("Set WELCOME_PUBLIC_URL: the console has an address of its own, and the callback's is not known")
            form.member.errors = [no_url]
        if url is None or not form.validate():
            return page(form), 422
        try:
            with limiter.limit(REHEARSALS, key_func=_session):
                began = time.time()
                delivered = rehearse(g.app, url, form.member.data, form.state.data)
        except RateLimitExceeded:
            flash(_("That was 10 rehearsals in a minute. Wait a little"))
            return _to("rehearsal")
        kept = rehearsal_steps.KeptRehearsal.of(delivered, url, g.operator, began)
        rehearsal_steps.keep(services.redis, g.app.name, kept)
        by = time.monotonic() + OUTCOME_WITHIN
        while (
            kept.status == 200 and time.monotonic() < by and not (services.ledger.row(kept.event) or {}).get("outcome")
        ):
            time.sleep(0.05)
        flash(_("Rehearsed. Nothing was sent, and it counts nowhere"))
        return _to("rehearsal")

    # ------------------------------------------------------------------------------------------------

    def _callback_url(app: App) -> str | None:
        public = services.settings.public_url
        return None if public is None else public + app.callback_path

    def _reachable(app: App) -> str | None:
        """Where a rehearsal is sent: the way that WeCom takes, else this server as it is bound."""
        if public := _callback_url(app):
            return public
        if services.settings.console_bind:
            return None
        bound = request.environ.get("werkzeug.proxy_fix.orig", request.environ)
        host, port = bound["SERVER_NAME"], bound["SERVER_PORT"]
        return f"http://{_ANY.get(host, host)}:{port}{app.callback_path}"

    def _callback(app: App) -> Callback:
        noted = services.ledger.last_verification(app.name)
        event = _last_event(app)
        if noted is not None and noted[1]:
            return Callback("bad" if is_proven(noted[1]) else "warn", noted[0], sentence(noted[1]), event)
        return Callback("ok" if event else "unknown", noted[0] if noted else None, None, event)

    def _last_event(app: App) -> Mapping[str, str] | None:
        rows = services.ledger.page(app.name, limit=LAST_EVENTS).rows
        return next((row for row in rows if row["rehearsal"] != "1"), None)

    def _name(app: App, member: str) -> str:
        return known_members(services.redis, app.name, [member]).get(member, ("", ""))[0] or member

    def _preview(row: Mapping[str, str]) -> list[Bubble] | None:
        """What the rehearsal's customer would have been sent; None where that cannot be told."""
        try:
            message = as_sent(services.books.book(row["app"], int(row["revision"])), row)
        except (KeyError, ValueError, NoRevision, BookError):
            return None
        return None if message is None else message.bubbles

    def _states(app: App) -> list[str]:
        try:
            channels = Channels(services.redis, app.name, services.clients[app.name]).all()
        except ChannelError:
            return []
        return sorted({channel.state for channel in channels.values()})

    return blueprint


def coded(text: str) -> Markup:
    """A text whose `commands` stand between backticks, as a page shows it."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704  escaped before


def _tone_of_checks(last: Examination | None) -> str:
    return "unknown" if last is None else "bad" if last.stops else "ok"


def _tone_of_steps(steps: tuple[rehearsal_steps.RehearsalStep, ...]) -> str:
    statuses = {step.status for step in steps}
    return "bad" if rehearsal_steps.FAILED in statuses else "ok" if statuses == {rehearsal_steps.DONE} else "unknown"


def _session() -> str:
    return f"{g.operator}:{session.get('began')}"


def _to(anchor: str) -> Response:
    return redirect(url_for("setup.show", _anchor=anchor))  # type: ignore[return-value]
