"""Sends events that are on their way to their targets, from the process of the slow queue.

One thread looks every TICK what is due; the sends are made by a few others, of which a target has SHARE at most, so
that one that answers slowly leaves some to the rest.
"""

import logging
import threading
from collections import Counter, deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import redis
from celery import Celery

from tasks.counters import Counters, count
from tasks.forwards.senders import SHARE, sender
from tasks.forwards.store import DAY, Entry, Forwards
from tasks.logs import about
from tasks.settings import App

log = logging.getLogger(__name__)

TICK = 1.0  # seconds between two looks at what is due, while nothing wakes it
THREADS = 16  # sends at a time, in all
PROBES = THREADS // 2  # of them, to targets that did not answer the last time: each may last for TIMEOUT


class Forwarder(threading.Thread):
    """Runs until `stop`, where an app has targets."""

    def __init__(self, store: Forwards, apps: Mapping[str, App], counters: Counters, celery: Celery) -> None:
        """`celery`: sends tasks to targets that have no broker of their own."""
        super().__init__(name="forwarder", daemon=True)
        self._store = store
        self._targets = {(app.name, target.id): target for app in apps.values() for target in app.forwards}
        self._senders = {key: sender(target, celery) for key, target in self._targets.items()}
        self._counters = counters
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="forward")
        self._lock = threading.Lock()
        self._busy: Counter[tuple[str, str]] = Counter()
        self._unwell: set[tuple[str, str]] = set()
        self._turns = deque(self._targets)
        self._stopping = threading.Event()
        self._wake = threading.Event()

    @property
    def has_targets(self) -> bool:
        return bool(self._targets)

    def run(self) -> None:
        while not self._stopping.is_set():
            if not self._look():
                self._wake.wait(TICK)
                self._wake.clear()

    def _look(self) -> int:
        """Route what is new, and claim what is due for each target: an error at one holds up no other. → how many.

        Each target is the first in turn, so that threads that come free are not always the same ones'.
        """
        self._turns.rotate(-1)
        found = 0
        for step in (self._store.route, self._take_due):
            try:
                found += step()
            except redis.RedisError as error:
                log.warning("cannot look what is to be forwarded: %s", type(error).__name__)
                if isinstance(error, redis.ConnectionError | redis.TimeoutError):
                    return 0  # nor would the others be told
            except Exception:  # the thread's edge: without it, nothing would be forwarded any more
                log.exception("a round of forwarding ended in an error")
        return found

    def _take_due(self) -> int:
        found = 0
        for key in self._store.due(self._turns):
            try:
                found += self._take(*key)
            except redis.ResponseError as error:  # of keys that are hurt
                log.warning("cannot look what is to be forwarded: %s", type(error).__name__)
        return found

    def _take(self, app: str, target: str) -> int:
        """Claim what is due for a target, as far as threads are free. → how many."""
        key = app, target
        with self._lock:
            free = min(SHARE - self._busy[key], THREADS - self._busy.total())
            if key in self._unwell:
                free = min(free, PROBES - sum(self._busy[one] for one in self._unwell))
        if free <= 0:
            return 0
        entries = self._store.claim(app, target, free)
        for entry in entries:
            with self._lock:
                self._busy[key] += 1
            self._pool.submit(self._one, key, entry)
        return len(entries)

    def _one(self, key: tuple[str, str], entry: Entry) -> None:
        try:
            with about(event=entry.id, app=entry.app):
                self._try(key, entry)
        except redis.RedisError as error:
            log.warning("cannot record a forwarded event, so it may be sent again: %s", type(error).__name__)
        except Exception:  # the edge of a worker's thread
            log.exception("forwarding an event ended in an error")
        finally:
            with self._lock:
                self._busy[key] -= 1
            self._wake.set()  # the line's next event may be due

    def _try(self, key: tuple[str, str], entry: Entry) -> None:
        if entry.too_old:
            if self._store.parked(entry):
                self._count(entry, "parked")
                log.warning("not forwarded to %s within %.0f hours: parked", self._targets[key].host, DAY / 3600)
            return
        sent = self._senders[key].send(entry)
        with self._lock:
            (self._unwell.add if sent.unwell else self._unwell.discard)(key)
        if sent.why is None:
            if self._store.delivered(entry):
                self._count(entry, "delivered")
        elif sent.gone:
            if self._store.parked(entry, sent.why):
                self._count(entry, "parked")
                log.warning("%s wants no more events (410): parked", self._targets[key].host)
        elif self._store.failed(entry, sent.why, sent.unwell, sent.wait):
            self._count(entry, "failed")
            log.warning("not forwarded to %s, tried again later: %s", self._targets[key].host, sent.why)

    def _count(self, entry: Entry, result: str) -> None:
        self._counters.add(count("forwards_total", app=entry.app, result=result))

    def stop(self) -> None:
        """Claim nothing more; sends in progress are finished, within TIMEOUT."""
        self._stopping.set()
        self._wake.set()
        if self.is_alive():
            self.join()
        self._pool.shutdown(wait=True)
        for one in self._senders.values():
            one.close()
