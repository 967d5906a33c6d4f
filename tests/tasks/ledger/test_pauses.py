"""QueuePauses that are paused: nothing is taken, the welcome lane resumes by itself, and who paused it is told."""

import pytest

from tasks.followups.store import FollowUps
from tasks.ledger import pauses
from tasks.ledger.ledger import Ledger
from tasks.ledger.pauses import FOLLOW_UPS, QUEUES, WELCOME, Pause, QueuePauses
from tasks.reasons import Kind, Reason
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.ledger import accepted, held, settled
from tests.support.until import until
from tests.support.worker import Worker


@pytest.fixture
def both(redis_client: Redis) -> QueuePauses:
    return QueuePauses(redis_client)


def test_nothing_is_paused_at_first(both: QueuePauses) -> None:
    assert both.last() == both.paused() == {}


def test_no_event_is_claimed_while_paused_and_all_are_afterwards(both: QueuePauses, ledger: Ledger) -> None:
    event = accepted(ledger)
    assert both.pause(WELCOME, "李敏")
    assert ledger.claim(5) == []
    assert both.resume(WELCOME, "王芳")
    assert [claim.id for claim in ledger.claim(5)] == [event.id]
    pause = both.last()[WELCOME]
    assert (pause.by, pause.resumed_by, pause.holds) == ("李敏", "王芳", False)


def test_no_follow_up_is_claimed_while_paused(redis_client: Redis, both: QueuePauses, ledger: Ledger) -> None:
    event = settled(ledger, follow_up=True)
    both.pause(FOLLOW_UPS, "李敏")
    assert FollowUps(redis_client).claim(5) == []
    both.resume(FOLLOW_UPS, "李敏")
    assert [task.id for task in FollowUps(redis_client).claim(5)] == [event.id]


def test_workers_that_take_nothing_still_prove_that_they_consume(
    redis_client: Redis, both: QueuePauses, ledger: Ledger
) -> None:
    both.pause(WELCOME, "李敏")
    ledger.claim(5)
    assert redis_client.exists(keys.CONSUMED)


def test_the_welcome_lane_resumes_by_itself_and_the_other_does_not(
    both: QueuePauses, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pauses, "MOST", 1.5)
    accepted(ledger)
    for lane in QUEUES:
        both.pause(lane, "李敏")
    assert set(both.paused()) == {WELCOME, FOLLOW_UPS}
    assert ledger.claim(1) == []
    until(lambda: ledger.claim(1))
    assert set(both.paused()) == {FOLLOW_UPS}
    assert both.paused()[FOLLOW_UPS].left is None


def test_a_second_pause_does_not_make_it_longer(both: QueuePauses) -> None:
    assert both.pause(WELCOME, "李敏")
    first = both.paused()[WELCOME]
    assert not both.pause(WELCOME, "王芳")
    again = both.paused()[WELCOME]
    assert (again.by, again.until) == ("李敏", first.until)
    assert first.left == pytest.approx(600, abs=20)


def test_what_is_not_paused_cannot_be_resumed(both: QueuePauses) -> None:
    assert not both.resume(WELCOME, "李敏")
    both.pause(WELCOME, "李敏")
    both.resume(WELCOME, "李敏")
    assert not both.resume(WELCOME, "王芳")
    assert both.last()[WELCOME].resumed_by == "李敏"


def test_whoever_came_too_late_because_of_a_pause_is_told_so(worker: Worker, both: QueuePauses) -> None:
    _, claim = worker.claimed()
    both.pause(WELCOME, "李敏")
    row = worker.greet(held(claim, 20))
    assert (row["outcome"], row["cause"]) == ("expired", "paused")
    reason = Reason.from_json(row["reason"])
    assert reason is not None
    assert (reason.kind, reason.params["paused_by"]) == (Kind.WINDOW_OVER, "李敏")
    _, other = worker.claimed() if both.resume(WELCOME, "李敏") else (None, claim)
    row = worker.greet(other)
    assert row["outcome"] == "sent"


@pytest.mark.parametrize(
    ("since", "until_", "overlaps"), [(0, 9, False), (0, 11, True), (12, 13, True), (19, 30, True), (21, 30, False)]
)
def test_a_pause_overlaps_a_window_or_not(since: float, until_: float, overlaps: bool) -> None:
    assert Pause("a", at=10, until=20, now=50).overlaps(since, until_) is overlaps
    assert Pause("a", at=10, until=None, now=50).overlaps(since, until_) is (overlaps or since > 20)
