"""A circuit breaker around Redis: once an answer has not come in time, nobody asks for a moment, and waits again.

It holds for calls in its context only: a page that a person waits for must not wait for each of its twenty reads, while
a callback has its own rule for what to try.
"""

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

import redis

_current: ContextVar["CircuitBreaker | None"] = ContextVar("circuit_breaker", default=None)


@dataclass
class CircuitBreaker:
    """Thread-safe: a race costs one more wait. pause: seconds without a call after a time-out; trips: how many were."""

    pause: float = 1.0
    trips: int = 0
    _tripped_at: float | None = None  # time.monotonic()

    @contextlib.contextmanager
    def around(self) -> Iterator[None]:
        """Calls inside of it, in this thread, go through the breaker."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    @property
    def is_open(self) -> bool:
        """Whether calls are refused now."""
        return self._tripped_at is not None and time.monotonic() - self._tripped_at < self.pause

    def trip(self) -> None:
        """An answer did not come in time."""
        self.trips += 1
        self._tripped_at = time.monotonic()


def check() -> None:
    """Raises redis.TimeoutError while the breaker of this context, if any, is open."""
    breaker = _current.get()
    if breaker is not None and breaker.is_open:
        raise redis.TimeoutError("no answer a moment ago")


def note(error: Exception) -> None:
    """Trips the breaker of this context, if any, for an answer or a connection that did not come in time."""
    breaker = _current.get()
    if breaker is not None and isinstance(error, redis.TimeoutError | redis.exceptions.MaxConnectionsError):
        breaker.trip()
