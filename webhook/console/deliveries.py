"""Deliveries: what became of each customer, newest first: the list, its CSV file, and the page of one delivery.

The filter is the query string, so every view of the list has an address.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import redis
from flask import Blueprint, Response, abort, flash, redirect, render_template, request, stream_with_context, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext

from tasks.audit import Act
from tasks.directory import lookup
from tasks.events import NOT_TRANSFERRED
from tasks.ledger import statistics
from tasks.ledger.delivery import OF_NO_EVENT, Delivery, Outcome
from tasks.ledger.query import Page
from tasks.messages import Message, translate
from tasks.missed.work_list import customer_name
from tasks.settings import Settings
from tasks.storage.places import cursor_of, place_of
from tasks.storage.unreadable import readable
from webhook import durations, outcomes, timeline
from webhook.console import csv_rows, current, name_search, picker
from webhook.console import delivery_detail as in_full
from webhook.console.delivery_filter import (
    ALL_MISSED,
    FIELD_WORDS,
    LONGEST,
    TABS,
    UNCERTAIN,
    Filter,
    counted,
    kind_of,
    periods,
)
from webhook.console.search import Search
from webhook.console.staff import known_staff
from webhook.delivery_record import reason_text
from webhook.outcomes import BAD, NAMES, TONES

ROWS = 50
MOST_NEW = 99  # that are counted
TABLE_ROWS = 50_000
TABLE_BATCH = 500
COLUMNS = (
    *(lazy_gettext("Time"), lazy_gettext("Outcome"), lazy_gettext("What happened"), lazy_gettext("Took (ms)")),
    *(lazy_gettext("Member"), lazy_gettext("Customer id"), lazy_gettext("Channel"), lazy_gettext("Welcome")),
    *(lazy_gettext("Rule"), lazy_gettext("Variant"), lazy_gettext("Revision"), lazy_gettext("Tries")),
    *(lazy_gettext("Interruptions"), lazy_gettext("Error code"), lazy_gettext("Reason"), lazy_gettext("Event id")),
    lazy_gettext("Outcome code"),
)
OPTIONS = 200  # that a field proposes
CHOICES = 12  # members among whom one is chosen
CHANGE_WORDS = {
    "add": lazy_gettext("added a member"),
    "half_add": lazy_gettext("added without approval"),
    "audit_approved": lazy_gettext("agreed to the chat archive"),
    NOT_TRANSFERRED: lazy_gettext("was not handed over to the member"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A row as the list shows it. `customer`, `member`: names, "" where they are not known."""

    delivery: Delivery
    customer: str
    member: str
    took: int | None
    note: Message | None
    place: str  # a cursor


blueprint = Blueprint("deliveries", __name__)
blueprint.app_template_filter("seconds")(lambda ms: durations.seconds(ms / 1000))
blueprint.app_template_global("outcome_name")(lambda outcome, errcode=None: _(outcomes.name(outcome, errcode)))
blueprint.app_template_global("outcome_tone")(lambda outcome: TONES.get(outcome or "open", BAD))


@blueprint.app_template_filter("short")
def short(identity: str) -> str:
    """An id shortened for lists: its beginning and end."""
    return identity if len(identity) <= 14 else f"{identity[:4]}…{identity[-6:]}"


def drop(given: Mapping[str, str], name: str) -> dict[str, str]:
    """A filter without one of its fields."""
    return {key: value for key, value in given.items() if key != name}


@blueprint.context_processor
def words() -> dict[str, Any]:
    """Names for the templates of this blueprint."""
    return {
        "tabs": TABS,
        "missed_outcomes": ALL_MISSED,
        "of_no_event": OF_NO_EVENT,
        "field_words": lambda name: FIELD_WORDS.get(name, name),
        "outcome_words": lambda outcome: dict(TABS).get(outcome) or _(NAMES[outcome]),
        "change_words": lambda change: CHANGE_WORDS.get(change, change),
        "kind_of": kind_of,
        "drop": drop,
        "change": lambda given, **changed: {key: value for key, value in {**given, **changed}.items() if value},
    }


# ------------------------------------------------------------------------------------------------ the list


