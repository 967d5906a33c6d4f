"""What a greeter needs around it: where events are recorded, books, names, pauses. Redis has them, or the lifeboat."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from tasks.directory.lookup import BUDGET, Lookup
from tasks.events import ContactAdded
from tasks.ledger.claims import Claim, Kept, SettledEvent
from tasks.ledger.delivery import WorkerRecord
from tasks.ledger.pauses import Pause
from tasks.rate_limits.limiter import Held
from tasks.templates.model import Book
from tasks.templates.render import Ready, Upload
from tasks.wecom import WeComClient


class Recorder(Protocol):
    """Where tries and outcomes are recorded: see `tasks.ledger.ledger.Ledger`, which has the same methods."""

    def begin_try(self, claim: Claim, number: int, timeout: float, so_far: WorkerRecord | None = None) -> Kept: ...
    def extend_lease(self, claim: Claim, timeout: float, so_far: WorkerRecord | None = None) -> bool: ...
    def answered(self, claim: Claim, answers: int, wait: float, so_far: WorkerRecord | None = None) -> bool: ...
    def give_back(self, claim: Claim, tries: int, answers: int, so_far: WorkerRecord | None = None) -> bool: ...
    def settle(self, one: SettledEvent) -> bool: ...
    def greeted_sibling(self, event: ContactAdded, received_at: int) -> str | None: ...


class Media(Protocol):
    """See `tasks.books.media_store.ReadyMedia`."""

    def get(self, corp_id: str, uploads: Iterable[Upload]) -> Ready: ...
    def refuse(self, corp_id: str, sent: Mapping[Upload, str]) -> None: ...


class Books(Protocol):
    """See `tasks.books.revisions.BookStore`."""

    @property
    def ready(self) -> Media: ...
    def book(self, app: str, number: int) -> Book: ...


class Names(Protocol):
    """See `tasks.directory.lookup.Lookups`."""

    def about(
        self, wecom: WeComClient, event: ContactAdded, received_at: int, by: float, budget: float = BUDGET
    ) -> Lookup: ...


class Limits(Protocol):
    """What the greetings of a corp have met of WeCom's limits: see `tasks.rate_limits.limiter.SharedCalls`."""

    def refused(self, path: str, errcode: int, probe: bool) -> float: ...
    def lifted(self, path: str) -> None: ...
    def not_tried(self, path: str) -> None: ...
    def held(self) -> Held | None: ...


class Observer(Protocol):
    """Who hears what becomes of events: see `tasks.monitoring.observers`. Returns at once, raises nothing."""

    def begun(self, claim: Claim) -> None: ...

    def settled(self, one: SettledEvent, written: bool | None) -> None:
        """It has come to an outcome. `written`: see `tasks.ledger.claims.Batch`."""

    def put_off(self, claim: Claim, why: str) -> None:
        """It is tried again."""

    def left(self, claim: Claim) -> None:
        """No more is done about it here."""


class Unobserved:
    """Nobody hears of it."""

    def begun(self, claim: Claim) -> None:
        pass

    def settled(self, one: SettledEvent, written: bool | None) -> None:
        pass

    def put_off(self, claim: Claim, why: str) -> None:
        pass

    def left(self, claim: Claim) -> None:
        pass


class Pauses(Protocol):
    """See `tasks.ledger.pauses.QueuePauses`."""

    def last(self) -> Mapping[str, Pause]: ...
