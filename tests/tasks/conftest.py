"""A worker's parts in this process, on a real Redis, with the stand-in as WeCom."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker

from tasks.directory.lookup import Lookups
from tasks.events import ContactAdded
from tasks.greeting.greeter import Dispatcher, Greeter
from tasks.ledger.ledger import Claim, Ledger
from tasks.ledger.pauses import QueuePauses
from tasks.services import Services, build_services
from tasks.storage import connections
from tests.simulator.client import StandIn
from tests.simulator.records import Record
from tests.simulator.world import App
from tests.support.builders import PLAIN_BOOK, a_contact, some_settings


@pytest.fixture
def ledger(redis_client: connections.Redis) -> Ledger:
    return a_ledger(redis_client)


def a_ledger(client: connections.Redis, **different: Any) -> Ledger:
    values: dict[str, Any] = {"keep_days": 30, "window": 20.0, "timezone": ZoneInfo("Asia/Shanghai")}
    return Ledger(client, **values | different)


def let_time_pass(client: connections.Redis, seconds: float) -> None:
    """As if everybody had slept: what is due comes nearer by so many seconds."""
    for identity, _ in client.zscan_iter("welcome:due"):
        client.zincrby("welcome:due", -round(seconds * 1000), identity)


@contextlib.contextmanager
def consuming(app: Celery, queue: str) -> Iterator[None]:
    """A Celery worker of one queue in this process, in threads as the product's; logging stays as it is."""
    root = logging.getLogger()
    level = root.level
    with start_worker(app, pool="threads", concurrency=2, queues=[queue], perform_ping_check=False):
        root.setLevel(level)
        yield


def held(claim: Claim, seconds: float) -> Claim:
    """The claim, as if its worker had had it for so many seconds."""
    return replace(claim, claimed_at=claim.claimed_at - seconds)


@dataclass
class Worker:
    """What role `welcome` puts together, without Celery around it."""

    wecom: StandIn
    app: App
    services: Services
    greeter: Greeter
    threads: list[threading.Thread] = field(default_factory=list)

    @classmethod
    def made(cls, wecom: StandIn, redis_url: str, book: str | None = PLAIN_BOOK, **variables: str) -> "Worker":
        app = wecom.register(App.random())
        settings = some_settings(**app.environment(wecom.base_url) | {"REDIS_URL": redis_url} | variables)
        services = build_services(settings, timeout=0.5)
        if book is not None:
            services.books.import_first("default", book)
        people = Lookups(services.redis, settings.timezone)
        return cls(
            wecom,
            app,
            services,
            Greeter(
                services.ledger,
                services.books,
                people,
                services.clients,
                services.counters,
                QueuePauses(services.redis),
            ),
        )

    @property
    def ledger(self) -> Ledger:
        return self.services.ledger

    def added(self, **different: Any) -> tuple[Record, ContactAdded]:
        """A customer of whom WeCom knows and whose event is in the ledger."""
        record = self.wecom.add(push=False)
        event = a_contact(
            **{
                "corp_id": self.app.corp_id,
                "user_id": record.user_id,
                "external_user_id": record.external_user_id,
                "welcome_code": record.welcome_code,
            }
            | different
        )
        assert self.ledger.accept(event)
        return record, event

    def claimed(self, **different: Any) -> tuple[Record, Claim]:
        record, _ = self.added(**different)
        (claim,) = self.ledger.claim(1)
        return record, claim

    def greet(self, claim: Claim) -> dict[str, str]:
        """The event's row after it was greeted."""
        self.greeter.greet(claim)
        row = self.ledger.row(claim.id)
        assert row is not None
        return row

    def dispatcher(self, concurrency: int = 8) -> Dispatcher:
        return Dispatcher(self.ledger, self.greeter.greet, concurrency)

    def aside(self, work: Callable[..., Any], *args: Any) -> threading.Thread:
        """Work in a thread of its own."""
        thread = threading.Thread(target=work, args=args, daemon=True)
        thread.start()
        self.threads.append(thread)
        return thread

    def close(self) -> None:
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()
        for client in self.services.clients.values():
            client.close()
        self.services.redis.close()


@pytest.fixture
def worker(wecom: StandIn, redis_url: str) -> Iterator[Worker]:
    worker = Worker.made(wecom, redis_url)
    yield worker
    worker.close()
