"""Who stays: of the greeted customers, how many left within 1, 7 and 30 days; by welcome, A/B variant, channel, member.

From the counts of tasks.changes.losses. A share counts only those who have been contacts for as long as it asks, and
comes with its interval: of few customers nothing is claimed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from math import ceil
from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_wtf import FlaskForm
from wtforms import StringField
from wtforms.validators import AnyOf

from tasks.changes import losses
from tasks.changes.losses import WITHIN, Cohort, Losses, Share
from tasks.directory.lookup import known_members
from tasks.ledger import statistics
from tasks.ledger.delivery import GREETED
from tasks.ledger.statistics import Tallies, Value
from tasks.services import Services
from webhook.console import current
from webhook.console.charts import Chart, Series
from webhook.console.figures import MOST_LINES
from webhook.console.intervals import Z, newcombe, wilson
from webhook.console.panels import Panels

DIMENSIONS = (  # value of `by`, name, dimension of the tallies
    ("welcome", lazy_gettext("Welcome"), "template"),
    ("variant", lazy_gettext("A/B variant"), "variant"),
    ("channel", lazy_gettext("Channel"), "channel"),
    ("member", lazy_gettext("Member"), "member"),
)
PERIODS = (30, 90)  # days back; the newest of them tell little of 30 days
MOST_DAYS = {"member": 30}  # of which a day may have two thousand
SHOWN = 31  # rows
JUDGED = 7  # days after which variants are compared
POWER_Z = 0.841621  # 80 %: of real differences, how many are to be found


class Asked(FlaskForm):
    """The query: how many days back, and the dimension."""

    class Meta(FlaskForm.Meta):
        csrf = False  # it changes nothing

    days = StringField(validators=[AnyOf([str(days) for days in PERIODS])])
    by = StringField(validators=[AnyOf([value for value, _name, _dimension in DIMENSIONS])])


@dataclass(frozen=True, slots=True)
class Left:
    """How many left within some days, with the interval of the share; share None: nobody was known for so long."""

    left: int
    of: int
    share: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `left`: for each of WITHIN; `cohorts`: what it was counted from."""

    value: Value
    greeted: int
    left: Sequence[Left]
    cohorts: Sequence[Cohort]
    name: str = ""  # of a member, where it is known


@dataclass(frozen=True, slots=True)
class Compared:
    """Two variants of a rule, by who has left within JUDGED days.

    low, high: of the first share minus the other. needed: customers of each variant before the difference that is seen
    would be told from chance; None: no difference is seen.
    """

    rule: str
    first: Row
    other: Row
    low: float
    high: float
    needed: int | None


@dataclass(frozen=True, slots=True)
class Known:
    """`rows`: the first SHOWN. `again`: adds of customers who had left before, within these days."""

    rows: Sequence[Row]
    total: Row
    compared: Sequence[Compared]
    again: int


@dataclass(frozen=True, slots=True)
class View:
    """The same, and what is drawn over it."""

    rows: Sequence[Row]
    total: Row
    chart: Chart
    compared: Sequence[Compared]
    again: int


blueprint = Blueprint("losses", __name__)


@blueprint.get("/numbers/staying")
def show() -> ResponseReturnValue:
    """The page."""
    form = Asked(None, data={"days": str(PERIODS[0]), "by": "welcome", **_given()})
    form.validate()
    view = None if form.errors else Panels().read(lambda: _view(int(form.days.data), form.by.data))
    page = render_template(
        "numbers/staying.html",
        form=form,
        dimensions=DIMENSIONS,
        periods=[days for days in PERIODS if days <= MOST_DAYS.get(form.by.data or "", max(PERIODS))],
        view=view,
        within=WITHIN,
        judged=JUDGED,
        shown=SHOWN,
        behind=lambda value: _behind(form.by.data, value),
    )
    return (page, 422) if form.errors else page


def _given() -> Mapping[str, str]:
    given = {name: value for name, value in request.args.items() if value}
    most = MOST_DAYS.get(given.get("by", ""))
    if most and given.get("days", "").isdigit() and int(given["days"]) > most:
        given["days"] = str(most)
    return given


def _view(back: int, by: str) -> View:
    found = known(current.services(), current.app().name, current.today(), back, by)
    return View(found.rows, found.total, _chart(found.rows), found.compared, found.again)


