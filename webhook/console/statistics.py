"""Numbers: adds and greetings by day, channel, member, welcome or variant; as a page, and as a CSV file.

Read from the tallies (tasks.ledger.statistics): a hash or two for each day, in one pipelined read, however many
customers it had.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, Response, render_template, request, url_for
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
from tasks.services import Services
from webhook.console import csv_rows, current, statistics_charts, statistics_summary
from webhook.console.charts import Chart
from webhook.console.delivery_filter import LONGEST
from webhook.console.figures import MOST_LINES
from webhook.console.panels import Panels
from webhook.console.statistics_charts import Comparison, Pictures, dimensions
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
SHOWN, SHOWN_AT_MOST = 31, 100  # rows; the rest is in the table to take away
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
    most: str | None = None  # seconds within which 99 % were sent
    half_s: float | None = None  # as half, to the hundredth


@dataclass(frozen=True, slots=True)
class Table:
    """The rows, and the total of all; `further`: how many more there are."""

    rows: Sequence[Row]
    total: Row
    further: int = 0

    @property
    def top(self) -> int:
        return max([row.count.added for row in self.rows], default=0)


blueprint = Blueprint("numbers", __name__)


@blueprint.get("/numbers")
def show() -> ResponseReturnValue:
    """The page."""
    form, today = _asked(), current.today()
    view = None if form.errors else Panels().read(lambda: _view(form))
    page = render_template(
        "numbers/show.html",
        form=form,
        dimensions=DIMENSIONS,
        view=view,
        table=view.value.table if view and view.value else None,
        shown=SHOWN_AT_MOST if request.args.get("all") else SHOWN,
        at_most=SHOWN_AT_MOST,
        enough=statistics_charts.ENOUGH,
        sparks=statistics_charts.SPARKS,
        window=current.services().settings.window,
        periods=_periods(today),
        given={field.name: field.data for field in form},
        behind=lambda row, outcome=None: _behind(form, row, outcome),
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


@dataclass(frozen=True, slots=True)
class View:
    """The table, and what is drawn over it: `pictures` by day, `channels` by channel, `compared` by variant."""

    table: Table
    pictures: Pictures | None = None
    channels: Chart | None = None
    compared: Sequence[Comparison] = ()


def _view(form: Asked) -> View:
    by = form.by.data
    if by == "day":
        days = statistics.read(current.services().redis, current.app().name, form.days, dimensions(form.days))
        table = _by_day(days)
        return View(table, statistics_charts.pictures(days, [row.count for row in reversed(table.rows)]))
    table = _table(form, SHOWN_AT_MOST)
    if by == "channel":
        busiest = [str(row.value) for row in table.rows if row.value][:MOST_LINES]
        return View(table, channels=statistics_charts.channels(form.days, busiest) if len(form.days) > 1 else None)
    if by == "variant":
        counts = {row.value: row.count for row in table.rows if isinstance(row.value, tuple)}
        return View(table, compared=statistics_charts.comparisons(counts))
    return View(table)


def _table(form: Asked, most: int | None = None) -> Table:
    return table(current.services(), current.app().name, form.days, form.by.data, most)


def table(services: Services, app: str, days: Sequence[date], by: str, most: int | None = None) -> Table:
    """The counts of these days by `by`. `most`: rows of another dimension than the days; None: all."""
    dimension = next(dimension for value, _name, dimension in DIMENSIONS if value == by)
    wanted = {"total", dimension} | ({"latency"} if len(days) <= MOST_OF_OTHERS else set())
    if dimension == "total":
        return _by_day(statistics.read(services.redis, app, days, wanted))
    found = _by_value(services.sums.read(app, days, wanted), dimension, most)
    return _with_names(services, app, found) if dimension == "member" else found


def _with_names(services: Services, app: str, found: Table) -> Table:
    """With the names of the members, where they are known."""
    names = known_members(services.redis, app, [row.value for row in found.rows if isinstance(row.value, str)])
    return replace(found, rows=[replace(row, name=names.get(str(row.value), ("", ""))[0]) for row in found.rows])


def _by_day(days: dict[date, statistics.Tallies]) -> Table:
    rows = [_row(day, one) for day, one in days.items()]
    return Table(rows[::-1], _row("", statistics.added(days.values())))


def _row(value: date | Value, tallies: statistics.Tallies) -> Row:
    count, latency = statistics_summary.total(tallies), statistics_summary.latency(tallies)
    if latency is None:
        return Row(value, count)
    return Row(value, count, latency.half, most=latency.most, half_s=latency.half_s)


def _by_value(whole: statistics.Tallies, dimension: str, most: int | None) -> Table:
    counts = sorted(
        statistics_summary.counted(whole, dimension).items(), key=lambda pair: (-pair[1].added, str(pair[0]))
    )
    rows = [Row(value, count) for value, count in counts[:most]]
    return Table(rows, _row("", whole), len(counts) - len(rows))


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
    yield "" if row.half_s is None else f"{row.half_s:.2f}"


_FILTERS = {"channel": "channel", "member": "member", "welcome": "welcome"}  # value of `by` → field of the deliveries


def _behind(form: Asked, row: Row, outcome: str | None) -> str:
    """The URL of the deliveries of a row; "" where their list cannot be asked for them, or has lost them."""
    if not row.count.added:
        return ""
    if isinstance(row.value, date):
        return statistics_charts.deliveries(row.value, outcome=outcome)
    field = _FILTERS.get(form.by.data or "")
    if field is None or not isinstance(row.value, str) or not row.value or len(row.value) > LONGEST:
        return ""
    if not statistics_charts.deliveries(form.days[0]):
        return ""
    asked = {field: row.value, "since": form.since.data, "until": form.until.data, "outcome": outcome}
    return url_for("deliveries.show", **asked)


def _periods(today: date) -> list[tuple[str, dict[str, str]]]:
    """(name, query) of common periods."""
    first = today.replace(day=1)
    last = first - timedelta(1)
    spans = [
        (_("Today"), today, today),
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
