"""A benchmark's report: tables to read and to copy, JSON to keep. Pure except `machine`."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from tests.bench.pages import LITTLE, MUCH, TURNS, PageCost
from tests.bench.runs import RUNS, Result, cpu_per_send, memory_all, memory_common
from tests.bench.tables import documents
from tests.bench.targets import Findings, Measure, Verdict, share, verdicts

MARKS = {True: "✓", False: "✗", None: "–"}
COSTS: Sequence[tuple[str, str, float, Measure]] = (  # title, run, unit, measure
    ("CPU per send, idle taken off (ms)", "cpu", 1e-3, cpu_per_send),
    ("PSS after steady 100/s, web + worker + Redis (MB)", "steady100", 1e6, memory_common),
    ("PSS after steady 100/s, all roles (MB)", "steady100", 1e6, memory_all),
    ("PSS after steady 200/s, web + worker + Redis (MB)", "steady200", 1e6, memory_common),
    ("PSS after steady 200/s, all roles (MB)", "steady200", 1e6, memory_all),
    ("PSS with the console, web + worker + Redis (MB)", "memory", 1e6, memory_common),
    ("PSS with the console, all roles (MB)", "memory", 1e6, memory_all),
)


def machine() -> dict[str, Any]:
    """The machine that the results depend on. `load`: load average over the minute before the benchmark."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def to_json(found: Findings) -> dict[str, Any]:
    """Seconds and bytes throughout; memory is PSS by role."""
    return {
        "machine": dict(found.machine),
        "results": [
            asdict(result) | {"cpu_per_send": cpu_per_send(result), "memory_all": memory_all(result)}
            for results in found.results.values()
            for result in results
        ],
        "idle": [asdict(idle) for idle in found.idle],
        "pages": [asdict(page) for page in found.pages],
        "targets": [asdict(verdict) for verdict in verdicts(found)],
    }


HOW_TO_READ_PAGES = f"""\
Console pages over the large installation (300 templates, 200 rules, 2000 members, 100 channels): CPU of one page, the
web process and Redis together, the median of {TURNS} after a first one. A ratio near 1 says that a page does not grow
with the history; what it may cost is among the promises below. On a busy machine CPU counts up to twice as much."""


def to_text(found: Findings) -> str:
    """The whole report; the documents' tables last."""
    head = "{at} · {cpus} CPUs (load before: {load}) · Python {python} · {system} · API latency 80±20 ms".format(
        **found.machine
    )
    parts = [head, _table(_speed(found)), _table(_cost(found)), HOW_TO_READ_PAGES if found.pages else ""]
    parts += [_table(_pages(found.pages))]
    parts += [_targets(verdicts(found)), documents(found)]
    return "\n\n".join(part for part in parts if part)


def _speed(found: Findings) -> Iterator[Sequence[str]]:
    yield ("", "system", "in time", "to greeting p50", "p99", "callback p50", "p99", "refused", "generator late p99")
    for (run, system), results in _in_order(found):
        for result in results:
            summary = result.summary
            yield (
                RUNS[run].title,
                system,
                share(summary.greeted_share),
                _time(summary.to_greeting.p50),
                _time(summary.to_greeting.p99),
                _time(summary.callback.p50),
                _time(summary.callback.p99),
                str(summary.added - summary.accepted),
                _time(summary.push_lag.p99),
            )


def _cost(found: Findings) -> Iterator[Sequence[str]]:
    yield ("", "product", "console", "tuned", "reference", "product/tuned", "product/reference")
    for title, run, unit, measure in COSTS:
        values = [found.value(run, system, measure) for system in ("product", "console", "tuned", "reference")]
        if any(value is not None for value in values):
            ratios = [found.ratio(run, other, measure, _whole(measure)) for other in ("tuned", "reference")]
            cells = ["–" if value is None else f"{value / unit:.2f}" for value in values]
            yield (title, *cells, *("–" if ratio is None else f"{ratio:.2f}" for ratio in ratios))
    idle = {idle.system: idle.cpu for idle in found.idle}
    if idle:
        cells = [
            f"{idle[name] * 1000:.2f}" if name in idle else "–" for name in ("product", "console", "tuned", "reference")
        ]
        yield ("CPU while idle (ms per second)", *cells, "–", "–")


def _whole(measure: Measure) -> Measure:
    """What the reference has to show beside a measure of the product: all of it is web, worker and Redis."""
    return memory_all if measure is memory_common else measure


def _pages(pages: Sequence[PageCost]) -> Iterator[Sequence[str]]:
    yield ("", f"{LITTLE} rows", f"{MUCH} rows", "ratio")
    for page in pages:
        yield (f"{page.title}, CPU", _time(page.little), _time(page.much), f"{page.ratio:.2f}")


def _targets(judged: Sequence[Verdict]) -> str:
    width = max(len(verdict.promise) for verdict in judged)
    return "\n".join(f"{MARKS[v.kept]} {v.promise:<{width}}  {v.measured}" for v in judged)


def _in_order(found: Findings) -> Iterator[tuple[tuple[str, str], Sequence[Result]]]:
    yield from sorted(found.results.items(), key=lambda item: list(RUNS).index(item[0][0]))


def _table(rows: Iterable[Sequence[str]]) -> str:
    """An aligned table: text to the left, numbers to the right. Empty without a second row."""
    lines = list(rows)
    columns = list(zip(*lines, strict=True))
    sides = ["<" if column[0] in ("", "system") else ">" for column in columns]
    widths = [max(map(len, column)) for column in columns]
    if len(lines) == 1:
        return ""
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, sides, widths, strict=True)).rstrip()
        for line in lines
    )


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
