"""A welcome worker in this process, without Celery around it: for tests of what operators see."""

import contextlib
import threading
from collections.abc import Iterator

from tasks.directory.lookup import Lookups
from tasks.greeting.greeter import Dispatcher, Greeter
from tasks.ledger.pauses import QueuePauses
from tasks.services import Services


@contextlib.contextmanager
def working(services: Services) -> Iterator[None]:
    """Whoever is added meanwhile is greeted."""
    people = Lookups(services.redis, services.settings.timezone)
    greeter = Greeter(
        services.ledger, services.books, people, services.clients, services.counters, QueuePauses(services.redis)
    )
    dispatcher, stop = Dispatcher(services.ledger, greeter.greet, 2), threading.Event()

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
