"""The last hour of the queue, from its samples: two charts, and a table of spans that says the same. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from flask_babel import lazy_gettext

from tasks.ledger.samples import Sample
from webhook.console.charts import Chart, Number, Series

MINUTE = 60.0  # seconds
SPAN = 5 * MINUTE  # of a row of the table


@dataclass(frozen=True, slots=True)
class Span:
    """A row: from its beginning (Unix s). waiting, in_flight: the most. None: nothing of it is known."""

    start: float
    waiting: int | None
    in_flight: int | None
    added: int | None
    greeted: int | None
    missed: int | None


def spans(samples: Sequence[Sample]) -> list[Span]:
    """The samples in spans of SPAN, the newest first; a sample counts where it was taken."""
    found: dict[float, list[Sample]] = {}
    for one in samples:
        found.setdefault(one.at // SPAN * SPAN, []).append(one)
    names = ("added", "greeted", "missed")
    return [
        Span(
            start,
            *(_if_any(max, [getattr(one, name) for one in within]) for name in ("waiting", "in_flight")),
            *(_if_any(sum, [getattr(one, name) for one in within]) for name in names),
        )
        for start, within in sorted(found.items(), reverse=True)
    ]


def _if_any(of: Callable[[Iterable[int]], int], values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return of(known) if known else None


def per_minute(samples: Sequence[Sample], name: str) -> list[Number]:
    """How many in the minute that ends with each sample; scaled up where less of it is known, None where nothing is."""
    found: list[Number] = []
    first, number, seconds = 0, 0, 0.0
    for at, one in enumerate(samples):
        value = getattr(one, name)
        if value is None:
            first, number, seconds = at + 1, 0, 0.0
            found.append(None)
            continue
        number, seconds = number + value, seconds + (one.seconds or 0.0)
        while seconds - (samples[first].seconds or 0.0) >= MINUTE - 1 and first < at:
            number, seconds = number - getattr(samples[first], name), seconds - (samples[first].seconds or 0.0)
            first += 1
        found.append(round(number * MINUTE / seconds, 1) if seconds else None)
    return found


def depth(samples: Sequence[Sample], zone: str) -> Chart:
    """Waiting and in progress."""
    return Chart(
        [
            Series(lazy_gettext("Waiting"), "2", [one.waiting for one in samples]),
            Series(lazy_gettext("In progress"), "1", [one.in_flight for one in samples]),
        ],
        times=[one.at for one in samples],
        zone=zone,
    )


def rates(samples: Sequence[Sample], zone: str) -> Chart:
    """Added, sent and missed a minute."""
    words = (
        ("added", lazy_gettext("New customers"), "rest"),
        ("greeted", lazy_gettext("Sent"), "1"),
        ("missed", lazy_gettext("Missed"), "2"),
    )
    return Chart(
        [Series(word, color, per_minute(samples, name)) for name, word, color in words],
        times=[one.at for one in samples],
        zone=zone,
    )
