"""A model of workers under load, in simulated time: customers come, threads greet, the API changes, workers die.

What it takes from the product: `tasks.greeting.admission`, the time-outs of `tasks.greeting.policy`, and claim.lua's
rule, which is `taken` here; a test compares the two.
"""

import heapq
import random
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from tasks.greeting.admission import Load, Took
from tasks.greeting.dispatcher import TICK
from tasks.greeting.policy import LEAST, TIMEOUT_WAIT, try_timeout
from tasks.ledger.claims import LOOKED_AT, Admission, Shares, Taken
from tasks.ledger.ledger import CLAIM_LEASE

SWEEP = 0.25  # seconds between two looks for who is too late
REPLACED = 1.0  # seconds after a death at which there is a worker again
EVERYBODY = Admission(worthwhile=-1e9)  # the rule before there was one: oldest first, however late

Due = tuple[float, int]  # the time at which an event may be taken, and its number
Api = Callable[[float, str, random.Random], float]  # time and app of a call → seconds until its answer


def taken(
    due: Sequence[Due],
    now: float,
    most: int,
    window: float,
    admission: Admission,
    app_of: Callable[[int], str] = lambda _: "",
) -> tuple[list[Due], bool]:
    """Whom claim.lua takes of the due, which are in order; and whether there may be more."""
    ready = due[: bisect_right(due, (now, 1 << 60))]
    if len(ready) < most:
        return list(ready), False
    worthwhile = bisect_left(ready, (now - window + admission.worthwhile, -1))
    first = ready[worthwhile:]
    first = first[::-1] if admission.newest_first else first
    found = [*first[: most if admission.shares is None else most + LOOKED_AT]]
    found += ready[:worthwhile][::-1][: max(0, most - len(found))]
    if admission.shares is not None:
        held, each = Counter(admission.shares.held), admission.shares.each
        places = []
        for _, number in found:
            held[app_of(number)] += 1
            places.append(held[app_of(number)] > each)
        found = [found[i] for i in sorted(range(len(found)), key=places.__getitem__)]
    return found[:most], True


@dataclass(slots=True)
class Fate:
    """What became of a customer. Seconds; `took`: the time of threads that was spent on them."""

    at: float
    app: str
    sent_at: float | None = None
    took: float = 0.0
    claims: int = 0

    @property
    def waited(self) -> float:
        return float("inf") if self.sent_at is None else self.sent_at - self.at


@dataclass(slots=True)
class _Worker:
    load: Load
    free: int
    greeted: int = 0
    life: int = 0  # counts deaths
    polled: float = -1.0
    waits: bool = False
    holds: set[int] = field(default_factory=set)


@dataclass
class Model:
    """arrivals: (time, app). dies: time → number of the worker that dies then."""

    arrivals: Iterable[tuple[float, str]]
    api: Api
    threads: int = 8
    workers: int = 1
    window: float = 20.0
    admits: Callable[[Admission], Admission] = lambda admission: admission
    dies: Mapping[float, int] = field(default_factory=dict)
    shared_by: int = 0  # apps; 0: they have no shares

    def __post_init__(self) -> None:
        self.random = random.Random(1)
        self.fates = [Fate(at, app) for at, app in sorted(self.arrivals)]
        self.due: list[Due] = []
        self.crew = [_Worker(Load(self.window), self.threads) for _ in range(self.workers)]
        self.now = self.fates[0].at
        self._todo: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def run(self) -> list[Fate]:
        """The fates, in the order of arrival, when the last customer's window is over."""
        for number, fate in enumerate(self.fates):
            self._at(fate.at, lambda number=number: insort(self.due, (self.now, number)))
        for worker in self.crew:
            self._at(max(0.0, self.now) + self.random.random() * TICK, lambda worker=worker: self._tick(worker))
        for when, index in self.dies.items():
            self._at(when, lambda index=index: self._die(self.crew[index]))
        self._sweep()
        end = self.fates[-1].at + self.window + 1
        while self._todo[0][0] < end:
            self.now, _, act = heapq.heappop(self._todo)
            act()
        return self.fates

    def useful(self, since: float, until: float) -> float:
        """The share of all threads' time that went into greetings that arrived, from `since` to `until`."""
        useful = sum(f.took for f in self.fates if f.sent_at is not None and since <= f.sent_at < until)
        return useful / (self.threads * self.workers * (until - since))

    def _at(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._todo, (when, next(self._numbers), act))

    def _sweep(self) -> None:
        del self.due[: bisect_left(self.due, (self.now - self.window + LEAST, -1))]
        self._at(self.now + SWEEP, self._sweep)

    def _tick(self, worker: _Worker) -> None:
        self._poll(worker)
        self._at(self.now + TICK, lambda: self._tick(worker))

    def _poll(self, worker: _Worker) -> None:
        if not worker.free:
            return
        worker.polled = self.now
        admission = self.admits(worker.load.admission(self.now))
        if self.shared_by:
            held = Counter(self.fates[number].app for number in worker.holds)
            admission = replace(admission, shares=Shares(max(1, self.threads // self.shared_by), held))
        app_of = lambda number: self.fates[number].app  # noqa: E731
        claimed, worker.waits = taken(self.due, self.now, worker.free, self.window, admission, app_of)
        for one in claimed:
            self.due.pop(bisect_left(self.due, one))
        over, worthwhile = self.now - self.window, self.now - self.window + admission.worthwhile
        passed_over = bisect_left(self.due, (worthwhile, -1)) > bisect_left(self.due, (over, -1))
        worker.load.claimed(self.now, Taken((), worker.waits, int(worker.waits and passed_over)))
        for _, number in claimed:
            if self.now - self.fates[number].at <= self.window - LEAST:
                worker.free -= 1
                self._greet(worker, number)

    def _greet(self, worker: _Worker, number: int) -> None:
        """Try until there is an answer, or no time left."""
        fate, began, life = self.fates[number], self.now, worker.life
        fate.claims += 1
        worker.holds.add(number)
        at, tries, answered = began, 0, False
        while not answered and (timeout := try_timeout(tries + 1, fate.at + self.window - at)) is not None:
            tries += 1
            takes = self.api(at, fate.app, self.random)
            answered = takes <= timeout
            at += takes if answered else timeout + TIMEOUT_WAIT

        def end() -> None:
            if worker.life != life:
                return  # it died meanwhile
            worker.free += 1
            worker.holds.discard(number)
            worker.load.greeted(Took(self.now - began, answered))
            if answered and self.now <= fate.at + self.window:
                fate.sent_at, fate.took = self.now, self.now - began
                worker.greeted += 1
            if worker.waits:
                self._poll(worker)

        self._at(at, end)

    def _die(self, worker: _Worker) -> None:
        for number in worker.holds:
            insort(self.due, (self.now + CLAIM_LEASE, number))
        worker.holds, worker.free, worker.waits, worker.load = set(), 0, False, Load(self.window)
        worker.life += 1

        def start() -> None:
            worker.free = self.threads

        self._at(self.now + REPLACED, start)
