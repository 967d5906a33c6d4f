"""Settings → the parts that a process needs, put together once at its start."""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks import connections
from tasks.connections import Redis
from tasks.ledger import Ledger
from tasks.media import standing
from tasks.metrics import Counters, count
from tasks.queues import Queues
from tasks.settings import App, Settings
from tasks.templates.files import load
from tasks.templates.store import BookStore
from tasks.wecom import WeComClient

TIMEOUT = 2.0  # seconds for an answer of Redis, in workers and commands


@dataclass(frozen=True, slots=True)
class Parts:
    """What works on one Redis: shared by the threads of a process."""

    settings: Settings
    redis: Redis
    ledger: Ledger
    books: BookStore
    clients: Mapping[str, WeComClient]
    counters: Counters
    queues: Queues


def assemble(settings: Settings, timeout: float = TIMEOUT) -> Parts:
    """The parts. Nothing is connected yet; `timeout`: seconds for a connection to Redis, and for each answer."""
    if settings.redis_url is None:
        raise ValueError("REDIS_URL is not set; the embedded server belongs to `wecom-welcome up`")
    client = connections.connect(settings.redis_url, timeout=timeout)
    counters = Counters(client)
    clients = {name: _wecom(app, settings.api_base, client, counters) for name, app in settings.apps.items()}
    books = BookStore(client, settings.media_mb)
    return Parts(
        settings=settings,
        redis=client,
        ledger=Ledger(client, settings.keep_days, settings.window, settings.timezone),
        books=books,
        clients=clients,
        counters=counters,
        queues=Queues(client, clients, lambda: {app.name: standing(books, app) for app in settings.apps.values()}),
    )


def import_books(parts: Parts) -> None:
    """Store each app's book from its file, unless the app has one. Raises OSError, BookError or MediaFull."""
    for app in parts.settings.apps.values():
        if app.book is not None and parts.books.current(app.name) is None:
            _, bundle = load(app.book)
            parts.books.import_first(app.name, bundle.source, bundle.files)


def _wecom(app: App, api_base: str, client: Redis, counters: Counters) -> WeComClient:
    def observe(path: str, code: int | str) -> None:
        counters.add(count("api_errors_total", app=app.name, path=path, code=code))

    return WeComClient(app.corp_id, app.secret, api_base, client, observe)