@blueprint.get("/deliveries")
def show() -> ResponseReturnValue:
    """The filtered list; a redirect where the search is for one delivery's id."""
    form = Filter(request.args)
    if not form.validate():
        return _refused(form)
    given = form.given()
    if "member" in given and (several := _members_called(given["member"])) is not None:
        return _by_name(form, given, several)
    name = _name_of(given)
    if name is None:
        flash(_("A search for a name ends after 30 minutes. Enter the name again"), "warn")
        return redirect(_list(drop(given, "name")))
    app, ledger = current.app().name, current.services().ledger
    if "q" in given and (row := ledger.delivery(given["q"])) and row.app == app:
        return redirect(url_for("deliveries.one", identity=row.id))
    query, cursors = form.query(current.zone()), Cursors.of_request()
    try:
        page, new = _read(query, cursors, name)
    except ValueError:  # no cursor of ours
        return redirect(_list(given))
    others = given.keys() - {"outcome", "since", "until"}
    counts = {} if others else counted(ledger.count(app, query["since"] or 0, query["until"]))
    day = datetime.fromtimestamp(ledger.now() / 1000, current.zone()).date()
    lines = _lines(page.rows)
    return render_template(
        "deliveries/list.html",
        form=form,
        given=given,
        page=page,
        name=name,
        searched_to=place_of(page.older)[0] / 1000 if page.older and not page.whole else None,
        lines=lines,
        counts=counts,
        missed=sorted(ALL_MISSED & counts.keys(), key=lambda one: (-counts[one], one)),
        periods=periods(day),
        newest=cursors.seen or (lines[0].place if lines and cursors.first else ""),
        first=cursors.first,
        new=len(new.rows),
        most_new=MOST_NEW,
        templates=_templates(),
        **_options(day, lines),
        keep_days=current.services().settings.keep_days,
    )


@dataclass(frozen=True, slots=True)
class Cursors:
    """The position of a page in the list: below the row `before`, above the row `after`, at the top if both are None.

    `seen`: the newest row of a page that polls; the rows from it down are shown, newer ones are only counted.
    """

    before: str | None
    after: str | None
    seen: str | None

    @classmethod
    def of_request(cls) -> "Cursors":
        return cls(*(request.args.get(name) or None for name in ("before", "after", "seen")))

    @property
    def first(self) -> bool:
        return not self.before and not self.after


def _read(query: Mapping[str, Any], cursors: Cursors, name: str) -> tuple[Page, Page]:
    """(the page, the rows that arrived since it was first shown). ValueError for an invalid cursor."""
    ledger, app = current.services().ledger, current.app().name
    if name:
        named = name_search.named(name)
        return ledger.page(app, **query, before=cursors.before, limit=ROWS, named=named), Page([])
    if cursors.seen is None:
        return ledger.page(app, **query, before=cursors.before, after=cursors.after, limit=ROWS), Page([])
    page = ledger.page(app, **query, before=f"{cursors.seen}~", limit=ROWS)
    new = ledger.page(app, **query, after=cursors.seen, limit=MOST_NEW + 1)
    return Page(page.rows, page.older, None, page.whole), new


def _name_of(given: Mapping[str, str]) -> str | None:
    """The name that is looked for; "" for none, None if the search has ended."""
    return name_search.kept(current.services().redis, given["name"]) if "name" in given else ""


@blueprint.post("/deliveries/search")
def search() -> ResponseReturnValue:
    """What was typed into the search: an id, or a customer's name. Redirects to an address that has no name in it."""
    text = request.form.get("text", "").strip()[:LONGEST]
    form = Filter(request.form)
    given = {name: value for name, value in form.given().items() if name not in ("q", "name")}
    app, services = current.app().name, current.services()
    if not text:
        return redirect(_list(given))
    if text.isascii() and (row := services.ledger.delivery(text)) and row.app == app:
        return redirect(url_for("deliveries.one", identity=row.id))
    if text.isascii() and services.ledger.page(app, external_user_id=text, limit=1).rows:
        return redirect(_list(given, q=text))
    return redirect(_list(given, name=name_search.keep(services.redis, text)))


