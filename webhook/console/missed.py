"""Missed: customers who were not greeted and are to be greeted by hand. Members are reminded, rows ticked off.

Every action applies to the ids in the form, at most a page of them; a row that has changed meanwhile is skipped, and
the answer says so.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from tasks.audit import Act
from tasks.changes.failed_transfers import LIMIT, REFUSED
from tasks.ledger.delivery import MISSED, Delivery, Outcome, ReminderStatus
from tasks.ledger.idle import idle_period
from tasks.ledger.query import Page
from tasks.messages import Message, translate
from tasks.missed.manual_greeting import manual_greeting
from tasks.missed.reminders import Report, can_be_told, reminder_status
from tasks.missed.work_list import PAGE, MissedCause, UsedUpBy, WorkList, by_cause, customer_name
from tasks.reasons import Reason
from webhook import outcomes
from webhook.console import current, name_search, transfers
from webhook.console.language import joined
from webhook.console.layout import cut
from webhook.console.search import LONGEST
from webhook.console.staff import names_of
from webhook.console.welcomes.preview import bubbles
from webhook.errcode_texts import SAID, errcode, told, who
from webhook.idle_texts import no_worker
from webhook.reason_texts import describe

TABS = ("todo", "done", "unsure", "no_code")
UNDO = 600  # seconds for which a page offers to take ticks back
LATE = {
    UsedUpBy.QUEUE: Message.of(
        "They waited in the queue past the time limit. Check in Queue that the workers are running."
    ),
    UsedUpBy.OTHERS: Message.of("More customers than could be greeted. Add a worker, or raise WELCOME_CONCURRENCY."),
    UsedUpBy.LIMITS: Message.of("Held back by WeCom's rate limit. Queue shows the limit, and how many were sent."),
    UsedUpBy.TRIES: Message.of("WeCom or the network was too slow."),
}
CURES = {
    Outcome.NO_TEMPLATE: Message.of("No rule applies to them. Add a welcome for “everything else” and publish it."),
    Outcome.STALE: Message.of("WeCom's notifications came too late. Was this server or its proxy down?"),
    Outcome.REFUSED: Message.of("WeCom refused the message. Each timeline says why."),
    Outcome.FAILED: Message.of("WeCom could not be reached. Check the network in Set-up."),
    Outcome.DEAD: Message.of("Workers stopped midway again and again. See the server's log."),
    Outcome.UNANNOUNCED: Message.of("WeCom sent no notification; the nightly comparison found them."),
}
NOT_TRANSFERRED = {  # WeCom's FailReason → why, of several customers
    REFUSED: Message.of("The customers refused to be handed over to this member."),
    LIMIT: Message.of("The member has as many customers as WeCom allows."),
}


@dataclass(frozen=True, slots=True)
class Group:
    """Customers who were missed for one reason, with its cure. `first`, `last`: Unix seconds."""

    name: str
    cure: str
    rows: Sequence[Delivery]

    @property
    def first(self) -> float:
        return min(row.received_at for row in self.rows)

    @property
    def last(self) -> float:
        return max(row.received_at for row in self.rows)

    @property
    def are_contacts(self) -> bool:
        """Whether the members have a chat with them, to say hello in."""
        return all(can_be_told(row) for row in self.rows)


def cure_of(cause: MissedCause) -> Sequence[Message]:
    """What to do about a cause, so that it does not come again. Pure."""
    if cause.errcode is not None:
        meaning, cure = errcode(cause.errcode)
        by = who(cause.errcode)
        values = {"meaning": meaning, "code": cause.errcode, "cure": cure, "who": by}
        if by is None or by in SAID:
            return (Message("%(meaning)s (%(code)s). What to do: %(cure)s.", values),)
        return (Message("%(meaning)s (%(code)s). What to do: %(cure)s (%(who)s).", values),)
    if cause.outcome is Outcome.NOT_TRANSFERRED:
        why = NOT_TRANSFERRED.get(cause.failed_for)
        return (*((why,) if why else ()), outcomes.after_transfer(cause.failed_for))
    found = LATE[cause.used_up_by] if cause.used_up_by else CURES.get(cause.outcome)
    return (found,) if found else ()


blueprint = Blueprint("missed", __name__)


@blueprint.get("/missed")
def show() -> ResponseReturnValue:
    """A page of one of the four lists."""
    tab = request.args.get("tab", "todo")
    before = request.args.get("before") or None
    if tab not in TABS:
        abort(404)
    token = request.args.get("name", "")
    name = name_search.kept(current.services().redis, token) if token else ""
    if name is None:
        flash(_("A search for a name ends after 30 minutes. Enter the name again"), "warn")
        return _back(tab=tab)
    try:
        page = _page(tab, before, name)
    except ValueError:  # no cursor of ours
        return _back(tab=tab)
    app = current.app()
    todo, done = app.work_list.counts()
    became = current.services().ledger.count(app.name)
    now = time.time()
    return render_template(
        "missed/show.html",
        tab=tab,
        tabs=_tabs(todo, done, became),
        groups=_groups(page.rows) if tab == "todo" else [],
        page=page,
        before=before,
        name=name,
        token=token,
        members=_names(page.rows),
        told_of=lambda row: reminder_status(row, now),
        why_not=_why_not,
        customer_name=customer_name,
        errcode_words=lambda code: f"{translate(errcode(code)[0], _)} ({code})",
        possible=app.reminders.possible,
        switch=app.reminders.switch(),
        compared=app.comparison.status(),
        **(transfers.shown() if tab == "todo" and "HX-Request" not in request.headers else {}),
        became=became,
        newest=_newest() if tab == "todo" and not page.rows else None,
        undo=_undo(app.work_list, now),
    )


@blueprint.post("/missed/search")
def search() -> ResponseReturnValue:
    """A search for a customer's name, by an address that does not hold it."""
    text, tab = request.form.get("text", "").strip()[:LONGEST], request.form.get("tab", "")
    token = name_search.keep(current.services().redis, text) if text else None
    return _back(tab=tab if tab in TABS else None, name=token)


