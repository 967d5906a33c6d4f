"""Twice a second: wake a worker if somebody was left behind. A thread in every worker; any one of them is enough."""

import logging
import threading
from collections.abc import Callable

import redis

from tasks.ledger import Ledger

log = logging.getLogger(__name__)

INTERVAL = 0.5  # seconds; what a lost message or a dead worker costs beyond its lease
FLUSH_EVERY = 2  # rounds between two flushes of the process' own counts


class Reaper(threading.Thread):
    """Runs until the process ends, or `stop`."""

    def __init__(self, ledger: Ledger, flush: Callable[[], None]) -> None:
        super().__init__(name="reaper", daemon=True)
        self._ledger = ledger
        self._flush = flush
        self._stopping = threading.Event()

    def run(self) -> None:
        rounds, away = 0, False
        while not self._stopping.wait(INTERVAL):
            rounds += 1
            try:
                self._ledger.rouse()
            except redis.RedisError as error:
                if not away:
                    log.error("Redis does not answer (%s); trying on", type(error).__name__)
                away = True
            else:
                if away:
                    log.warning("Redis answers again")
                away = False
            if rounds % FLUSH_EVERY == 0:
                self._flush()

    def stop(self) -> None:
        self._stopping.set()
        self._flush()
