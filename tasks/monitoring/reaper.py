"""Twice a second: wake a worker if somebody was left behind. A thread in every process but beat; any one is enough.

Every two seconds it says besides, in beat too, that the process is there (tasks.monitoring.heartbeat).
"""

import contextlib
import logging
import threading
from collections.abc import Callable

import redis

from tasks.ledger.ledger import Ledger
from tasks.monitoring.heartbeat import NOTE, Heartbeat

log = logging.getLogger(__name__)

INTERVAL = 0.5  # seconds; what a lost message or a dead worker costs beyond its lease
FLUSH_EVERY = 2  # rounds between two flushes of the process' own counts
NOTE_EVERY = round(NOTE / INTERVAL)  # rounds between two notes that the process is there


class Reaper(threading.Thread):
    """Runs until the process ends, or `stop`. Without a ledger it wakes nobody: it says that the process is there."""

    def __init__(self, ledger: Ledger | None, flush: Callable[[], None], presence: Heartbeat) -> None:
        super().__init__(name="reaper", daemon=True)
        self._ledger = ledger
        self._flush = flush
        self._presence = presence
        self._stopping = threading.Event()

    def run(self) -> None:
        rounds, away = 0, False
        while not self._stopping.wait(INTERVAL):
            try:
                if rounds % NOTE_EVERY == 0:
                    self._presence.beat()
                rounds += 1
                if self._ledger is not None:
                    self._ledger.requeue()
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
        with contextlib.suppress(redis.RedisError):
            self._presence.deregister()
