"""What celery-exporter and Flower do to know a system: an app of their own at the same Redis, a receiver of events."""

import threading
import time
from typing import Any

from celery import Celery
from celery.events.state import State
from kombu.exceptions import OperationalError
from redis import RedisError

from tasks.storage.redis_url import read


class Monitor(threading.Thread):
    """Listens from `with` on. `state`: Celery's own picture of workers and tasks. `events`: all, as they came.

    As celery-exporter it knows the broker's URL alone, and nothing of the product.
    """

    def __init__(self, redis_url: str) -> None:
        super().__init__(name="monitor", daemon=True)
        self.app = Celery("monitor", broker=read(redis_url).kombu_url(), set_as_current=False)
        self.state: State = self.app.events.State()
        self.events: list[dict[str, Any]] = []
        self._receiver: Any = None
        self._ready = threading.Event()
        self._stopping = False

    def run(self) -> None:
        while not self._stopping:
            try:
                self._listen()
            except (OSError, OperationalError, RedisError):  # as they do, it comes back with Redis
                time.sleep(0.1)

    def _listen(self) -> None:
        with self.app.connection() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.1)
            self._receiver = self.app.events.Receiver(connection, handlers={"*": self._on_event})
            on_ready = self._receiver.on_consume_ready

            def ready(*args: Any, **options: Any) -> None:
                on_ready(*args, **options)  # asks the workers for a heartbeat
                self._ready.set()

            self._receiver.on_consume_ready = ready
            for _ in self._receiver.consume(limit=None, timeout=None, safety_interval=0.1, wakeup=True):
                pass

    def _on_event(self, event: dict[str, Any]) -> None:
        self.state.event(event)
        self.events.append(event)

    def of(self, uuid: str) -> list[dict[str, Any]]:
        """The events of one task."""
        return [event for event in self.events if event.get("uuid") == uuid]

    def __enter__(self) -> "Monitor":
        self.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._receiver.should_stop = True
        self.join(30)
