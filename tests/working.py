"""A welcome worker in this process, without Celery around it: for tests of what operators see."""

import contextlib
import threading
from collections.abc import Iterator

from tasks.assembly import Parts
from tasks.lanes import Lanes
from tasks.people import People
from tasks.welcome import Dispatcher, Greeter


@contextlib.contextmanager
def working(parts: Parts) -> Iterator[None]:
    """Whoever is added meanwhile is greeted."""
    people = People(parts.redis, parts.settings.timezone)
    greeter = Greeter(parts.ledger, parts.books, people, parts.clients, parts.counters, Lanes(parts.redis))
    dispatcher, stop = Dispatcher(parts.ledger, greeter.greet, 2), threading.Event()

    def work() -> None:
        while not stop.wait(0.02):
            dispatcher.run()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        dispatcher.stop()
        thread.join()
