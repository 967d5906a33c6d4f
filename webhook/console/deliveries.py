"""Deliveries: what became of each customer, newest first; as a list, as a table to take away, and one of them in full.

A filter is a query, so every view has an address. It holds ids, never names.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import redis
from flask import Blueprint, Response, abort, flash, g, redirect, render_template, request, stream_with_context, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_wtf import FlaskForm
from wtforms import StringField
from wtforms.validators import AnyOf, Length, Optional, ValidationError

from tasks.directory import lookup
from tasks.followups.store import FollowUps
from tasks.ledger import statistics
from tasks.ledger.delivery import delivery, names_used
from tasks.ledger.ledger import MISSED, Page
from tasks.messages import Message, translate
from tasks.services import Services
from webhook import outcomes, timeline
from webhook.console import csv_rows
from webhook.console import delivery_detail as in_full
from webhook.outcomes import BAD, NAMES, TONES

UNCERTAIN = "unconfirmed"
ALL_MISSED = MISSED | {"unannounced"}
TABS = (  # value of `outcome`, name
    ("", lazy_gettext("All")),
    ("sent", lazy_gettext("Sent")),
    ("missed", lazy_gettext("Missed")),
    (UNCERTAIN, lazy_gettext("Uncertain")),
    ("no_code", lazy_gettext("No welcome code")),
    ("lost", lazy_gettext("Greeted elsewhere")),
    ("rehearsed", lazy_gettext("Rehearsal")),
    ("open", lazy_gettext("In progress")),
)
ROWS = 50
MOST_NEW = 99  # that are counted
TABLE_ROWS = 50_000
TABLE_BATCH = 500
COLUMNS = (
    *(lazy_gettext("Time"), lazy_gettext("Outcome"), lazy_gettext("What happened"), lazy_gettext("Took (ms)")),
    *(lazy_gettext("Member"), lazy_gettext("Customer id"), lazy_gettext("Channel"), lazy_gettext("Welcome")),
    *(lazy_gettext("Rule"), lazy_gettext("Variant"), lazy_gettext("Revision"), lazy_gettext("Tries")),
    *(lazy_gettext("Interruptions"), lazy_gettext("Error code"), lazy_gettext("Reason"), lazy_gettext("Event id")),
    lazy_gettext("Outcome, for programs"),
)
OPTIONS = 200  # that a field proposes
FIELD_WORDS = {
    "outcome": lazy_gettext("Outcome"),
    "member": lazy_gettext("Member"),
    "channel": lazy_gettext("Channel"),
    "welcome": lazy_gettext("Welcome"),
    "since": lazy_gettext("Since"),
    "until": lazy_gettext("Until"),
    "q": lazy_gettext("Customer id"),
}
CHANGE_WORDS = {
    "add": lazy_gettext("added a member"),
    "half_add": lazy_gettext("added without approval"),
    "audit_approved": lazy_gettext("agreed to the chat archive"),
}
_LONGEST = 256  # characters of a value that is asked for
_DATE = len("2026-11-22")


class Filter(FlaskForm):
    """What is asked for. An empty field asks for nothing."""

    class Meta(FlaskForm.Meta):
        csrf = False  # it changes nothing

    outcome = StringField(
        validators=[
            Optional(),
            AnyOf([*NAMES, "missed"], lazy_gettext("There is no such outcome. Choose one of the tabs")),
        ]
    )
    member = StringField(validators=[Length(max=_LONGEST)])
    channel = StringField(validators=[Length(max=_LONGEST)])
    welcome = StringField(validators=[Length(max=_LONGEST)])
    since = StringField()
    until = StringField()
    q = StringField(validators=[Length(max=_LONGEST)])

    def validate_since(self, field: StringField) -> None:
        _moment(field.data)

    def validate_until(self, field: StringField) -> None:
        if (until := _moment(field.data)) and self.since.data:
            try:
                since = _moment(self.since.data)
            except ValidationError:
                return
            if since and since > until:
                raise ValidationError(_("“Until” is before “since”"))

    def given(self) -> dict[str, str]:
        """The fields that ask for something: the query of this view."""
        return {field.name: field.data.strip() for field in self if field.data and field.data.strip()}


def _moment(text: str | None) -> datetime | None:
    """A date or a date and time, without a zone; None for nothing."""
    if not text or not text.strip():
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is not None or not 2000 <= moment.year <= 2100:
        raise ValidationError(_("Write a date such as 2026-11-22, or with a time 2026-11-22T10:30"))
    return moment


@dataclass(frozen=True, slots=True)
class Line:
    """A row as the list shows it. `customer`, `member`: names, "" where they are not known."""

    delivery: Mapping[str, Any]
    customer: str
    member: str
    took: int | None
    note: Message | None
    place: str  # a cursor


def deliveries(services: Services) -> Blueprint:
    """The list, its table, and one delivery."""
    blueprint = Blueprint("deliveries", __name__)
    ledger, zone = services.ledger, services.settings.timezone
    followups = FollowUps(services.redis)
    blueprint.app_template_filter("seconds")(lambda ms: outcomes.seconds(ms / 1000))
    blueprint.app_template_global("outcome_name")(lambda outcome: _(NAMES.get(outcome or "open", str(outcome))))
    blueprint.app_template_global("outcome_tone")(lambda outcome: TONES.get(outcome or "open", BAD))

    @blueprint.app_template_filter("short")
    def short(identity: str) -> str:
        """An id as lists show it: its two ends."""
        return identity if len(identity) <= 14 else f"{identity[:4]}…{identity[-6:]}"

    @blueprint.context_processor
    def words() -> dict[str, Any]:
        return {
            "tabs": TABS,
            "missed_outcomes": ALL_MISSED,
            "field_words": lambda name: FIELD_WORDS.get(name, name),
            "outcome_words": lambda outcome: dict(TABS).get(outcome) or _(NAMES[outcome]),
            "change_words": lambda change: CHANGE_WORDS.get(change, change),
            "kind_of": _kind_of,
            "drop": lambda given, name: {key: value for key, value in given.items() if key != name},
            "change": lambda given, **changed: {key: value for key, value in {**given, **changed}.items() if value},
        }

    def asked(form: Filter) -> dict[str, Any]:
        """The filter as the ledger takes it."""
        given = form.given()
        since, until = _moment(given.get("since")), _moment(given.get("until"))
        if until is not None:  # a date means all of it, and a minute all of that
            until += timedelta(days=1) if len(given["until"]) <= _DATE else timedelta(minutes=1)
        return {
            "outcome": _outcomes(given.get("outcome", "")),
            "user_id": given.get("member"),
            "state": given.get("channel"),
            "template": given.get("welcome"),
            "external_user_id": given.get("q"),
            "since": int(since.replace(tzinfo=zone).timestamp() * 1000) if since else None,
            "until": int(until.replace(tzinfo=zone).timestamp() * 1000) - 1 if until else None,
        }

    def lines(rows: list[dict[str, str]]) -> list[Line]:
        known = lookup.known_members(services.redis, g.app.name, {row["user_id"] for row in rows})
        return [_line(row, known.get(row["user_id"], ("", ""))[0]) for row in rows]

    def refused(form: Filter) -> tuple[str, int]:
        """The page again, with what was typed and what is wrong with it."""
        nothing: dict[str, Any] = {"counts": {}, "missed": [], "members": {}, "channels": [], "templates": []}
        given = {name: value for name, value in form.given().items() if not form[name].errors}
        periods = _periods(datetime.now(zone).date())
        return render_template(
            "deliveries/list.html", form=form, given=given, page=None, periods=periods, **nothing
        ), 422

    def called(name: str) -> list[str]:
        """The members of this name, of those who were added in these days: a userid is ASCII, doc 90195."""
        today = datetime.now(zone).date()
        days = statistics.read(
            services.redis, g.app.name, [today - timedelta(days=ago) for ago in range(7)], ("member",)
        )
        ids = {value for counted in days.values() for _dimension, value, _outcome in counted if isinstance(value, str)}
        names = lookup.known_members(services.redis, g.app.name, ids)
        return sorted(one for one, (known, _department) in names.items() if known == name)[:9]

    def options(today: date, shown: list[Line]) -> dict[str, Any]:
        """What the fields propose: of the rows that are shown, and of today's."""
        counted = statistics.read(services.redis, g.app.name, [today], ("member", "channel"))[today]
        tallied = [(dimension, value) for dimension, value, _outcome in counted if isinstance(value, str)]
        ids = [value for dimension, value in tallied if dimension == "member"][:OPTIONS]
        names = lookup.known_members(services.redis, g.app.name, ids)
        members = {one.delivery["user_id"]: one.member for one in shown}
        channels = {value for dimension, value in tallied if dimension == "channel"}
        return {
            "members": {one: names.get(one, ("", ""))[0] for one in ids} | members,
            "channels": sorted((channels | {one.delivery["state"] for one in shown}) - {""})[:OPTIONS],
        }

    @blueprint.get("/deliveries")
    def show() -> Response | str | tuple[str, int]:
        form = Filter(request.args)
        if not form.validate():
            return refused(form)
        given, wanted = form.given(), asked(form)
        if not given.get("member", "").isascii():
            same = called(given["member"])
            if len(same) == 1:
                return redirect(url_for("deliveries.show", **{**given, "member": same[0]}))  # type: ignore[return-value, arg-type]
            several = _("Several members have this name: %(ids)s", ids=", ".join(same))
            form.member.errors = [several if same else _("No member of this name was added lately; write the userid")]
            return refused(form)
        if "q" in given and (row := ledger.row(given["q"])) and row["app"] == g.app.name:
            return redirect(url_for("deliveries.one", identity=row["id"]))  # type: ignore[return-value]
        before, after, seen = (request.args.get(name) or None for name in ("before", "after", "seen"))
        try:
            if seen:  # the rows that were shown, as they are now; those that came since are counted
                page = ledger.page(g.app.name, **wanted, before=f"{seen}~", limit=ROWS)
                new = ledger.page(g.app.name, **wanted, after=seen, limit=MOST_NEW + 1)
                page = Page(page.rows, page.older, None, page.whole)
            else:
                page = ledger.page(g.app.name, **wanted, before=before, after=after, limit=ROWS)
                new = Page([])
        except ValueError:
            return redirect(url_for("deliveries.show", **given))  # type: ignore[return-value, arg-type]
        now = datetime.fromtimestamp(ledger.now() / 1000, zone)
        shown = lines(list(page.rows))
        others = given.keys() - {"outcome", "since", "until"}
        counts = {} if others else _counted(ledger.count(g.app.name, wanted["since"] or 0, wanted["until"]))
        return render_template(
            "deliveries/list.html",
            form=form,
            given=given,
            page=page,
            lines=shown,
            counts=counts,
            missed=sorted(ALL_MISSED & counts.keys(), key=lambda one: (-counts[one], one)),
            periods=_periods(now.date()),
            newest=seen or (shown[0].place if shown and not before and not after else ""),
            first=not before and not after,
            new=len(new.rows),
            most_new=MOST_NEW,
            templates=_templates(services),
            **options(now.date(), shown),
            keep_days=services.settings.keep_days,
        )

    @blueprint.get("/deliveries.csv")
    def table() -> Response | tuple[str, int]:
        form = Filter(request.args)
        if not form.validate():
            return refused(form)
        wanted, app = asked(form), g.app.name
        page = ledger.page(app, **wanted, limit=TABLE_BATCH)  # now: an answer that has begun cannot say 503

        def rows() -> Iterator[dict[str, str]]:
            batch, left = page, TABLE_ROWS
            while left > 0:
                yield from batch.rows[:left]
                left -= len(batch.rows)
                if batch.older is None:
                    return
                batch = ledger.page(app, **wanted, before=batch.older, limit=TABLE_BATCH)

        def written() -> Iterator[str]:
            yield "\ufeff"  # without it Excel takes Chinese for something else
            yield csv_rows.line(COLUMNS)
            for row in rows():
                yield csv_rows.line(_cells(row, zone))

        name = f"deliveries-{datetime.now(zone).date().isoformat()}.csv"
        return Response(
            stream_with_context(written()),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    def found(identity: str) -> dict[str, str]:
        row = ledger.row(identity) if len(identity) <= _LONGEST else None
        return row if row is not None else abort(404)

    @blueprint.get("/e/<identity>")
    def one(identity: str) -> Response | str:
        row = found(identity)
        if row["app"] != g.app.name and row["app"] in services.settings.apps:  # log lines name no app
            return redirect(url_for("deliveries.one", identity=identity, app=row["app"]))  # type: ignore[return-value]
        form = Filter(request.args)
        given = form.given() if form.validate() else {}
        wanted = asked(form) if given else {}
        place = _place(row)
        newer = ledger.page(g.app.name, **wanted, after=place, limit=1).rows
        older = ledger.page(g.app.name, **wanted, before=place, limit=1).rows
        now = ledger.now() / 1000
        return render_template(
            "deliveries/one.html",
            **in_full.view(services, row, now),
            line=_line(row, ""),
            given=given,
            newer=newer[0]["id"] if newer else "",
            older=older[0]["id"] if older else "",
        )

    @blueprint.post("/e/<identity>/follow-up")
    def again(identity: str) -> Response:
        row = found(identity)
        if row["app"] == g.app.name and followups.again(identity):
            flash(_("Tags and remark of this customer are done again within seconds"))
        else:
            flash(_("There is nothing to do again: it is done, or nothing was to be done"))
        return redirect(url_for("deliveries.one", identity=identity))  # type: ignore[return-value]

    return blueprint


# ------------------------------------------------------------------------------------------------ the filter


def _outcomes(asked: str) -> frozenset[str] | None:
    if not asked:
        return None
    return ALL_MISSED if asked == "missed" else frozenset({"" if asked == "open" else asked})


def _counted(counts: Mapping[str, int]) -> dict[str, int]:
    """Value of `outcome` → how many."""
    found = {outcome or "open": count for outcome, count in counts.items() if count}
    return {**found, "missed": sum(found.get(one, 0) for one in ALL_MISSED), "": sum(found.values())}


def _periods(today: date) -> list[tuple[str, dict[str, str]]]:
    """(name, query) of the times that are asked for most."""
    yesterday = (today - timedelta(days=1)).isoformat()
    return [
        (_("Since midnight"), {"since": today.isoformat(), "until": ""}),
        (_("Yesterday"), {"since": yesterday, "until": yesterday}),
        (_("Last 7 days"), {"since": (today - timedelta(days=6)).isoformat(), "until": ""}),
        (_("All that is kept"), {"since": "", "until": ""}),
    ]


def _templates(services: Services) -> list[str]:
    """The names of the live book's welcomes, to choose from; none where it cannot be read."""
    try:
        current = services.books.current(g.app.name)
        return sorted(services.books.book(g.app.name, current).templates) if current else []
    except (redis.RedisError, LookupError, ValueError):
        return []


def _kind_of(field: StringField) -> str:
    """The type of an input for a time: text for what is none, or it would be lost from sight."""
    return "text" if field.errors else "datetime-local" if len(field.data or "") > _DATE else "date"


# ------------------------------------------------------------------------------------------------ rows


def _line(row: Mapping[str, str], member: str) -> Line:
    values, used = delivery(row), names_used(row)
    sent = values["outcome"] in ("sent", UNCERTAIN, "rehearsed")
    return Line(
        delivery=values,
        customer=used.get("customer") or row.get("customer_name", ""),
        member=used.get("member") or member,
        took=timeline.took(values) if sent else None,
        note=outcomes.note(values),
        place=_place(row),
    )


def _place(row: Mapping[str, str]) -> str:
    """The cursor of a row."""
    return f"{row['received_at']}-{row['id']}"


# ------------------------------------------------------------------------------------------------ the table


def _cells(row: Mapping[str, str], zone: Any) -> list[object]:
    """A row of the table. Ids, not names: a file goes where no sign-in is."""
    values = delivery(row)
    at = datetime.fromtimestamp(values["received_at"], zone)
    took = timeline.took(values)
    return [
        at.strftime("%Y-%m-%d %H:%M:%S"),
        _(NAMES.get(values["outcome"] or "open", values["outcome"])),
        translate(outcomes.outcome_text(values).headline, _),
        "" if took is None else took,
        *(values[name] for name in ("user_id", "external_user_id", "state", "template", "rule", "variant")),
        *("" if values[name] is None else values[name] for name in ("revision", "attempts", "recoveries", "errcode")),
        *(values["reason"], values["id"], values["outcome"] or "open"),
    ]
