"""Follow-ups that failed or are tried again: listed at a bounded cost, and done again when somebody says so."""

import pytest

from tasks.connections import Redis
from tasks.ledger import Ledger, Settlement, followups
from tasks.ledger.followups import FollowUps, Progress, Task
from tests.builders import a_contact


@pytest.fixture
def store(redis_client: Redis) -> FollowUps:
    return FollowUps(redis_client)


def begun(ledger: Ledger, store: FollowUps, **different: object) -> Task:
    event = a_contact(**different)
    ledger.accept(event)
    ledger.settle(event, Settlement("sent"), follow_up=True)
    (task,) = store.claim(1)
    return task


def test_what_failed_and_what_is_tried_again_is_listed(ledger: Ledger, store: FollowUps) -> None:
    failed, again, done, other = (begun(ledger, store, app=app) for app in ("default", "default", "default", "sales"))
    store.note(failed, Progress("failed", "no such tag"))
    store.note(other, Progress("failed", "no such tag"))
    store.note(again, Progress("waiting", "busy", delay=60))
    store.note(done, Progress("done"))
    standing = store.standing("default")
    assert [row["id"] for row in standing.failed] == [failed.id]
    assert [row["id"] for row in standing.retried] == [again.id]
    assert (standing.failures, standing.waiting, standing.oldest) == (1, 1, 0.0)


def test_what_is_to_be_done_again_has_not_failed_any_more(ledger: Ledger, store: FollowUps) -> None:
    task = begun(ledger, store)
    store.note(task, Progress("failed", "no such tag"))
    assert store.again(task.id)
    assert store.standing("default").failures == 0
    (taken,) = store.claim(1)
    store.note(taken, Progress("done"))
    assert not store.again(task.id)
    assert store.standing("default").failed == []


def test_a_list_is_short_whatever_failed(ledger: Ledger, store: FollowUps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followups, "LISTED", 2)
    for _ in range(4):
        store.note(begun(ledger, store), Progress("failed", "no such tag"))
    standing = store.standing("default")
    assert (len(standing.failed), standing.failures) == (2, 4)
