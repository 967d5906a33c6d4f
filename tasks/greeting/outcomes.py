"""What greetings have come to, until it is written: with the next claim, in one exchange with Redis.

An exchange for each greeting takes as much CPU as its call of WeCom. So an outcome waits for the next poll, which is
milliseconds away. If the process dies before it, the event is in doubt, like one whose process dies during the call.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tasks.greeting.ports import Observer, Unobserved
from tasks.ledger.claims import Batch, SettledEvent
from tasks.ledger.delivery import MISSED
from tasks.logs import about

log = logging.getLogger(__name__)

PATIENCE = 60.0  # seconds for which writing an outcome is tried again while Redis does not take it
PAUSE = 0.2  # seconds between two tries


@dataclass(frozen=True, slots=True)
class _Unwritten:
    one: SettledEvent
    seconds: float  # from the receipt to the outcome
    until: float  # time of `time.monotonic` at which it is given up
    since: float = 0.0  # and before which it is not tried again


class Outcomes:
    """Outcomes that are to be written. Any thread adds them; one writes them."""

    def __init__(self, observer: Observer | None = None) -> None:
        self._observer = observer or Unobserved()
        self._lock = threading.Lock()
        self._unwritten: list[_Unwritten] = []
        self._count = 0  # with those that are being written

    def __len__(self) -> int:
        """How many are not written yet."""
        return self._count

    def add(self, one: SettledEvent, seconds: float) -> None:
        """`seconds`: from the event's receipt to its outcome."""
        with self._lock:
            self._count += 1
            self._unwritten.append(_Unwritten(one, seconds, time.monotonic() + PATIENCE))

    @contextlib.contextmanager
    def batch(self) -> Iterator[Batch]:
        """Those that are to be written now, inside of the `with` block. What then is not, is tried again later."""
        with self._lock:
            now = time.monotonic()
            tried = [waiting for waiting in self._unwritten if waiting.since <= now]
            self._unwritten = [waiting for waiting in self._unwritten if waiting.since > now]
        batch = Batch([waiting.one for waiting in tried])
        try:
            yield batch
        finally:
            self._tried(tried, batch)

    def _tried(self, tried: list[_Unwritten], batch: Batch) -> None:
        now = time.monotonic()
        for waiting, written in zip(tried, batch.written or [None] * len(tried), strict=True):
            again = written is None and now < waiting.until
            with self._lock:
                self._count -= not again
                if again:
                    self._unwritten.append(replace(waiting, since=now + PAUSE))
            if not again:
                self._observer.settled(waiting.one, written)
                report(waiting.one, waiting.seconds, written)


def report(one: SettledEvent, seconds: float, written: bool | None) -> None:
    """Log an outcome. `written`: see `Batch`."""
    outcome, reason = one.settlement.outcome, one.settlement.reason
    with about(event=one.event.id, app=one.event.app):
        if written:
            why = f": {reason}" if reason else ""
            log.log(logging.ERROR if outcome in MISSED else logging.INFO, "%s after %.3f s%s", outcome, seconds, why)
        elif written is None:
            log.error("%s after %.3f s, but Redis does not accept the outcome", outcome, seconds)
