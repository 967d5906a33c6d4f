"""Remote control: `celery inspect`, `celery status` and Flower ask, a worker answers. It tells, and takes no orders.

The mailbox is kombu's and most answers are Celery's own; the connection and the thread are ours. So neither what a
client sends, nor what becomes of the connection over which it comes, can stop the loop that fetches messages.

Whoever reaches Redis could tell Celery's workers to stop, or to take fewer messages or none. Here each command that
changes something is refused: a worker stops by SIGTERM, a queue rests when it is paused in the console.
"""

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import redis
from celery import Celery
from celery.worker import WorkController, control
from kombu.connection import Connection
from kombu.entity import Exchange
from kombu.exceptions import KombuError
from kombu.messaging import Producer
from kombu.pidbox import Node
from kombu.utils.functional import maybe_list

from tasks.monitoring.task_events import RETRY, TaskEvents, pause_after

log = logging.getLogger(__name__)

TICK = 2.0  # seconds without a request after which the connection is looked at
Handler = Callable[..., Any]

_CELERYS = ("ping", "active_queues", "registered", "conf", "report", "clock")  # answers of Celery's that are true here
_INSTEAD = {
    "shutdown": "send its process SIGTERM, or stop it where it is supervised",
    "cancel_consumer": "pause the queue in the console",
    "revoke": "a greeting is no message that could be revoked: pause the queue in the console",
    "disable_events": "set CELERY_REMOTE_CONTROL=off",
}
_INSTEAD |= {"terminate": _INSTEAD["revoke"]}


class RemoteControl(threading.Thread):
    """Answers for one worker, until `stop`. `at_once`: how many tasks it works on at a time, at most."""

    def __init__(self, app: Celery, worker: WorkController, events: TaskEvents, at_once: int) -> None:
        super().__init__(name="remote-control", daemon=True)
        self._app = app
        self._state = SimpleNamespace(app=app, hostname=worker.hostname, consumer=None)
        answers = handlers(worker, events, at_once)
        self._node = _Node(worker.hostname, state=self._state, handlers=answers, mailbox=app.control.mailbox)
        self._worker = worker
        self._away = False
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.is_set():
            connection, pause = self._app.connection_for_read(), RETRY
            try:
                connection.ensure_connection(max_retries=1, interval_start=0.0, interval_step=0.0)
                self._answer(connection)
            except (redis.RedisError, KombuError, OSError) as error:
                if not self._away:
                    log.warning("remote control has no connection (%s); will keep trying", type(error).__name__)
                self._away, pause = True, pause_after(error)
            except Exception:  # the thread's edge: a new connection is all that may help
                log.exception("remote control ended in an error")
            finally:
                with contextlib.suppress(Exception):  # it is of no use any more
                    connection.release()
            self._stopping.wait(pause)

    def stop(self) -> None:
        self._stopping.set()

    def _answer(self, connection: Connection) -> None:
        """Answer what comes over this connection, as long as it holds."""
        self._node.channel = connection.channel()
        self._node.listen(callback=self._received)
        cycle = connection.transport.cycle
        self._away = False
        while not self._stopping.is_set():
            with contextlib.suppress(socket.timeout):
                connection.drain_events(timeout=TICK)
            cycle.maybe_check_subclient_health()  # Celery's loop does these two for its own connection
            cycle.maybe_refresh_binding_expiry()

    def _received(self, body: Mapping[str, Any], message: Any) -> None:
        self._state.consumer = self._worker.consumer  # there is none before it has started
        try:
            self._node.handle_message(body, message)
        except (KeyError, TypeError, ValueError) as error:
            log.warning("remote control: a request that cannot be read (%s)", type(error).__name__)


class _Node(Node):
    """kombu's, but a reply is sent once: kombu would try for ever, and so stop answering until Redis is back."""

    channel: Any
    mailbox: Any

    def reply(self, data: Any, exchange: str, routing_key: str, ticket: str, **_: Any) -> None:
        to = Exchange(exchange, type="direct", durable=False, delivery_mode="transient")
        Producer(self.channel, auto_declare=False).publish(
            data,
            exchange=to,
            routing_key=routing_key,
            declare=[to],
            headers={"ticket": ticket, "clock": self.mailbox.clock.forward()},
            serializer="json",
        )


def handlers(worker: WorkController, events: TaskEvents, at_once: int) -> Mapping[str, Handler]:
    """What is answered to each of Celery's commands."""

    def active(*_: Any, **__: Any) -> list[dict[str, Any]]:
        return [task.info(worker.hostname, events.queue) for task in events.running()]

    def query_task(_: Any, ids: Iterable[str] = (), **__: Any) -> dict[str, Any]:
        wanted = set(maybe_list(ids) or ())
        return {one["id"]: ("active", one) for one in active() if one["id"] in wanted}

    def stats(*_: Any, **__: Any) -> dict[str, Any]:
        found: dict[str, Any] = worker.stats()
        found["total"] = events.totals()
        found["task_events"] = {"waiting": events.backlog, "dropped": events.dropped}
        found["pool"] = {**found["pool"], "max-concurrency": at_once}
        broker = found["broker"]  # its options have the password, in a form that no JSON takes
        options = {name: value for name, value in broker["transport_options"].items() if name != "address"}
        found["broker"] = {**broker, "transport_options": options}
        return found

    def heartbeat(*_: Any, **__: Any) -> None:
        events.beat()

    def enable_events(*_: Any, **__: Any) -> dict[str, str]:
        return {"ok": "task events already enabled"}

    def nothing(*_: Any, **__: Any) -> list[str]:  # no task waits in a worker: whatever is due waits in the ledger
        return []

    known: dict[str, Handler] = {name: _refused(name) for name in control.Panel.data}
    known |= {name: control.Panel.data[name] for name in _CELERYS}
    known |= dict.fromkeys(("reserved", "scheduled", "revoked"), nothing)
    known |= {one.__name__: one for one in (active, query_task, stats, heartbeat, enable_events)}
    aliases = {about.alias: name for name, about in control.Panel.meta.items() if about.alias}
    return known | {alias: known[name] for alias, name in aliases.items()}


def _refused(name: str) -> Handler:
    instead = f": {_INSTEAD[name]}" if name in _INSTEAD else ""

    def refuse(*_: Any, **__: Any) -> dict[str, str]:
        log.warning("remote control: %s was asked for, and refused", name)
        return {"error": f"wecom-welcome does not take {name} by remote control{instead}"}

    return refuse
