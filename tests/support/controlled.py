"""A worker in this process under remote control, and Celery's own client beside it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from celery import Celery

from tasks.celery import make_app, register_unsent
from tasks.ledger import celery_message
from tasks.monitoring.remote_control import RemoteControl
from tasks.monitoring.task_events import TaskEvents
from tasks.monitoring.task_names import GREET
from tasks.storage import keys
from tests.support.until import until
from tests.support.worker import consuming

NODE = "welcome@here"


@dataclass
class Controlled:
    """A worker under remote control, and who controls it. `done`: when it took a message."""

    app: Celery
    events: TaskEvents
    done: list[float]

    def ask(self, command: str, timeout: float = 30, **arguments: Any) -> Any:
        """Its answer."""
        with self.app.connection() as connection:  # its own, as a command's
            replies = self.app.control.broadcast(
                command, arguments, destination=[NODE], reply=True, timeout=timeout, connection=connection
            )
        return replies[0][NODE] if replies else None

    def takes_a_message(self) -> bool:
        before = len(self.done)
        self.app.send_task(celery_message.TASK)
        return bool(until(lambda: len(self.done) > before, what="a message to be taken"))


@contextmanager
def controlled(redis_url: str) -> Iterator[Controlled]:
    app = make_app(redis_url)
    done: list[float] = []

    @app.task(name=celery_message.TASK, shared=False)
    def greet_due() -> None:
        done.append(time.monotonic())

    register_unsent(app, GREET)
    events = TaskEvents(app, NODE, keys.QUEUE)
    with consuming(app, keys.QUEUE, NODE) as worker:
        remote = RemoteControl(app, worker, events, 256)
        events.start()
        remote.start()
        one = Controlled(app, events, done)
        try:
            until(lambda: one.ask("ping", timeout=0.5), what="the first answer")
            yield one
        finally:
            remote.stop()
            events.stop()
            remote.join(30)
        assert not remote.is_alive()