def _list(given: Mapping[str, Any], **more: str) -> str:
    """The address of the list with this filter, and more fields of it."""
    return url_for("deliveries.show", **{**given, **more})


def _refused(form: Filter, choices: Mapping[str, tuple[str, str]] | None = None) -> ResponseReturnValue:
    """The page with the form's errors. choices: address → (name, userid) of members to choose from."""
    nothing: dict[str, Any] = {"counts": {}, "missed": [], "members": {}, "channels": [], "templates": []}
    given = {name: value for name, value in form.given().items() if not form[name].errors}
    return render_template(
        "deliveries/list.html",
        form=form,
        given=drop(given, "name"),
        page=None,
        choices=choices or {},
        periods=periods(current.today()),
        **nothing,
    ), 422


def _by_name(form: Filter, given: Mapping[str, str], called: Sequence[str]) -> ResponseReturnValue:
    """The member was entered by name: redirect if it is unique, otherwise list those who are called so."""
    if len(called) == 1:
        return redirect(_list(given, member=called[0]))
    nobody = _("No member of this name has a recent customer; enter the account")
    several = _("Several members have this name: %(ids)s", ids=", ".join(called))
    form.member.errors = [several if called else nobody]
    names = picker.names(called)
    links = {_list(given, member=one): (names[one], one) for one in called}
    return _refused(form, links)


def _members_called(text: str) -> list[str] | None:
    """The userids of some members whom a search finds; None if it is a userid itself. A userid is ASCII, doc 90195."""
    if text.isascii() and current.services().ledger.page(current.app().name, user_id=text, limit=1).rows:
        return None
    known = known_staff().members
    wanted = Search(text)
    found = [one.id for one in known.values() if wanted.finds(one.name, one.id)]
    if text in known or (text.isascii() and not found):
        return None
    found.sort(key=lambda one: (len(known[one].name), known[one].name, one))
    return (found or _added_lately(text))[:CHOICES]


def _added_lately(name: str) -> list[str]:
    """The userids of members of this name, among those added in the last week."""
    client, app, today = current.services().redis, current.app().name, current.today()
    days = statistics.read(client, app, [today - timedelta(days=ago) for ago in range(7)], ("member",))
    ids = {value for counts in days.values() for _dimension, value, _outcome in counts if isinstance(value, str)}
    names = lookup.known_members(client, app, ids)
    return sorted(one for one, (known, _department) in names.items() if known == name)


def _options(today: date, lines: Sequence[Line]) -> dict[str, Any]:
    """The suggestions of the fields: from the rows shown, and from today's statistics."""
    client, app = current.services().redis, current.app().name
    counts = statistics.read(client, app, [today], ("member", "channel"))[today]
    values = [(dimension, value) for dimension, value, _outcome in counts if isinstance(value, str)]
    ids = [value for dimension, value in values if dimension == "member"][:OPTIONS]
    names = lookup.known_members(client, app, ids)
    members = {one.delivery.user_id: one.member for one in lines}
    channels = {value for dimension, value in values if dimension == "channel"}
    return {
        "members": {one: names.get(one, ("", ""))[0] for one in ids} | members,
        "channels": sorted((channels | {one.delivery.state for one in lines}) - {""})[:OPTIONS],
    }


def _templates() -> list[str]:
    """The names of the live book's welcomes; none if it cannot be read."""
    books, app = current.services().books, current.app().name
    try:
        number = books.current(app)
        return sorted(books.book(app, number).templates) if number else []
    except (redis.RedisError, LookupError, ValueError):
        return []


def _lines(rows: Iterable[Delivery]) -> list[Line]:
    rows = list(rows)
    known = lookup.known_members(current.services().redis, current.app().name, {row.user_id for row in rows})
    return [_line(row, known.get(row.user_id, ("", ""))[0]) for row in rows]


def _line(row: Delivery, member: str) -> Line:
    sent = row.outcome in (Outcome.SENT, UNCERTAIN, Outcome.REHEARSED)
    return Line(
        delivery=row,
        customer=customer_name(row),
        member=(row.names or {}).get("member") or member,
        took=timeline.took(row) if sent else None,
        note=outcomes.note(row),
        place=_place(row),
    )


