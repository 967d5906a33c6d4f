"""Sends events that are on their way to their targets, from the process of the slow queue.

One thread looks every TICK what is due; the sends are made by a few others, of which a target has SHARE at most, so
that one that answers slowly leaves some to the rest. Over TLS to public addresses alone (or as the target's setting
allows), no redirect is followed, and of an answer no more than 64 kB are read.
"""

import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import redis

from tasks.counters import Counters, count
from tasks.forwards.addresses import is_public
from tasks.forwards.signature import headers
from tasks.forwards.store import DAY, Entry, Forwards
from tasks.logs import about
from tasks.reasons import Reason
from tasks.settings import App, Forward
from tasks.wecom.errors import Failure, NotSent, Unanswered
from tasks.wecom.http1 import Response
from tasks.wecom.transport import Transport

log = logging.getLogger(__name__)

TICK = 1.0  # seconds between two looks at what is due, while nothing wakes it
THREADS, SHARE = 16, 4  # sends at a time, in all and to one target
TIMEOUT = 10.0  # seconds for one send
MOST_WAIT = 3600.0  # seconds that a target may ask for with Retry-After
UNWELL = (408, 429, 500, 502, 503, 504)  # statuses that speak of the target, not of the event


def judge(response: Response, now: float) -> tuple[Reason | None, bool, float]:
    """(why it is not delivered, None if it is; whether the target is unwell; seconds that it asks to wait). Pure."""
    if 200 <= response.status < 300:
        return None, False, 0.0
    error = Unanswered("forward", Failure.HTTP_STATUS, str(response.status))
    return (
        Reason.from_error(error),
        response.status in UNWELL,
        _retry_after(response.headers.get("retry-after", ""), now),
    )


def _retry_after(text: str, now: float) -> float:
    text = text.strip()
    if text.isdigit() and len(text) < 9:
        return min(float(text), MOST_WAIT)
    with contextlib.suppress(ValueError, OverflowError):
        return min(max(0.0, parsedate_to_datetime(text).timestamp() - now), MOST_WAIT)
    return 0.0


class Forwarder(threading.Thread):
    """Runs until `stop`, where an app has targets."""

    def __init__(self, store: Forwards, apps: Mapping[str, App], counters: Counters) -> None:
        super().__init__(name="forwarder", daemon=True)
        self._store = store
        self._targets = {(app.name, target.id): target for app in apps.values() for target in app.forwards}
        self._transports = {key: _transport(target) for key, target in self._targets.items()}
        self._counters = counters
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="forward")
        self._lock = threading.Lock()
        self._busy: Counter[tuple[str, str]] = Counter()
        self._stopping = threading.Event()
        self._wake = threading.Event()

    @property
    def has_targets(self) -> bool:
        return bool(self._targets)

    def wake(self) -> None:
        """Something is to be forwarded."""
        self._wake.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._store.route()
                found = sum([self._take(app, target) for app, target in self._targets])
            except redis.RedisError as error:
                log.warning("cannot look what is to be forwarded: %s", type(error).__name__)
                found = 0
            except Exception:  # the thread's edge: without it, nothing would be forwarded any more
                log.exception("a round of forwarding ended in an error")
                found = 0
            if not found:
                self._wake.wait(TICK)
                self._wake.clear()

    def _take(self, app: str, target: str) -> int:
        """Claim what is due for a target, as far as threads are free. → how many."""
        key = app, target
        with self._lock:
            free = min(SHARE - self._busy[key], THREADS - self._busy.total())
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
        why, unwell, wait = self._sent(key, entry)
        if why is None:
            if self._store.delivered(entry):
                self._count(entry, "delivered")
        elif self._store.failed(entry, why, unwell, wait):
            self._count(entry, "failed")
            log.warning("not forwarded to %s, tried again later: %s", self._targets[key].host, why)

    def _sent(self, key: tuple[str, str], entry: Entry) -> tuple[Reason | None, bool, float]:
        target = self._targets[key]
        parts = urlsplit(target.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        signed = headers(target.key, entry.id, int(time.time()), entry.body)
        try:
            by = time.monotonic() + TIMEOUT
            response = self._transports[key].post(path, entry.body, by=by, headers=signed)
        except (NotSent, Unanswered) as error:
            return Reason.from_error(error), True, 0.0
        return judge(response, time.time())

    def _count(self, entry: Entry, result: str) -> None:
        self._counters.add(count("forwards_total", app=entry.app, result=result))

    def stop(self) -> None:
        """Claim nothing more; sends in progress are finished, within TIMEOUT."""
        self._stopping.set()
        self._wake.set()
        if self.is_alive():
            self.join()
        self._pool.shutdown(wait=True)
        for transport in self._transports.values():
            transport.close()


def _transport(target: Forward) -> Transport:
    parts = urlsplit(target.url)
    allowed = target.private or parts.scheme == "http"  # the latter is on this machine
    permits = None if allowed else is_public
    return Transport(f"{parts.scheme}://{parts.netloc}", connections=SHARE, permits=permits)
