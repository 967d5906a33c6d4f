"""A benchmark's report: a table to read, JSON to keep. Pure except `machine`."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from tests.bench.pages import LITTLE, MUCH, PageCost
from tests.bench.runs import RUNS, Result, cpu_idle, cpu_per_send, memory_all, memory_common
from tests.bench.targets import Measure, Results, Verdict, share, verdicts

MARKS = {True: "✓", False: "✗", None: "–"}
COSTS: Sequence[tuple[str, str, float, Measure, Measure]] = (  # title, run, unit, of the product, of the reference
    ("CPU per send, idle taken off (ms)", "cpu", 1e-3, cpu_per_send, cpu_per_send),
    ("CPU while idle (ms per second)", "cpu", 1e-3, cpu_idle, cpu_idle),
    ("PSS after steady 100/s, web + worker + Redis (MB)", "steady100", 1e6, memory_common, memory_all),
    ("PSS after steady 100/s, all roles (MB)", "steady100", 1e6, memory_all, memory_all),
    ("PSS after steady 200/s, web + worker + Redis (MB)", "steady200", 1e6, memory_common, memory_all),
    ("PSS after steady 200/s, all roles (MB)", "steady200", 1e6, memory_all, memory_all),
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


def to_json(where: Mapping[str, Any], results: Results, pages: Sequence[PageCost] = ()) -> dict[str, Any]:
    """Seconds and bytes throughout; memory is PSS by role."""
    return {
        "machine": dict(where),
        "results": [
            asdict(result) | {"cpu_per_send": cpu_per_send(result), "memory_all": memory_all(result)}
            for result in results.values()
        ],
        "pages": [asdict(page) for page in pages],
        "targets": [asdict(verdict) for verdict in verdicts(results, pages)],
    }


def to_text(where: Mapping[str, Any], results: Results, pages: Sequence[PageCost] = ()) -> str:
    """The whole report."""
    head = "{at} · {cpus} CPUs (load before: {load}) · Python {python} · {system} · API latency 80±20 ms".format(
        **where
    )
    parts = [head, _table(_speed(results)), _table(_cost(results)), _table(_pages(pages))]
    parts.append(_targets(verdicts(results, pages)))
    return "\n\n".join(part for part in parts if part)


def _speed(results: Results) -> Iterator[Sequence[str]]:
    yield ("", "system", "in time", "to greeting p50", "p99", "callback p50", "p99", "refused", "generator late p99")
    for (run, system), result in _in_order(results):
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


def _cost(results: Results) -> Iterator[Sequence[str]]:
    yield ("", "product", "reference", "ratio")
    for title, run, unit, of_product, of_reference in COSTS:
        product, reference = results.get((run, "product")), results.get((run, "reference"))
        ours = None if product is None else of_product(product)
        theirs = None if reference is None else of_reference(reference)
        if ours is not None or theirs is not None:
            ratio = f"{ours / theirs:.2f}" if ours and theirs else "–"
            yield (title, *("–" if value is None else f"{value / unit:.2f}" for value in (ours, theirs)), ratio)


def _pages(pages: Sequence[PageCost]) -> Iterator[Sequence[str]]:
    yield ("", f"{LITTLE} rows", f"{MUCH} rows", "ratio")
    for page in pages:
        yield (f"{page.title}, CPU", _time(page.little), _time(page.much), f"{page.ratio:.2f}")


def _targets(judged: Sequence[Verdict]) -> str:
    width = max(len(verdict.promise) for verdict in judged)
    return "\n".join(f"{MARKS[v.kept]} {v.promise:<{width}}  {v.measured}" for v in judged)


def _in_order(results: Results) -> Iterator[tuple[tuple[str, str], Result]]:
    yield from sorted(results.items(), key=lambda item: list(RUNS).index(item[0][0]))


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
