"""Set-up: the callback URL and its last request, the doctor's findings, and a rehearsal through the real path."""

import re
import time
from dataclasses import dataclass

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_limiter import RateLimitExceeded
from flask_wtf import FlaskForm
from markupsafe import Markup, escape
from wtforms import StringField
from wtforms.validators import DataRequired, Length

from tasks import alerts
from tasks.audit import Act
from tasks.books.revisions import NoRevision
from tasks.channels import ChannelError
from tasks.directory.lookup import known_members
from tasks.ledger.delivery import Delivery
from tasks.ledger.ledger import Ledger
from tasks.messages import translate
from tasks.reasons import Reason
from tasks.templates.problems import BookError
from tasks.wecom import WeComError
from webhook.alert_texts import not_sent
from webhook.console import auth, current, picker, rehearsal_steps
from webhook.console.checkup import Checkup, Examination
from webhook.console.delivery_detail import as_sent
from webhook.console.staff import suggested_members
from webhook.console.welcomes.preview import Bubble
from webhook.rehearsal import rehearse
from webhook.server.addresses import address, loopback

CHECKS, REHEARSALS = "1 per 10 seconds", "10 per minute"  # of one session
TEST_ALERTS = "3 per minute"  # of all: the robot takes 20, and alerts are among them
OUTCOME_WITHIN = 1.5  # seconds for which a request waits for the outcome
LAST_EVENTS = 20  # rows among which the last real one is looked for


class Rehearsal(FlaskForm):
    """The member whom the fictitious customer adds, and the channel's State."""

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
    """The state of the callback. tone: ok | bad | warn | unknown. `at`: Unix seconds, None before the first request."""

    tone: str
    at: int | None = None
    problem: Reason | None = None
    event: Delivery | None = None  # the last that was no rehearsal


blueprint = Blueprint("setup", __name__)


@blueprint.get("/setup")
def show() -> str:
    """The page. Its form holds the last rehearsal's values."""
    kept = rehearsal_steps.last(current.services().redis, current.app().name)
    return _page(Rehearsal(data={"member": kept.member, "state": kept.state} if kept else None))


@blueprint.get("/setup/sheet")
def sheet() -> str:
    """The printable sheet for the administrator of WeCom."""
    return render_template("setup/sheet.html", url=_callback_url(), today=current.today().isoformat())


@blueprint.post("/setup/check")
def check() -> ResponseReturnValue:
    """Run the doctor."""
    try:
        with auth.limiter().limit(CHECKS, key_func=_session):
            ended = Checkup(current.services()).begin(current.app().settings)
    except RateLimitExceeded:
        flash(_("Checked a moment ago. Once in 10 seconds is possible"))
    else:
        flash(_("Checked") if ended else _("The check is running"))
    return _to("checks")


@blueprint.post("/setup/rehearsal")
def rehearsal() -> ResponseReturnValue:
    """Rehearse: send an event to the callback as WeCom does, and wait shortly for its outcome."""
    form, url, app = Rehearsal(), _reachable(), current.app()
    if picker.asked(request.form):
        return _page(form)
    form.member.data = picker.chosen_one(request.form) or form.member.data
    if url is None:
        no_url = _("Set WELCOME_PUBLIC_URL: the console has an address of its own, and the callback's is not known")
        form.member.errors = [no_url]
    if url is None or not form.validate():
        return _page(form), 422
    try:
        with auth.limiter().limit(REHEARSALS, key_func=_session):
            began = time.time()
            delivered = rehearse(app.settings, url, form.member.data, form.state.data)
    except RateLimitExceeded:
        flash(_("That was 10 rehearsals in a minute. Wait a little"))
        return _to("rehearsal")
    kept = rehearsal_steps.KeptRehearsal.of(delivered, url, current.operator(), began)
    rehearsal_steps.keep(current.services().redis, app.name, kept)
    if kept.status == 200:
        _await_outcome(kept.event)
    flash(_("Rehearsed. Nothing was sent, and it counts nowhere"))
    return _to("rehearsal")


@blueprint.post("/setup/alert")
def try_alert() -> ResponseReturnValue:
    """Send a test alert to the group robot."""
    settings = current.services().settings
    robot = alerts.make_robot(settings)
    if robot is None:
        flash(_("No group robot is set: ALERT_WEBHOOK"), "bad")
        return _to("alerts")
    try:
        with auth.limiter().limit(TEST_ALERTS, key_func=lambda: "alerts"):
            alerts.send_test(robot, settings)
    except RateLimitExceeded:
        flash(_("That was 3 test alerts in a minute. Wait a little"))
    except WeComError as error:
        flash(_("No test alert: %(why)s", why=translate(not_sent(error, robot.host), _)), "bad")
    else:
        current.record(Act.TESTED_ALERT, of_app=False)
        flash(_("The test alert is in the group"))
    return _to("alerts")


