"""“Send to me”: a welcome as it stands in the editor, as app messages to the operator or a member, marked as a test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import request, session
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_limiter import RateLimitExceeded

from tasks.audit import Act
from tasks.messages import translate
from tasks.reasons import Reason
from tasks.templates.model import Attachment
from webhook.console import auth, current, picker
from webhook.console.picker import Picker
from webhook.console.staff import known_staff, suggested_members
from webhook.errcode_texts import told, what_to_do
from webhook.reason_texts import describe

TRIALS = "2 per minute"  # of one session: each has up to 13 messages, and a member gets 30 a minute
LONGEST_ID = 64


@dataclass(frozen=True, slots=True)
class Offer:
    """What the editor offers. `me`: the member who has signed in with WeCom, "" for nobody; `to`: who was chosen."""

    possible: bool
    me: str
    to: str
    members: Mapping[str, str]
    people: Picker | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it, in words. tone: ok | warn | bad; `status`: of HTTP."""

    tone: str
    text: str
    more: Sequence[str] = ()
    status: int = 200


def offered() -> Offer:
    """Who can be sent a trial."""
    possible, me = current.app().trials.possible, _me()
    if not possible or me:
        return Offer(possible, me, "", {}, None)
    return Offer(possible, me, member(), suggested_members(), picker.one(request.form))


def member() -> str:
    """Who is to get it: the operator, or else the member in the form."""
    return _me() or picker.chosen_one(request.form) or request.form.get("to", "").strip()


def _me() -> str:
    """The userid of an operator who has signed in with WeCom as a member of the page's corp."""
    return str(session.get("userid", "")) if session.get("corp") == current.app().settings.corp_id else ""


def send(to: str, name: str, text: str, attachments: Sequence[Attachment]) -> Outcome:
    """Send it, if it is not too often."""
    trials = current.app().trials
    if not trials.possible:
        return Outcome("bad", _("Members cannot be messaged: WECOM_AGENT_ID is not set"), status=422)
    if not to or len(to) > LONGEST_ID:
        return Outcome("bad", _("Choose the member who is to get the test"), status=422)
    try:
        with auth.limiter().limit(TRIALS, key_func=lambda: f"trial:{current.operator()}:{session.get('id')}"):
            report = trials.send(to, name, text, attachments)
    except RateLimitExceeded:
        return Outcome("warn", _("That was 2 tests in a minute. Wait a little"), status=429)
    current.record(Act.TRIED_WELCOME, name)
    more = [
        _("Attachment %(n)s was left out: %(why)s", n=number, why=_words(why))
        for number, why in report.left_out.items()
    ]
    if report.reason is not None:
        code = report.reason.errcode
        cure = [] if code is None else [translate(what_to_do(code, report.reason), _)]
        words = _words(report.reason)
        text = (
            _("The test broke off after %(n)s messages: %(why)s", n=report.sent, why=words)
            if report.sent
            else _("The test was not sent: %(why)s", why=words)
        )
        return Outcome("bad", text, [*cure, *more], 502)
    sent = ngettext(
        "Sent to %(who)s: %(num)s message, marked as a test",
        "Sent to %(who)s: %(num)s messages, marked as a test",
        report.sent,
        who=_name(to),
    )
    return Outcome("warn" if more else "ok", sent, more)


def _name(user_id: str) -> str:
    """A member's name, or the userid where it is not known."""
    known = known_staff().members.get(user_id)
    return known.name if known and known.name else user_id


def _words(reason: Reason) -> str:
    return translate(told(reason) if reason.errcode is not None else describe(reason), _)