def _place(row: Delivery) -> str:
    """The cursor of a row."""
    return cursor_of((row.received_ms, row.id))


# ------------------------------------------------------------------------------------------------ the CSV file


@blueprint.get("/deliveries.csv")
def table() -> ResponseReturnValue:
    """The list as CSV, newest first, at most TABLE_ROWS."""
    form = Filter(request.args)
    if not form.validate():
        return _refused(form)
    if "name" in form.given():
        abort(404)  # a file has no names, and is not searched by one
    rows = _all_rows(form.query(current.zone()))
    name = f"deliveries-{current.today().isoformat()}.csv"
    current.record(Act.EXPORTED, name)
    return Response(
        stream_with_context(_written(rows, current.services().settings)),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _all_rows(query: Mapping[str, Any]) -> Iterator[Delivery]:
    """The rows, read in batches; the first at once, since an answer that has begun cannot turn into a 503."""
    ledger, app = current.services().ledger, current.app().name
    first = ledger.page(app, **query, limit=TABLE_BATCH)

    def rows() -> Iterator[Delivery]:
        batch, left = first, TABLE_ROWS
        while left > 0:
            yield from batch.rows[:left]
            left -= len(batch.rows)
            if batch.older is None:
                return
            batch = ledger.page(app, **query, before=batch.older, limit=TABLE_BATCH)

    return rows()


def _written(rows: Iterable[Delivery], settings: Settings) -> Iterator[str]:
    yield "\ufeff"  # without it Excel takes Chinese for something else
    yield csv_rows.line(COLUMNS)
    for row in rows:
        yield csv_rows.line(_cells(row, settings))


def _cells(row: Delivery, settings: Settings) -> list[object]:
    """A row of the CSV file. Ids, no names: a file leaves the sign-in behind."""
    at = datetime.fromtimestamp(row.received_at, settings.timezone)
    took = timeline.took(row)
    numbers = (row.revision, row.attempts, row.redeliveries, row.errcode)
    return [
        at.strftime("%Y-%m-%d %H:%M:%S"),
        _(outcomes.name(row.outcome, row.errcode)),
        translate(outcomes.outcome_text(row, settings.window).headline, _),
        "" if took is None else took,
        *(row.user_id, row.external_user_id, row.state, row.template, row.rule, row.variant),
        *("" if number is None else number for number in numbers),
        *(reason_text(row), row.id, row.outcome or "open"),
    ]


# ------------------------------------------------------------------------------------------------ one delivery


@blueprint.get("/e/<identity>")
def one(identity: str) -> ResponseReturnValue:
    """One delivery, with links to its neighbours in the list that led here."""
    row, services = _found(identity), current.services()
    app, ledger = current.app().name, services.ledger
    if row.app != app and row.app in services.settings.apps:  # log lines name no app
        return redirect(url_for("deliveries.one", identity=identity, app=row.app))
    current.looked_at(identity)
    form = Filter(request.args)
    given = drop(form.given(), "name") if form.validate() else {}
    query = form.query(current.zone()) if given else {}
    place = _place(row)
    newer = ledger.page(app, **query, after=place, limit=1).rows
    older = ledger.page(app, **query, before=place, limit=1).rows
    return render_template(
        "deliveries/one.html",
        **in_full.view(services, row, ledger.now() / 1000),
        line=_line(row, ""),
        given=given,
        newer=newer[0].id if newer else "",
        older=older[0].id if older else "",
    )


@blueprint.post("/e/<identity>/follow-up")
def again(identity: str) -> ResponseReturnValue:
    """Retry the follow-up."""
    row = _found(identity)
    if row.app == current.app().name and current.services().follow_ups.again(identity):
        current.record(Act.FOLLOW_UPS_RETRIED, number=1)
        flash(_("Tags and remark are retried within seconds"))
    else:
        flash(_("Nothing to retry"))
    return redirect(url_for("deliveries.one", identity=identity))


def _found(identity: str) -> Delivery:
    delivery = current.services().ledger.delivery
    row = readable(f"the row of {identity}", partial(delivery, identity)) if len(identity) <= LONGEST else None
    return row if row is not None else abort(404)
