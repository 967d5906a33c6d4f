"""The greetings of a lifeboat: the events that have no result yet, the threads that greet them, what these record."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from tasks.counters import count
from tasks.events import ContactAdded
from tasks.greeting.greeter import Greeter
from tasks.ledger.claims import Claim, Kept, SettledEvent
from tasks.ledger.delivery import GREETED, WorkerRecord
from tasks.ledger.recorded import Recorded
from tasks.lifeboat import entries
from tasks.lifeboat.journal import Journal, JournalError
from tasks.lifeboat.last_known import LastKnown
from tasks.wecom import WeComClient

log = logging.getLogger(__name__)

MOST = 4000  # events that wait or are being greeted
REMEMBERED = 120.0  # seconds for which an event is known again: WeCom sends it up to three times, 5 s apart
AGAIN = 0.5  # seconds after an error of our own before the greeting is tried again


@dataclass(slots=True)
class _InFlight:
    """An event without a result. `received`: of `time.monotonic`; `claims`: how often a process took it."""

    recorded: Recorded
    journal: Journal
    received: float
    claims: int = 0


@dataclass(slots=True)
class _Taken:
    """An event that was taken lately. `at`: of `time.monotonic`."""

    at: float
    pair: tuple[str, str, str]
    greeted: bool = False


class Greetings:
    """Greets with what was last known. Thread-safe. It is the recorder of its greeter: see `tasks.greeting.ports`."""

    def __init__(self, known: LastKnown, clients: Mapping[str, WeComClient], window: float, threads: int) -> None:
        self._known = known
        self._window = window
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="lifeboat")  # which begins a thread if none is idle
        self._greeter = Greeter(self, known, known, clients, known, alone=True)
        self._lock = threading.Lock()
        self._in_flight: dict[str, _InFlight] = {}
        self._taken: OrderedDict[str, _Taken] = OrderedDict()
        self._unwritten: list[tuple[Journal, Recorded]] = []  # results that the disk did not take yet
        self._running: dict[str, float] = {}  # id → when its greeting began (monotonic), the oldest first
        self._seconds = 0.1  # that a greeting takes, lately
        self.greeted = 0  # customers, since the process' start

    def has_room(self) -> bool:
        """Whether another event would be greeted in time, if each takes as long as lately, or as the longest of now."""
        with self._lock:
            began = next(iter(self._running.values()), None)
        longest = 0.0 if began is None else time.monotonic() - began
        return fits(len(self._in_flight), max(self._seconds, longest), self._threads, self._window)

    def took(self, event: ContactAdded) -> bool:
        """Whether the event was taken lately."""
        return bool(self._taken) and event.id in self._taken

    def add(self, recorded: Recorded, received: float, journal: Journal, claims: int = 0) -> bool:
        """Greet an event that is in the journal; `received`: of `time.monotonic`. False: it was taken before."""
        event = recorded.event
        with self._lock:
            if event.id in self._taken:
                return False
            self._taken[event.id] = _Taken(time.monotonic(), _pair(event))
            one = self._in_flight[event.id] = _InFlight(recorded, journal, received, claims)
        self._pool.submit(self._greet, one)
        return True

    def busy(self, journal: Journal) -> bool:
        """Whether a result of an event in this journal is still to come."""
        with self._lock:
            return any(one.journal is journal for one in self._in_flight.values()) or any(
                one is journal for one, _ in self._unwritten
            )

    def look_after(self, journals: Iterable[Journal]) -> None:
        """Write the results that the disk did not take; have all on the disk; forget who was taken long ago."""
        while self._unwritten:
            journal, recorded = self._unwritten[0]
            try:
                journal.append(entries.result(recorded), sync=False)
            except JournalError:
                break
            del self._unwritten[0]
        for journal in journals:
            try:
                journal.sync()
            except JournalError as error:
                log.error("the lifeboat's journal is not on the disk: %s", error)
        with self._lock:
            oldest = time.monotonic() - REMEMBERED
            while self._taken and next(iter(self._taken.values())).at < oldest:
                self._taken.popitem(last=False)

    def stop(self) -> None:
        """Finish what waits."""
        self._pool.shutdown()

    def _greet(self, one: _InFlight) -> None:
        """Greet one event. If that ends in an error of our own, it is tried again while there is time."""
        identity = one.recorded.event.id
        while identity in self._in_flight:
            one.claims += 1
            began = time.monotonic()
            with self._lock:
                self._running[identity] = began
            claim = self._claim(one, began)
            self.begin_try(claim, claim.attempts + 1, 0)  # as a worker's claim does
            self._greeter.greet(claim)
            with self._lock:
                self._running.pop(identity, None)
            self._seconds += (time.monotonic() - began - self._seconds) / 16
            if identity in self._in_flight:
                time.sleep(AGAIN)

    def _claim(self, one: _InFlight, now: float) -> Claim:
        recorded = one.recorded
        return Claim(
            event=recorded.event,
            fencing_token=one.claims,
            attempts=recorded.attempts,
            answers=recorded.answers,
            received_at=round(recorded.received_at * 1000),
            revision=self._known.revision(recorded.event.app),
            claimed_at=now,
            age=now - one.received,
            window=self._window,
        )

    # --- what the greeter records; there are no leases ---

    def begin_try(self, claim: Claim, number: int, timeout: float, so_far: WorkerRecord | None = None) -> Kept:
        record = entries.try_begun(claim.id, number)
        return Kept.YES if self._note(claim, record, lambda known: replace(known, attempts=number)) else Kept.NO

    def extend_lease(self, claim: Claim, timeout: float, so_far: WorkerRecord | None = None) -> bool:
        return True

    def answered(self, claim: Claim, answers: int, wait: float, so_far: WorkerRecord | None = None) -> bool:
        record = entries.tries_answered(claim.id, answers)
        return self._note(claim, record, lambda known: replace(known, answers=answers))

    def give_back(self, claim: Claim, tries: int, answers: int, so_far: WorkerRecord | None = None) -> bool:
        return False  # there is nowhere to wait for the end of a limit but its thread

    def settle(self, settled: SettledEvent) -> bool:
        event, settlement = settled.event, settled.settlement
        one = self._in_flight.get(event.id)
        if one is None:
            return False
        own = {} if event.rehearsal else {count("lifeboat_total", app=event.app, outcome=settlement.outcome): 1}
        recorded = replace(
            one.recorded,
            settlement=replace(settlement, lifeboat=True, worker=0),
            counts={**settled.counts, **own},
            follow_up=settled.follow_up,
        )
        try:
            one.journal.append(entries.result(recorded), sync=False)
        except JournalError as error:
            log.error("a result is not in the lifeboat's journal yet: %s", error)
            self._unwritten.append((one.journal, recorded))
        with self._lock:
            if settlement.outcome in GREETED:
                self.greeted += 1
                if event.id in self._taken:
                    self._taken[event.id].greeted = True
            self._in_flight.pop(event.id, None)
        return True

    def greeted_sibling(self, event: ContactAdded, received_at: int) -> str | None:
        with self._lock:
            known = [identity for identity, one in self._taken.items() if one.greeted and one.pair == _pair(event)]
        return next((identity for identity in known if identity != event.id), None)

    def _note(self, claim: Claim, record: Mapping[str, object], change: Callable[[Recorded], Recorded]) -> bool:
        one = self._in_flight.get(claim.id)
        if one is None:
            return False
        one.recorded = change(one.recorded)
        try:
            one.journal.append(record, sync=False)
        except JournalError as error:  # a successor would not know of it, and try in vain: the code works once
            log.error("a try is not in the lifeboat's journal: %s", error)
        return True


def fits(waiting: int, seconds: float, threads: int, window: float) -> bool:
    """Whether another event would be greeted in the first half of its window. Pure.

    waiting: events before it; seconds: that a greeting takes.
    """
    return waiting < MOST and waiting * seconds / threads < window / 2


def _pair(event: ContactAdded) -> tuple[str, str, str]:
    return event.app, event.user_id, event.external_user_id
