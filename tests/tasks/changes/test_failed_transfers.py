"""Customers who were not handed over: once on the list of the member who was to take over, and counted nowhere."""

import time
from typing import Any

import pytest

from tasks.changes import failed_transfers
from tasks.changes.failed_transfers import LIMIT, REFUSED, FailedTransfer, is_news, row_of
from tasks.changes.store import ContactChanges
from tasks.events import LEFT, NOT_TRANSFERRED, ContactChanged
from tasks.ledger import statistics
from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import ContactChange, Delivery, Outcome
from tasks.ledger.ledger import Acceptance, Ledger
from tasks.ledger.rows import row_without_event
from tasks.missed.work_list import WorkList, cause_of
from tasks.state.erasure import forget
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.builders import a_delivery
from tests.support.leaving import NOW, SENT, ZONE
from tests.support.ledger import settled

LIFE = 30 * 86_400
FAILED = FailedTransfer("default", "ww1", "lisi", "wm1", REFUSED, at=1000)
UNDATED = FailedTransfer("default", "ww1", "lisi", "wm1", REFUSED)


# ------------------------------------------------------------------------------------------------ decided


def of_both(outcome: str = "sent", **different: Any) -> Delivery:
    return a_delivery(outcome, **{"user_id": "lisi", "received_ms": 900_000} | different)


LISTED = of_both("not_transferred", id="listed")
LEFT_AGAIN = of_both(changes=(ContactChange(LEFT, 950),))


@pytest.mark.parametrize(
    ("failed", "known", "news"),
    [
        (FAILED, [], True),
        (FAILED, [of_both()], True),  # were contacts before
        (FAILED, [of_both(received_ms=1_000_000)], False),  # became contacts since
        (FAILED, [LISTED], False),  # of an earlier time, and to do still
        (FAILED, [of_both("not_transferred", id="ticked off")], True),
        (FAILED, [of_both("not_transferred", id="ticked off", received_ms=1_500_000)], False),  # known when it was told
        (FAILED, [of_both("not_transferred", id="listed", user_id="LiSi")], False),
        (FAILED, [of_both("not_transferred", id="listed", user_id="zhangsan")], True),
        (FAILED, [of_both("not_transferred", id="listed", app="sales")], True),
        (FAILED, [of_both(received_ms=1_000_000, rehearsal=True)], True),
        (UNDATED, [], True),
        (UNDATED, [of_both()], False),
        (UNDATED, [LEFT_AGAIN], True),
        (UNDATED, [of_both("not_transferred", id="ticked off")], False),
    ],
)
def test_a_failure_is_news_once(failed: FailedTransfer, known: list[Delivery], news: bool) -> None:
    assert is_news(failed, known, {"listed"}) is news


def test_a_row_names_the_member_who_was_to_take_over_and_why() -> None:
    row = row_of(FAILED, 5_000_000)
    assert (row.user_id, row.external_user_id, row.received_ms) == ("lisi", "wm1", 1_000_000)
    assert cause_of(row).failed_for == REFUSED
    assert row_of(UNDATED, 5_000_000).received_ms == 5_000_000
    assert row_of(FAILED, 6_000_000).id == row.id


# ------------------------------------------------------------------------------------------------ done


@pytest.fixture
def changes(redis_client: Redis) -> ContactChanges:
    return ContactChanges(redis_client, 30, ZONE)


def told(after: int = 0, why: str = REFUSED, **different: Any) -> ContactChanged:
    """WeCom's event, of a minute ago."""
    at = int(time.time()) - 60 + after
    about = {"app": "default", "corp_id": "ww1", "user_id": "lisi", "external_user_id": "wm1"}
    return ContactChanged(**about | different, change=NOT_TRANSFERRED, created_at=at, detail=why)


def happens(changes: ContactChanges, *events: ContactChanged) -> None:
    for event in events:
        changes.record(event)
    changes.apply_due()


def to_do(client: Redis) -> list[Delivery]:
    return list(WorkList(client, "default").page().rows)


