"""The dispatcher: claims due events as long as there are any, hands each to a thread that greets, and writes outcomes.

A task message starts it, and names no event. So a burst of hundreds of events costs one Celery task, and a lost message
loses no event: the ledger has them. Whom it claims when more are due than slots are free: `tasks.greeting.admission`.
"""

import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import redis

from tasks.greeting.admission import Load, Took
from tasks.greeting.outcomes import Outcomes
from tasks.greeting.policy import LEAST
from tasks.greeting.slots import Slots
from tasks.greeting.threads import ThreadPool
from tasks.greeting.too_late import TooLate
from tasks.ledger.claims import Admission, Claim, Shares
from tasks.ledger.ledger import Ledger
from tasks.liveness import Loop

log = logging.getLogger(__name__)

TICK = 0.04  # seconds between two polls, while there is something to do
AT_ONCE = 16  # while customers wait, it polls before the tick when this fraction of the slots is free
POLL_AGAIN_WITHIN = 0.2  # seconds within which a poll promises the next one: five ticks, since threads can be late
LINGER = 0.1  # seconds without anything to do after which the dispatcher ends
PAUSE = 0.2  # seconds to wait when Redis could not be reached


class Dispatcher:
    """Claims due events and greets them, as many at a time as there are slots.

    too_late: who looks for those whose time is over, while all slots go to others; without it, they wait for a slot.
    apps: how many there are; each has its share of the slots before others have more. outcomes: of greetings, which it
    writes with its claims.
    """

    def __init__(
        self,
        ledger: Ledger,
        greet: Callable[[Claim], Took | None],
        slots: Slots,
        too_late: TooLate | None = None,
        apps: int = 1,
        outcomes: Outcomes | None = None,
    ) -> None:
        self._ledger = ledger
        self._greet = greet
        self._slots = slots
        self._too_late = too_late
        self._apps = apps
        self._outcomes = Outcomes() if outcomes is None else outcomes
        self._load = Load(ledger.window)
        self._threads = ThreadPool("greet", 2 * slots.most)
        self.loop = Loop("the dispatcher", at_rest=True)
        self._running = threading.Lock()
        self._count = threading.Lock()
        self._in_flight: dict[tuple[str, int], str] = {}  # claims: event, fencing token → app
        self._waits = False  # whether the last poll left somebody waiting, maybe
        self._poll_now = threading.Event()
        self._stopping = threading.Event()

    def current_tasks(self) -> list[str]:
        """The ids of the events that are being greeted now."""
        with self._count:
            return [event for event, _ in self._in_flight]

    def run(self) -> None:
        """Greet all due events, until none has been due for LINGER seconds and none is in flight.

        While it polls, the hand-over queues no message, since the next poll is milliseconds away.
        """
        with self._running, self.loop:  # a second task waits: the first one claims what it would find
            if self._stopping.is_set() or not self._take(poll_again_within=0):
                return  # as for the canary: it promises nothing, so the next event queues a task message
            idle_since = time.monotonic()
            while not self._stopping.is_set():
                self.loop.came_round()
                if self._take(POLL_AGAIN_WITHIN) or self._in_flight or self._outcomes:
                    idle_since = time.monotonic()
                elif time.monotonic() - idle_since > LINGER and not self._take(poll_again_within=0):
                    break  # the last poll withdrew the promise
                self._poll_now.wait(TICK)
                self._poll_now.clear()
            while self._in_flight or self._outcomes or (self._too_late is not None and self._too_late.busy):
                self.loop.came_round()
                self._write()
                time.sleep(TICK)

    def stop(self) -> None:
        """Claim nothing more; `run` returns when every event in flight has its outcome."""
        self._stopping.set()
        self._poll_now.set()
        with contextlib.suppress(redis.RedisError):  # then the promise expires by itself
            self._ledger.claim(0)  # withdraws the promise to poll again

    def _take(self, poll_again_within: float) -> bool:
        """Claim due events for the free slots. → whether there were any."""
        free = self._slots.free
        if free == 0:
            self._write()
            self._look_for_too_late()
            return False
        now = time.monotonic()
        try:
            with self._outcomes.batch() as settled:
                taken = self._ledger.take(free, self._admission(now), poll_again_within, settled)
        except redis.RedisError as error:
            log.warning("cannot claim due events: %s", type(error).__name__)
            if self._too_late is not None:
                self._too_late.away()
            self._stopping.wait(PAUSE)
            return False
        self._load.claimed(now, taken)
        self._waits = taken.waits
        self._look_for_too_late()
        for claim in self._in_time(taken.claims):
            with self._count:
                self._in_flight[claim.id, claim.fencing_token] = claim.event.app
            self._slots.take()
            self._threads.submit(partial(self._one, claim))
        return bool(taken.claims)

    def _write(self) -> None:
        """Write outcomes without a claim."""
        if self._outcomes:
            with contextlib.suppress(redis.RedisError), self._outcomes.batch() as settled:
                self._ledger.settle_all(settled)

    def _admission(self, now: float) -> Admission:
        admission = self._load.admission(now)
        if self._apps == 1:
            return admission
        with self._count:
            held = Counter(self._in_flight.values())
        return replace(admission, shares=Shares(max(1, self._slots.most // self._apps), held))

    def _look_for_too_late(self) -> None:
        if self._too_late is not None:
            self._too_late.polled(self._waits)

    def _in_time(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """The claims for which it is not too late; the others are settled aside."""
        if self._too_late is None:
            return claims
        late: list[Claim] = []
        in_time: list[Claim] = []
        for claim in claims:
            (late if claim.left() < LEAST else in_time).append(claim)
        if late:
            self._too_late.settle(late)
        return in_time

    def _one(self, claim: Claim) -> None:
        try:
            took = self._greet(claim)
            if took is not None:
                self._load.greeted(took)
        finally:
            self._slots.give_back()
            with self._count:
                del self._in_flight[claim.id, claim.fencing_token]
            if self._waits and self._slots.free * AT_ONCE >= self._slots.most:
                self._poll_now.set()
