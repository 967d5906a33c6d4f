"""Whom a claim takes when more are due than it may take: claim.lua against the model's rule, and those too late."""

import pytest

from tasks.ledger.claims import Admission, Shares
from tasks.ledger.ledger import CLAIM_LEASE, Ledger
from tasks.ledger.pauses import WELCOME, QueuePauses
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.ledger import a_ledger as ledger_of
from tests.support.ledger import accepted, let_time_pass
from tests.support.overload import taken

WINDOW = 1000.0  # seconds, and everything else ten at least: how fast this machine is does not matter
AGES = range(0, 1101, 50)
OLDEST_FIRST = Admission(worthwhile=175)
NEWEST_FIRST = Admission(worthwhile=175, newest_first=True)


@pytest.fixture
def ledger(redis_client: Redis) -> Ledger:
    return ledger_of(redis_client, window=WINDOW)


def waiting(ledger: Ledger) -> dict[str, int]:
    """Id → age of those who wait, from AGES."""
    return {accepted(ledger, ago=age).id: age for age in AGES}


@pytest.mark.parametrize("admission", [OLDEST_FIRST, NEWEST_FIRST])
@pytest.mark.parametrize("most", [0, 1, 5, 17, 18, 19, 20, 22, 23, 24, 40])
def test_it_takes_whom_the_model_takes(ledger: Ledger, most: int, admission: Admission) -> None:
    ages = waiting(ledger)
    due = sorted((-float(age), age) for age in AGES)
    expected, waits = taken(due, 0.0, most, WINDOW, admission)
    took = ledger.take(most, admission)
    assert [ages[claim.id] for claim in took.claims] == [age for _, age in expected]
    left = set(AGES) - {age for _, age in expected}
    passed_over = sum(WINDOW - admission.worthwhile < age < WINDOW for age in left)
    assert (took.waits, took.passed_over) == (waits, passed_over if waits else 0)


@pytest.mark.parametrize("held", [{}, {"a": 3}, {"a": 1, "b": 9}, {"c": 5}])
@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize(("most", "each"), [(0, 1), (1, 1), (6, 2), (6, 4), (20, 3), (40, 3)])
def test_each_app_has_its_share_as_in_the_model(
    ledger: Ledger, most: int, each: int, newest_first: bool, held: dict[str, int]
) -> None:
    apps = {age: "a" if age < 600 else "b" if age % 100 else "c" for age in AGES}
    ages = {accepted(ledger, ago=age, app=apps[age]).id: age for age in AGES}
    admission = Admission(175, newest_first, Shares(each, held))
    due = sorted((-float(age), age) for age in AGES)
    expected, _ = taken(due, 0.0, most, WINDOW, admission, apps.__getitem__)
    assert [ages[claim.id] for claim in ledger.take(most, admission).claims] == [age for _, age in expected]


def test_in_short_supply(ledger: Ledger) -> None:
    ages = waiting(ledger)

    def ages_of(most: int, admission: Admission) -> list[int]:
        return [ages[claim.id] for claim in ledger.take(most, admission).claims]

    assert ages_of(3, OLDEST_FIRST) == [800, 750, 700], "the oldest with time enough"
    assert ages_of(3, NEWEST_FIRST) == [0, 50, 100]
    assert ages_of(13, NEWEST_FIRST) == [*range(150, 651, 50), 850, 900], "then those with most of the rest"
    assert ages_of(2, OLDEST_FIRST) == [950, 1000], "who is too late is the last"
    assert ages_of(9, OLDEST_FIRST) == [1100, 1050], "enough for everybody"


def test_whoever_was_claimed_before_goes_first(ledger: Ledger, redis_client: Redis) -> None:
    old = accepted(ledger, ago=850)
    (claim,) = ledger.claim(1)
    let_time_pass(redis_client, CLAIM_LEASE)
    new = [accepted(ledger, ago=100).id for _ in range(3)]
    assert [one.id for one in ledger.take(1, NEWEST_FIRST).claims] == [claim.id] == [old.id]
    assert [one.id for one in ledger.take(1, NEWEST_FIRST).claims] == new[2:]


def test_it_promises_to_poll_again_only_when_it_took_all(ledger: Ledger, redis_client: Redis) -> None:
    waiting(ledger)
    ledger.take(40, OLDEST_FIRST, 60.0)
    assert redis_client.get(keys.POLLING_UNTIL)
    waiting(ledger)
    ledger.take(3, OLDEST_FIRST, 60.0)
    assert not redis_client.get(keys.POLLING_UNTIL)


def test_those_too_late_are_taken_apart_and_no_try_of_theirs_begins(ledger: Ledger, redis_client: Redis) -> None:
    ages = waiting(ledger)
    ledger.take(0, OLDEST_FIRST, 0.0)
    consumed = redis_client.get(keys.CONSUMED)
    late = [*ledger.take_too_late(2, 75), *ledger.take_too_late(9, 75)]
    assert [ages[claim.id] for claim in late] == [1100, 1050, 1000, 950]
    assert {claim.left() < 75 for claim in late} == {True}
    assert redis_client.get(keys.CONSUMED) == consumed, "which is no proof that a message was taken"
    assert ledger.take_too_late(9, 75) == [], "they are under a lease"
    let_time_pass(redis_client, CLAIM_LEASE)
    again = ledger.take(4, NEWEST_FIRST).claims  # whose settler died
    assert [(claim.redeliveries, claim.attempts, claim.in_doubt) for claim in again] == [(1, 0, False)] * 4


def test_a_worker_that_dies_with_somebody_too_late_leaves_nothing_in_doubt(ledger: Ledger, redis_client: Redis) -> None:
    accepted(ledger, ago=1100)
    ledger.claim(1)
    let_time_pass(redis_client, CLAIM_LEASE)
    (claim,) = ledger.claim(1)
    assert (claim.redeliveries, claim.attempts, claim.in_doubt) == (1, 0, False)


def test_nothing_is_taken_while_the_queue_is_paused(ledger: Ledger, redis_client: Redis) -> None:
    waiting(ledger)
    QueuePauses(redis_client).pause(WELCOME, "somebody")
    assert ledger.take(3, OLDEST_FIRST).claims == []
    assert ledger.take_too_late(3, 75) == []
