"""Follow-ups that failed or are tried again: listed at a bounded cost, and done again when somebody says so."""

import pytest

from tasks.followups import store as store_module
from tasks.followups.store import FollowUps, FollowUpTask
from tasks.ledger.claims import FollowUpProgress
from tasks.ledger.delivery import FollowUpStatus
from tasks.ledger.ledger import Ledger
from tasks.storage.connections import Redis
from tests.support.builders import in_words
from tests.support.ledger import settled


@pytest.fixture
def store(redis_client: Redis) -> FollowUps:
    return FollowUps(redis_client)


def begun(ledger: Ledger, store: FollowUps, **different: object) -> FollowUpTask:
    settled(ledger, follow_up=True, **different)
    (task,) = store.claim(1)
    return task


def test_what_failed_and_what_is_tried_again_is_listed(ledger: Ledger, store: FollowUps) -> None:
    failed, again, done, other = (begun(ledger, store, app=app) for app in ("default", "default", "default", "sales"))
    store.record(failed, FollowUpProgress(FollowUpStatus.FAILED, in_words("no such tag")))
    store.record(other, FollowUpProgress(FollowUpStatus.FAILED, in_words("no such tag")))
    store.record(again, FollowUpProgress(FollowUpStatus.WAITING, in_words("busy"), delay=60))
    store.record(done, FollowUpProgress(FollowUpStatus.DONE))
    status = store.summary("default")
    assert [row.id for row in status.failed] == [failed.id]
    assert [row.id for row in status.retried] == [again.id]
    assert (status.failures, status.waiting, status.oldest) == (1, 1, 0.0)


def test_what_is_to_be_done_again_has_not_failed_any_more(ledger: Ledger, store: FollowUps) -> None:
    task = begun(ledger, store)
    store.record(task, FollowUpProgress(FollowUpStatus.FAILED, in_words("no such tag")))
    assert store.again(task.id)
    assert store.summary("default").failures == 0
    (taken,) = store.claim(1)
    store.record(taken, FollowUpProgress(FollowUpStatus.DONE))
    assert not store.again(task.id)
    assert store.summary("default").failed == []


def test_a_list_is_short_whatever_failed(ledger: Ledger, store: FollowUps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "LISTED", 2)
    for _ in range(4):
        store.record(begun(ledger, store), FollowUpProgress(FollowUpStatus.FAILED, in_words("no such tag")))
    status = store.summary("default")
    assert (len(status.failed), status.failures) == (2, 4)
