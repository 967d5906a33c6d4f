"""Task events: greetings, follow-ups, reminders and scheduled jobs, as Celery's own tools hear of tasks.

    a worker's threads ──begun, succeeded, failed …──▶ memory, bounded ──▶ a thread of its own ──PUBLISH──▶ who listens

Celery's events tell of messages, and one message starts many greetings (tasks.greeting.dispatcher). So here each piece
of work is a task: a greeting has its event's id, and nothing is said of the customer. Events and heartbeats have
Celery's form, made by Celery's dispatcher, on a connection and in a thread of their own: a Redis that is away, slow or
silent stops neither a greeting nor the loop that fetches messages. While nobody listens, only heartbeats are sent: the
answer to each says whether somebody does. A monitor asks for one when it comes (the command `heartbeat`).
"""

import contextlib
import logging
import os
import sys
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

import redis
from celery import Celery
from celery.events import EventDispatcher
from celery.utils.sysinfo import load_average
from celery.worker.state import SOFTWARE_INFO
from kombu.connection import Connection
from kombu.exceptions import KombuError

log = logging.getLogger(__name__)

BEAT = 2.0  # seconds between two heartbeats, as Celery's
PACE = 0.2  # seconds between two messages, at least: what happens meanwhile shares one
BATCH = 300  # events in one message: about 100 kB
MOST = 5000  # events that wait in memory, about 2 MB; further ones are dropped and counted
COMING = 5.0  # seconds within which who has asked for a heartbeat listens
RETRY = 0.5  # seconds between two tries to connect
REFUSED = 30.0  # seconds after which it is tried again when the server refused it, as for want of a permission
LAST_WORDS = 1.0  # seconds that a process waits at its end for what is to be sent


