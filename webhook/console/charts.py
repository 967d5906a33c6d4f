"""Charts as values: what charts.js draws with uPlot over a table that says the same. Pure.

A chart is JSON in an attribute; its colours are the tokens --series-N of the style sheet, so that they follow the
reader's colour scheme. Whoever has no JavaScript, or cannot see, has the table.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Number = float | int | None  # None: not known, or none; a gap

LINE, DASHED, BAR = "line", "dashed", "bar"


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or the bars of one kind. color: the token's end, "1" to "5" or "rest".

    query: what a click on a bar adds to the URL of `Chart.urls`.
    """

    name: Any  # str, or a lazy string
    color: str
    values: Sequence[Number]
    kind: str = LINE
    query: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """Series over `times` (Unix seconds, shown in `zone`), or over categories with `labels`.

    stacked: the bars of the series stand on each other. unit: behind a value. log: the values' axis is logarithmic.
    cut: the axis begins below the lowest value, not at zero, so that lines which lie together can be told apart.
    edges: of a histogram, a label for each end of its bars. limits: (value, label) of lines across; with edges, along
    the categories. urls: for each category where a click leads; "" nowhere. days: for each category its day, as
    (since, until) of the URL `page` that shows a span; else a span is only looked at.
    """

    series: Sequence[Series]
    labels: Sequence[str] = ()
    times: Sequence[float] = ()
    zone: str = ""
    stacked: bool = False
    unit: str = ""
    log: bool = False
    cut: bool = False
    edges: Sequence[str] = ()
    limits: Sequence[tuple[float, str]] = ()
    urls: Sequence[str] = ()
    page: str = ""
    days: Sequence[str] = ()

    def data(self) -> dict[str, Any]:
        """What charts.js reads; what is empty is left out. `start`: of all URLs that are not empty."""
        start = os.path.commonprefix([url for url in self.urls if url])[:-1]  # noqa: RUF071 - of text; never a whole URL
        given = {
            "series": [_without_empty(self._series(one)) for one in self.series],
            "labels": list(self.labels),
            "times": [round(at, 1) for at in self.times],
            **{name: getattr(self, name) for name in ("zone", "stacked", "unit", "log", "cut", "page")},
            "edges": list(self.edges),
            "limits": [list(one) for one in self.limits],
            "start": start if any(self.urls) else "",
            "urls": [url[len(start) :] for url in self.urls] if any(self.urls) else [],
            "days": list(self.days),
        }
        return _without_empty(given)

    def _series(self, one: Series) -> dict[str, Any]:
        return {
            "name": str(one.name),
            "color": one.color,
            "kind": one.kind,
            "values": list(one.values),
            "query": dict(one.query or {}),
        }


def _without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}
