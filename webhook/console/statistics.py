"""Numbers: adds and greetings by day, channel, member, welcome or variant; as a page, and as a CSV file.

Read from the tallies (tasks.ledger.statistics): a hash or two for each day, in one pipelined read, however many
customers it had.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_wtf import FlaskForm
from wtforms import StringField
from wtforms.validators import AnyOf, ValidationError

from tasks.audit import Act
from tasks.directory.lookup import known_members
from tasks.ledger import statistics
from tasks.ledger.statistics import Value
from webhook.console import csv_rows, current, statistics_summary
from webhook.console.panels import Panels
from webhook.console.statistics_summary import OutcomeCount

DIMENSIONS = (  # value of `by`, name, dimension of the tallies
    ("day", lazy_gettext("Day"), "total"),
    ("channel", lazy_gettext("Channel"), "channel"),
    ("member", lazy_gettext("Member"), "member"),
    ("welcome", lazy_gettext("Welcome"), "template"),
    ("variant", lazy_gettext("A/B variant"), "variant"),
)
MOST_DAYS = {"day": 400}  # of a range; the tallies of the other dimensions have many fields a day
MOST_OF_OTHERS = 92
PERIOD = 7  # days that are shown first
SHOWN = 100  # rows; the rest is in the table to take away
ENOUGH = 200  # adds of each variant before they can be compared
COLUMNS = ("added", "sent", "on_time", "missed", "unconfirmed", "no_code", "lost")


class Asked(FlaskForm):
    """The query: a range of days, and the dimension."""

    class Meta(FlaskForm.Meta):
        csrf = False  # it changes nothing

    since = StringField()
    until = StringField()
    by = StringField(validators=[AnyOf([value for value, _name, _dimension in DIMENSIONS])])

    def validate_since(self, field: StringField) -> None:
        _day(field.data)

    def validate_until(self, field: StringField) -> None:
        try:
            first = _day(self.since.data)
        except ValidationError:
            return
        last, most = _day(field.data), MOST_DAYS.get(self.by.data or "", MOST_OF_OTHERS)
        if last < first:
            raise ValidationError(_("“Until” is before “since”"))
        if (last - first).days >= most:
            raise ValidationError(_("At most %(n)s days at once", n=most))

    @property
    def days(self) -> list[date]:
        first, last = _day(self.since.data), _day(self.until.data)
        return [first + timedelta(n) for n in range((last - first).days + 1)]


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `value`: a day, or a value of the dimension. `half`: seconds within which half were sent, in digits."""

    value: date | Value
    count: OutcomeCount
    half: str | None = None
    name: str = ""  # of a member, where it is known


@dataclass(frozen=True, slots=True)
class Table:
    """All rows, and their total."""

    rows: Sequence[Row]
    total: Row

    @property
    def top(self) -> int:
        return max([row.count.added for row in self.rows], default=0)


blueprint = Blueprint("numbers", __name__)


@blueprint.get("/numbers")
def show() -> ResponseReturnValue:
    """The page."""
    form, today = _asked(), current.today()
    table = None if form.errors else Panels().read(lambda: _table(form, SHOWN))
    page = render_template(
        "numbers/show.html",
        form=form,
        dimensions=DIMENSIONS,
        table=table,
        today=today,
        shown=SHOWN,
        enough=ENOUGH,
        comparisons=_compared(table.value) if table and table.value and form.by.data == "variant" else {},
        periods=_periods(today),
        given={field.name: field.data for field in form},
    )
    return (page, 422) if form.errors else page


