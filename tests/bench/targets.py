"""The product's promises, judged by a benchmark's results. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.bench.pages import MUCH, PageCost
from tests.bench.runs import Result, cpu_per_send, memory_all, memory_common

Results = Mapping[tuple[str, str], Result]  # (run, system) → result
Measure = Callable[[Result], float | None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One promise with its measurement. `kept` None: the runs that it needs were not made."""

    promise: str
    measured: str
    kept: bool | None


def verdicts(results: Results, pages: Sequence[PageCost] = ()) -> list[Verdict]:
    """Every promise in the order of the table that readers know."""
    return [
        _all_in_time(results, "steady100", "steady 100/s: all greeted in time"),
        _all_in_time(results, "steady200", "steady 200/s: all greeted in time"),
        _quick(results, "steady200", 0.5),
        _all_in_time(results, "burst1000", "burst of 1000: all greeted in time"),
        _all_in_time(results, "burst4000", "burst of 4000: all greeted in time"),
        _ratio(results, "cpu", "CPU per send", cpu_per_send, cpu_per_send, 0.55),
        _ratio(results, "steady100", "memory, web + worker + Redis", memory_common, memory_all, 0.8),
        _ratio(results, "steady100", "memory, all roles", memory_all, memory_all, 1.25),
        _all_in_time(results, "faults", "API faults: all greeted in time"),
        _once(results),
        _page(pages, 0.05),
    ]


def _all_in_time(results: Results, run: str, promise: str) -> Verdict:
    result = results.get((run, "product"))
    if result is None:
        return Verdict(promise, "not run", None)
    summary = result.summary
    missed = summary.greetable - summary.greeted_in_window
    return Verdict(promise, f"{share(summary.greeted_share)}, {missed} missed", missed == 0)


def _quick(results: Results, run: str, limit: float) -> Verdict:
    promise = f"steady 200/s: p99 to greeting ≤ {limit * 1000:.0f} ms"
    result = results.get((run, "product"))
    p99 = None if result is None else result.summary.to_greeting.p99
    return Verdict(promise, "not run", None) if p99 is None else Verdict(promise, f"{p99 * 1000:.0f} ms", p99 <= limit)


def _ratio(
    results: Results,
    run: str,
    what: str,
    of_product: Measure,
    of_reference: Measure,
    limit: float,
) -> Verdict:
    promise = f"{what} ≤ {limit:g} × the reference"
    product, reference = results.get((run, "product")), results.get((run, "reference"))
    ours = None if product is None else of_product(product)
    theirs = None if reference is None else of_reference(reference)
    if not ours or not theirs:
        return Verdict(promise, "not run side by side", None)
    return Verdict(promise, f"{ours / theirs:.2f} ×", ours / theirs <= limit)


def _once(results: Results) -> Verdict:
    promise = "API faults: no code spent twice"
    result = results.get(("faults", "product"))
    if result is None:
        return Verdict(promise, "not run", None)
    summary = result.summary
    again = (
        f"{summary.spent_twice} ({summary.retried_after_lost_answer} asked again after a lost answer, as they should)"
    )
    return Verdict(promise, again, summary.spent_twice == 0)


def _page(pages: Sequence[PageCost], limit: float) -> Verdict:
    promise = f"a page with {MUCH} rows ≤ {limit * 1000:.0f} ms of CPU"
    if not pages:
        return Verdict(promise, "not run", None)
    slowest = max(pages, key=lambda page: page.much)
    return Verdict(promise, f"{slowest.much * 1000:.0f} ms at most ({slowest.title})", slowest.much <= limit)


def share(value: float | None) -> str:
    """A share in percent; never rounded up to 100 %. "–" where there is none."""
    if value is None:
        return "–"
    return "100 %" if value == 1 else f"{min(value * 100, 99.9):.1f} %"
