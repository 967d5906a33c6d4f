"""Each script's promise, on a real Redis."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from tasks.ledger import celery_message, samples
from tasks.ledger.claims import Admission, Batch, Claim, SettledEvent, Settlement
from tasks.ledger.delivery import OUTCOMES, Attempt, Outcome, WorkerRecord
from tasks.ledger.ledger import CLAIM_LEASE, WAITING_MESSAGES, Acceptance, Ledger
from tasks.ledger.rows import WORKERS_KEPT
from tasks.reasons import Kind, Reason
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.builders import a_contact, answered, in_words
from tests.support.ledger import a_ledger, accepted, let_time_pass

SENT = Settlement(Outcome.SENT)


def claimed(ledger: Ledger, **different: Any) -> Claim:
    accepted(ledger, **different)
    (claim,) = ledger.claim(1)
    return claim


def lease(client: Redis, ledger: Ledger, claim: Claim) -> float:
    """Seconds until another worker takes the event: at most what was asked for, and a second that all get besides."""
    return (client.zscore(keys.DUE, claim.id) - ledger.now()) / 1000


# ------------------------------------------------------------------------------------------------ accept


def test_what_is_accepted_has_its_row_its_place_and_a_message(redis_client: Redis, ledger: Ledger) -> None:
    event = a_contact(state="douyin-7")
    before = ledger.now()
    assert ledger.accept(event)
    row = redis_client.hgetall(keys.event(event.id))
    received = int(row["received_at"])
    assert before <= received <= ledger.now()
    assert {name: row[name] for name in ("app", "user_id", "external_user_id", "state", "welcome_code")} == {
        "app": "default",
        "user_id": "zhangsan",
        "external_user_id": event.external_user_id,
        "state": "douyin-7",
        "welcome_code": event.welcome_code,
    }
    assert redis_client.zscore(keys.DUE, event.id) == redis_client.zscore(keys.EVENTS, event.id) == received
    assert json.loads(redis_client.lrange(keys.QUEUE, 0, -1)[0])["headers"]["task"] == celery_message.TASK
    assert 30 * 86400 < redis_client.ttl(keys.event(event.id)) <= 31 * 86400  # trimmed after 30


def test_a_re_sent_event_changes_nothing_and_queues_nothing(redis_client: Redis, ledger: Ledger) -> None:
    event = a_contact()
    ledger.accept(event)
    before = redis_client.hgetall(keys.event(event.id)), redis_client.zrange(keys.DUE, 0, -1, withscores=True)
    assert not ledger.accept(event)
    row = redis_client.hgetall(keys.event(event.id))
    assert row.pop("resent") == "1"
    assert (row, redis_client.zrange(keys.DUE, 0, -1, withscores=True)) == before
    assert redis_client.llen(keys.QUEUE) == 1


def test_an_event_that_is_settled_stays_settled_when_wecom_sends_it_again(redis_client: Redis, ledger: Ledger) -> None:
    claim = claimed(ledger)
    ledger.settle(SettledEvent(claim.event, SENT))
    assert not ledger.accept(claim.event)
    assert ledger.claim(10) == []
    assert "welcome_code" not in redis_client.hgetall(keys.event(claim.id))


def test_the_previous_release_can_read_what_this_one_settles(redis_client: Redis, ledger: Ledger) -> None:
    """While roles are upgraded one by one, and after a roll-back: it takes `tries` apart into pairs."""
    claim = claimed(ledger)
    tries = (Attempt(Reason.of(Kind.WECOM_ERROR, errcode=-1, errmsg="busy")), Attempt())
    ledger.settle(SettledEvent(claim.event, replace(SENT, tries=tries)))
    stored = redis_client.hgetall(keys.event(claim.id))
    assert not {"tries", "without"} & set(stored)
    assert all(isinstance(ms, int) for ms in json.loads(stored["steps"]).values())
    row = ledger.delivery(claim.id)
    assert row is not None
    assert row.tries == tries


def test_many_at_once_accept_an_event_once(redis_client: Redis, ledger: Ledger) -> None:
    event = a_contact()
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda _: ledger.accept(event), range(64)))
    assert stored.count(Acceptance.STORED) == 1
    assert (redis_client.zcard(keys.DUE), redis_client.llen(keys.QUEUE)) == (1, 1)
    assert redis_client.hget(keys.event(event.id), "resent") == "63"


def test_a_burst_queues_few_messages(redis_client: Redis, ledger: Ledger) -> None:
    for _ in range(WAITING_MESSAGES + 5):
        accepted(ledger)
    assert redis_client.llen(keys.QUEUE) == WAITING_MESSAGES
    messages = [json.loads(message)["headers"]["id"] for message in redis_client.lrange(keys.QUEUE, 0, -1)]
    assert len(set(messages)) == WAITING_MESSAGES


def test_no_message_is_queued_while_a_worker_has_promised_to_look(redis_client: Redis, ledger: Ledger) -> None:
    ledger.claim(1, poll_again_within=60)
    accepted(ledger)
    assert redis_client.llen(keys.QUEUE) == 0


def test_a_promise_to_look_ends_by_itself(redis_client: Redis, ledger: Ledger) -> None:
    ledger.claim(1, poll_again_within=0.02)
    time.sleep(0.03)
    accepted(ledger)
    assert redis_client.llen(keys.QUEUE) == 1


def test_a_look_without_a_promise_withdraws_the_one_before(redis_client: Redis, ledger: Ledger) -> None:
    ledger.claim(1, poll_again_within=60)
    ledger.claim(0)
    accepted(ledger)
    assert redis_client.llen(keys.QUEUE) == 1


def test_a_worker_that_is_full_makes_no_promise(redis_client: Redis, ledger: Ledger) -> None:
    for _ in range(2):
        accepted(ledger)
    redis_client.delete(keys.QUEUE)
    assert len(ledger.claim(2, poll_again_within=60)) == 2
    accepted(ledger)
    assert redis_client.llen(keys.QUEUE) == 1


# ------------------------------------------------------------------------------------------------ claim


def test_the_oldest_are_claimed_first_and_no_more_than_asked_for(ledger: Ledger) -> None:
    ids = [accepted(ledger).id for _ in range(5)]
    assert [claim.id for claim in ledger.claim(2)] == ids[:2]
    assert [claim.id for claim in ledger.claim(2)] == ids[2:4]
    assert [claim.id for claim in ledger.claim(9)] == ids[4:]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("created_at", "soon"), ("answers", ""), ("received_at", "x"), ("claims", "x"), ("attempts", "")),
        *((field, None) for field in ("received_at", "claims", "attempts", "answers", "app", "corp_id", "rehearsal")),
    ],
)
def test_an_event_that_cannot_be_read_costs_those_beside_it_nothing(
    redis_client: Redis, ledger: Ledger, caplog: pytest.LogCaptureFixture, field: str, value: str | None
) -> None:
    unreadable, good = accepted(ledger, external_user_id="wm1"), accepted(ledger, external_user_id="wm2")
    if value is None:
        redis_client.hdel(keys.event(unreadable.id), field)
    else:
        redis_client.hset(keys.event(unreadable.id), field, value)
    assert [claim.id for claim in ledger.claim(2)] == [good.id]
    assert caplog.text.count("cannot be read") == 1


def test_a_claim_brings_the_event_as_it_was_accepted(ledger: Ledger) -> None:
    event = accepted(ledger, state="a|b", rehearsal=True, change="half_add", welcome_code="")
    (claim,) = ledger.claim(1)
    assert claim.event == event
    assert (claim.fencing_token, claim.attempts, claim.answers, claim.redeliveries, claim.revision) == (
        1,
        0,
        0,
        0,
        None,
    )


def test_a_claim_knows_what_is_left_of_the_window(redis_client: Redis) -> None:
    ledger = a_ledger(redis_client, window=7.0)
    accepted(ledger, ago=2.5)
    (claim,) = ledger.claim(1)
    assert 2.5 <= claim.age < 6
    assert claim.deadline - claim.claimed_at == pytest.approx(7.0 - claim.age)
    assert claim.elapsed() + claim.left() == pytest.approx(7.0, abs=0.5)


def test_a_slow_redis_makes_no_deadline_come_out_too_late(redis_client: Redis, ledger: Ledger) -> None:
    accepted(ledger)
    found: list[Claim] = []
    redis_client.client_pause(300)
    asking = threading.Thread(target=lambda: found.extend(ledger.claim(1)))
    asking.start()
    asking.join()
    now = ledger.now()
    received = time.monotonic() - (now - found[0].received_at) / 1000
    assert found[0].deadline <= received + 20.0 + 0.01


def test_what_is_claimed_is_not_due_until_its_lease_ends(redis_client: Redis, ledger: Ledger) -> None:
    first = claimed(ledger)
    assert ledger.claim(9) == []
    let_time_pass(redis_client, CLAIM_LEASE)
    (second,) = ledger.claim(9)
    assert (second.id, second.fencing_token, second.redeliveries) == (first.id, 2, 1)


def test_many_workers_at_once_claim_each_event_once(ledger: Ledger) -> None:
    ids = [accepted(ledger).id for _ in range(40)]
    with ThreadPoolExecutor(8) as pool:
        taken = [claim.id for claims in pool.map(lambda _: ledger.claim(3), range(32)) for claim in claims]
    assert sorted(taken) == sorted(ids)


def test_a_claim_names_the_books_revision_of_its_own_app(redis_client: Redis, ledger: Ledger) -> None:
    redis_client.set(keys.book("sales"), 7)
    accepted(ledger, app="sales")
    accepted(ledger, app="service")
    assert {claim.event.app: claim.revision for claim in ledger.claim(2)} == {"sales": 7, "service": None}


def test_a_row_that_was_forgotten_leaves_due_and_holds_nobody_up(redis_client: Redis, ledger: Ledger) -> None:
    forgotten, kept = [accepted(ledger).id for _ in range(2)]
    redis_client.delete(keys.event(forgotten))
    assert [claim.id for claim in ledger.claim(9)] == [kept]
    assert redis_client.zscore(keys.DUE, forgotten) is None
    assert redis_client.exists(keys.event(forgotten)) == 0


# ------------------------------------------------------------------------------------------------ hold


def test_a_further_try_is_noted_before_it_begins_and_holds_the_claim_for_its_time_out(
    redis_client: Redis, ledger: Ledger
) -> None:
    claim = claimed(ledger)
    assert ledger.begin_try(claim, 2, timeout=5.0)
    assert redis_client.hget(keys.event(claim.id), "attempts") == "2"  # the claim itself counted the first one
    assert 5.0 < lease(redis_client, ledger, claim) <= 6.0


def test_the_first_try_is_held_without_being_noted_again(redis_client: Redis, ledger: Ledger) -> None:
    claim = claimed(ledger)
    assert ledger.extend_lease(claim, timeout=3.0)
    assert redis_client.hget(keys.event(claim.id), "attempts") == "1"
    assert 3.0 < lease(redis_client, ledger, claim) <= 4.0


def test_an_answer_is_noted_and_holds_the_claim_for_the_wait(redis_client: Redis, ledger: Ledger) -> None:
    claim = claimed(ledger)
    assert ledger.answered(claim, 1, wait=0.4)
    row = redis_client.hgetall(keys.event(claim.id))
    assert (row["attempts"], row["answers"]) == ("1", "1")
    assert 0.4 < lease(redis_client, ledger, claim) <= 1.4


def test_a_step_that_is_repeated_after_an_answer_of_redis_was_lost_counts_once(
    redis_client: Redis, ledger: Ledger
) -> None:
    claim = claimed(ledger)
    for _ in range(2):
        assert ledger.answered(claim, 1, wait=0.4)
    for _ in range(2):
        assert ledger.begin_try(claim, 2, timeout=3.0)
    assert redis_client.hmget(keys.event(claim.id), "attempts", "answers") == ["2", "1"]
    let_time_pass(redis_client, CLAIM_LEASE)
    (successor,) = ledger.claim(1)
    assert successor.in_doubt, "the second try may have been delivered"


def test_the_successor_learns_that_an_answer_may_be_lost(redis_client: Redis, ledger: Ledger) -> None:
    claimed(ledger)
    let_time_pass(redis_client, CLAIM_LEASE)
    (successor,) = ledger.claim(1)
    assert (successor.attempts, successor.answers, successor.in_doubt) == (1, 0, True)


def test_the_successor_learns_that_every_answer_came(redis_client: Redis, ledger: Ledger) -> None:
    claim = claimed(ledger)
    ledger.answered(claim, 1, wait=0.4)
    ledger.begin_try(claim, 2, timeout=3.0)
    ledger.answered(claim, 2, wait=0.4)
    let_time_pass(redis_client, CLAIM_LEASE)
    (successor,) = ledger.claim(1)
    assert (successor.attempts, successor.answers, successor.in_doubt) == (2, 2, False)


def test_a_worker_that_was_overtaken_holds_nothing(redis_client: Redis, ledger: Ledger) -> None:
    slow = claimed(ledger)
    let_time_pass(redis_client, CLAIM_LEASE)
    (quick,) = ledger.claim(1)
    due = redis_client.zscore(keys.DUE, quick.id)
    assert not ledger.begin_try(slow, 2, timeout=9.0)
    assert not ledger.extend_lease(slow, timeout=9.0)
    assert not ledger.answered(slow, 1, wait=9.0)
    assert (redis_client.zscore(keys.DUE, quick.id), redis_client.hget(keys.event(quick.id), "attempts")) == (due, "2")
    assert ledger.begin_try(quick, 3, timeout=1.0)


def test_a_settled_event_is_held_by_nobody(redis_client: Redis, ledger: Ledger) -> None:
    claim = claimed(ledger)
    ledger.settle(SettledEvent(claim.event, SENT))
    assert not ledger.begin_try(claim, 2, timeout=1.0)
    assert redis_client.zscore(keys.DUE, claim.id) is None


def test_a_forgotten_event_is_held_by_nobody(redis_client: Redis, ledger: Ledger) -> None:
    claim = claimed(ledger)
    redis_client.delete(keys.event(claim.id))
    assert not ledger.begin_try(claim, 2, timeout=1.0)
    assert redis_client.exists(keys.event(claim.id)) == 0


# ------------------------------------------------------------------------------------------------ workers before


def taken_over(redis_client: Redis, ledger: Ledger) -> Claim:
    let_time_pass(redis_client, CLAIM_LEASE)
    (successor,) = ledger.claim(1)
    return successor


def test_what_a_worker_recorded_that_died_is_kept_beside_the_steps_of_its_successor(
    redis_client: Redis, ledger: Ledger
) -> None:
    first = claimed(ledger)
    second = taken_over(redis_client, ledger)
    steps = {"started": 4500, "answer_2": 4600}
    ledger.settle(SettledEvent(second.event, replace(SENT, worker=2, steps=steps)))
    row = ledger.delivery(first.id)
    assert row is not None
    assert (row.worker, row.steps) == (2, steps)
    (before,) = row.others
    assert (before.number, before.begun, before.tries, before.given_back) == (1, 1, (), False)
    assert list(before.steps) == ["started"]
    assert 0 <= before.steps["started"] < 1000


def test_what_a_worker_has_recorded_is_kept_with_each_answer_and_try(redis_client: Redis, ledger: Ledger) -> None:
    claim = claimed(ledger)
    busy = Attempt(answered(-1))
    so_far = WorkerRecord(1, {"started": 3, "try_1": 5, "answer_1": 90}, (busy,), begun=1)
    assert ledger.answered(claim, 1, 0.4, so_far)
    assert ledger.begin_try(claim, 2, 3.0, replace(so_far, begun=2))
    successor = taken_over(redis_client, ledger)
    row = ledger.delivery(successor.id)
    assert row is not None
    assert row.others == (replace(so_far, begun=2),), "in progress: those before the one that has it"
    assert not ledger.extend_lease(claim, 9.0, WorkerRecord(1)), "it was overtaken, and writes nothing"
    assert ledger.delivery(successor.id) == row


def test_the_record_of_the_worker_that_settles_is_in_the_steps_alone(redis_client: Redis, ledger: Ledger) -> None:
    claim = claimed(ledger)
    assert "course_1" in redis_client.hgetall(keys.event(claim.id))
    ledger.settle(SettledEvent(claim.event, replace(SENT, worker=1, steps={"started": 3})))
    stored = redis_client.hgetall(keys.event(claim.id))
    assert not [name for name in stored if name.startswith(("course", "worker"))]


def test_the_steps_of_an_outcome_that_is_replaced_are_kept(redis_client: Redis, ledger: Ledger) -> None:
    slow = claimed(ledger)
    quick = taken_over(redis_client, ledger)
    used = Attempt(answered(41050))
    lost = Settlement(Outcome.UNCONFIRMED, steps={"started": 4500, "answer_2": 4600}, tries=(used,), worker=2)
    assert ledger.settle(SettledEvent(quick.event, lost))
    assert ledger.settle(SettledEvent(slow.event, replace(SENT, steps={"started": 3, "answer_1": 9000})))
    row = ledger.delivery(slow.id)
    assert row is not None
    assert (row.worker, row.steps["answer_1"]) == (1, 9000)
    assert row.others == (WorkerRecord(2, {"started": 4500, "answer_2": 4600}, (used,)),)


def test_of_many_workers_the_first_are_kept(redis_client: Redis, ledger: Ledger) -> None:
    claim = claimed(ledger)
    for _ in range(WORKERS_KEPT + 3):
        claim = taken_over(redis_client, ledger)
        ledger.answered(claim, 1, 0, WorkerRecord(claim.fencing_token, {"started": 1}))
    ledger.settle(SettledEvent(claim.event, replace(SENT, worker=claim.fencing_token)))
    row = ledger.delivery(claim.id)
    assert row is not None
    assert [one.number for one in row.others] == list(range(1, WORKERS_KEPT + 1))


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "null", '{"steps": []}', '{"steps": {"started": "soon"}}'])
def test_what_a_later_release_kept_of_a_worker_and_cannot_be_read_is_left_out(
    redis_client: Redis, ledger: Ledger, text: str
) -> None:
    claimed(ledger)
    successor = taken_over(redis_client, ledger)
    redis_client.hset(keys.event(successor.id), "course_1", text)
    row = ledger.delivery(successor.id)
    assert row is not None
    assert row.others == ()


# ------------------------------------------------------------------------------------------------ settle


def test_settling_writes_the_outcome_and_erases_the_code(redis_client: Redis, ledger: Ledger) -> None:
    claim = claimed(ledger)
    settlement = Settlement(Outcome.REFUSED, answered(41050), 41050, "default", "1", "b", 3, 2, {"try_1": 12})
    assert ledger.settle(SettledEvent(claim.event, settlement))
    row = redis_client.hgetall(keys.event(claim.id))
    assert "welcome_code" not in row
    assert {
        k: row[k] for k in ("outcome", "reason", "errcode", "template", "rule", "variant", "revision", "attempts")
    } == {
        "outcome": "refused",
        "reason": answered(41050).to_json(),
        "errcode": "41050",
        "template": "default",
        "rule": "1",
        "variant": "b",
        "revision": "3",
        "attempts": "2",
    }
    assert json.loads(row["steps"]) == {"try_1": 12}
    assert redis_client.zcard(keys.DUE) == 0
    assert ledger.claim(9) == []


def test_an_outcome_without_errcode_has_none(ledger: Ledger) -> None:
    claim = claimed(ledger)
    ledger.settle(SettledEvent(claim.event, SENT))
    assert not {"errcode", "reason"} & set(ledger.fields(claim.id))


def test_a_greeting_that_was_confirmed_after_all_keeps_no_trace_of_the_doubt(ledger: Ledger) -> None:
    claim = claimed(ledger)
    ledger.settle(SettledEvent(claim.event, Settlement(Outcome.UNCONFIRMED, in_words("an answer was lost"), 41050)))
    ledger.settle(SettledEvent(claim.event, SENT))
    assert not {"errcode", "reason"} & set(ledger.fields(claim.id))


@pytest.mark.parametrize("first", OUTCOMES)
@pytest.mark.parametrize("second", ["sent", "failed", "unconfirmed"])
def test_the_first_outcome_stays_but_wecoms_ok_replaces_any_other(ledger: Ledger, first: str, second: str) -> None:
    claim = claimed(ledger)
    assert ledger.settle(SettledEvent(claim.event, Settlement(first)))
    upgrade = second == "sent" and first != "sent"
    assert ledger.settle(SettledEvent(claim.event, Settlement(second))) is upgrade
    assert ledger.fields(claim.id)["outcome"] == ("sent" if upgrade else first)


def test_counts_are_added_once_with_the_outcome(redis_client: Redis, ledger: Ledger) -> None:
    claim = claimed(ledger)
    for outcome in ("unconfirmed", "failed", "sent", "sent"):
        ledger.settle(SettledEvent(claim.event, Settlement(outcome), {"a": 2, "b": 5}))
    assert redis_client.hgetall(keys.COUNTERS) == {"a": "2", "b": "5"}


def test_many_at_once_settle_and_count_once(redis_client: Redis, ledger: Ledger) -> None:
    claim = claimed(ledger)
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda _: ledger.settle(SettledEvent(claim.event, SENT, {"n": 1})), range(32)))
    assert written.count(True) == 1
    assert redis_client.hgetall(keys.COUNTERS) == {"n": "1", samples.GREETED_SO_FAR: "1"}


def test_a_rehearsal_is_in_no_daily_total(redis_client: Redis, ledger: Ledger) -> None:
    claim = claimed(ledger, rehearsal=True)
    assert ledger.settle(SettledEvent(claim.event, Settlement(Outcome.REHEARSED)))
    assert redis_client.keys(keys.tallies("*") + "*") == []


def test_settling_a_forgotten_event_brings_nothing_back(redis_client: Redis, ledger: Ledger) -> None:
    claim = claimed(ledger)
    redis_client.delete(keys.event(claim.id))
    assert not ledger.settle(SettledEvent(claim.event, SENT, {"n": 1}))
    assert redis_client.exists(keys.event(claim.id), keys.COUNTERS, keys.DUE) == 0


# ------------------------------------------------------------------------------------------------ rouse


def quiet(client: Redis, ledger: Ledger) -> None:
    """A message was just taken, and none waits."""
    ledger.claim(0)
    client.delete(keys.QUEUE)


def test_who_was_left_behind_gets_a_message(redis_client: Redis, ledger: Ledger) -> None:
    for _ in range(3):
        accepted(ledger)
    quiet(redis_client, ledger)
    let_time_pass(redis_client, 0.3)
    assert ledger.requeue() == 3
    assert redis_client.llen(keys.QUEUE) == 1


def test_who_is_just_due_or_under_a_lease_is_not_left_behind(
    redis_client: Redis, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.ledger.ledger.LEFT_BEHIND", 5.0)  # a slow machine takes more than a quarter of a second
    claimed(ledger)
    accepted(ledger)
    quiet(redis_client, ledger)
    assert ledger.requeue() == 0
    assert redis_client.llen(keys.QUEUE) == 0


def test_a_lease_that_ended_is_somebody_left_behind(redis_client: Redis, ledger: Ledger) -> None:
    claimed(ledger)
    quiet(redis_client, ledger)
    let_time_pass(redis_client, CLAIM_LEASE + 0.3)
    assert ledger.requeue() == 1
    assert redis_client.llen(keys.QUEUE) == 1


def test_a_canary_is_sent_when_no_message_was_taken_for_a_while(redis_client: Redis, ledger: Ledger) -> None:
    quiet(redis_client, ledger)
    ledger.requeue()
    assert redis_client.llen(keys.QUEUE) == 0
    redis_client.set(keys.CONSUMED, ledger.now() - 2100)
    ledger.requeue()
    ledger.requeue()
    assert redis_client.llen(keys.QUEUE) == 1  # one canary, as long as it waits


def test_a_redis_that_lost_everything_gets_a_canary(redis_client: Redis, ledger: Ledger) -> None:
    ledger.requeue()
    assert redis_client.llen(keys.QUEUE) == 1


def test_however_long_nobody_comes_few_messages_wait(redis_client: Redis, ledger: Ledger) -> None:
    accepted(ledger)
    let_time_pass(redis_client, 5)
    for _ in range(3 * WAITING_MESSAGES):
        ledger.requeue()
    assert redis_client.llen(keys.QUEUE) == WAITING_MESSAGES


# ------------------------------------------------------------------------------------------------ all of them


def test_an_unparsable_count_begins_anew_and_the_outcome_is_whole(redis_client: Redis, ledger: Ledger) -> None:
    one, other = accepted(ledger, external_user_id="wm1"), accepted(ledger, external_user_id="wm2")
    redis_client.hset(keys.COUNTERS, "n", "many")
    ledger.settle(SettledEvent(one, SENT, {"n": 3}, follow_up=True))
    assert redis_client.hget(keys.COUNTERS, "n") == "3"
    for name in redis_client.scan_iter(f"{keys.tallies('default')}*"):
        for field in redis_client.hkeys(name):
            redis_client.hset(name, field, "many")
    ledger.settle(SettledEvent(other, SENT, {"n": 3}, follow_up=True))
    assert redis_client.hget(keys.COUNTERS, "n") == "6"
    assert redis_client.zcard(keys.FOLLOWUP_DUE) == 2
    assert {
        count for name in redis_client.scan_iter(f"{keys.tallies('default')}*") for count in redis_client.hvals(name)
    } == {"1"}


def test_outcomes_are_written_with_a_claim_though_the_server_has_forgotten_the_scripts(
    redis_client: Redis, ledger: Ledger
) -> None:
    ended, new = accepted(ledger, external_user_id="wm1"), accepted(ledger, external_user_id="wm2")
    redis_client.script_flush()
    batch = Batch([SettledEvent(ended, SENT), SettledEvent(ended, SENT)])
    assert [claim.id for claim in ledger.take(9, Admission(0), settled=batch).claims] == [new.id]
    assert batch.written == [True, False]


def test_the_scripts_survive_a_server_that_forgets_them(redis_client: Redis, ledger: Ledger) -> None:
    event = a_contact()
    redis_client.script_flush()
    assert ledger.accept(event)
    redis_client.script_flush()
    (claim,) = ledger.claim(1)
    redis_client.script_flush()
    assert ledger.begin_try(claim, 2, 1.0)
    redis_client.script_flush()
    assert ledger.settle(SettledEvent(event, SENT))
    redis_client.script_flush()
    assert ledger.requeue() == 0


def test_reading_never_shows_the_code(ledger: Ledger) -> None:
    event = accepted(ledger)
    assert event.welcome_code not in str(ledger.fields(event.id))
    assert event.welcome_code not in str(list(ledger.deliveries()))


def test_deliveries_come_newest_first_in_batches(ledger: Ledger) -> None:
    ids = [accepted(ledger).id for _ in range(5)]
    assert [row.id for row in ledger.deliveries(batch=2)] == ids[::-1]


def test_deliveries_of_a_time(redis_client: Redis, ledger: Ledger) -> None:
    ids = [accepted(ledger).id for _ in range(4)]
    times = [int(redis_client.zscore(keys.EVENTS, identity)) for identity in ids]
    assert [row.id for row in ledger.deliveries(since=times[1], until=times[2])] == [ids[2], ids[1]]


def test_a_delivery_is_listed_once_though_others_come_meanwhile(ledger: Ledger) -> None:
    ids = [accepted(ledger).id for _ in range(4)]
    listing = ledger.deliveries(batch=2)
    seen = [next(listing).id, next(listing).id]
    accepted(ledger)
    seen += [row.id for row in listing]
    assert seen == ids[::-1]


def test_rows_past_their_life_leave_the_list(redis_client: Redis, ledger: Ledger) -> None:
    old, young = [accepted(ledger).id for _ in range(2)]
    redis_client.zincrby(keys.EVENTS, -31 * 86400 * 1000, old)
    assert ledger.trim() == 1
    assert redis_client.zrange(keys.EVENTS, 0, -1) == [young]
    assert ledger.fields(old) is None
    assert not any(old in str(redis_client.zrange(key, 0, -1)) for key in redis_client.keys(keys.index("*", "*", "*")))


def test_what_outlived_its_row_is_trimmed_too(redis_client: Redis, ledger: Ledger) -> None:
    old = accepted(ledger).id
    redis_client.delete(keys.event(old))
    redis_client.zincrby(keys.EVENTS, -31 * 86400 * 1000, old)
    assert ledger.trim() == 1
    assert redis_client.zcard(keys.EVENTS) == 0


def test_the_promise_to_look_has_a_life_of_its_own(redis_client: Redis, ledger: Ledger) -> None:
    ledger.claim(1, poll_again_within=30)
    assert 0 < redis_client.pttl(keys.POLLING_UNTIL) <= 30_000
