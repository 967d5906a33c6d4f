"""The charts of the pages Today, Queue and Numbers, made of tallies. Pure."""

from collections.abc import Sequence

from flask_babel import gettext as _

from webhook.console.charts import BAR, Chart, Series
from webhook.console.statistics_summary import Latency


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


def any_known(values: Sequence[float | None]) -> bool:
    """Whether there is anything to draw."""
    return any(value is not None for value in values)
