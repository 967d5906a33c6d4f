"""Settles those for whom it is too late, in batches and in a thread of its own, while the slots go to others."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import redis

from tasks.greeting.outage import Outage
from tasks.greeting.outcomes import PATIENCE
from tasks.greeting.policy import LEAST
from tasks.greeting.ports import Observer, Unobserved
from tasks.greeting.threads import ThreadPool
from tasks.ledger.claims import Batch, Claim, SettledEvent
from tasks.ledger.ledger import Ledger

log = logging.getLogger(__name__)

EVERY = 0.25  # seconds between two looks for them, while customers wait
BATCH = 100  # events that are settled in one exchange with Redis
AWAY = 5.0  # seconds without a poll after which this process was away: a task message comes every two seconds


class TooLate:
    """`give_up`: see `Greeter.give_up`. Its methods are called by one thread, and return at once."""

    def __init__(
        self,
        ledger: Ledger,
        give_up: Callable[[Sequence[Claim], float], Iterable[SettledEvent]],
        observer: Observer | None = None,
    ) -> None:
        self._ledger = ledger
        self._observer = observer or Unobserved()
        self._give_up = give_up
        self._threads = ThreadPool("too-late", 1)
        self._outage = Outage()
        self._count = threading.Lock()
        self._under_way = 0
        self._looked_at = float("-inf")
        self._polled_at = float("-inf")
        self._served_since = float("inf")

    @property
    def busy(self) -> bool:
        return self._under_way > 0

    def polled(self, waits: bool) -> None:
        """This process claims all that it can. waits: somebody may wait all the same; then it is time to look."""
        now = time.monotonic()
        if now - self._polled_at > AWAY:
            self._served_since = now
        self._polled_at = now
        if waits and now - self._looked_at >= EVERY and not self.busy:
            self._looked_at = now
            self._begin(self._look)

    def away(self) -> None:
        """Redis did not answer: whoever waits now does not wait for others."""
        self._polled_at = float("-inf")

    def settle(self, claims: Sequence[Claim]) -> None:
        """Settle those of a claim who turned out to be too late."""
        self._begin(partial(self._settle, claims))

    def _begin(self, work: Callable[[], object]) -> None:
        with self._count:
            self._under_way += 1
        self._threads.submit(partial(self._do, work))

    def _do(self, work: Callable[[], object]) -> None:
        try:
            work()
        except redis.RedisError as error:  # their leases end, and they are found again
            log.warning("cannot settle who came too late: %s", type(error).__name__)
        finally:
            with self._count:
                self._under_way -= 1

    def _look(self) -> None:
        while (claims := self._ledger.take_too_late(BATCH, LEAST)) and self._settle(claims):
            pass

    def _settle(self, claims: Sequence[Claim]) -> bool:
        """False: Redis did not take it; their leases have ended, and they are found again."""
        batch = Batch(list(self._give_up(claims, self._served_since)))
        self._outage.until_answered(partial(self._ledger.settle_all, batch), PATIENCE)
        for one, was in zip(batch.events, batch.written, strict=False):  # no answer: nothing was written
            self._observer.settled(one, was)
        written = sum(bool(one) for one in batch.written)
        if written:
            log.error("%s customers had waited for as long as their codes live", written)
        fine = len(batch.written) == len(batch.events) and None not in batch.written
        if not fine:
            log.warning("cannot settle who came too late: Redis does not take it")
        return fine
