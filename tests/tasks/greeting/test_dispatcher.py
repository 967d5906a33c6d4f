"""The Dispatcher takes all that is due, never more at once than it may, and ends; against the stand-in."""

import threading
import time
from itertools import groupby

import pytest

from tasks.directory.lookup import Lookups
from tasks.greeting.dispatcher import Dispatcher
from tasks.greeting.slots import Slots
from tasks.greeting.too_late import TooLate
from tasks.ledger.claims import Claim
from tasks.missed.work_list import WorkList
from tasks.reasons import Kind
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.simulator.client import StandIn
from tests.support.builders import BOOK
from tests.support.ledger import let_time_pass
from tests.support.processes import RedisServer
from tests.support.until import until
from tests.support.worker import Worker


@pytest.fixture
def at_leisure(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine threads come later than a poll has promised, and a lease ends before its greeting."""
    monkeypatch.setattr("tasks.greeting.dispatcher.POLL_AGAIN_WITHIN", 30.0)
    monkeypatch.setattr("tasks.ledger.ledger.CLAIM_LEASE", 60.0)


def test_it_greets_all_that_is_due_and_ends(worker: Worker) -> None:
    records = [worker.added()[0] for _ in range(20)]
    began = time.monotonic()
    worker.dispatcher().run()
    assert time.monotonic() - began < 20
    assert [worker.results(record) for record in records] == [[0]] * 20


def became(worker: Worker, events: list[str]) -> set[tuple[str | None, Kind | None]]:
    """Outcomes and reasons of events."""
    rows = [worker.ledger.delivery(one) for one in events]
    return {(row.outcome, row.reason and row.reason.kind) for row in rows if row is not None}


def test_many_more_who_are_too_late_than_slots_get_their_outcome(worker: Worker) -> None:
    late = [worker.added(ago=60)[1].id for _ in range(20)]
    record, _ = worker.added()
    worker.dispatcher(concurrency=2).run()
    assert worker.results(record) == [0]
    assert became(worker, late) == {("expired", Kind.WINDOW_OVER)}, "this worker was not there when they waited"


def test_while_all_slots_are_taken_those_too_late_are_settled_aside(
    worker: Worker, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.greeting.too_late.AWAY", 3600.0)
    follow = BOOK.replace('！"\n', '！"\n    then: {remark: "{customer}"}\n', 1)
    worker.services.books.save("default", follow, {})
    slow, begun = threading.Event(), threading.Event()

    def greet(claim: Claim) -> None:
        begun.set()
        slow.wait(60)

    dispatcher = worker.dispatcher(concurrency=1, greet=greet)
    dispatcher._too_late.polled(waits=False)
    dispatcher._too_late._served_since -= 100  # it has been there for a while
    late = [worker.added(ago=30)[1].id for _ in range(150)]
    tried = worker.added()[1].id
    running = worker.aside(dispatcher.run)
    assert begun.wait(30)
    until(lambda: became(worker, late) == {("expired", Kind.OVERLOADED)}, every=0.2)
    assert became(worker, [tried]) == {(None, None)}
    assert WorkList(redis_client, "default").counts()[0] == len(late)
    assert redis_client.hget(keys.COUNTERS, "overloaded_total|app=default") == str(len(late))
    assert redis_client.zcard(keys.FOLLOWUP_DUE) == len(late), "their tags and remarks come all the same"
    row = worker.ledger.delivery(late[0])
    assert (row.cause, row.attempts) == ("overloaded", 0)
    slow.set()
    running.join(30)
    assert not running.is_alive()


def test_an_outcome_that_redis_did_not_take_is_written_when_it_is_back(
    wecom: StandIn, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker.made(wecom, server.url)
    late = [worker.added(ago=30)[1].id for _ in range(5)]
    claims = worker.ledger.claim(5)
    too_late = TooLate(worker.ledger, worker.greeter.give_up)
    server.kill()
    too_late.settle(claims)
    time.sleep(0.5)
    assert too_late.busy
    server.start()
    until(lambda: became(worker, late) == {("expired", Kind.WINDOW_OVER)} and not too_late.busy)
    worker.close()


def test_who_waited_while_redis_was_away_did_not_wait_for_others(worker: Worker) -> None:
    dispatcher = worker.dispatcher(concurrency=1)
    dispatcher._too_late.polled(waits=False)
    dispatcher._too_late._served_since -= 100
    dispatcher._too_late.away()
    late = [worker.added(ago=30)[1].id for _ in range(5)]
    dispatcher.run()
    assert became(worker, late) == {("expired", Kind.WINDOW_OVER)}


def test_a_message_that_finds_nothing_to_do_costs_one_look(worker: Worker, redis_client: Redis) -> None:
    def looks() -> int:
        return int(redis_client.info("commandstats").get("cmdstat_zrangebyscore", {}).get("calls", 0))

    before, began = looks(), time.monotonic()
    worker.dispatcher().run()
    assert time.monotonic() - began < 10
    assert looks() - before <= 2  # commands


def test_after_a_greeting_it_looks_for_others_a_little_longer(worker: Worker) -> None:
    record, _ = worker.added()
    began = time.monotonic()
    worker.dispatcher().run()
    assert 0.1 < time.monotonic() - began < 10
    assert worker.results(record) == [0]


def test_when_it_has_ended_the_next_event_queues_a_message(worker: Worker, redis_client: Redis) -> None:
    worker.dispatcher().run()
    assert redis_client.get(keys.POLLING_UNTIL) is None
    worker.added()
    assert redis_client.llen(keys.QUEUE) == 1


@pytest.mark.usefixtures("at_leisure")
def test_while_it_runs_it_comes_by_itself(worker: Worker, redis_client: Redis) -> None:
    first, goes_on = worker.added()[1].id, threading.Event()

    def greet(claim: Claim) -> None:
        if claim.id == first:
            goes_on.wait(60)
        worker.greeter.greet(claim)

    redis_client.delete(keys.QUEUE)
    running = worker.aside(worker.dispatcher(greet=greet).run)
    until(lambda: redis_client.get(keys.POLLING_UNTIL))
    record, _ = worker.added()
    assert redis_client.llen(keys.QUEUE) == 0
    until(lambda: worker.results(record))
    goes_on.set()
    running.join(30)
    assert not running.is_alive()


@pytest.mark.usefixtures("at_leisure")
def test_a_burst_of_a_hundred_needs_one_message(worker: Worker, redis_client: Redis) -> None:
    all_came = threading.Event()

    def greet(claim: Claim) -> None:
        all_came.wait(60)
        worker.greeter.greet(claim)

    worker.added()
    assert redis_client.llen(keys.QUEUE) == 1
    running = worker.aside(worker.dispatcher(concurrency=100, greet=greet).run)
    until(lambda: redis_client.get(keys.POLLING_UNTIL))
    for _ in range(99):
        worker.added()
    all_came.set()
    running.join(60)
    assert redis_client.llen(keys.QUEUE) == 1  # the first one; nobody took it here
    summary = worker.wecom.summary()
    assert (summary.greeted, summary.sends, summary.spent_twice) == (100, 100, 0)


def test_it_never_greets_more_at_once_than_it_may(worker: Worker) -> None:
    at_once: list[int] = []
    busy, lock = [0], threading.Lock()

    def greet(claim: Claim) -> None:
        with lock:
            busy[0] += 1
            at_once.append(busy[0])
        time.sleep(0.1)
        worker.greeter.greet(claim)
        with lock:
            busy[0] -= 1

    for _ in range(15):
        worker.added()
    Dispatcher(worker.ledger, greet, Slots(3)).run()
    assert (len(at_once), max(at_once)) == (15, 3)


@pytest.mark.usefixtures("at_leisure")
def test_when_stopped_it_finishes_what_it_has_and_takes_nothing_more(worker: Worker, redis_client: Redis) -> None:
    records = [worker.added()[0] for _ in range(4)]
    begun, goes_on = [], threading.Event()

    def greet(claim: Claim) -> None:
        begun.append(claim.id)
        goes_on.wait(60)
        worker.greeter.greet(claim)

    dispatcher = worker.dispatcher(concurrency=2, greet=greet)
    running = worker.aside(dispatcher.run)
    until(lambda: len(begun) == 2)
    dispatcher.stop()
    goes_on.set()
    running.join(30)
    assert not running.is_alive()
    assert [worker.results(record) for record in records] == [[0], [0], [], []]
    assert len(worker.ledger.claim(9)) == 2  # not even claimed: a successor has them at once
    dispatcher.run()  # Celery's thread may take one more message
    assert worker.wecom.summary().sends == 2


def test_when_stopped_it_withdraws_its_promise(worker: Worker, redis_client: Redis) -> None:
    worker.ledger.claim(1, poll_again_within=60)
    worker.dispatcher().stop()
    worker.added()
    assert redis_client.llen(keys.QUEUE) == 1


def test_two_messages_at_once_are_one_dispatch(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    worker.wecom.faults(latency_ms=300)
    records = [worker.added()[0] for _ in range(10)]
    dispatcher = worker.dispatcher()
    take, threads = dispatcher._take, []

    def taking(poll_again_within: float) -> bool:
        threads.append(threading.get_ident())
        return take(poll_again_within)

    monkeypatch.setattr(dispatcher, "_take", taking)
    for thread in [worker.aside(dispatcher.run) for _ in range(2)]:
        thread.join(30)
        assert not thread.is_alive()
    assert [worker.results(record) for record in records] == [[0]] * 10
    assert len(list(groupby(threads))) == 2, "one after the other"


def test_an_event_that_breaks_its_worker_holds_up_nobody_else(worker: Worker, redis_client: Redis) -> None:
    poison = worker.added(app="default", state="poison")[1]
    record, _ = worker.added()

    def greet(claim: Claim) -> None:
        if claim.event.state == "poison":
            raise MemoryError
        worker.greeter.greet(claim)

    dispatcher = Dispatcher(worker.ledger, greet, Slots(1))
    dispatcher.run()
    assert worker.results(record) == [0]
    for _ in range(7):
        let_time_pass(redis_client, 5)
        dispatcher.run()
    let_time_pass(redis_client, 5)
    (claim,) = worker.ledger.claim(9)
    assert worker.greet(claim)["outcome"] == "dead"
    assert claim.id == poison.id


def test_it_outlives_a_redis_that_goes_and_comes(wecom: StandIn, server: RedisServer) -> None:
    worker = Worker.made(wecom, server.url)
    worker.added()
    wecom.faults(latency_ms=300)
    running = worker.aside(worker.dispatcher().run)
    until(lambda: wecom.summary().sends == 1)
    server.kill()
    time.sleep(0.5)
    server.start()
    running.join(30)
    assert not running.is_alive()
    assert [row.outcome for row in worker.ledger.deliveries()] == ["sent"]
    worker.close()


NAMED_BOOK = """
version: 1
templates:
  default: {text: 您好}
  named: {text: "您好{customer}"}
rules:
  - {name: named, when: {state: named}, use: named}
  - use: default
"""


def test_a_lookup_that_hangs_takes_no_other_customers_place(
    wecom: StandIn, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lookups.about, "__defaults__", (60.0,))  # so that the hanging ends the look-ups
    worker = Worker.made(wecom, server.url, NAMED_BOOK)
    wecom.faults(hang=1, hang_s=6, paths=("externalcontact/get",))
    named = [worker.added(state="named")[0] for _ in range(2)]
    worker.aside(worker.dispatcher(concurrency=2).run)
    until(lambda: wecom.summary().answers.get("externalcontact/get", {}).get("hang") == 2)
    plain = [worker.added()[0] for _ in range(6)]
    until(lambda: all(worker.results(record) for record in plain))
    assert [worker.results(record) for record in named] == [[], []]
    until(lambda: [worker.results(record) for record in named] == [[0], [0]])
    worker.close()


def test_it_waits_for_both_greetings_of_an_event_that_it_has_claimed_twice(worker: Worker, redis_client: Redis) -> None:
    begun: list[int] = []
    slow, ends = threading.Event(), []

    def greet(claim: Claim) -> None:
        begun.append(claim.fencing_token)
        if claim.fencing_token == 1:
            let_time_pass(redis_client, 5)  # its lease ends, and the event is due again
            until(lambda: begun == [1, 2])
        else:
            slow.wait(30)
        ends.append(claim.fencing_token)

    worker.added()
    running = worker.aside(Dispatcher(worker.ledger, greet, Slots(2)).run)
    until(lambda: ends == [1])
    time.sleep(0.2)
    assert running.is_alive()
    slow.set()
    running.join(30)
    assert ends == [1, 2]


@pytest.mark.parametrize(("apps", "first"), [(1, ["crowded"] * 4), (2, ["crowded", "crowded", "quiet", "crowded"])])
def test_each_app_has_its_share_of_the_slots(worker: Worker, apps: int, first: list[str]) -> None:
    for app in ["crowded"] * 9 + ["quiet"]:
        worker.added(app=app)
    begun: list[str] = []
    enough = threading.Event()

    def greet(claim: Claim) -> None:
        begun.append(claim.event.app)
        enough.wait(30)

    dispatcher = Dispatcher(worker.ledger, greet, Slots(4), apps=apps)
    running = worker.aside(dispatcher.run)
    until(lambda: len(begun) == 4)
    dispatcher.stop()
    enough.set()
    running.join(30)
    assert sorted(begun) == sorted(first)
