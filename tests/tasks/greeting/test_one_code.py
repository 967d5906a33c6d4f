"""One welcome code is one greeting, whichever events bring it: a half-add and its full add may carry the same."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from tasks.events import ContactAdded
from tasks.ledger.claims import SettledEvent, Settlement
from tasks.ledger.delivery import Outcome
from tasks.ledger.ledger import CODE_LIFE, PUT_OFF, SIBLING
from tasks.ledger.rows import from_row
from tasks.missed.work_list import WorkList
from tasks.reasons import Kind
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.simulator.records import Record
from tests.support.builders import BOOK
from tests.support.ledger import SENT, accepted, let_time_pass
from tests.support.until import until
from tests.support.worker import Worker
from webhook.outcomes import note, outcome_text

HALF, FULL, AUDIT = "half_add", "add", "audit_approved"
FOLLOWED = BOOK.replace('！"\n', '！"\n    then: {remark: "{customer}"}\n', 1)


def two_with_one_code(worker: Worker, first: str, second: str) -> tuple[Record, list[ContactAdded]]:
    record, one = worker.added(change=first)
    return record, [one, another_of(worker, one, change=second)]


def another_of(worker: Worker, event: ContactAdded, **different: Any) -> ContactAdded:
    """An event of the same two with the same code, accepted: a second later, unless it is `different`."""
    return accepted(worker.ledger, replace(event, **{"created_at": event.created_at + 1} | different))


def greet_all(worker: Worker) -> None:
    """Until nobody is due any more, however often somebody was put off."""
    for _ in range(9):
        for claim in worker.ledger.claim(9):
            worker.greeter.greet(claim)
        let_time_pass(worker.services.redis, PUT_OFF)


def outcomes(worker: Worker, events: list[ContactAdded]) -> list[str]:
    return [str(worker.ledger.fields(event.id).get("outcome")) for event in events]


def sends(worker: Worker, record: Record) -> list[int | str]:
    return [send.result for send in worker.wecom.record(record).sends]


orders = pytest.mark.parametrize(
    ("first", "second"), [(HALF, FULL), (FULL, HALF), (HALF, AUDIT), (AUDIT, FULL), (FULL, FULL)]
)


@orders
def test_two_events_with_one_code_are_one_greeting_and_nobody_is_missed(
    worker: Worker, first: str, second: str
) -> None:
    record, events = two_with_one_code(worker, first, second)
    greet_all(worker)
    assert sends(worker, record) == [0], "no second call"
    assert outcomes(worker, events) == ["sent", "lost"]
    assert WorkList(worker.services.redis, "default").counts()[0] == 0


@orders
def test_the_second_after_the_first_was_greeted(worker: Worker, first: str, second: str) -> None:
    record, claim = worker.claimed(change=first)
    worker.greet(claim)
    other = another_of(worker, claim.event, change=second)
    greet_all(worker)
    assert sends(worker, record) == [0]
    assert outcomes(worker, [claim.event, other]) == ["sent", "lost"]


def test_the_second_says_so_and_names_the_first(worker: Worker) -> None:
    _, (one, other) = two_with_one_code(worker, HALF, FULL)
    greet_all(worker)
    row = worker.ledger.delivery(other.id)
    assert row is not None
    assert row.reason is not None
    assert (row.reason.kind, row.reason.params) == (Kind.SAME_CODE, {"event": one.id})
    assert "the same welcome code" in str(outcome_text(row, 20.0).headline)
    assert note(row) is not None
    assert (row.errcode, row.attempts) == (None, 0)


def test_two_workers_at_once_greet_once(worker: Worker) -> None:
    """Each with a dispatcher of its own, and the answer takes its time."""
    worker.wecom.faults(latency_ms=400)
    record, events = two_with_one_code(worker, HALF, FULL)
    threads = [worker.aside(worker.dispatcher().run) for _ in range(2)]

    def settled() -> bool:
        worker.dispatcher().run()  # as a task message does
        return all(outcome != "None" for outcome in outcomes(worker, events))

    until(settled, what="both outcomes")
    for thread in threads:
        thread.join()
    assert sends(worker, record) == [0]
    assert outcomes(worker, events) == ["sent", "lost"]


def test_many_accepted_at_once_have_one_owner(worker: Worker, redis_client: Redis) -> None:
    record, first = worker.added()
    together = threading.Barrier(8)

    def accept(number: int) -> ContactAdded:
        together.wait()
        return another_of(worker, first, created_at=first.created_at + number)

    with ThreadPoolExecutor(8) as pool:
        others = list(pool.map(accept, range(1, 9)))
    greet_all(worker)
    assert sends(worker, record) == [0]
    assert sorted(outcomes(worker, [first, *others])) == ["lost"] * 8 + ["sent"]


def test_while_the_first_is_under_way_the_second_is_neither_claimed_nor_dropped(worker: Worker) -> None:
    _, events = two_with_one_code(worker, HALF, FULL)
    (claim,) = worker.ledger.claim(9)
    assert claim.id == events[0].id
    for _ in range(3):
        let_time_pass(worker.services.redis, PUT_OFF)
        assert worker.ledger.claim(9) == []
    worker.greet(claim)
    let_time_pass(worker.services.redis, PUT_OFF)
    (claim,) = worker.ledger.claim(9)
    assert (claim.id, claim.code_owner, claim.owner_outcome) == (events[1].id, events[0].id, "sent")


@pytest.mark.parametrize("outcome", [Outcome.NO_TEMPLATE, Outcome.REFUSED, Outcome.FAILED, Outcome.DEAD])
def test_a_code_that_the_first_did_not_use_greets_with_the_second(worker: Worker, outcome: Outcome) -> None:
    record, events = two_with_one_code(worker, HALF, FULL)
    worker.ledger.settle(SettledEvent(worker.ledger.claim(1)[0].event, Settlement(outcome)))
    greet_all(worker)
    assert outcomes(worker, events) == [outcome, "sent"]
    assert sends(worker, record) == [0]
    assert WorkList(worker.services.redis, "default").counts()[0] == 0, "greeted later, by the second"


@pytest.mark.parametrize("outcome", [Outcome.SENT, Outcome.UNCONFIRMED, Outcome.LOST])
def test_a_code_that_is_used_for_all_we_know_costs_no_second_call(worker: Worker, outcome: Outcome) -> None:
    record, events = two_with_one_code(worker, HALF, FULL)
    worker.ledger.settle(SettledEvent(worker.ledger.claim(1)[0].event, Settlement(outcome)))
    greet_all(worker)
    assert outcomes(worker, events) == [outcome, "lost"]
    assert sends(worker, record) == []


def test_a_code_that_is_used_though_nothing_is_known_of_it(worker: Worker, redis_client: Redis) -> None:
    """Redis lost it, or the release before accepted the first."""
    record, claim = worker.claimed(change=HALF)
    worker.greet(claim)
    for key in redis_client.scan_iter(keys.code_owner("*")):
        redis_client.delete(key)
    other = another_of(worker, claim.event)
    greet_all(worker)
    assert sends(worker, record) == [0, 41050]
    row = worker.ledger.delivery(other.id)
    assert row is not None
    assert row.reason is not None
    assert (row.outcome, row.errcode, row.reason.kind) == ("lost", 41050, Kind.SAME_CODE)
    assert WorkList(worker.services.redis, "default").counts()[0] == 0


@pytest.mark.parametrize(
    "different", [{"user_id": "lisi"}, {"external_user_id": "wm-another"}, {"ago": SIBLING + 60}], ids=str
)
def test_a_dead_code_is_refused_where_nobody_used_it_for_the_same_two(worker: Worker, different: Any) -> None:
    record, claim = worker.claimed(**different)
    if "ago" in different:
        worker.ledger.settle(SettledEvent(claim.event, SENT))
    else:
        worker.greet(claim)
    _, other = worker.claimed(external_user_id=record.external_user_id, welcome_code="dead")
    assert worker.greet(other)["outcome"] == "refused"
    assert WorkList(worker.services.redis, "default").counts()[0] == 1


def test_events_without_a_code_and_rehearsals_own_none(worker: Worker, redis_client: Redis) -> None:
    worker.added(welcome_code="")
    worker.added(rehearsal=True)
    assert redis_client.keys(keys.code_owner("*")) == []
    worker.added()
    (key,) = redis_client.keys(keys.code_owner("*"))
    assert 0 < redis_client.ttl(key) <= CODE_LIFE


def test_no_key_holds_the_code(worker: Worker, redis_client: Redis) -> None:
    record, events = two_with_one_code(worker, HALF, FULL)
    greet_all(worker)
    assert not [key for key in redis_client.keys("*") if record.welcome_code in key]
    for event in events:
        assert record.welcome_code not in json.dumps(redis_client.hgetall(keys.event(event.id)))


def test_two_apps_with_one_code_are_two_greetings(worker: Worker, redis_client: Redis) -> None:
    _, one = worker.added()
    another_of(worker, one, app="other")
    assert len(worker.ledger.claim(9)) == 2


def test_the_follow_ups_of_both_are_entered(wecom: Any, redis_url: str, redis_client: Redis) -> None:
    worker = Worker.made(wecom, redis_url, FOLLOWED)
    try:
        _, events = two_with_one_code(worker, HALF, FULL)
        greet_all(worker)
        rows = [from_row(event.id, redis_client.hgetall(keys.event(event.id))) for event in events]
        assert [str(row.outcome) for row in rows] == ["sent", "lost"]
        assert all(row.follow_up is not None for row in rows)
        assert set(redis_client.zrange(keys.FOLLOWUP_DUE, 0, -1)) == {event.id for event in events}
    finally:
        worker.close()


def test_an_owner_that_was_erased_keeps_nobody_waiting(worker: Worker, redis_client: Redis) -> None:
    _, (one, other) = two_with_one_code(worker, HALF, FULL)
    redis_client.delete(keys.event(one.id))
    redis_client.zrem(keys.DUE, one.id)
    (claim,) = worker.ledger.claim(9)
    assert (claim.id, claim.owner_outcome) == (other.id, None)
    assert worker.greet(claim)["outcome"] == "sent"


def test_an_event_whose_row_was_erased_and_that_comes_again_does_not_wait_for_itself(
    worker: Worker, redis_client: Redis
) -> None:
    _, event = worker.added()
    redis_client.delete(keys.event(event.id))
    accepted(worker.ledger, event)
    assert [claim.id for claim in worker.ledger.claim(9)] == [event.id]