def known(services: Services, app: str, today: date, back: int, by: str) -> Known:
    """What is known of the customers of the last `back` days. Raises redis.RedisError."""
    client = services.redis
    days = [today - timedelta(n) for n in range(back)]
    dimension = next(dimension for value, _name, dimension in DIMENSIONS if value == by)
    ranked = _ranked(services.sums.read(app, days, {dimension}))
    chosen = ranked[:SHOWN]
    pairs = _busiest_two(ranked) if by == "variant" else []
    asked = list(dict.fromkeys([*chosen, *pairs]))
    whole = statistics.read(client, app, days, {"total", "again"})
    greeted = statistics.read_values(client, app, days, dimension, asked, GREETED)
    lost = losses.read(client, app, days, {"total", dimension})
    found = {value: row(greeted, lost, dimension, value, today) for value in asked}
    rows = [found[value] for value in chosen]
    if by == "member":
        names = known_members(client, app, [one.value for one in rows if isinstance(one.value, str)])
        rows = [replace(one, name=names.get(str(one.value), ("", ""))[0]) for one in rows]
    again = sum(tallies.get(("again", None, "added"), 0) for tallies in whole.values())
    compared = comparisons([found[value] for value in pairs])
    return Known(rows, row(whole, lost, "total", "", today), compared, again)


def _ranked(summed: Tallies) -> list[Value]:
    """The values of a dimension, those with most greeted customers first."""
    counts: dict[Value, int] = {}
    for (_dimension, value, outcome), count in summed.items():
        if value:
            counts[value] = counts.get(value, 0) + (count if outcome in GREETED else 0)
    return sorted(counts, key=lambda value: (-counts[value], str(value)))


def _busiest_two(ranked: Sequence[Value]) -> list[Value]:
    """The two busiest variants of each rule, in their order."""
    seen: Counter[str] = Counter()
    found: list[Value] = []
    for value in ranked:
        if isinstance(value, tuple) and seen[value[0]] < 2:
            seen[value[0]] += 1
            found.append(value)
    return found


def row(greeted: Mapping[date, Tallies], lost: Mapping[date, Losses], dimension: str, value: Value, today: date) -> Row:
    """What is known of the customers of one kind. Pure."""
    cohorts = losses.cohorts(greeted, lost, dimension, value, today)
    return Row(
        value,
        sum(one.greeted for one in cohorts),
        [_left(losses.within(cohorts, days)) for days in WITHIN],
        cohorts,
    )


def _left(share: Share) -> Left:
    known = share.left / share.greeted if share.greeted else None
    return Left(share.left, share.greeted, known, *wilson(share.left, share.greeted))


def _staying(cohorts: Sequence[Cohort]) -> list[float]:
    return [round(100 * share, 2) for share in losses.survival(cohorts)]


def comparisons(rows: Sequence[Row]) -> Sequence[Compared]:
    """The two busiest variants of each rule, those with most customers first. Pure."""
    of_rule: dict[str, list[Row]] = {}
    for one in rows:
        if isinstance(one.value, tuple):
            of_rule.setdefault(one.value[0], []).append(one)
    at = WITHIN.index(JUDGED)
    found = []
    for rule, variants in of_rule.items():
        if len(variants) < 2:
            continue
        first, other = variants[:2]
        a, b = first.left[at], other.left[at]
        low, high = newcombe(a.left, a.of, b.left, b.of)
        found.append(Compared(rule, first, other, low, high, needed(a.share, b.share)))
    return found


def needed(share: float | None, other: float | None) -> int | None:
    """How many customers of each kind it takes to tell two shares apart, 95 % certain, in 80 % of cases. Pure.

    None where no difference is seen, or a share is not known. Fleiss, Statistical Methods for Rates and Proportions.
    """
    if share is None or other is None or share == other:
        return None
    mean = (share + other) / 2
    spread = Z * (2 * mean * (1 - mean)) ** 0.5
    spread += POWER_Z * (share * (1 - share) + other * (1 - other)) ** 0.5
    return ceil((spread / (share - other)) ** 2)


def _chart(rows: Sequence[Row]) -> Chart:
    """The curves of those who stay, of the busiest few."""
    busiest = [one for one in rows if any(cohort.observed for cohort in one.cohorts)][:MOST_LINES]
    curves = [_staying(one.cohorts) for one in busiest]
    longest = max(map(len, curves), default=0)
    series = [
        Series(_label(one), str(number), [*curve, *[None] * (longest - len(curve))])
        for number, (one, curve) in enumerate(zip(busiest, curves, strict=True), 1)
    ]
    return Chart(series, labels=[_("day %(n)s", n=day) for day in range(longest)], unit="%", cut=True)


def _label(one: Row) -> str:
    return one.name or (" · ".join(one.value) if isinstance(one.value, tuple) else str(one.value))


_FILTERS: Mapping[str, str] = {"welcome": "welcome", "channel": "channel", "member": "member"}


def _behind(by: str | None, value: Any) -> str:
    """The URL of the deliveries of a row; "" for a variant."""
    field = _FILTERS.get(by or "")
    if field is None or not isinstance(value, str) or not value:
        return ""
    asked: dict[str, Any] = {field: value}
    return url_for("deliveries.show", **asked)
