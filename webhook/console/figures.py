"""The charts of the pages Today, Queue and Numbers, made of tallies. Pure."""

from collections.abc import Mapping, Sequence

from flask_babel import gettext as _
from flask_babel import lazy_gettext

from tasks.ledger import statistics
from tasks.ledger.statistics import Spans
from webhook.console.charts import BAR, DASHED, LINE, Chart, Number, Series
from webhook.console.statistics_summary import Latency, OutcomeCount

MOST_LINES = 5  # that can be told apart


def took(latency: Latency, window: float) -> Chart:
    """How long greetings took, in bars that are spaced by ratio, with the end of the window (s) across them."""
    starts = [start for start, _end, _number in latency.bars]
    counts = [number for _start, _end, number in latency.bars]
    labels = [_("%(n)s s", n=f"{start / 1000:g}–{end / 1000:g}") for start, end, _number in latency.bars]
    edges = [f"{start / 1000:g}" for start in (*starts, latency.longest * 1000)]
    if latency.beyond:
        starts, counts = [*starts, latency.longest * 1000], [*counts, latency.beyond]
        labels, edges = [*labels, _("over %(n)s s", n=latency.longest)], [*edges, ""]
    in_time = [number if start < window * 1000 else 0 for start, number in zip(starts, counts, strict=True)]
    late = [number - fine for number, fine in zip(counts, in_time, strict=True)]
    series = [Series(_("Sent"), "1", in_time, BAR)]
    return Chart(
        [*series, Series(_("Late"), "2", late, BAR)] if any(late) else series,
        labels=labels,
        stacked=True,
        edges=edges,
        limits=[(place(window, latency), _("%(n)s s", n=f"{window:g}"))],
    )


def place(seconds: float, latency: Latency) -> float:
    """Where a time lies along the bars, of which the first goes from -0.5 to 0.5."""
    for at, (start, end, _number) in enumerate(latency.bars):
        if seconds * 1000 <= end:
            return round(at - 0.5 + max(0.0, seconds * 1000 - start) / (end - start), 2)
    return len(latency.bars) - 0.5


OUTCOMES = (  # attribute of OutcomeCount, name, colour; from the bottom of a bar up
    ("sent", lazy_gettext("Sent"), "1"),
    ("missed", lazy_gettext("Missed"), "2"),
    ("unconfirmed", lazy_gettext("Uncertain"), "4"),
    ("no_code", lazy_gettext("No welcome code"), "3"),
    ("lost", lazy_gettext("Greeted elsewhere"), "rest"),
)


def outcomes(
    counts: Sequence[OutcomeCount], labels: Sequence[str], urls: Sequence[str], page: str = "", days: Sequence[str] = ()
) -> Chart:
    """What became of the customers of each category, stacked; kinds that never were are left out."""
    series = [
        Series(name, color, [getattr(count, kind) for count in counts], BAR, {"outcome": kind})
        for kind, name, color in OUTCOMES
        if kind == "sent" or any(getattr(count, kind) for count in counts)
    ]
    return Chart(series, labels=labels, stacked=True, urls=urls, page=page, days=days)


def times(
    spans: Sequence[Spans],
    window: float,
    labels: Sequence[str],
    urls: Sequence[str],
    page: str = "",
    days: Sequence[str] = (),
) -> Chart:
    """The time within which half and 99 % of the greetings of each category were sent, with the window across."""
    return Chart(
        [
            Series(lazy_gettext("Median time"), "1", [_within(one, 0.5) for one in spans]),
            Series(_("%(n)s%% within", n=99), "2", [_within(one, 0.99) for one in spans], DASHED),
        ],
        labels=labels,
        unit=_("%(n)s s", n="").strip(),
        log=True,
        limits=[(window, _("%(n)s s", n=f"{window:g}"))],
        urls=urls,
        page=page,
        days=days,
    )


def _within(spans: Spans, part: float) -> Number:
    """Seconds; what took longer than is measured counts as the longest that is."""
    found = statistics.quantile_of(spans, part)
    return None if found is None else round(min(found, statistics.BUCKETS[-1] / 1000), 3)


def compared(named: Sequence[tuple[str, Sequence[Number]]], labels: Sequence[str], urls: Sequence[str]) -> Chart:
    """Lines over the same categories, the first in full, the others dashed and paler in turn."""
    kinds = ((LINE, "1"), (DASHED, "2"), (DASHED, "rest"))
    series = [Series(name, color, values, kind) for (name, values), (kind, color) in zip(named, kinds, strict=False)]
    return Chart(series, labels=labels, urls=urls)


def lines(
    named: Sequence[tuple[str, Sequence[Number], Mapping[str, str]]], labels: Sequence[str], urls: Sequence[str]
) -> Chart:
    """Up to five lines, each with what a click adds to the URL."""
    series = [
        Series(name, str(1 + at), values, LINE, query) for at, (name, values, query) in enumerate(named[:MOST_LINES])
    ]
    return Chart(series, labels=labels, urls=urls)
