"""What greetings do while Redis is away: one of them finds out when it is back, and hundreds wait for that one."""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import redis

log = logging.getLogger(__name__)

PAUSE = 0.2  # seconds between two tries to reach Redis
TAKES_OVER = 1.0  # seconds after which those who wait look whether anybody still asks

T = TypeVar("T")


class Outage:
    """Of one Redis, as the threads of a process see it. Thread-safe."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._asking = threading.Lock()

    def until_answered(self, ask: Callable[[], T], patience: float) -> T | None:
        """What `ask` returns, once it raises no RedisError any more; None if it still does after `patience` seconds."""
        end = time.monotonic() + patience
        asks = False
        try:
            while True:
                try:
                    answer = ask()
                except redis.RedisError as error:
                    self._over.clear()
                    if time.monotonic() + PAUSE >= end:
                        return None
                    if not asks and (asks := self._asking.acquire(blocking=False)):
                        log.warning("the ledger does not answer: %s", type(error).__name__)
                    time.sleep(PAUSE)  # a step that fails for a reason of its own is no hurry either
                    asks = asks or self._waited(end)
                else:
                    self._over.set()
                    return answer
        finally:
            if asks:
                self._asking.release()

    def _waited(self, end: float) -> bool:
        """Wait until somebody had an answer. → whether this thread is the one that asks now."""
        while not self._over.wait(min(TAKES_OVER, max(0.0, end - PAUSE - time.monotonic()))):
            if self._asking.acquire(blocking=False):
                return True
            if time.monotonic() + PAUSE >= end:
                return False
        return False
