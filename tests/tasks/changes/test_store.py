"""Changes of contacts: entered once into the row of the add, and a loss is counted once, under the day of the add."""

import json
import time
from datetime import datetime

import pytest

from tasks.changes import losses
from tasks.changes.store import PUT_OFF, ContactChanges
from tasks.events import BY_TRANSFER, EDITED, LEFT, REMOVED, ContactAdded
from tasks.ledger import statistics
from tasks.ledger.claims import SettledEvent, Settlement
from tasks.ledger.delivery import ContactChange, Outcome
from tasks.ledger.ledger import Acceptance, Ledger
from tasks.ledger.statistics import Value
from tasks.state.erasure import forget
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.leaving import SENT, ZONE, change_of
from tests.support.ledger import accepted, settled


@pytest.fixture
def changes(redis_client: Redis) -> ContactChanges:
    return ContactChanges(redis_client, 30, ZONE)


def lost(client: Redis, app: str = "default") -> dict[tuple[str, Value], dict[int, int]]:
    (found,) = losses.read(client, app, [datetime.now(ZONE).date()]).values()
    return {key: dict(value) for key, value in found.items()}


def test_a_customer_who_leaves_is_entered_and_counted(
    redis_client: Redis, ledger: Ledger, changes: ContactChanges
) -> None:
    event = settled(ledger, SENT, state="douyin")
    left = change_of(event, after=3 * 86400)
    assert changes.record(left) is Acceptance.STORED
    assert changes.apply_due() == 1
    row = ledger.delivery(event.id)
    assert row is not None
    assert row.changes == (ContactChange(LEFT, left.created_at),)
    assert lost(redis_client) == {
        ("total", ""): {3: 1},
        ("channel", "douyin"): {3: 1},
        ("member", event.user_id): {3: 1},
        ("template", "hello"): {3: 1},
        ("variant", ("all", "a")): {3: 1},
    }


def test_it_counts_once_however_often_wecom_sends_it(
    redis_client: Redis, ledger: Ledger, changes: ContactChanges
) -> None:
    left = change_of(settled(ledger, SENT))
    changes.record(left)
    assert changes.record(left) is Acceptance.DUPLICATE
    changes.apply_due()
    assert changes.record(left) is Acceptance.DUPLICATE
    assert changes.apply_due() == 0
    assert lost(redis_client)["total", ""] == {0: 1}


def test_who_is_lost_twice_is_lost_once(redis_client: Redis, ledger: Ledger, changes: ContactChanges) -> None:
    event = settled(ledger, SENT)
    changes.record(change_of(event))
    changes.record(change_of(event, REMOVED, after=60))
    changes.apply_due()
    assert lost(redis_client)["total", ""] == {0: 1}
    row = ledger.delivery(event.id)
    assert row is not None
    assert [one.change for one in row.changes] == [LEFT, REMOVED]


@pytest.mark.parametrize(("change", "detail"), [(EDITED, ""), (REMOVED, BY_TRANSFER), ("transfer_fail", "x")])
def test_what_is_no_loss_is_entered_and_not_counted(
    redis_client: Redis, ledger: Ledger, changes: ContactChanges, change: str, detail: str
) -> None:
    event = settled(ledger, SENT)
    changes.record(change_of(event, change, detail=detail))
    changes.apply_due()
    row = ledger.delivery(event.id)
    assert row is not None
    assert row.changes == (ContactChange(change, event.created_at, detail),)
    assert lost(redis_client) == {}


@pytest.mark.parametrize(
    "different",
    [{"user_id": "lisi"}, {"external_user_id": "wm-other"}, {"app": "sales"}, {"after": -60}],
    ids=["another member", "another customer", "another app", "before the add"],
)
def test_it_is_the_change_of_nobody_else(
    redis_client: Redis, ledger: Ledger, changes: ContactChanges, different: dict[str, int]
) -> None:
    event = settled(ledger, SENT)
    changes.record(change_of(event, **different))
    assert changes.apply_due() == 1
    row = ledger.delivery(event.id)
    assert row is not None
    assert (row.changes, lost(redis_client)) == ((), {})


def test_who_came_again_is_lost_from_the_last_add(redis_client: Redis, ledger: Ledger, changes: ContactChanges) -> None:
    now = int(time.time())
    pair = {"user_id": "zhangsan", "external_user_id": "wm-again"}
    first = settled(ledger, SENT, created_at=now - 100, **pair)
    again = settled(ledger, SENT, created_at=now - 50, **pair)
    changes.record(change_of(again, after=10))
    changes.record(change_of(first, after=10, user_id="ZhangSan"))  # WeCom's case of a userid may differ
    changes.apply_due()
    rows = [ledger.delivery(one.id) for one in (first, again)]
    assert [len(row.changes) for row in rows if row is not None] == [1, 1]
    assert lost(redis_client)["total", ""] == {0: 2}


def test_a_change_waits_for_the_outcome_of_the_add(
    redis_client: Redis, ledger: Ledger, changes: ContactChanges
) -> None:
    event = accepted(ledger)
    left = change_of(event)
    changes.record(left)
    assert changes.apply_due() == 0
    redis_client.zincrby(keys.CHANGES, -PUT_OFF - 1000, left.id)
    ledger.settle(SettledEvent(event, SENT))
    assert changes.apply_due() == 1
    assert lost(redis_client)["total", ""] == {0: 1}


