"""Waiting for something to come about, instead of sleeping."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], timeout: float = 10, every: float = 0.02, what: str = "it") -> T:
    """What `condition` gives once it is true. AssertionError after `timeout` seconds."""
    by = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < by, f"{what} did not come about within {timeout} s"
        time.sleep(every)
