"""The table of runs, and the measurement of one run of one system."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tests.bench import systems
from tests.bench.measure import CpuMeter, pss_by_role
from tests.bench.systems import Running, System, SystemDidNotRun
from tests.simulator.client import StandIn
from tests.simulator.faults import Faults
from tests.simulator.records import Records, Summary
from tests.simulator.world import App

SYSTEMS: Mapping[str, System] = {"product": systems.product, "reference": systems.reference}
PARTS = {"web", "welcome", "worker", "redis"}  # what the two have in common: "welcome" here is "worker" there

LATENCY = Faults(latency_ms=80, jitter_ms=20)  # of every send
WARM_UP = 20  # customers added before the clock starts: modules loaded, token fetched
WARM_UP_TIMEOUT = 30.0  # seconds
GRACE = 1.0  # seconds after the last code has expired
SETTLE = 3.0  # seconds between warm-up and what follows
AFTERWARDS = 0.5  # seconds for a system's work after its last greeting: acknowledging, settling


@dataclass(frozen=True, slots=True)
class Run:
    """`count` customers at `rate` a second. `window`: a code's life; `patience`: the longest wait; both in seconds."""

    name: str
    title: str
    count: int
    rate: float
    window: float = 20.0
    patience: float | None = None  # None: as long as a code can still be used
    idle: float = 0.0  # seconds of idling beforehand: CPU is measured if there are any
    faults: Faults = LATENCY
    of: tuple[str, ...] = ("product", "reference")

    def shortened(self) -> Run:
        """A shorter run: a third of a steady run's customers and of the idling. A burst stays as it is."""
        count = self.count if self.name.startswith("burst") else self.count // 3
        return replace(self, count=count, idle=self.idle / 3)


FAULTS = replace(
    LATENCY, busy=0.10, http_5xx=0.05, dropped_before=0.05, dropped_after=0.03, hang=0.03, hang_s=30, seed=1
)
RUNS = {
    run.name: run
    for run in (
        Run("steady100", "steady 100/s", 2500, 100),
        Run("steady200", "steady 200/s", 5000, 200),
        Run("burst1000", "burst of 1000 in 1 s", 1000, 1000),
        Run("burst4000", "burst of 4000 in 1 s", 4000, 4000),
        Run("burst8000", "burst of 8000 in 1 s", 8000, 8000),
        Run("cpu", "100/s, codes live 600 s", 1000, 100, window=600, patience=300, idle=10),
        Run("faults", "API faults, 50/s", 1000, 50, faults=FAULTS, of=("product",)),
    )
}


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one run of one system. Times in seconds, memory in bytes."""

    run: str
    system: str
    summary: Summary
    took: float
    memory: Mapping[str, int] = field(default_factory=dict)  # PSS by role, at the end
    cpu_seconds: float | None = None  # of the whole tree and Redis, less the idle CPU
    cpu_idle: float | None = None  # CPU seconds per second while idle


def cpu_per_send(result: Result) -> float | None:
    """CPU seconds per customer greeted."""
    return result.cpu_seconds / result.summary.greeted if result.cpu_seconds and result.summary.greeted else None


def cpu_idle(result: Result) -> float | None:
    return result.cpu_idle


def memory_common(result: Result) -> float | None:
    """Bytes of the parts that both systems have: web, the worker that sends, Redis."""
    return sum(size for role, size in result.memory.items() if role in PARTS)


def memory_all(result: Result) -> float | None:
    """Bytes of everything that runs."""
    return sum(result.memory.values())


def measure(run: Run, name: str) -> Result:
    """Run one system against a stand-in, both started for this run alone. Raises SystemDidNotRun."""
    with StandIn(LATENCY, window_s=run.window) as stand_in:
        app = stand_in.register(App.random())
        with SYSTEMS[name](app.environment(stand_in.base_url), run.window) as system:
            stand_in.register(replace(app, callback_url=system.callback_url))
            _warm_up(stand_in, system)
            time.sleep(SETTLE)
            meter = CpuMeter(system.roots.values())
            idle = _idle_rate(meter, run.idle) if run.idle else None
            stand_in.faults(run.faults)

            before, started = meter.seconds(), time.monotonic()
            _, ends_at = stand_in.load(run.count, run.rate)
            _wait_for_the_end(stand_in, started + run.patience if run.patience else _monotonic(ends_at) + run.window)
            took, spent = time.monotonic() - started, meter.seconds() - before

            memory = _memory(system)
            summary = _without_warm_up(stand_in, run.window)
    return Result(run.name, name, summary, took, memory, None if idle is None else spent - idle * took, idle)


def _warm_up(stand_in: StandIn, system: Running) -> None:
    stand_in.load(WARM_UP, rate=10)
    try:
        stand_in.wait_until_greeted(WARM_UP, WARM_UP_TIMEOUT)
    except TimeoutError as error:
        raise SystemDidNotRun(f"warming up: {error}\n{system.last_lines()}") from error


def _idle_rate(meter: CpuMeter, seconds: float) -> float:
    """CPU seconds per second while idle."""
    before, started = meter.seconds(), time.monotonic()
    time.sleep(seconds)
    return (meter.seconds() - before) / (time.monotonic() - started)


def _wait_for_the_end(stand_in: StandIn, deadline: float) -> None:
    """Wait until everybody is greeted, or until shortly after `deadline` (monotonic)."""
    while time.monotonic() < deadline + GRACE:
        status = stand_in.status()
        if not status["loading"] and not status["pushing"] and status["greeted"] >= status["added"]:
            time.sleep(max(0.0, status["last_greeted_at"] - time.time()) + AFTERWARDS)
            return
        time.sleep(0.25)


def _monotonic(wall: float) -> float:
    return wall - time.time() + time.monotonic()


def _memory(system: Running) -> dict[str, int]:
    sizes: Counter[str] = Counter()
    for part, root in system.roots.items():
        sizes.update(pss_by_role(root, otherwise=part))
    return dict(sizes)


def _without_warm_up(stand_in: StandIn, window: float) -> Summary:
    """The judge's summary of all but the first customers. (A reset of the stand-in would forget the tokens too.)"""
    records = Records()
    for record in stand_in.records(from_id=WARM_UP + 1):
        records.add(record)
    records.accepted = sum(record.accepted_at is not None for record in records.all)
    records.given_up = sum(record.accepted_at is None for record in records.all)
    records.greeted = sum(record.greeted_at is not None for record in records.all)
    whole = stand_in.summary()
    records.unknown_codes = whole.unknown_codes
    return replace(records.summary(window, whole.token_fetches, whole.token_refusals), answers=whole.answers)
