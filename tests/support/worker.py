"""A welcome worker in this process: the parts of role `welcome`, beside the stand-in."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import requests
from celery import Celery
from celery.contrib.testing.worker import start_worker
from celery.utils.nodenames import anon_nodename

from tasks.events import ContactAdded
from tasks.greeting.admission import Took
from tasks.greeting.dispatcher import Dispatcher
from tasks.greeting.greeter import Greeter
from tasks.greeting.outcomes import Outcomes
from tasks.greeting.slots import Slots
from tasks.greeting.too_late import TooLate
from tasks.ledger.claims import Claim
from tasks.ledger.ledger import Ledger
from tasks.services import Services, build_services
from tasks.templates.render import Upload, needed
from tasks.workers import make_greeter
from tests.simulator.client import StandIn
from tests.simulator.records import Record
from tests.simulator.world import App
from tests.support.books import FILES
from tests.support.builders import PLAIN_BOOK, some_settings
from tests.support.ledger import accepted


@dataclass
class Worker:
    """The parts of role `welcome`, without Celery."""

    wecom: StandIn
    app: App
    services: Services
    greeter: Greeter
    threads: list[threading.Thread] = field(default_factory=list)

    @classmethod
    def made(cls, wecom: StandIn, redis_url: str, book: str | None = PLAIN_BOOK, **variables: str) -> "Worker":
        app = wecom.register(App.random())
        settings = some_settings(**app.environment(wecom.base_url) | {"REDIS_URL": redis_url} | variables)
        services = build_services(settings, timeout=5)
        if book is not None:
            services.books.import_first("default", book)
        return cls(wecom, app, services, make_greeter(services))

    @property
    def ledger(self) -> Ledger:
        return self.services.ledger

    def added(self, ago: float = 0.0, **different: Any) -> tuple[Record, ContactAdded]:
        """A customer known to WeCom, whose event was received so many seconds ago and is waiting."""
        record = self.wecom.add(push=False)
        about = {name: getattr(record, name) for name in ("user_id", "external_user_id", "welcome_code")}
        return record, accepted(self.ledger, ago=ago, **{"corp_id": self.app.corp_id} | about | different)

    def claimed(self, **different: Any) -> tuple[Record, Claim]:
        record, _ = self.added(**different)
        (claim,) = self.ledger.claim(1)
        return record, claim

    def greet(self, claim: Claim) -> dict[str, str]:
        """The event's row after it was greeted."""
        self.greeter.greet(claim)
        row = self.ledger.fields(claim.id)
        assert row is not None
        return row

    def greeted(self, **different: Any) -> tuple[dict[str, str], list[str], Record]:
        """(row, msgtypes of the attachments that the customer saw, record) of one customer."""
        record, claim = self.claimed(**different)
        row, record = self.greet(claim), self.wecom.record(record)
        return row, [one["msgtype"] for one in (record.content or {}).get("attachments", [])], record

    def results(self, record: Record) -> list[int | str]:
        """The result of each call with this customer's code."""
        return [send.result for send in self.wecom.record(record).sends]

    def publish(self, source: str, upload: bool = True) -> None:
        """Make it the current book, its files at WeCom unless `upload` is False."""
        book = self.services.books.book("default", self.services.books.save("default", source, FILES))
        for one, media in needed(book).items() if upload else ():
            value = self._upload("media/uploadimg" if one.how == "url" else "media/upload", one, FILES[media.path])
            ends_at = None if one.how == "url" else time.time() + 3 * 86400
            self.services.books.ready.put(self.app.corp_id, one, value, ends_at)

    def _upload(self, path: str, upload: Upload, content: bytes) -> str:
        """The URL or the media_id."""
        token = self.services.clients["default"].tokens.get(time.monotonic() + 2)
        answer = requests.post(
            f"{self.wecom.base_url}/cgi-bin/{path}",
            params={"access_token": token, "type": upload.how},
            files={"media": ("a", content)},
            timeout=5,
        ).json()
        return str(answer.get("url") or answer["media_id"])

    def dispatcher(self, concurrency: int = 8, greet: Callable[[Claim], Took | None] | None = None) -> Dispatcher:
        slots, outcomes = Slots(concurrency), Outcomes()
        greeter = make_greeter(self.services, slots, outcomes)
        too_late = TooLate(self.ledger, greeter.give_up)
        return Dispatcher(self.ledger, greet or greeter.greet, slots, too_late, outcomes=outcomes)

    def aside(self, work: Callable[..., Any], *args: Any) -> threading.Thread:
        """Run `work` in a thread of its own."""
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


@contextlib.contextmanager
def working(services: Services, concurrency: int = 2) -> Iterator[None]:
    """Greet customers who are added inside of the `with` block."""
    outcomes = Outcomes()
    greeter = make_greeter(services, outcomes=outcomes)
    dispatcher = Dispatcher(services.ledger, greeter.greet, Slots(concurrency), outcomes=outcomes)
    stop = threading.Event()

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


@contextlib.contextmanager
def consuming(app: Celery, queue: str, hostname: str | None = None) -> Iterator[Any]:
    """A Celery worker of one queue in this process, in threads as the product's; logging stays as it is. → it"""
    root = logging.getLogger()
    level = root.level
    with start_worker(
        app,
        pool="threads",
        concurrency=2,
        queues=[queue],
        hostname=hostname or anon_nodename(),
        perform_ping_check=False,
    ) as worker:
        root.setLevel(level)
        yield worker