def _page(tab: str, before: str | None, name: str) -> Page:
    """A page of a list. ValueError for an invalid cursor."""
    app = current.app()
    if tab in ("todo", "done"):
        return app.work_list.page(tab == "done", before, named=name_search.named(name) if name else None)
    if tab == "no_code":
        return Page(())
    return current.services().ledger.page(app.name, outcome=frozenset({"unconfirmed"}), before=before, limit=PAGE)


def _newest() -> Delivery | None:
    """The customer who was missed last, whatever was done about it."""
    rows = current.services().ledger.page(current.app().name, outcome=frozenset(MISSED), limit=1).rows
    return rows[0] if rows else None


def _names(rows: Iterable[Delivery]) -> dict[str, str]:
    """userid → name, where the cache knows it."""
    return names_of({row.user_id for row in rows})


@blueprint.get("/missed/<identity>/greeting")
def greeting(identity: str) -> str:
    """The greeting that can be sent to one of them by hand."""
    app, services = current.app(), current.services()
    rows = app.work_list.rows([identity])
    if not rows or not can_be_told(rows[0]):
        abort(404)
    current.looked_at(identity)
    welcome = manual_greeting(rows[0], app.settings, services.books, services.lookups, app.wecom)
    shown = bubbles(welcome.template, welcome.values) if welcome else []
    return render_template(
        "missed/greeting.html",
        row=rows[0],
        welcome=welcome,
        bubbles=shown,
        members=_names(rows),
        customer_name=customer_name,
    )


# ------------------------------------------------------------------------------------------------ what is done


@blueprint.post("/missed/remind")
def remind() -> ResponseReturnValue:
    """Remind members of the selected customers."""
    ids, app = _chosen(), current.app()
    if not ids:
        flash(_("Tick at least one customer"), "warn")
    elif not app.reminders.possible:
        flash(_("Members cannot be messaged: WECOM_AGENT_ID is not set"), "warn")
    else:
        report = app.reminders.tell(ids, current.operator(), again="again" in request.form)
        if report.told:
            current.record(Act.REMINDED, number=len(report.told))
        _say_told(report, _names(app.work_list.rows(ids)))
    return _back()


@blueprint.post("/missed/tick")
def tick() -> ResponseReturnValue:
    """Tick the selected customers off."""
    ids = _chosen()
    if not ids:
        flash(_("Tick at least one customer"), "warn")
        return _back()
    now = int(time.time() * 1000)
    ticked = current.app().work_list.tick(ids, current.operator(), now)
    if ticked:
        current.record(Act.TICKED_OFF, number=len(ticked))
    _say_skipped(len(ids) - len(ticked))
    return _back(ticked=now) if ticked else _back()


@blueprint.post("/missed/untick")
def untick() -> ResponseReturnValue:
    """Take ticks back: of the selected customers, or of one click, identified by its ms."""
    at, work_list = request.form.get("at", ""), current.app().work_list
    ids = work_list.ticked_at(int(at)) if at.isascii() and at.isdigit() and len(at) < 16 else _chosen()
    taken = work_list.untick(ids)
    if taken:
        current.record(Act.TICKED_BACK, number=len(taken))
        flash(ngettext("%(num)s customer is to do again", "%(num)s customers are to do again", len(taken)))
    _say_skipped(len(ids) - len(taken))
    return _back(tab="todo" if at else "done")