@blueprint.get("/numbers.csv")
def file() -> ResponseReturnValue:
    """The table as CSV."""
    form = _asked()
    if form.errors:
        return show()
    found, by = _table(form), form.by.data
    head = {"member": ("member", "name"), "variant": ("rule", "variant")}.get(by, (by,))
    lines = [(*head, *COLUMNS, "half_s"), *(_cells(row, by) for row in found.rows)]
    name = f"numbers-{by}-{form.since.data}-{form.until.data}.csv"
    current.record(Act.EXPORTED, name, len(found.rows))
    return Response(
        "\ufeff" + "".join(csv_rows.line(cells) for cells in lines),  # without the first Excel takes Chinese amiss
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _asked() -> Asked:
    """The validated form of this request. Default: the last PERIOD days, by day."""
    today = current.today()
    first = {"since": today - timedelta(PERIOD - 1), "until": today}
    given = {name: value for name, value in request.args.items() if value}
    form = Asked(None, data={**{name: day.isoformat() for name, day in first.items()}, "by": "day", **given})
    form.validate()
    return form


def _table(form: Asked, named: int | None = None) -> Table:
    """`named`: how many rows of members get their names; None: all."""
    client, app, days = current.services().redis, current.app().name, form.days
    dimension = next(dimension for value, _name, dimension in DIMENSIONS if value == form.by.data)
    wanted = {"total", dimension} | ({"latency"} if len(days) <= MOST_OF_OTHERS else set())
    if dimension == "total":
        return _by_day(statistics.read(client, app, days, wanted))
    return _by_value(statistics.read_sum(client, app, days, wanted), dimension, named)


def _by_day(days: dict[date, statistics.Tallies]) -> Table:
    whole = statistics.added(days.values())
    rows = [Row(day, statistics_summary.total(one), statistics_summary.half_within(one)) for day, one in days.items()]
    return Table(rows[::-1], _sum(whole))


def _by_value(whole: statistics.Tallies, dimension: str, named: int | None) -> Table:
    rows = [Row(value, count) for value, count in statistics_summary.counted(whole, dimension).items()]
    rows.sort(key=lambda row: (-row.count.added, str(row.value)))
    if dimension == "member":
        asked = [row.value for row in rows[:named] if isinstance(row.value, str)]
        names = known_members(current.services().redis, current.app().name, asked)
        rows[:named] = [replace(row, name=names.get(str(row.value), ("", ""))[0]) for row in rows[:named]]
    return Table(rows, _sum(whole))


def _sum(whole: statistics.Tallies) -> Row:
    return Row("", statistics_summary.total(whole), statistics_summary.half_within(whole))


def _compared(table: Table) -> dict[str, bool]:
    """Rule → whether each of its variants has had enough customers to compare them."""
    rules: dict[str, bool] = {}
    for row in table.rows:
        rule = row.value[0] if isinstance(row.value, tuple) else ""
        rules[rule] = rules.get(rule, True) and row.count.added >= ENOUGH
    return rules


def _cells(row: Row, by: str) -> Iterator[Any]:
    if by == "variant":
        yield from row.value if isinstance(row.value, tuple) else ("(others)", "")
    else:
        yield "(others)" if row.value is None else row.value
        if by == "member":
            yield row.name
    on_time = row.count.on_time
    values = {name: getattr(row.count, name) for name in COLUMNS} | {"on_time": None}
    yield from ({**values, "on_time": "" if on_time is None else f"{on_time:.4f}"}).values()
    yield row.half or ""


def _periods(today: date) -> list[tuple[str, dict[str, str]]]:
    """(name, query) of common periods."""
    first = today.replace(day=1)
    last = first - timedelta(1)
    spans = [
        (_("Last 7 days"), today - timedelta(6), today),
        (_("Last 30 days"), today - timedelta(29), today),
        (_("This month"), first, today),
        (_("Last month"), last.replace(day=1), last),
    ]
    return [(name, {"since": since.isoformat(), "until": until.isoformat()}) for name, since, until in spans]


def _day(text: str | None) -> date:
    try:
        day = date.fromisoformat((text or "").strip())
    except ValueError:
        day = date.min
    if not 2000 <= day.year <= 2100:
        raise ValidationError(_("Write a date such as 2026-11-22"))
    return day
