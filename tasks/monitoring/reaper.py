"""The reaper: queues a task message if events are due and no worker polls. One is enough for all.

A thread in every process; once a second in a worker that greets, and every two seconds in the others. It also sends the
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
from tasks.storage import troubles

log = logging.getLogger(__name__)

OFTEN = 1.0  # seconds between two rounds where greetings are made; what a lost message costs, beyond LEFT_BEHIND
SELDOM = 2.0  # where they are not; what a dead worker costs beyond its lease


class Reaper(threading.Thread):
    """Runs until the process ends, or `stop`. Without a ledger there is nothing to requeue.

    `regularly` is called after each round (tasks.services), `answered` after each in which Redis has answered
    (tasks.liveness).
    """

    def __init__(
        self,
        ledger: Ledger | None,
        regularly: Callable[[], None],
        heartbeat: Heartbeat,
        answered: Callable[[], None] = lambda: None,
        interval: float = SELDOM,
    ) -> None:
        """`interval`: seconds between two rounds; a whole number of them makes BEAT_INTERVAL."""
        super().__init__(name="reaper", daemon=True)
        self._ledger = ledger
        self._regularly = regularly
        self._heartbeat = heartbeat
        self._answered = answered
        self._interval = interval
        self._away = False  # whether Redis did not answer in the last round
        self._stopping = threading.Event()

    def run(self) -> None:
        rounds = 0
        while not self._stopping.wait(self._interval):
            try:
                if self._round(rounds):
                    rounds += 1
                self._regularly()
            except Exception:  # the thread's edge: without it, lost messages would stay lost, and no heartbeat come
                log.exception("a round of the reaper ended in an error")
                rounds += 1

    def _round(self, number: int) -> bool:
        """→ whether Redis has answered."""
        try:
            if number % round(BEAT_INTERVAL / self._interval) == 0:
                self._heartbeat.beat()
            if self._ledger is not None:
                self._ledger.requeue()
        except redis.RedisError as error:
            if not self._away:
                log.error("Redis does not answer (it %s); will keep trying", troubles.line(error))
            self._away = True
            return False
        if self._away:
            log.warning("Redis answers again")
        self._away = False
        self._answered()
        return True

    def stop(self) -> None:
        self._stopping.set()
        self._regularly()
        with contextlib.suppress(redis.RedisError):
            self._heartbeat.deregister()
