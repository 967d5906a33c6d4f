"""What becomes of greetings, follow-ups, reminders and jobs, as tasks: real parts, against the stand-in."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis

from tasks.celery import make_app
from tasks.followups.worker import DueWorker
from tasks.greeting.dispatcher import Dispatcher
from tasks.greeting.outcomes import Outcomes
from tasks.greeting.slots import Slots
from tasks.greeting.too_late import TooLate
from tasks.missed.reminders import Reminders
from tasks.monitoring.observers import FollowUpEvents, GreetingEvents, ReminderEvents, job
from tasks.monitoring.task_events import TaskEvents
from tasks.monitoring.task_names import FOLLOW_UP, GREET, REMIND
from tasks.services import Services
from tasks.workers import make_follow_up_handler, make_greeter
from tests.simulator.client import StandIn
from tests.support.builders import PLAIN_BOOK
from tests.support.ledger import missed, settled
from tests.support.worker import Worker

FOLLOWED = PLAIN_BOOK.replace('"\nrules', '"\n    then: {tags: [来源/新客户]}\nrules')
SECRETS = ("zhangsan", "张三", "wm")


class Kept(TaskEvents):
    """Task events that are kept instead of sent: `of` a task, what became of it."""

    def __init__(self) -> None:
        super().__init__(make_app("redis://127.0.0.1:1/0"), "welcome@here", "welcome")
        self._told: list[tuple[str, str, str]] = []

    def begun(self, name: str, identity: str, event: str = "", retries: int = 0) -> None:
        self._told.append((name, identity, f"begun {retries}"))
        super().begun(name, identity, event, retries)

    def _ended(self, kind: str, name: str, identity: str, **about: Any) -> None:
        how = about["result"] if "result" in about else about["exception"]
        self._told.append((name, identity, f"{kind.removeprefix('task-')} {how}"))
        super()._ended(kind, name, identity, **about)

    def of(self, name: str, identity: str) -> list[str]:
        assert not any(secret in str(self._told) for secret in SECRETS)
        assert self.running() == []
        return [how for which, task, how in self._told if (which, task) == (name, identity)]


@pytest.fixture
def events() -> Kept:
    return Kept()


@pytest.fixture
def worker(wecom: StandIn, redis_url: str) -> Iterator[Worker]:
    worker = Worker.made(wecom, redis_url, FOLLOWED, WECOM_AGENT_ID="1000002")
    wecom.people(members={"zhangsan": {"name": "张三"}})
    yield worker
    worker.close()


def greeted(worker: Worker, events: TaskEvents) -> None:
    """As role `welcome` does it."""
    observer, slots = GreetingEvents(events), Slots(8)
    outcomes = Outcomes(observer)
    greeter = make_greeter(worker.services, slots, outcomes, observer)
    too_late = TooLate(worker.ledger, greeter.give_up, observer)
    Dispatcher(worker.ledger, greeter.greet, slots, too_late, outcomes=outcomes).run()


def test_a_greeting_that_was_sent(worker: Worker, events: Kept) -> None:
    _, event = worker.added()
    greeted(worker, events)
    assert events.of(GREET, event.id) == ["begun 0", "succeeded sent"]
    assert events.totals() == {GREET: 1}


def test_customers_who_were_missed_are_failures_with_a_code(worker: Worker, events: Kept) -> None:
    _, refused = worker.added(welcome_code="spent")
    _, late = worker.added(ago=60)
    greeted(worker, events)
    assert events.of(GREET, late.id) == ["failed expired('window_over')"]
    assert events.of(GREET, refused.id) == ["begun 0", "failed refused('wecom_error', 41050)"]


def test_what_another_worker_has_settled_is_no_failure(worker: Worker, events: Kept) -> None:
    _, event = worker.added(ago=60)
    (claim,) = worker.ledger.claim(1)
    make_greeter(worker.services).greet(claim)
    observer = GreetingEvents(events)
    TooLate(worker.ledger, make_greeter(worker.services).give_up, observer)._settle([claim])
    make_greeter(worker.services, observer=observer).greet(claim)
    assert events.of(GREET, event.id) == ["begun 0"]


def test_a_greeting_that_ended_in_an_error_is_tried_again(
    worker: Worker, events: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, claim = worker.claimed()
    monkeypatch.setattr(worker.services.books, "book", None)
    observer = GreetingEvents(events)
    make_greeter(worker.services, observer=observer).greet(claim)
    assert events.of(GREET, claim.id) == ["begun 0", "retried put_off('TypeError')"]


def test_a_greeting_for_which_wecom_has_no_call_left_is_tried_again(worker: Worker, events: Kept) -> None:
    worker.wecom.faults(limited=1)
    _, claim = worker.claimed()
    observer = GreetingEvents(events)
    make_greeter(worker.services, observer=observer).greet(claim)
    assert events.of(GREET, claim.id) == ["begun 0", "retried put_off('limited')"]


def follow_ups(worker: Worker, events: TaskEvents) -> None:
    observer = FollowUpEvents(events)
    handler = replace(make_follow_up_handler(worker.services), observe=observer)
    DueWorker(handler.store, observer.watched(handler.do)).run()


def test_a_follow_up_is_a_task_of_its_own(worker: Worker, events: Kept) -> None:
    _, event = worker.added()
    greeted(worker, events)
    follow_ups(worker, events)
    assert events.of(FOLLOW_UP, f"{event.id}-follow-up") == ["begun 0", "succeeded done"]


@pytest.mark.parametrize(
    ("app", "ended"),
    [("default", "retried waiting('wecom_error', 84061)"), ("gone", "failed failed('app_not_configured')")],
)
def test_a_follow_up_that_did_not_succeed(worker: Worker, events: Kept, app: str, ended: str) -> None:
    """The stand-in knows of no such customer yet, or nothing is known any more of the app."""
    event = settled(worker.ledger, claimed=True, follow_up=True, app=app, corp_id=worker.app.corp_id)
    follow_ups(worker, events)
    assert events.of(FOLLOW_UP, f"{event.id}-follow-up") == ["begun 0", ended]


def reminders(services: Services) -> Reminders:
    return services.app("default").reminders


def test_a_reminder_is_a_task_of_its_own(worker: Worker, events: Kept) -> None:
    services = replace(worker.services, reminder_observer=ReminderEvents(events))
    told = missed(services.redis, ago=600)
    nobody = missed(services.redis, ago=600, user_id="nobody")
    reminders(services).tell([told, nobody], "李敏")
    assert events.of(REMIND, f"{told}-reminder") == ["begun 0", "succeeded sent"]
    assert events.of(REMIND, f"{nobody}-reminder") == ["begun 0", "failed failed('member_not_visible')"]


def test_a_reminder_that_will_be_sent_again(worker: Worker, events: Kept) -> None:
    services = replace(worker.services, reminder_observer=ReminderEvents(events))
    told = missed(services.redis, ago=600)
    worker.wecom.faults(busy=1, paths=("message/send",))
    reminders(services).tell([told], "李敏")
    assert events.of(REMIND, f"{told}-reminder") == ["begun 0", "retried failed('wecom_error', -1)"]


def test_reminders_that_cannot_be_recorded_have_ended_all_the_same(
    worker: Worker, events: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise redis.ConnectionError

    services = replace(worker.services, reminder_observer=ReminderEvents(events))
    told = [missed(services.redis, ago=600) for _ in range(3)]
    one = reminders(services)
    monkeypatch.setattr(one, "_record", refuse)
    with pytest.raises(redis.ConnectionError):
        one.tell(told, "李敏")
    assert [events.of(REMIND, f"{event}-reminder")[-1] for event in told] == ["succeeded sent"] * 3


def test_a_job_that_fails_is_a_failure_without_its_words(events: Kept) -> None:
    with job(events, "tasks.upkeep.trim_ledger", "1"):
        pass
    with pytest.raises(ValueError, match="张三"), job(events, "tasks.upkeep.trim_ledger", "2"):
        raise ValueError("张三")
    assert events.of("tasks.upkeep.trim_ledger", "1") == ["begun 0", "succeeded done"]
    assert events.of("tasks.upkeep.trim_ledger", "2") == ["begun 0", "failed ValueError()"]
