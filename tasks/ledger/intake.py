"""The only way in: what WeCom tells is stored, or it is known within 1.5 s that it cannot be (Unavailable).

WeCom waits 5 s for an answer and sends again what was not accepted, so "I cannot" is safe and silence is not. While
Redis does not answer, one caller at a time finds out whether it is back; the others are told at once, so that a
thread each is not what a stalled Redis costs.
"""

import logging
import threading
import time
from collections.abc import Callable

import redis

from tasks.events import ContactAdded
from tasks.ledger.ledger import Acceptance, Ledger
from tasks.storage.connections import NotPrimary

log = logging.getLogger(__name__)

TIMEOUT = 0.6  # seconds for each of two tries to reach Redis
HOLD_OFF = 0.5  # seconds after a failure in which callers are told at once


class Unavailable(Exception):
    """The event is not stored, for all that is known. WeCom is to send it again.

    in_doubt: it may have been stored, and only the answer was lost.
    """

    def __init__(self, why: str, in_doubt: bool = False) -> None:
        super().__init__(why)
        self.in_doubt = in_doubt


class Intake:
    """Submits events to the ledger. Thread-safe. The ledger's client must have TIMEOUT as its time-out."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._asking = threading.Lock()
        self._failed_at: float | None = None  # None: the last call was answered

    def submit(self, event: ContactAdded) -> Acceptance:
        """Store an event and queue a task message: see `Ledger.accept`. Raises Unavailable."""
        return self.keep(lambda: self._ledger.accept(event))

    def keep(self, store: Callable[[], Acceptance]) -> Acceptance:
        """Have `store` called, which stores something that WeCom tells. → what it returns. Raises Unavailable."""
        failed_at = self._failed_at
        if failed_at is None:
            return self._keep(store, was_there=True)
        if time.monotonic() - failed_at < HOLD_OFF or not self._asking.acquire(blocking=False):
            raise Unavailable("Redis did not answer a moment ago")
        try:
            return self._keep(store, was_there=False)
        finally:
            self._asking.release()

    def _keep(self, store: Callable[[], Acceptance], was_there: bool) -> Acceptance:
        try:
            stored = store()
        except redis.RedisError as error:  # refused, silent, full (-OOM) or read-only: all the same to WeCom
            self._failed_at = time.monotonic()
            raise Unavailable(type(error).__name__, _may_be_stored(error, was_there)) from None
        self._failed_at = None
        return stored


def _may_be_stored(error: redis.RedisError, was_there: bool) -> bool:
    """`was_there`: whether Redis answered the last time, so that this was asked over a connection that was open."""
    if isinstance(error, redis.ResponseError | NotPrimary):
        return False
    return was_there or not getattr(error, "unsent", False)