@pytest.mark.parametrize("outcome", [Outcome.EXPIRED, Outcome.NO_CODE, Outcome.LOST])
def test_the_loss_of_a_customer_who_was_not_greeted_is_no_welcomes(
    redis_client: Redis, ledger: Ledger, changes: ContactChanges, outcome: Outcome
) -> None:
    changes.record(change_of(settled(ledger, Settlement(outcome))))
    assert changes.apply_due() == 1
    assert lost(redis_client) == {}


def test_the_slow_queue_is_woken_and_never_flooded(redis_client: Redis, changes: ContactChanges) -> None:
    for number in range(5):
        changes.record(change_of(a_stranger(number)))
    assert redis_client.llen(keys.SLOW_QUEUE) == 1


def test_a_message_that_was_lost_is_queued_again(redis_client: Redis, ledger: Ledger, changes: ContactChanges) -> None:
    changes.record(change_of(a_stranger(1)))
    redis_client.delete(keys.SLOW_QUEUE, keys.FOLLOWUP_WOKEN)
    ledger.requeue()
    assert redis_client.llen(keys.SLOW_QUEUE) == 1


def test_a_replay_of_long_ago_is_refused(changes: ContactChanges) -> None:
    old = change_of(a_stranger(1), pushed_at=int(time.time()) - 31 * 86400)
    assert changes.record(old) is Acceptance.OUTDATED


def test_one_of_another_release_stops_none_beside_it(
    redis_client: Redis, ledger: Ledger, changes: ContactChanges
) -> None:
    broken, later = change_of(a_stranger(1)), change_of(a_stranger(2))
    fine = change_of(settled(ledger, SENT))
    for one in (broken, later, fine):
        changes.record(one)
    redis_client.set(keys.change(broken.id), "{", keepttl=True)
    redis_client.set(keys.change(later.id), '{"of": "a later release"}', keepttl=True)
    assert changes.apply_due() == 1
    assert redis_client.zcard(keys.CHANGES) == 0


def test_nothing_of_who_is_forgotten_is_left(redis_client: Redis, changes: ContactChanges) -> None:
    waiting = change_of(a_stranger(1))
    changes.record(waiting)
    forget(redis_client, waiting.external_user_id)
    assert changes.apply_due() == 0
    assert redis_client.get(keys.change(waiting.id)) == ""
    assert changes.record(waiting) is Acceptance.DUPLICATE  # a replay brings nobody back


def a_stranger(number: int) -> ContactAdded:
    return ContactAdded("default", "ww1", "add", "zhangsan", f"wm-stranger-{number}", int(time.time()))


def test_who_comes_back_is_told_from_a_new_customer(
    redis_client: Redis, ledger: Ledger, changes: ContactChanges
) -> None:
    pair = {"user_id": "zhangsan", "external_user_id": "wm-again"}
    first = settled(ledger, SENT, created_at=int(time.time()) - 100, **pair)
    twice = settled(ledger, SENT, created_at=int(time.time()) - 90, **pair)  # a half add, and then the whole
    changes.record(change_of(twice, after=10))
    changes.apply_due()
    back = settled(ledger, Settlement(Outcome.EXPIRED), created_at=int(time.time()) - 50, **pair)
    other = settled(ledger, SENT, user_id="lisi", external_user_id="wm-again")
    rows = {one.id: ledger.delivery(one.id) for one in (first, twice, back, other)}
    assert [row.added_again for row in rows.values() if row is not None] == ["", "", twice.id, ""]
    (tallies,) = statistics.read(redis_client, "default", [datetime.now(ZONE).date()], ("again",)).values()
    assert tallies == {("again", None, "added"): 1}


def test_one_of_another_release_stops_neither_the_next_nor_a_forget(
    redis_client: Redis, ledger: Ledger, changes: ContactChanges
) -> None:
    event = settled(ledger, SENT)
    good = change_of(event)
    fields = {"app": "default", "corp_id": "ww1", "change": LEFT, "user_id": event.user_id}
    strange = (
        json.dumps({**fields, "external_user_id": event.external_user_id, "created_at": "soon"}),
        json.dumps({**fields, "external_user_id": 7, "created_at": 1}),
        "[]",
        "{",
    )
    for number, text in enumerate(strange):
        redis_client.set(keys.change(f"strange-{number}"), text)
        redis_client.zadd(keys.CHANGES, {f"strange-{number}": 0})
        redis_client.rpush(keys.FORWARD_NEW, f"change:{text}")
    changes.record(good)
    forget(redis_client, "wm-somebody-else")
    assert redis_client.zcard(keys.CHANGES) == 5
    assert changes.apply_due() == 1
    assert redis_client.zcard(keys.CHANGES) == 0
    row = ledger.delivery(event.id)
    assert row is not None
    assert row.changes == (ContactChange(LEFT, good.created_at),)


def test_a_row_that_cannot_be_read_stops_no_other_change(
    redis_client: Redis, ledger: Ledger, changes: ContactChanges
) -> None:
    hurt, event = settled(ledger, SENT, external_user_id="wm1"), settled(ledger, SENT, external_user_id="wm2")
    redis_client.hset(keys.event(hurt.id), "created_at", "yesterday")
    changes.record(change_of(hurt))
    changes.record(change_of(event))
    assert changes.apply_due() == 2
    assert redis_client.zcard(keys.CHANGES) == 0
    assert lost(redis_client)[("total", "")] == {0: 1}
