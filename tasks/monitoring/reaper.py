"""The reaper: queues a task message if events are due and no worker polls. One is enough for all.

A thread in every process; twice a second in a worker that greets, and once a second in the others. It also sends the
heartbeat (tasks.monitoring.heartbeat) every two seconds, in beat too.
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

OFTEN = 0.5  # seconds between two rounds where greetings are made; what a lost message costs, beyond LEFT_BEHIND
SELDOM = 1.0  # where they are not; what a dead worker costs beyond its lease
FLUSH_EVERY = 1.0  # seconds between two flushes of the process' own counters


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
        interval: float = SELDOM,
    ) -> None:
        """`interval`: seconds between two rounds; a whole number of them makes a second."""
        super().__init__(name="reaper", daemon=True)
        self._ledger = ledger
        self._flush = flush
        self._heartbeat = heartbeat
        self._answered = answered
        self._interval = interval
        self._stopping = threading.Event()

    def run(self) -> None:
        rounds, away = 0, False
        flush_every, beat_every = round(FLUSH_EVERY / self._interval), round(BEAT_INTERVAL / self._interval)
        while not self._stopping.wait(self._interval):
            try:
                if rounds % beat_every == 0:
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
            if rounds % flush_every == 0:
                self._flush()

    def stop(self) -> None:
        self._stopping.set()
        self._flush()
        with contextlib.suppress(redis.RedisError):
            self._heartbeat.deregister()