def _await_outcome(event: str) -> None:
    """Wait until a rehearsal has an outcome, at most OUTCOME_WITHIN."""
    ledger, by = current.services().ledger, time.monotonic() + OUTCOME_WITHIN
    while time.monotonic() < by and not _ended(ledger, event):
        time.sleep(0.05)


# ------------------------------------------------------------------------------------------------ what is shown


def _page(form: Rehearsal) -> str:
    services, app = current.services(), current.app()
    checkup = Checkup(services)
    last = checkup.last(app.settings)
    kept = rehearsal_steps.last(services.redis, app.name)
    row = services.ledger.delivery(kept.event) if kept else None
    now, window = services.ledger.now() / 1000, services.settings.window
    steps = rehearsal_steps.steps(kept, row, now, window) if kept else ()
    return render_template(
        "setup/show.html",
        form=form,
        url=_callback_url(),
        callback=_callback(),
        examination=last,
        checking=checkup.running_since(app.settings),
        checks=_tone_of_checks(last),
        kept=kept,
        steps=steps,
        row=row,
        rehearsal=_tone_of_steps(steps),
        preview=_preview(row) if row else None,
        member=_name(kept.member) if kept else "",
        members=suggested_members(),
        people=picker.one(request.form),
        states=_states(),
        robot=alerts.make_robot(services.settings),
    )


def _callback_url() -> str | None:
    public = current.services().settings.public_url
    return None if public is None else public + current.app().settings.callback_path


def _reachable() -> str | None:
    """The URL for a rehearsal: the public one that WeCom uses, else this server's own; None if that is not known."""
    if public := _callback_url():
        return public
    if current.services().settings.console_bind:
        return None
    bound = request.environ.get("werkzeug.proxy_fix.orig", request.environ)
    host, port = bound["SERVER_NAME"], bound["SERVER_PORT"]
    return f"http://{address(loopback(host), port)}{current.app().settings.callback_path}"


def _callback() -> Callback:
    verified = current.services().verifications.last(current.app().name)
    event = _last_event()
    if verified is not None and verified.problem is not None:
        return Callback("bad" if verified.proven else "warn", verified.at, verified.problem, event)
    return Callback("ok" if event else "unknown", verified.at if verified else None, None, event)


def _last_event() -> Delivery | None:
    rows = current.services().ledger.page(current.app().name, limit=LAST_EVENTS).rows
    return next((row for row in rows if not row.rehearsal), None)


def _name(member: str) -> str:
    known = known_members(current.services().redis, current.app().name, [member])
    return known.get(member, ("", ""))[0] or member


def _preview(row: Delivery) -> list[Bubble] | None:
    """What the rehearsal's customer would have been sent; None if that is not known."""
    try:
        message = as_sent(current.services().books.book(row.app, row.revision or 0), row)
    except (KeyError, ValueError, NoRevision, BookError):
        return None
    return None if message is None else message.bubbles


def _states() -> list[str]:
    try:
        channels = current.app().channels.all()
    except ChannelError:
        return []
    return sorted({channel.state for channel in channels.values()})


@blueprint.app_template_filter("coded")
def coded(text: str) -> Markup:
    """A text with `commands` between backticks, as HTML."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704  escaped before


def _tone_of_checks(last: Examination | None) -> str:
    return "unknown" if last is None else "bad" if last.stops else "ok"


def _tone_of_steps(steps: tuple[rehearsal_steps.RehearsalStep, ...]) -> str:
    statuses = {step.status for step in steps}
    return "bad" if rehearsal_steps.FAILED in statuses else "ok" if statuses == {rehearsal_steps.DONE} else "unknown"


def _session() -> str:
    return f"{current.operator()}:{session.get('began')}"


def _to(anchor: str) -> ResponseReturnValue:
    return redirect(url_for("setup.show", _anchor=anchor))


def _ended(ledger: Ledger, identity: str) -> bool:
    """Whether a rehearsal's event has its outcome."""
    row = ledger.delivery(identity)
    return row is not None and row.outcome is not None
