"""A circuit breaker around Redis: once an answer has not come in time, the rest of the work does without.

It holds for calls in its context only, which is one request of the console: a page that a person waits for must not
wait for each of its twenty reads, and the next request asks again. A callback has its own rule for what to try.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

import redis

_current: ContextVar["CircuitBreaker | None"] = ContextVar("circuit_breaker", default=None)


@dataclass
class CircuitBreaker:
    """Closed at first; open for good once a call in its context has timed out."""

    is_open: bool = False

    @contextlib.contextmanager
    def around(self) -> Iterator[None]:
        """Calls inside of it, in this thread, go through the breaker."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def trip(self) -> None:
        """An answer did not come in time."""
        self.is_open = True


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
