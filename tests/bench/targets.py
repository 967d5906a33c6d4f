"""The product's promises, judged by a benchmark's findings. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench.pages import MUCH, PageCost
from tests.bench.runs import Idle, Result, cpu_per_send, median, memory_all, memory_common

Measure = Callable[[Result], float | None]


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that was measured."""

    machine: Mapping[str, Any]
    results: Mapping[tuple[str, str], Sequence[Result]]  # (run, system) → a result of each round
    idle: Sequence[Idle] = ()
    pages: Sequence[PageCost] = field(default_factory=tuple)

    def of(self, run: str, system: str) -> Sequence[Result]:
        return self.results.get((run, system), ())

    def one(self, run: str, system: str) -> Result | None:
        """The first round of a run, which has but one."""
        return next(iter(self.of(run, system)), None)

    def value(self, run: str, system: str, measure: Measure) -> float | None:
        """The median over the rounds."""
        return median(self.of(run, system), measure)

    def ratio(self, run: str, system: str, measure: Measure, of_other: Measure | None = None) -> float | None:
        """The product's measure in terms of another system's: the median of what the rounds say."""
        ours, theirs = self.of(run, "product"), self.of(run, system)
        pairs = [(measure(one), (of_other or measure)(other)) for one, other in zip(ours, theirs, strict=False)]
        known = [one / other for one, other in pairs if one and other]
        return statistics.median(known) if known else None

    def idle_of(self, system: str) -> float | None:
        return next((idle.cpu for idle in self.idle if idle.system == system), None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One promise with its measurement. `kept` None: the runs that it needs were not made."""

    promise: str
    measured: str
    kept: bool | None


def verdicts(found: Findings) -> list[Verdict]:
    """Every promise in the order of the table that readers know."""
    return [
        *(
            _all_in_time(found, run, f"{title}: all greeted in time")
            for run, title in (
                ("steady100", "steady 100/s"),
                ("steady200", "steady 200/s"),
                ("steady167", "steady 167/s, 1 s a call"),
                ("burst1000", "burst of 1000"),
                ("burst4000", "burst of 4000"),
                ("burst8000", "burst of 8000"),
                ("faults", "API faults"),
            )
        ),
        _quick(found, "steady200", 0.5),
        _once(found),
        _ratio("CPU per send", "the reference", found.ratio("cpu", "reference", cpu_per_send), 1 / 3),
        _ratio("CPU per send", "the tuned reference", found.ratio("cpu", "tuned", cpu_per_send), 1 / 2),
        _at_most("CPU while idle, all roles", found.idle_of("console"), 1e-3, "ms a second", 5),
        _ratio(
            "memory, web + worker + Redis",
            "the reference",
            found.ratio("steady100", "reference", memory_common, memory_all),
            1 / 2,
        ),
        _at_most("memory, all roles with the console", found.value("memory", "console", memory_all), 1e6, "MB", 200),
        _goodput(found, 0.9),
        *_recoveries(found, 10.0),
        _page(found.pages, 0.05),
    ]


def _all_in_time(found: Findings, run: str, promise: str) -> Verdict:
    result = found.one(run, "product")
    if result is None:
        return Verdict(promise, "not run", None)
    summary = result.summary
    missed = summary.greetable - summary.greeted_in_window
    return Verdict(promise, f"{share(summary.greeted_share)}, {missed} missed", missed == 0)


def _quick(found: Findings, run: str, limit: float) -> Verdict:
    promise = f"steady 200/s: p99 to greeting ≤ {limit * 1000:.0f} ms"
    result = found.one(run, "product")
    p99 = None if result is None else result.summary.to_greeting.p99
    return Verdict(promise, "not run", None) if p99 is None else Verdict(promise, f"{p99 * 1000:.0f} ms", p99 <= limit)


def _ratio(what: str, whom: str, ratio: float | None, limit: float) -> Verdict:
    promise = f"{what} ≤ {limit:.2f} × {whom}"
    return (
        Verdict(promise, "not run side by side", None)
        if ratio is None
        else Verdict(promise, f"{ratio:.2f} ×", ratio <= limit)
    )


def _at_most(what: str, value: float | None, unit: float, unit_name: str, limit: float) -> Verdict:
    promise = f"{what} ≤ {limit:g} {unit_name}"
    if value is None:
        return Verdict(promise, "not run", None)
    return Verdict(promise, f"{value / unit:.1f} {unit_name}", value <= limit * unit)


def _goodput(found: Findings, limit: float) -> Verdict:
    promise = f"overload: greeted in time ≥ {limit:.0%} of what the API can take"
    value = found.value("overload", "product", lambda result: result.goodput)
    return Verdict(promise, "not run", None) if value is None else Verdict(promise, share(value), value >= limit)


def _recoveries(found: Findings, limit: float) -> Iterator[Verdict]:
    result = found.one("freeze", "product")
    for role in ("welcome", "web"):
        promise = f"{role} processes frozen: greeted again within {limit:g} s"
        if result is None:
            yield Verdict(promise, "not run", None)
            continue
        seconds = result.recoveries.get(role)
        measured = "never" if seconds is None else f"{seconds:.1f} s"
        yield Verdict(promise, measured, seconds is not None and seconds <= limit)


def _once(found: Findings) -> Verdict:
    promise = "API faults: no code spent twice"
    result = found.one("faults", "product")
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
    return f"{value * 100:.0f} %" if value >= 1 else f"{min(value * 100, 99.9):.1f} %"
