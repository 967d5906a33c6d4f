"""The pictures of the page Numbers: read from the tallies, and made into charts, a heat map and intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from flask import url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext

from tasks.ledger import statistics
from tasks.ledger.statistics import Tallies
from webhook.console import current, figures, heat, intervals, statistics_summary, usual
from webhook.console.charts import Chart
from webhook.console.heat import HOURS, HeatMap
from webhook.console.statistics_summary import OutcomeCause, OutcomeCount

IN_FULL = 92  # days of a range of which more than the totals is read
ROWS = 7  # days that are a row each of the heat map; of more, the weekdays are
ENOUGH = 200  # adds of each variant before they can be compared
COMPARED = 8  # rules; the others are in the table
SPARKS = 14  # days of which each cause's numbers are written
WEEKDAYS = (
    *(lazy_gettext("Mon"), lazy_gettext("Tue"), lazy_gettext("Wed"), lazy_gettext("Thu")),
    *(lazy_gettext("Fri"), lazy_gettext("Sat"), lazy_gettext("Sun")),
)


def dimensions(days: Sequence[date]) -> set[str]:
    """What is read of each day for the pictures; of a long range the totals alone."""
    if len(days) > IN_FULL:
        return {"total"}
    return {"total", "latency", "hour", "cause"} | ({"pace"} if len(days) == 1 else set())


@dataclass(frozen=True, slots=True)
class Against:
    """A day beside the same weekday before it. rows: (hour, this day, a week before, usual); None: not known."""

    day: date
    chart: Chart
    rows: Sequence[tuple[str, float | None, float | None, float | None]]


@dataclass(frozen=True, slots=True)
class Pictures:
    """Of a range of days. times, heat, against, causes: None where the range is too long for them."""

    outcomes: Chart
    times: Chart | None
    against: Against | None
    heat: HeatMap | None
    causes: Sequence[OutcomeCause] | None
    hours: bool  # the outcomes and times are by the hour of one day


def pictures(days: Mapping[date, Tallies], totals: Sequence[OutcomeCount]) -> Pictures:
    """`totals`: of each day. Raises redis.RedisError, for the weeks before are read here."""
    in_full, one_day = len(days) <= IN_FULL, len(days) == 1
    outcomes, times = _by_hour(*next(iter(days.items()))) if one_day else _by_day(days, totals)
    return Pictures(
        outcomes=outcomes,
        times=times if in_full else None,
        against=_against(max(days), days[max(days)]) if in_full else None,
        heat=_heat(days) if in_full else None,
        causes=statistics_summary.causes(days.values()) if in_full else None,
        hours=one_day,
    )


def _window() -> float:
    return current.services().settings.window


def _by_day(days: Mapping[date, Tallies], totals: Sequence[OutcomeCount]) -> tuple[Chart, Chart]:
    labels = [f"{day:%m-%d}" for day in days]
    urls, page = [deliveries(day) for day in days], url_for("numbers.show", by="day")
    asked = [day.isoformat() for day in days]
    spans = [statistics.distribution(one) for one in days.values()]
    return (
        figures.outcomes(totals, labels, urls, page, asked),
        figures.times(spans, _window(), labels, urls, page, asked),
    )


def _by_hour(day: date, tallies: Tallies) -> tuple[Chart, Chart]:
    urls = [deliveries(day, hour) for hour in HOURS]
    hours = usual.hours(tallies) or {}
    counts = [hours.get(hour, OutcomeCount()) for hour in HOURS]
    spans = [statistics.distribution_of_hour(tallies, hour) for hour in HOURS]
    return figures.outcomes(counts, HOURS, urls), figures.times(spans, _window(), HOURS, urls)


def deliveries(day: date, hour: str = "", outcome: str | None = None) -> str:
    """The URL of a day's or an hour's deliveries; "" where their rows are gone."""
    if day < current.today() - timedelta(current.services().settings.keep_days):
        return ""
    since, until = (f"{day}T{hour}:00", f"{day}T{hour}:59") if hour else (day.isoformat(), day.isoformat())
    return url_for("deliveries.show", since=since, until=until, outcome=outcome)


def _against(day: date, tallies: Tallies) -> Against:
    """By hour. Of today the hours that are over."""
    before = usual.read(current.services().redis, current.app().name, day)
    over = datetime.now(current.zone()).hour if day == current.today() else 24
    hours = usual.hours(tallies) or {}
    this = [hours.get(hour, OutcomeCount()).added if at < over else None for at, hour in enumerate(HOURS)]
    last = [None if before[0] is None else before[0].get(hour, OutcomeCount()).added for hour in HOURS]
    usually = usual.by_hour(before)
    named: list[tuple[str, Sequence[float | None]]] = [
        (f"{day:%m-%d}", this),
        (f"{day - timedelta(weeks=1):%m-%d}", last),
        (_("Usual: median of 4 weeks"), usually),
    ]
    chart = figures.compared(named, HOURS, [deliveries(day, hour) for hour in HOURS])
    return Against(day, chart, list(zip(HOURS, this, last, usually, strict=True)))


def _heat(days: Mapping[date, Tallies]) -> HeatMap:
    known: dict[date, heat.Hours | None] = {}
    any_yet = False
    today, now = current.today(), datetime.now(current.zone())
    for day, tallies in days.items():
        any_yet = any_yet or bool(tallies)
        known[day] = usual.hours(tallies) if any_yet and day <= today else None
    if not any(day < today for day in known) or len(known) <= ROWS:
        return heat.of_days(known, _named, deliveries, until=(today, now.hour))
    return heat.of_weekdays({day: hours for day, hours in known.items() if day != today}, WEEKDAYS)


def _named(day: date) -> str:
    return f"{day:%m-%d} {WEEKDAYS[day.weekday()]}"


def channels(days: Sequence[date], busiest: Sequence[str]) -> Chart:
    """The adds of the busiest channels by day."""
    client, app = current.services().redis, current.app().name
    found = statistics.read_values(client, app, days, "channel", busiest)
    counts = {day: statistics_summary.counted(one, "channel") for day, one in found.items()}
    return figures.lines(
        [
            (
                state or _("without a channel"),
                [counts[day].get(state, OutcomeCount()).added for day in days],
                {"channel": state} if state else {},
            )
            for state in busiest
        ],
        [f"{day:%m-%d}" for day in days],
        [deliveries(day) for day in days],
    )


# ------------------------------------------------------------------------------------------------ A/B


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant of a rule: sent, of its customers with a welcome code; the interval of that share (0 to 1)."""

    name: str
    sent: int
    of: int
    low: float
    high: float

    @property
    def share(self) -> float | None:
        return self.sent / self.of if self.of else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The variants of a rule, and what can be said of the two that had most customers.

    low, high: of the first one's share minus the second's; None where either had fewer than ENOUGH.
    """

    rule: str
    variants: Sequence[Variant]
    low: float | None = None
    high: float | None = None

    @property
    def start(self) -> float:
        """Where the scale of the intervals begins, 0 to 1: what all have in common is left out."""
        return max(0.0, min(one.low for one in self.variants) - 0.01)


def comparisons(counts: Mapping[tuple[str, str], OutcomeCount]) -> list[Comparison]:
    """(rule, variant) → counts, into one comparison a rule, the busiest first. Pure."""
    rules: dict[str, list[Variant]] = {}
    for (rule, name), count in counts.items():
        of = count.added - count.no_code
        rules.setdefault(rule, []).append(Variant(name, count.sent, of, *intervals.wilson(count.sent, of)))
    found = []
    for rule, variants in rules.items():
        variants.sort(key=lambda one: (-one.of, one.name))
        first, second = variants[0], variants[1] if len(variants) > 1 else None
        if second is None or second.of < ENOUGH:
            found.append(Comparison(rule, variants))
        else:
            found.append(Comparison(rule, variants, *intervals.newcombe(first.sent, first.of, second.sent, second.of)))
    return sorted(found, key=lambda one: (-sum(variant.of for variant in one.variants), one.rule))[:COMPARED]