@blueprint.post("/missed/automatic")
def automatic() -> ResponseReturnValue:
    """Switch automatic reminders on or off."""
    reminders = current.app().reminders
    if request.form.get("on") == "1":
        reminders.switch_on(current.operator())
        current.record(Act.REMINDERS_ON)
        flash(_("Members are reminded automatically from now on"))
    else:
        reminders.switch_off()
        current.record(Act.REMINDERS_OFF)
        flash(_("Members are not reminded automatically any more"))
    return _back()


@blueprint.post("/missed/compare")
def compare() -> ResponseReturnValue:
    """Request a comparison with WeCom's customers."""
    if current.app().comparison.request(current.operator()):
        current.record(Act.COMPARED)
        flash(_("The comparison begins within a minute"))
    else:
        flash(_("A comparison is under way already"), "warn")
    return _back()


def _chosen() -> list[str]:
    """The selected ids, each once; at most a page of them."""
    return list(dict.fromkeys(request.form.getlist("id")))[:PAGE]


def _back(**query: Any) -> ResponseReturnValue:
    return redirect(url_for(".show", **query))


# ------------------------------------------------------------------------------------------------ in words


def _tabs(todo: int, done: int, became: dict[str, int]) -> list[tuple[str, str, int]]:
    """(tab, name, count)."""
    return [
        ("todo", _("To do"), todo),
        ("done", _("Followed up"), done),
        ("unsure", _("Uncertain"), became.get("unconfirmed", 0)),
        ("no_code", _("No welcome code"), became.get("no_code", 0) + became.get("lost", 0)),
    ]


def _groups(rows: Sequence[Delivery]) -> list[Group]:
    return [
        Group(
            name=_(outcomes.name(cause.outcome, cause.errcode)),
            cure=joined(translate(one, _) for one in (*_idle(cause, members), *cure_of(cause))),
            rows=members,
        )
        for cause, members in by_cause(rows).items()
    ]


def _idle(cause: MissedCause, rows: Sequence[Delivery]) -> Sequence[Message]:
    """When nobody worked, for the newest of those who waited for a worker."""
    if cause.used_up_by is not UsedUpBy.QUEUE:
        return ()
    settings, newest = current.services().settings, max(rows, key=lambda row: row.received_at)
    found = idle_period(current.services().redis, newest.received_at, settings.window)
    return () if found is None else (no_worker(found, settings.timezone),)


def _why_not(reason: Reason | None) -> str:
    """Why a member was not told."""
    if reason is None:
        return ""
    return translate(told(reason) if reason.errcode is not None else describe(reason), _)


def _undo(work: WorkList, now: float) -> tuple[int, int] | None:
    """(ms of a click, how many it ticked off) that the page offers to undo."""
    at = request.args.get("ticked", "")
    if not (at.isascii() and at.isdigit() and len(at) < 16) or now - int(at) / 1000 > UNDO:
        return None
    count = len(work.ticked_at(int(at)))
    return (int(at), count) if count else None


def _say_skipped(count: int) -> None:
    if count:
        flash(
            ngettext(
                "%(num)s customer was skipped: it had changed meanwhile",
                "%(num)s customers were skipped: they had changed meanwhile",
                count,
            ),
            "warn",
        )


def _say_told(report: Report, names: dict[str, str]) -> None:
    """Flash the result, with the members for whom it failed. No customer's name: messages are kept in a cookie."""
    if count := report.count("sent"):
        flash(ngettext("%(num)s member was reminded", "%(num)s members were reminded", count))
    failed: dict[tuple[ReminderStatus, str, bool], list[str]] = {}
    for one in report.told:
        if one.status is not ReminderStatus.SENT:
            what = one.status, _why_not(one.reason), one.tried_again
            failed.setdefault(what, []).append(names.get(one.user_id, one.user_id))
    for (status, why, tried_again), members in failed.items():
        if status is ReminderStatus.UNSURE:
            text = _("Perhaps reminded: %(members)s (no answer came)", members=_list(members))
        elif tried_again:
            text = _("Not reminded yet: %(members)s (%(why)s). It will be retried.", members=_list(members), why=why)
        else:
            text = _("Not reminded: %(members)s (%(why)s)", members=_list(members), why=why)
        flash(text, "warn")
    if report.left_out:
        flash(
            ngettext(
                "No member was reminded of %(num)s customer: the hand-over failed, so there is no chat",
                "No member was reminded of %(num)s customers: the hand-over failed, so there is no chat",
                report.left_out,
            ),
            "warn",
        )
    _say_skipped(report.skipped)


def _list(names: Sequence[str], most: int = 5) -> str:
    """Some names, and how many more."""
    shown = str(_(", ")).join(cut(name) for name in names[:most])
    return shown if len(names) <= most else str(_("%(names)s and %(n)s more", names=shown, n=len(names) - most))