def test_the_event_puts_the_customer_on_the_list_once(redis_client: Redis, changes: ContactChanges) -> None:
    event = told()
    happens(changes, event)
    assert changes.record(event) is Acceptance.DUPLICATE
    redis_client.zadd(keys.CHANGES, {event.id: 0})  # as if the process had ended before it was applied
    happens(changes, told(after=30, why=LIMIT))  # a second transfer, while the first is to do
    (row,) = to_do(redis_client)
    assert (row.user_id, row.outcome, cause_of(row).failed_for) == ("lisi", Outcome.NOT_TRANSFERRED, REFUSED)
    assert 86_400 < redis_client.ttl(keys.event(row.id)) <= LIFE + 86_400


def test_who_was_ticked_off_comes_again_with_another_failure_alone(
    redis_client: Redis, changes: ContactChanges
) -> None:
    happens(changes, told())
    (row,) = to_do(redis_client)
    WorkList(redis_client, "default").tick([row.id], "李敏", 1)
    assert not failed_transfers.add(redis_client, UNDATED, LIFE)
    assert to_do(redis_client) == []
    happens(changes, told(after=50))
    assert [one.id for one in to_do(redis_client)] != [row.id]


def test_it_is_no_add_and_no_missed_greeting(redis_client: Redis, ledger: Ledger, changes: ContactChanges) -> None:
    happens(changes, told())
    day = NOW.date()
    assert statistics.read(redis_client, "default", [day])[day] == {}
    assert redis_client.hgetall(keys.COUNTERS) == {}
    assert sum(ledger.count("default").values()) == 0
    assert list(ledger.deliveries()) == []


@pytest.mark.parametrize("outcome", [Outcome.SENT, Outcome.NO_CODE, Outcome.EXPIRED])
def test_a_later_add_of_the_two_takes_them_off(
    redis_client: Redis, ledger: Ledger, changes: ContactChanges, outcome: Outcome
) -> None:
    happens(changes, told(), told(user_id="wangwu"))
    settled(ledger, Settlement(outcome), user_id="lisi", external_user_id="wm1")
    listed = [(one.user_id, one.outcome) for one in to_do(redis_client)]
    assert ("lisi", Outcome.NOT_TRANSFERRED) not in listed
    assert ("wangwu", Outcome.NOT_TRANSFERRED) in listed  # another member's


def test_forget_erases_it_and_neither_event_nor_answer_brings_it_back(
    redis_client: Redis, changes: ContactChanges
) -> None:
    waiting, late = told(), told(after=1)
    happens(changes, waiting)
    changes.record(late)
    text = redis_client.get(keys.change(late.id))
    assert forget(redis_client, "wm1") == 1
    redis_client.set(keys.change(late.id), text, keepttl=True)  # read by another process just before
    redis_client.zadd(keys.CHANGES, {late.id: 0})
    changes.apply_due()
    assert not failed_transfers.add(redis_client, UNDATED, LIFE)
    assert to_do(redis_client) == []
    assert not list(redis_client.scan_iter("*wm1*"))


def test_what_becomes_of_the_two_later_is_not_entered_there(
    redis_client: Redis, ledger: Ledger, changes: ContactChanges
) -> None:
    """The row is of no add, so a loss is not counted under it."""
    added = settled(ledger, SENT, user_id="lisi", external_user_id="wm1", created_at=int(time.time()) - 90)
    redis_client.hset(keys.event(added.id), "received_at", (int(time.time()) - 90) * 1000)
    happens(changes, told())
    left = ContactChanged("default", "ww1", LEFT, "lisi", "wm1", int(time.time()))
    happens(changes, left)
    row = ledger.delivery(added.id)
    assert row is not None
    assert [one.change for one in row.changes] == [NOT_TRANSFERRED, LEFT]


def test_a_row_is_as_it_was_stored(redis_client: Redis) -> None:
    row = row_of(UNDATED, 5_000_000)
    redis_client.hset(keys.event(row.id), mapping=row_without_event(row))
    assert WorkList(redis_client, "default").rows([row.id]) == [row]
