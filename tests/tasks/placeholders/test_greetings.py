"""Greetings, follow-ups and the lifeboat ask hooks; and while a greeting waits for one, its slot is another's."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tasks.directory.lookup import Packages
from tasks.followups.worker import DueWorker
from tasks.greeting.dispatcher import Dispatcher
from tasks.lifeboat.last_known import LastKnown
from tasks.placeholders.hook import Request, read
from tasks.placeholders.installed import Installed
from tasks.templates.render import HOOK_BYTES, VALUE_BYTES
from tasks.wecom.message_limits import TEXT
from tasks.workers import make_follow_up_handler
from tests.simulator.client import StandIn
from tests.support.builders import a_contact
from tests.support.until import until
from tests.support.worker import Worker

BOOK = """\
version: 1
templates:
  default:
    text: "您好{crm.level|会员}"
    then: {remark: "{crm.level|会员}-{customer}"}
  plain: {text: 您好}
rules:
  - {when: {state: plain}, use: plain}
  - {when: {state: nothing-of-wecom}, use: default}
  - {when: {add_way: 99}, use: plain}
  - use: default
"""


class Package:
    """An installed package with one placeholder."""

    def __init__(self) -> None:
        self.placeholders = {"level": {"bytes": HOOK_BYTES}}
        self.asked: list[Request] = []
        self.answer: Callable[[], Mapping[str, str]] = lambda: {"level": "金卡"}

    def values(self, request: Request, _seconds: float) -> Mapping[str, str]:
        self.asked.append(request)
        return self.answer()


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Package:
    made = Package()
    monkeypatch.setattr("tasks.services.installed", lambda: Installed({"crm": read("crm", "crm 1.0", made)}))
    return made


@pytest.fixture
def worker(package: Package, wecom: StandIn, redis_url: str) -> Iterator[Worker]:
    made = Worker.made(wecom, redis_url, book=BOOK)
    yield made
    made.close()


def greeted(worker: Worker, **different: str) -> str:
    """The text that another customer gets."""
    _, _, record = worker.greeted(**different)
    return (record.content or {})["text"]


def test_a_longer_value_than_the_book_was_checked_with_costs_itself_and_not_the_welcome(
    worker: Worker, package: Package
) -> None:
    long = "好" * ((TEXT.most - VALUE_BYTES) // 3 - 2)  # enough for a value of the usual length
    worker.publish(BOOK.replace("您好{", f"{long}{{"))
    package.answer = lambda: {"level": "金" * (HOOK_BYTES // 3)}
    assert greeted(worker) == f"{long}会员"
    assert package.asked


def test_a_hook_is_told_who_was_added_and_no_secret(worker: Worker, package: Package) -> None:
    until(lambda: greeted(worker, state="wx") == "您好金卡")
    request = package.asked[-1]
    assert (request.app, request.corp_id, request.user_id) == ("default", worker.app.corp_id, "zhangsan")
    assert (request.state, request.change, request.names) == ("wx", "add", {"level"})
    assert request.add_way is not None, "a rule has asked for it"
    assert request.received_at.tzinfo is not None
    codes = [record.welcome_code for record in worker.wecom.records()]
    assert not [code for code in codes if code in repr(package.asked)]


def test_who_does_not_exist_and_who_gets_another_text_is_not_asked_for(worker: Worker, package: Package) -> None:
    assert greeted(worker, state="plain") == "您好"
    _, claim = worker.claimed(rehearsal=True, welcome_code="")
    assert worker.greet(claim)["outcome"] == "rehearsed"
    assert package.asked == []


def test_a_greeting_that_waits_for_a_hook_has_no_slot(worker: Worker, package: Package) -> None:
    """With one slot, two can only meet in the hook if the first has given it back."""
    both = threading.Barrier(2)

    def meet() -> Mapping[str, str]:
        both.wait(5)
        return {"level": "金卡"}

    def two_meet(dispatcher: Dispatcher) -> bool:
        both.reset()
        records = [worker.added(state="nothing-of-wecom")[0] for _ in range(2)]
        dispatcher.run()
        return {(worker.wecom.record(one).content or {})["text"] for one in records} == {"您好金卡"}

    package.answer = meet
    dispatcher = worker.dispatcher(concurrency=1)
    until(lambda: two_meet(dispatcher))


def test_a_remark_has_the_value_too(worker: Worker, package: Package) -> None:
    handler = make_follow_up_handler(worker.services)

    def remark() -> str:
        _, claim = worker.claimed()
        worker.greet(claim)
        DueWorker(handler.store, handler.do).run()
        event = claim.event
        known = worker.services.clients["default"].external_contact.get(event.external_user_id)
        return str(next(one["remark"] for one in known["follow_user"] if one["userid"] == event.user_id))

    until(lambda: remark().startswith("金卡-客户"))


def test_the_lifeboat_asks_without_redis(worker: Worker, package: Package, tmp_path: Path) -> None:
    services = worker.services
    settings, asked = services.settings, Packages(services.hooks)
    stores = (services.redis, services.books, services.queue_pauses, settings.apps, settings.timezone)
    known = LastKnown(*stores, tmp_path, asked)
    event = a_contact(external_user_id="wm1")
    lookup = known.about(services.clients["default"], event, 0, time.monotonic() + 60, 60)
    assert lookup.values(frozenset({"crm.level", "customer"})) == {
        "crm.level": "金卡",
        "customer": "",
        "state": event.state,
        "date": "1970-01-01",
        "time": "08:00",
    }
