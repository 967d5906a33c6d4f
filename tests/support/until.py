"""Waiting for a condition, instead of sleeping.

The patience is for machines that are slow, or busy with something else: what comes about late is late by a promise of
its own, which a test asserts as generously (`make bench` and `make soak` measure the tight ones), and what never comes
about fails all the same.
"""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 45.0  # seconds


def until(condition: Callable[[], T], timeout: float = PATIENCE, every: float = 0.02, what: str = "it") -> T:
    """The value of `condition` once it is true. AssertionError after `timeout` seconds."""
    by = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < by, f"{what} did not come about within {timeout} s"
        time.sleep(every)
