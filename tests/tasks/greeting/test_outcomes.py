"""Outcomes wait for the next exchange with Redis, and are tried again until it takes them."""

import contextlib
import logging

import pytest

from tasks.greeting import outcomes as module
from tasks.greeting.outcomes import Outcomes
from tasks.ledger.claims import Admission, Batch, SettledEvent, Settlement
from tasks.ledger.delivery import Outcome
from tasks.ledger.ledger import Ledger
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.builders import a_contact
from tests.support.ledger import accepted

SENT, EXPIRED = Settlement(Outcome.SENT), Settlement(Outcome.EXPIRED)


def an_outcome(number: int = 0) -> SettledEvent:
    return SettledEvent(a_contact(external_user_id=f"wm{number}"), SENT)


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def batch(outcomes: Outcomes, *written: bool | None) -> list[SettledEvent]:
    """Those that were to be written, of which Redis says this."""
    with outcomes.batch() as settled:
        settled.written = written
    return list(settled.events)


def test_what_was_written_is_written_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outcomes, one, other = Outcomes(), an_outcome(1), an_outcome(2)
    outcomes.add(one, 0.1)
    outcomes.add(other, 0.2)
    assert batch(outcomes, True, False) == [one, other]
    assert batch(outcomes) == []
    assert len(outcomes) == 0
    assert [record.getMessage() for record in caplog.records] == ["sent after 0.100 s"], "the other was not the first"


def test_what_redis_does_not_take_is_tried_again_after_a_pause(now: list[float]) -> None:
    outcomes, bad, good = Outcomes(), an_outcome(1), an_outcome(2)
    outcomes.add(bad, 0.1)
    outcomes.add(good, 0.1)
    assert batch(outcomes, None, True) == [bad, good]
    outcomes.add(good, 0.1)
    assert batch(outcomes, True) == [good]
    assert len(outcomes) == 1
    now[0] += module.PAUSE
    assert batch(outcomes, None) == [bad]


def test_an_exchange_that_fails_leaves_all_of_it_waiting(now: list[float]) -> None:
    outcomes, one = Outcomes(), an_outcome()
    outcomes.add(one, 0.1)
    with contextlib.suppress(ConnectionError), outcomes.batch():
        outcomes.add(an_outcome(2), 0.1)
        raise ConnectionError
    assert len(outcomes) == 2
    now[0] += module.PAUSE
    assert one in batch(outcomes, True, True)


def test_after_a_minute_an_outcome_is_given_up(now: list[float], caplog: pytest.LogCaptureFixture) -> None:
    outcomes = Outcomes()
    outcomes.add(an_outcome(), 0.1)
    now[0] += module.PATIENCE
    assert len(batch(outcomes, None)) == 1
    assert len(outcomes) == 0
    assert "Redis does not accept the outcome" in caplog.text


def test_an_outcome_that_cannot_be_written_costs_the_others_nothing(redis_client: Redis, ledger: Ledger) -> None:
    good, bad = (accepted(ledger, external_user_id=f"wm{number}", user_id=f"m{number}") for number in (1, 2))
    ledger.claim(9)
    redis_client.set(keys.missed("default"), "not a set")
    new = accepted(ledger, external_user_id="wm3")
    ledger_batch = Batch([SettledEvent(bad, EXPIRED), SettledEvent(good, SENT)])
    taken = ledger.take(9, Admission(worthwhile=1), settled=ledger_batch)
    assert ledger_batch.written == [None, True]
    assert [claim.id for claim in taken.claims] == [new.id]
