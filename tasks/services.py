"""Settings → the parts that a process needs, put together once at its start."""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.books.files import load
from tasks.books.revisions import BookStore
from tasks.ledger.ledger import Ledger
from tasks.media.renewal import media_status
from tasks.monitoring.metrics import Counters, count
from tasks.monitoring.queue_status import Queues
from tasks.settings import App, Settings
from tasks.storage import connections
from tasks.storage.connections import Redis
from tasks.wecom import WeComClient

TIMEOUT = 2.0  # seconds for an answer of Redis, in workers and commands


@dataclass(frozen=True, slots=True)
class Services:
    """What works on one Redis: shared by the threads of a process."""

    settings: Settings
    redis: Redis
    ledger: Ledger
    books: BookStore
    clients: Mapping[str, WeComClient]
    counters: Counters
    queues: Queues


def build_services(settings: Settings, timeout: float = TIMEOUT) -> Services:
    """The parts. Nothing is connected yet; `timeout`: seconds for a connection to Redis, and for each answer."""
    if settings.redis_url is None:
        raise ValueError("REDIS_URL is not set; the embedded server belongs to `wecom-welcome up`")
    client = connections.connect(settings.redis_url, timeout=timeout)
    counters = Counters(client)
    clients = {name: _wecom(app, settings.api_base, client, counters) for name, app in settings.apps.items()}
    books = BookStore(client, settings.media_mb)
    return Services(
        settings=settings,
        redis=client,
        ledger=Ledger(client, settings.keep_days, settings.window, settings.timezone),
        books=books,
        clients=clients,
        counters=counters,
        queues=Queues(client, clients, lambda: {app.name: media_status(books, app) for app in settings.apps.values()}),
    )


def import_books(services: Services) -> None:
    """Store each app's book from its file, unless the app has one. Raises OSError, BookError or MediaFull."""
    for app in services.settings.apps.values():
        if app.book is not None and services.books.current(app.name) is None:
            _, bundle = load(app.book)
            services.books.import_first(app.name, bundle.source, bundle.files)


def _wecom(app: App, api_base: str, client: Redis, counters: Counters) -> WeComClient:
    def observe(path: str, code: int | str) -> None:
        counters.add(count("api_errors_total", app=app.name, path=path, code=code))

    return WeComClient(app.corp_id, app.secret, api_base, client, observe)
