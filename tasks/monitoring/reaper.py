"""The reaper: twice a second, queues a task message if events are due and no worker polls. One is enough for all.

A thread in every process. It also sends the heartbeat (tasks.monitoring.heartbeat) every two seconds, in beat too.
"""

import contextlib
import logging
import threading
from collections.abc import Callable

import redis

from tasks.ledger.ledger import Ledger
from tasks.monitoring.heartbeat import INTERVAL as BEAT_INTERVAL
from tasks.monitoring.heartbeat import Heartbeat

log = logging.getLogger(__name__)

INTERVAL = 0.5  # seconds; what a lost message or a dead worker costs beyond its lease
FLUSH_EVERY = 2  # rounds between two flushes of the process' own counters
BEAT_EVERY = round(BEAT_INTERVAL / INTERVAL)  # rounds between two heartbeats


class Reaper(threading.Thread):
    """Runs until the process ends, or `stop`. Without a ledger it only sends heartbeats and flushes counters.

    `answered` is called after each round in which Redis has answered (tasks.liveness).
    """

    def __init__(
        self,
        ledger: Ledger | None,
        flush: Callable[[], None],
        heartbeat: Heartbeat,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name="reaper", daemon=True)
        self._ledger = ledger
        self._flush = flush
        self._heartbeat = heartbeat
        self._answered = answered
        self._stopping = threading.Event()

    def run(self) -> None:
        rounds, away = 0, False
        while not self._stopping.wait(INTERVAL):
            try:
                if rounds % BEAT_EVERY == 0:
                    self._heartbeat.beat()
                rounds += 1
                if self._ledger is not None:
                    self._ledger.requeue()
            except redis.RedisError as error:
                if not away:
                    log.error("Redis does not answer (%s); will keep trying", type(error).__name__)
                away = True
            else:
                if away:
                    log.warning("Redis answers again")
                away = False
                self._answered()
            if rounds % FLUSH_EVERY == 0:
                self._flush()

    def stop(self) -> None:
        self._stopping.set()
        self._flush()
        with contextlib.suppress(redis.RedisError):
            self._heartbeat.deregister()