@dataclass(frozen=True, slots=True)
class RunningTask:
    """Work that is being done. `began_at`: Unix seconds; `began`: of `time.monotonic`."""

    id: str
    name: str
    began_at: float
    began: float

    def info(self, node: str, queue: str) -> dict[str, Any]:
        """As `celery inspect active` shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "args": [],
            "kwargs": {},
            "type": self.name,
            "hostname": node,
            "time_start": self.began_at,
            "acknowledged": True,
            "delivery_info": {"exchange": "", "routing_key": queue, "priority": 0, "redelivered": False},
            "worker_pid": os.getpid(),
        }


class TaskEvents(threading.Thread):
    """Sends the events of one worker, until `stop`. Its other methods return at once, and raise nothing."""

    def __init__(self, app: Celery, node: str, queue: str) -> None:
        """`node`: the worker's name for Celery; `queue`: from which it works."""
        super().__init__(name="task-events", daemon=True)
        self.node = node
        self.queue = queue
        self._app = app
        self._running: dict[str, RunningTask] = {}
        self._counting = threading.Lock()
        self._totals: Counter[str] = Counter()
        self._waiting: deque[tuple[str, dict[str, Any]]] = deque()
        self._heard = False  # whether somebody listened to the last heartbeat, or is about to listen
        self._listener_by = 0.0  # of `time.monotonic`: until when whoever is about to listen has time
        self._dropped = 0
        self._sender: _Sender | None = None
        self._away = False
        self._pause = RETRY
        self._beat_at = 0.0  # of `time.monotonic`: when the next heartbeat is due
        self._wake = threading.Event()
        self._stopping = threading.Event()

    # --- what happens ---

    def begun(self, name: str, identity: str, event: str = "", retries: int = 0) -> None:
        """Work began. `event`: the id of the event that led to it, if it is not that itself."""
        task = RunningTask(identity, name, time.time(), time.monotonic())
        self._running[identity] = task
        self._announce(task, event, retries)

    def succeeded(self, name: str, identity: str, result: str) -> None:
        self._ended("task-succeeded", name, identity, result=result)

    def failed(self, name: str, identity: str, why: str) -> None:
        """`why` looks like an exception, `expired('window_over')`: monitors group by the word before the bracket."""
        self._ended("task-failed", name, identity, exception=why, traceback="")

    def put_off(self, name: str, identity: str, why: str) -> None:
        """It will be tried again."""
        self._ended("task-retried", name, identity, exception=why, traceback="")

    def left(self, identity: str) -> None:
        """This process does no more about it, and does not know what became of it: another one has it."""
        self._running.pop(identity, None)

    # --- what is asked ---

    def running(self) -> list[RunningTask]:
        return list(self._running.values())

    def totals(self) -> dict[str, int]:
        """Name → how many have ended."""
        with self._counting:
            return dict(self._totals)

    @property
    def dropped(self) -> int:
        """Events that found no place in memory, or were lost with a connection."""
        return self._dropped

    @property
    def backlog(self) -> int:
        """Events that wait to be sent."""
        return len(self._waiting)

    @property
    def is_away(self) -> bool:
        """Whether Redis takes no events."""
        return self._away

    def beat(self) -> None:
        """Send a heartbeat now, as somebody asks who begins to listen. kombu asks before it subscribes."""
        self._listener_by = time.monotonic() + COMING
        self._heard = True
        self._beat_at = 0.0
        self._wake.set()

    def stop(self) -> None:
        """Send what waits, and say goodbye; for LAST_WORDS at most."""
        self._stopping.set()
        self._wake.set()
        self.join(LAST_WORDS)

    # --- memory ---

    def _ended(self, kind: str, name: str, identity: str, **about: Any) -> None:
        task = self._running.pop(identity, None)
        if kind != "task-retried":
            with self._counting:
                self._totals[name] += 1
        if task is None:  # it never had a thread: one of many for whom it was too late
            task = RunningTask(identity, name, time.time(), time.monotonic())
            self._announce(task)
        if kind == "task-succeeded":
            about["runtime"] = time.monotonic() - task.began
        self._put(kind, task, time.time(), about)

    def _announce(self, task: RunningTask, event: str = "", retries: int = 0) -> None:
        event = event or task.id
        about = {"args": "()", "kwargs": "{}", "retries": retries, "eta": None, "expires": None}
        about |= {"root_id": event, "parent_id": None if event == task.id else event}
        self._put("task-received", task, task.began_at, about)
        self._put("task-started", task, task.began_at, {})

    def _put(self, kind: str, task: RunningTask, at: float, about: dict[str, Any]) -> None:
        if not self._heard:
            return
        if len(self._waiting) >= MOST:
            self._dropped += 1
            return
        self._waiting.append(
            (kind, {"uuid": task.id, "name": task.name, "queue": self.queue, "timestamp": at, **about})
        )
        if not self._wake.is_set():
            self._wake.set()

    # --- the thread ---

    def run(self) -> None:
        while not self._stopping.is_set():
            if not self._away:
                self._wake.wait(max(0.0, self._beat_at - time.monotonic()))
            self._wake.clear()
            self._round()
            self._stopping.wait(self._pause if self._away else PACE)
        self._round(last=True)

    def _round(self, last: bool = False) -> None:
        """Send what waits, and a heartbeat if it is time."""
        try:
            if self._sender is None:
                self._sender = _Sender(self._app, self.node)
                self._beat("worker-online")
            elif not last and time.monotonic() >= self._beat_at:
                self._beat("worker-heartbeat")
            self._flush(self._sender)
            if last:
                self._beat("worker-offline")
        except (redis.RedisError, KombuError, OSError) as error:
            if not self._away:
                log.warning("task events cannot be sent (%s); will keep trying", type(error).__name__)
            self._pause = pause_after(error)
            self._close()
        except Exception:  # the thread's edge: greetings go on without events
            log.exception("task events ended in an error")
            self._close()
        else:
            if self._away:
                log.warning("task events are sent again; %s were dropped since this process began", self._dropped)
            self._away = False
        if last and self._sender is not None:
            self._sender.close()

    def _beat(self, kind: str) -> None:
        self._beat_at = time.monotonic() + BEAT
        with self._counting:
            processed = self._totals.total()
        if self._sender is not None:
            heard = self._sender.beat(kind, active=len(self._running), processed=processed)
            self._heard = heard or time.monotonic() < self._listener_by

    def _flush(self, sender: "_Sender") -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                sender.send(batch)
            except Exception:
                self._dropped += len(batch)  # it may have been sent: a second time it would be counted twice
                raise

    def _close(self) -> None:
        if self._sender is not None:
            self._sender.close()
        self._sender = None
        self._away = True


def pause_after(error: Exception) -> float:
    """Seconds until the next try to connect."""
    return REFUSED if isinstance(error, redis.ResponseError) else RETRY


class _Sender:
    """A connection, and Celery's dispatcher on it. Each failure ends it. Methods raise what kombu and redis do."""

    def __init__(self, app: Celery, node: str) -> None:
        self._connection: Connection = app.connection_for_write()
        try:
            self._connection.ensure_connection(max_retries=1, interval_start=0.0, interval_step=0.0)
            self._channel = self._connection.default_channel
            self._dispatcher: EventDispatcher = app.events.Dispatcher(
                self._connection,
                hostname=node,
                channel=self._channel,
                buffer_while_offline=False,  # its own buffer has no bound
                buffer_group={"task"},
                buffer_limit=sys.maxsize,
            )
        except Exception:
            self.close()
            raise

    def beat(self, kind: str, active: int, processed: int) -> bool:
        """→ whether somebody listens."""
        about = {"freq": BEAT, "active": active, "processed": processed, "loadavg": load_average(), **SOFTWARE_INFO}
        self._dispatcher.send(kind, **about)
        return bool(self._channel.listeners)

    def send(self, batch: list[tuple[str, dict[str, Any]]]) -> None:
        """One message for all of them."""
        for kind, about in batch:
            self._dispatcher.send(kind, **about)
        self._dispatcher.flush(errors=False)

    def close(self) -> None:
        with contextlib.suppress(Exception):  # it is of no use any more
            self._connection.release()
