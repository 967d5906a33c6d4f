"""What a web process that was killed left behind: its successor greets it, or a worker, or the ledger says why not."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from tasks.events import ContactAdded
from tasks.ledger.recorded import Recorded
from tasks.lifeboat import entries
from tasks.lifeboat import recovery as module
from tasks.lifeboat.journal import Journal, left_behind
from tasks.lifeboat.lifeboat import Lifeboat
from tasks.lifeboat.recovery import Recovery
from tasks.state.erasure import forget, forgotten_since
from tasks.storage import keys
from tests.simulator.records import Record
from tests.support.ailing import gone
from tests.support.processes import RedisServer
from tests.support.until import until
from tests.support.worker import Worker


def added(worker: Worker) -> tuple[Record, ContactAdded]:
    record = worker.wecom.add(push=False)
    event = ContactAdded(
        app="default",
        corp_id=worker.app.corp_id,
        change="add",
        user_id=record.user_id,
        external_user_id=record.external_user_id,
        created_at=int(time.time()),
        welcome_code=record.welcome_code,
    )
    return record, event


@pytest.fixture
def folder(onboard: Worker) -> Path:
    return onboard.services.settings.data_dir / "lifeboat"


@pytest.fixture
def recovery(onboard: Worker, folder: Path) -> Recovery:
    """That of a role that greets nobody by itself."""
    return Recovery(folder, onboard.services.redis, onboard.ledger)


def left(folder: Path, event: ContactAdded, ago: float = 0.0, tries: int = 0, answers: int = 0) -> Path:
    """A journal with an event that a process took so many seconds ago, and had not finished when it was killed."""
    journal = Journal.create(folder)
    journal.append(entries.event_taken(Recorded(event, time.time() - ago)))
    for number in range(1, tries + 1):
        journal.append(entries.try_begun(event.id, number), sync=False)
    for number in range(1, answers + 1):
        journal.append(entries.tries_answered(event.id, number), sync=False)
    journal.close()
    return journal.path


@pytest.mark.parametrize(
    ("ago", "tries", "answers", "outcome"),
    [
        (1, 0, 0, "sent"),
        (1, 1, 0, "sent"),
        (1, 2, 2, "sent"),
        (25, 0, 0, "expired"),
        (25, 2, 2, "expired"),
        (25, 1, 0, "unconfirmed"),  # the customer may have been greeted
        (25, 2, 1, "unconfirmed"),
    ],
)
def test_what_was_not_finished_goes_to_a_worker_with_the_age_that_it_has(
    onboard: Worker, folder: Path, recovery: Recovery, ago: int, tries: int, answers: int, outcome: str
) -> None:
    record, event = added(onboard)
    began = time.monotonic()
    left(folder, event, ago, tries, answers)
    recovery.look()
    assert left_behind(folder) == []
    (claim,) = onboard.ledger.claim(9)
    assert (claim.attempts, claim.answers) == (tries, answers)
    assert -0.9 < claim.age - ago < 0.9 + time.monotonic() - began
    assert claim.event == event
    row = onboard.greet(claim)
    assert row["outcome"] == outcome
    assert onboard.results(record) == ([0] if outcome == "sent" else [])


def test_a_code_that_was_used_in_a_try_that_nobody_finished_is_unconfirmed(
    onboard: Worker, folder: Path, recovery: Recovery
) -> None:
    record, claim = onboard.claimed()
    onboard.greet(claim)
    onboard.services.redis.delete(keys.event(claim.id))  # as if only the killed process had known of it
    left(folder, claim.event, 1, tries=1)
    recovery.look()
    (again,) = onboard.ledger.claim(9)
    assert onboard.greet(again)["outcome"] == "unconfirmed"
    assert onboard.results(record) == [0, 41050]


def test_a_journal_stays_where_it_is_until_redis_is_back(
    onboard: Worker, folder: Path, recovery: Recovery, server: RedisServer
) -> None:
    _, event = added(onboard)
    path = left(folder, event)
    with gone(server), pytest.raises(redis.ConnectionError):
        recovery.look()
    assert left_behind(folder) == [path]
    recovery.look()
    assert left_behind(folder) == []
    assert onboard.ledger.delivery(event.id) is not None


def test_journals_of_several_processes_are_taken_in_and_empty_ones_go(
    onboard: Worker, folder: Path, recovery: Recovery
) -> None:
    events = [added(onboard)[1] for _ in range(3)]
    for event in events:
        left(folder, event)
    Journal.create(folder).close()
    recovery.look()
    assert left_behind(folder) == []
    assert {claim.id for claim in onboard.ledger.claim(9)} == {event.id for event in events}


def test_without_redis_another_web_process_greets_whom_a_killed_one_had_not(
    onboard: Worker, boat: Lifeboat, folder: Path, server: RedisServer
) -> None:
    record, event = added(onboard)
    path = left(folder, event, ago=2, tries=1, answers=1)
    with gone(server):
        boat.round()
        until(lambda: onboard.results(record) == [0], what="the greeting")
        until(lambda: not boat._greetings._in_flight, what="the result")
        assert boat.status().waiting == 1
        assert path.exists()
    boat.round()
    found = onboard.ledger.delivery(event.id)
    assert found is not None
    assert (found.outcome, found.attempts) == ("sent", 2)
    assert found.steps["started"] >= 2000
    assert not path.exists()
    assert boat.status().waiting == 0


def test_without_redis_it_says_of_those_that_are_too_late_why(
    onboard: Worker, boat: Lifeboat, folder: Path, server: RedisServer
) -> None:
    late, in_doubt = added(onboard)[1], added(onboard)[1]
    left(folder, late, ago=25)
    left(folder, in_doubt, ago=25, tries=1)
    with gone(server):
        boat.round()
        until(lambda: not boat._greetings._in_flight, what="the results")
    boat.round()
    outcomes = [onboard.ledger.delivery(event.id).outcome for event in (late, in_doubt)]
    assert outcomes == ["expired", "unconfirmed"]


def test_what_another_process_took_over_and_left_again_is_not_lost(
    onboard: Worker, folder: Path, server: RedisServer, make_boat: Callable[[], Lifeboat], recovery: Recovery
) -> None:
    boat = make_boat()
    boat.round()
    other, unfinished = added(onboard)[1], added(onboard)[1]
    left(folder, other, ago=1)
    left(folder, unfinished, ago=1)
    with gone(server):
        boat.round()
        until(lambda: not boat._greetings._in_flight, what="the results")
        boat.stop()  # without having seen Redis again
    recovery.look()
    for one in (other, unfinished):
        assert onboard.ledger.delivery(one.id).outcome == "sent"
    assert left_behind(folder) == []


def test_records_of_another_release_cost_no_others(onboard: Worker, folder: Path, recovery: Recovery) -> None:
    _, event = added(onboard)
    journal = Journal.create(folder)
    journal.append({"event": {"of": "another release"}})
    journal.append({"result": "f" * 32, "of": {}})
    journal.append({"something": "else"})
    journal.append(entries.event_taken(Recorded(event, time.time())))
    journal.close()
    recovery.look()
    assert [claim.id for claim in onboard.ledger.claim(9)] == [event.id]


def test_a_value_is_the_same_after_the_journal(onboard: Worker) -> None:
    _, claim = onboard.claimed(state="s", pushed_at=int(time.time()))
    onboard.greet(claim)
    event = replace(claim.event, rehearsal=True)
    recorded = Recorded(event, 1.5, 2, 1)
    assert Recorded.from_data(recorded.to_data()) == recorded


def test_a_customer_who_is_forgotten_while_the_journal_is_taken_in_is_left_out(
    onboard: Worker, folder: Path, recovery: Recovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, event = added(onboard)
    left(folder, event)
    asked = []

    def looked(*about: Any) -> bool:
        asked.append(forgotten_since(*about))
        if len(asked) == 1:
            forget(onboard.services.redis, event.external_user_id)  # between the look and the write
        return asked[-1]

    monkeypatch.setattr(module, "forgotten_since", looked)
    recovery.look()
    assert asked == [False, True]
    assert onboard.ledger.delivery(event.id) is None
    assert left_behind(folder) == []
