"""The table of runs, and the measurement of one run of one system."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from tests.bench import systems
from tests.bench.measure import CpuMeter, pss_by_role, with_role
from tests.bench.systems import Running, System, SystemDidNotRun
from tests.simulator.client import StandIn
from tests.simulator.faults import Faults
from tests.simulator.records import Record, Records, Summary
from tests.simulator.world import App

SYSTEMS: Mapping[str, System] = {
    "product": systems.product,
    "console": systems.product_with_console,
    "tuned": systems.tuned,
    "reference": systems.reference,
}
PARTS = {"web", "welcome", "worker", "redis"}  # what the two have in common: "welcome" here is "worker" there

LATENCY = Faults(latency_ms=80, jitter_ms=20)  # of every send
WARM_UP = 20  # customers added before the clock starts: modules loaded, token fetched
WARM_UP_TIMEOUT = 30.0  # seconds
GRACE = 1.0  # seconds after the last code has expired
SETTLE = 2.0  # seconds between warm-up and what follows
AFTERWARDS = 0.5  # seconds for a system's work after its last greeting: acknowledging, settling
IDLE = 60.0  # seconds of the idle measurement: what runs every minute runs once
IN_FLIGHT = 8  # calls at once in the overload run, of either system


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
    in_flight: int | None = None  # calls at once, of either system; None: each system's own choice
    freezes: tuple[tuple[float, str], ...] = ()  # (seconds after the start, the role whose processes get SIGSTOP)
    rounds: int = 1  # of all its systems in turn; the median counts
    of: tuple[str, ...] = ("product", "tuned", "reference")

    @property
    def capacity(self) -> float | None:
        """Calls a second that the API can answer, where `in_flight` says so."""
        return None if self.in_flight is None else self.in_flight / (self.faults.latency_ms / 1000)

    def shortened(self) -> Run:
        """A shorter run: a third of the idling, of a steady run's customers, one round. Bursts and faults stay."""
        steady = self.name.startswith(("steady", "cpu"))
        return replace(self, count=self.count // 3 if steady else self.count, idle=self.idle / 3, rounds=1)


FAULTS = replace(
    LATENCY, busy=0.10, http_5xx=0.05, dropped_before=0.05, dropped_after=0.03, hang=0.03, hang_s=30, seed=1
)
RUNS = {
    run.name: run
    for run in (
        Run("steady100", "steady 100/s", 2000, 100),
        Run("steady200", "steady 200/s", 4000, 200),
        Run(
            "steady167", "steady 167/s, 1 s a call", 3340, 167, faults=Faults(latency_ms=1000), of=("product", "tuned")
        ),
        Run("burst1000", "burst of 1000 in 1 s", 1000, 1000),
        Run("burst4000", "burst of 4000 in 1 s", 4000, 4000),
        Run("burst8000", "burst of 8000 in 1 s", 8000, 8000),
        Run("cpu", "100/s, codes live 600 s", 600, 100, window=600, patience=300, idle=4, rounds=3),
        Run("memory", "100/s with the console", 1000, 100, of=("console",)),
        Run(
            "overload",
            f"25/s, {IN_FLIGHT} calls at once of 700 ms",
            1000,
            25,
            faults=Faults(latency_ms=700),
            in_flight=IN_FLIGHT,
            of=("product", "tuned"),
        ),
        Run("faults", "API faults, 50/s", 1000, 50, faults=FAULTS, of=("product",)),
        Run("freeze", "frozen processes, 20/s", 560, 20, freezes=((3, "welcome"), (15, "web")), of=("product",)),
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
    goodput: float | None = None  # greeted in time, as a share of the run's capacity, once the first codes are old
    recoveries: Mapping[str, float | None] = field(default_factory=dict)  # role → until somebody was greeted again


@dataclass(frozen=True, slots=True)
class Idle:
    """CPU seconds a second of a system in which nothing happens."""

    system: str
    cpu: float


def cpu_per_send(result: Result) -> float | None:
    """CPU seconds per customer greeted."""
    return result.cpu_seconds / result.summary.greeted if result.cpu_seconds and result.summary.greeted else None


def memory_common(result: Result) -> float | None:
    """Bytes of the parts that both systems have: web, the worker that sends, Redis."""
    return sum(size for role, size in result.memory.items() if role in PARTS)


def memory_all(result: Result) -> float | None:
    """Bytes of everything that runs."""
    return sum(result.memory.values())


def goodput(records: Iterable[Record], begin: float, end: float, window: float, capacity: float) -> float:
    """Greeted in time between `begin` + `window` and `end`, as a share of what `capacity` a second allows. Pure."""
    since = begin + window  # from here on the oldest code that waits is of no use
    in_time = [r for r in records if r.greeted_at and r.greeted_after is not None and r.greeted_after <= window]
    return sum(since <= (r.greeted_at or 0) < end for r in in_time) / ((end - since) * capacity)


def recovery(records: Iterable[Record], frozen_at: float) -> float | None:
    """Seconds from a freeze to the first greeting of a customer added after it; None: there was none. Pure."""
    greeted = [r.greeted_at for r in records if r.greeted_at is not None and r.planned_at > frozen_at]
    return min(greeted) - frozen_at if greeted else None


def measure(run: Run, name: str) -> Result:
    """Run one system against a stand-in, both started for this run alone. Raises SystemDidNotRun."""
    with StandIn(LATENCY, window_s=run.window) as stand_in:
        app = stand_in.register(App.random())
        with SYSTEMS[name](app.environment(stand_in.base_url), run.window, run.in_flight) as system:
            stand_in.register(replace(app, callback_url=system.callback_url))
            _warm_up(stand_in, system)
            time.sleep(SETTLE)
            meter = CpuMeter(system.roots.values())
            idle = _idle_rate(meter, run.idle) if run.idle else None
            stand_in.faults(run.faults)

            before, started = meter.seconds(), time.monotonic()
            begin, end = stand_in.load(run.count, run.rate)
            frozen = {role: _freeze(system, role, begin + after) for after, role in run.freezes}
            _wait_for_the_end(stand_in, started + run.patience if run.patience else _monotonic(end) + run.window)
            took, spent = time.monotonic() - started, meter.seconds() - before

            memory = _memory(system)
            records = stand_in.records(from_id=WARM_UP + 1)
            summary = _without_warm_up(stand_in, records, run.window)
    return Result(
        run.name,
        name,
        summary,
        took,
        memory,
        None if idle is None else spent - idle * took,
        goodput(records, begin, end, run.window, run.capacity) if run.capacity else None,
        {role: recovery(records, at) for role, at in frozen.items()},
    )


def measure_idle(names: Sequence[str], seconds: float) -> list[Idle]:
    """The CPU of idle systems, all at the same time: they do nothing to each other. Raises SystemDidNotRun."""
    with StandIn(LATENCY) as stand_in, ExitStack() as stack:
        meters = []
        for number, name in enumerate(names):
            app = stand_in.register(App.random(name=f"app{number}"))
            running = stack.enter_context(SYSTEMS[name](app.environment(stand_in.base_url), 20.0, None))
            stand_in.register(replace(app, callback_url=running.callback_url))
            _warm_up(stand_in, running, app.name, WARM_UP * (number + 1))
            meters.append(CpuMeter(running.roots.values()))
        time.sleep(SETTLE)
        before, started = [meter.seconds() for meter in meters], time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - started
        return [
            Idle(name, (meter.seconds() - earlier) / took)
            for name, meter, earlier in zip(names, meters, before, strict=True)
        ]


def median(results: Sequence[Result], of: Callable[[Result], float | None]) -> float | None:
    """The median over the rounds of a run; None where a round has no value. Pure."""
    values = [of(result) for result in results]
    known = [value for value in values if value is not None]
    return statistics.median(known) if known and len(known) == len(values) else None


def _warm_up(stand_in: StandIn, system: Running, app: str = "default", greeted: int = WARM_UP) -> None:
    """Add customers to an app, and wait until so many are greeted in all."""
    stand_in.load(WARM_UP, rate=10, app=app)
    try:
        stand_in.wait_until_greeted(greeted, WARM_UP_TIMEOUT)
    except TimeoutError as error:
        raise SystemDidNotRun(f"warming up: {error}\n{system.last_lines()}") from error


def _freeze(system: Running, role: str, at: float) -> float:
    """Stop the processes of a role at a moment, and let nobody wake them. → when; Unix time."""
    time.sleep(max(0.0, at - time.time()))
    processes = [process for root in system.roots.values() for process in with_role(root, role)]
    if not processes:
        raise SystemDidNotRun(f"no process of role {role}\n{system.last_lines()}")
    for process in processes:
        process.suspend()
    return time.time()


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


def _without_warm_up(stand_in: StandIn, after: Sequence[Record], window: float) -> Summary:
    """The judge's summary of all but the first customers. (A reset of the stand-in would forget the tokens too.)"""
    records = Records()
    for record in after:
        records.add(record)
    records.accepted = sum(record.accepted_at is not None for record in records.all)
    records.given_up = sum(record.accepted_at is None for record in records.all)
    records.greeted = sum(record.greeted_at is not None for record in records.all)
    whole = stand_in.summary()
    records.unknown_codes = whole.unknown_codes
    return replace(records.summary(window, whole.token_fetches, whole.token_refusals), answers=whole.answers)
