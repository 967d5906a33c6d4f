"""Greeter and Dispatcher with the real ledger, against the stand-in."""

import json
import logging
import time
from collections.abc import Iterator

import pytest

from tasks.directory.lookup import BUDGET
from tasks.greeting import policy
from tasks.ledger.ledger import CLAIM_LEASE
from tasks.ledger.rows import from_row
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.templates.render import fill
from tests.simulator.client import StandIn
from tests.simulator.records import Record
from tests.support.builders import BOOK, PLAIN_BOOK
from tests.support.ledger import held, let_time_pass
from tests.support.processes import RedisServer
from tests.support.until import until
from tests.support.worker import Worker
from webhook.delivery_record import reason_text
from webhook.delivery_record import record as record_of

PLAIN = "您好，很高兴认识您！"
SEND = "externalcontact/send_welcome_msg"
NAMING_BOOK = BOOK.replace("您好{customer}，我是{member}", "您好{customer|朋友}，我是{member|您的顾问}")


@pytest.fixture
def naming(wecom: StandIn, redis_url: str) -> Iterator[Worker]:
    """A worker whose text names customer and member, with fallbacks."""
    worker = Worker.made(wecom, redis_url, NAMING_BOOK)
    yield worker
    worker.close()


def text_of(worker: Worker, record: Record) -> str:
    content = worker.wecom.record(record).content
    assert content is not None, "not greeted"
    return content["text"]


def ready(worker: Worker) -> None:
    """It has read what it needs from Redis, and has a token."""
    worker.services.books.book("default", 1)
    worker.services.clients["default"].tokens.get(time.monotonic() + 20)


# ------------------------------------------------------------------------------------------------ a greeting


def test_a_customer_is_greeted_and_the_ledger_knows(worker: Worker) -> None:
    record, claim = worker.claimed()
    row = worker.greet(claim)
    assert text_of(worker, record) == PLAIN
    assert {k: row[k] for k in ("outcome", "template", "rule", "revision", "attempts")} == {
        "outcome": "sent",
        "template": "default",
        "rule": "1",
        "revision": "1",
        "attempts": "1",
    }
    steps = json.loads(row["steps"])
    assert list(steps) == ["started", "chosen", "named", "prepared", "try_1", "token", "answer_1"]
    assert list(steps.values()) == sorted(steps.values())


def test_a_customer_is_greeted_once_however_often_the_event_is_claimed(worker: Worker, redis_client: Redis) -> None:
    record, claim = worker.claimed()
    worker.greet(claim)
    assert not worker.ledger.accept(claim.event)
    assert worker.ledger.claim(9) == []
    assert worker.greet(held(claim, 3))["outcome"] == "sent"  # a worker that stood still with its claim
    assert worker.results(record) == [0]


def test_two_workers_with_one_event_greet_once(worker: Worker, redis_client: Redis) -> None:
    record, slow = worker.claimed()
    let_time_pass(redis_client, CLAIM_LEASE)
    (quick,) = worker.ledger.claim(1)
    for thread in [worker.aside(worker.greeter.greet, claim) for claim in (held(slow, CLAIM_LEASE), quick)]:
        thread.join()
    assert worker.results(record) == [0]
    assert worker.ledger.fields(quick.id)["outcome"] == "sent"


def test_a_host_clock_that_is_minutes_fast_makes_nobody_late(worker: Worker) -> None:
    created_at = int(time.time()) - 400
    record, claim = worker.claimed(created_at=created_at, pushed_at=created_at + 1)
    assert worker.greet(claim)["outcome"] == "sent"
    assert worker.results(record) == [0]


def test_outcome_and_latency_are_counted_with_the_greeting(worker: Worker, redis_client: Redis) -> None:
    worker.greet(worker.claimed()[1])
    counts = redis_client.hgetall(keys.COUNTERS)
    assert counts["outcomes_total|app=default|outcome=sent"] == "1"
    assert sum(int(n) for name, n in counts.items() if name.startswith("greeting_seconds|")) == 1


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        ({"welcome_code": ""}, "no_code"),
        ({"created_at": int(time.time()) - 400}, "stale"),
        ({"rehearsal": True}, "rehearsed"),
    ],
)
def test_who_cannot_or_must_not_be_greeted_costs_no_call(
    worker: Worker, event: dict[str, object], outcome: str
) -> None:
    _, claim = worker.claimed(**event)
    assert worker.greet(claim)["outcome"] == outcome
    assert worker.wecom.summary().answers == {}


def test_a_rehearsal_is_prepared_like_any_and_counted_nowhere(worker: Worker, redis_client: Redis) -> None:
    _, claim = worker.claimed(rehearsal=True, welcome_code="")
    row = worker.greet(claim)
    assert (row["template"], "prepared" in json.loads(row["steps"])) == ("default", True)
    assert redis_client.hgetall(keys.COUNTERS) == {}


def test_without_a_book_there_is_no_template(wecom: StandIn, redis_url: str) -> None:
    worker = Worker.made(wecom, redis_url, book=None)
    _, claim = worker.claimed()
    assert worker.greet(claim)["outcome"] == "no_template"


def test_an_app_that_is_no_longer_configured_is_said(worker: Worker) -> None:
    _, claim = worker.claimed(app="gone")
    row = worker.greet(claim)
    assert (row["outcome"], reason_text(from_row("", row))) == ("refused", "no app gone is configured")


def test_a_new_revision_is_used_from_the_next_greeting_on(worker: Worker, redis_client: Redis) -> None:
    worker.greet(worker.claimed()[1])
    redis_client.set(keys.revision("default", 2), PLAIN_BOOK.replace("很高兴认识您", "欢迎"))
    redis_client.set(keys.book("default"), 2)
    record, claim = worker.claimed()
    assert worker.greet(claim)["revision"] == "2"
    assert text_of(worker, record) == "您好，欢迎！"


# ------------------------------------------------------------------------------------------------ names


def test_names_are_fetched_for_the_text_that_asks_for_them(naming: Worker) -> None:
    record, claim = naming.claimed()
    naming.wecom.people(
        members={"zhangsan": {"name": "张三"}}, customers={record.external_user_id: {"name": "李四{member}"}}
    )
    naming.greet(claim)
    assert text_of(naming, record) == "您好李四{member}，我是张三，很高兴认识您！"


def test_half_an_emoji_in_a_name_costs_nobody_the_greeting(naming: Worker) -> None:
    record, claim = naming.claimed()
    naming.wecom.people(
        members={"zhangsan": {"name": "张三\ud83d"}}, customers={record.external_user_id: {"name": "李四\ud83d"}}
    )
    assert naming.greet(claim)["outcome"] == "sent"
    assert text_of(naming, record).startswith("您好李四")


def test_a_row_keeps_the_names_that_stood_in_the_text_and_no_other(naming: Worker) -> None:
    record, claim = naming.claimed(state="douyin-1")
    long = "李" * 40
    naming.wecom.people(members={"zhangsan": {"name": "张三"}}, customers={record.external_user_id: {"name": long}})
    row = naming.greet(claim)
    assert from_row("", row).names == {"customer": long[:32], "member": "张三"}
    assert fill("您好{customer|朋友}，我是{member|您的顾问}，很高兴认识您！", from_row("", row).names) == text_of(
        naming, record
    )
    assert "李" not in json.dumps(record_of(from_row("", row)), ensure_ascii=False)


def test_what_each_try_was_answered_is_kept_with_the_row(worker: Worker, redis_client: Redis) -> None:
    _, claim = worker.claimed(ago=18.3)
    worker.wecom.faults(busy=1)
    row = worker.greet(claim)
    tries = from_row("", row).tries
    assert [one.errcode for one in tries] == [-1] * int(row["attempts"])
    assert {f"answer_{number}" for number in range(1, len(tries) + 1)} <= json.loads(row["steps"]).keys()


def test_a_text_without_names_costs_no_other_call(worker: Worker) -> None:
    worker.greet(worker.claimed()[1])
    assert set(worker.wecom.summary().answers) == {SEND, "gettoken"}


def test_a_member_is_looked_up_once_for_many_customers(naming: Worker) -> None:
    for _ in range(3):
        naming.greet(naming.claimed()[1])
    answers = naming.wecom.summary().answers
    assert (answers["user/get"], answers["externalcontact/get"]) == ({"0": 1}, {"0": 3})


@pytest.mark.parametrize("fault", ["busy", "http_5xx", "not_json", "dropped_before"])
def test_a_name_that_does_not_come_leaves_its_fallback(naming: Worker, fault: str) -> None:
    record, claim = naming.claimed()
    naming.wecom.people(members={"zhangsan": {"name": "张三"}})
    naming.wecom.faults(**{fault: 1}, paths=("externalcontact/get",))
    assert naming.greet(claim)["outcome"] == "sent"
    assert text_of(naming, record) == "您好朋友，我是张三，很高兴认识您！"


def test_names_that_hang_cost_one_budget_together_and_leave_their_fallbacks(naming: Worker) -> None:
    record, claim = naming.claimed()
    naming.wecom.faults(hang=1, paths=("externalcontact/get", "user/get"))
    steps = json.loads(naming.greet(claim)["steps"])
    assert steps["named"] - steps["chosen"] < 2 * BUDGET * 1000, "not one budget each, nor the time of a call"
    assert text_of(naming, record) == "您好朋友，我是您的顾问，很高兴认识您！"


@pytest.mark.parametrize("left", [2.0, 1.5])
def test_near_the_end_names_give_way_to_the_greeting(naming: Worker, left: float) -> None:
    ready(naming)
    naming.wecom.faults(hang=1, paths=("externalcontact/get", "user/get"))
    record, claim = naming.claimed(ago=20 - left)
    assert naming.greet(claim)["outcome"] == "sent"
    assert claim.left() > -1
    assert text_of(naming, record) == "您好朋友，我是您的顾问，很高兴认识您！"


def test_a_name_that_is_null_is_not_known(naming: Worker) -> None:
    record, claim = naming.claimed()
    naming.wecom.people(members={"zhangsan": {"name": None}}, customers={record.external_user_id: {"name": None}})
    naming.greet(claim)
    assert text_of(naming, record) == "您好朋友，我是您的顾问，很高兴认识您！"


# ------------------------------------------------------------------------------------------------ trouble


@pytest.mark.parametrize(
    ("fault", "result", "answers"),
    [
        ("busy", -1, 1),
        ("racing", 41096, 1),
        ("http_5xx", "http_5xx", 0),
        ("not_json", "not_json", 0),
        ("dropped_before", "dropped_before", 0),
    ],
)
def test_a_fault_that_passes_is_tried_again(worker: Worker, fault: str, result: int | str, answers: int) -> None:
    record, claim = worker.claimed()
    worker.wecom.faults(**{fault: 1})
    greeting = worker.aside(worker.greeter.greet, claim)
    until(lambda: worker.results(record))
    worker.wecom.faults()
    greeting.join()
    row = worker.ledger.fields(claim.id)
    tried = worker.results(record)
    assert (tried[0], tried[-1], row["outcome"]) == (result, 0, "sent")
    assert int(row["attempts"]) == len(tried)
    assert int(row["answers"]) == answers * (len(tried) - 1)


def test_a_token_that_dies_under_a_burst_is_renewed_once(worker: Worker) -> None:
    claims = [worker.claimed()[1] for _ in range(12)]
    worker.greet(claims.pop())
    worker.wecom.revoke_tokens()
    for thread in [worker.aside(worker.greeter.greet, claim) for claim in claims]:
        thread.join()
    summary = worker.wecom.summary()
    assert (summary.greeted, summary.token_fetches) == (12, {"default": 2})
    assert {worker.ledger.fields(claim.id)["attempts"] for claim in claims} == {"1"}


def test_a_try_whose_token_is_refused_begins_anew_with_time_and_a_lease_of_its_own(
    worker: Worker, redis_client: Redis
) -> None:
    worker.greet(worker.claimed()[1])
    worker.wecom.revoke_tokens()
    worker.wecom.faults(latency_ms=1050, paths=(SEND, "gettoken"))  # a refusal, a token, the greeting: more than 3 s
    record, claim = worker.claimed()
    greeting = worker.aside(worker.greeter.greet, claim)
    until(lambda: len(worker.results(record)) == 2, what="the call with the new token")
    lease = (redis_client.zscore(keys.DUE, claim.id) - worker.ledger.now()) / 1000
    greeting.join()
    row = worker.ledger.fields(claim.id)
    assert (row["outcome"], row["attempts"], worker.results(record)) == ("sent", "1", [40014, 0])
    assert lease > 2.0, "no other worker has it before its answer"


@pytest.mark.parametrize(
    ("left", "fault", "errcode"),
    [(1.8, {"busy": 1}, "-1"), (1.7, {"http_5xx": 1, "latency_ms": 650}, None), (1.7, {"hang": 1}, None)],
    ids=["busy", "http_5xx", "hang"],
)
def test_trouble_to_the_end_fails_inside_the_window(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, left: float, fault: dict[str, float], errcode: str | None
) -> None:
    """Each try ends well before, or well after, what is left is too little for another one."""
    monkeypatch.setattr("random.random", lambda: 0.5)  # of which the waits are made
    ready(worker)
    worker.wecom.faults(**fault)
    record, claim = worker.claimed(ago=20 - left)
    row = worker.greet(claim)
    assert (row["outcome"], row.get("errcode")) == ("failed", errcode)
    steps, tries = json.loads(row["steps"]), range(1, int(row["attempts"]) + 1)
    assert all(steps[f"try_{number}"] < 19_700 for number in tries)
    assert steps[f"answer_{tries[-1]}"] < 21_000, "no answer is waited for when the code is dead"
    assert claim.left() > -2
    sends = worker.wecom.record(record).sends
    assert all(send.at < int(row["received_at"]) / 1000 + 20 - policy.LEAST + 0.4 for send in sends)


def test_what_wecom_refuses_is_refused_at_once_and_says_why(worker: Worker) -> None:
    _, claim = worker.claimed(welcome_code="no such code")
    row = worker.greet(claim)
    assert (row["outcome"], row["errcode"], row["attempts"]) == ("refused", "41050", "1")
    assert reason_text(from_row("", row)) == "41050 invalid welcome_code"


def test_a_greeting_that_another_app_sent_is_lost(worker: Worker) -> None:
    first, claim = worker.claimed()
    worker.greet(claim)
    again = worker.wecom.add(push=False, external_user_id=first.external_user_id)
    _, claim = worker.claimed(external_user_id=first.external_user_id, welcome_code=again.welcome_code)
    row = worker.greet(claim)
    assert (row["outcome"], row["errcode"]) == ("lost", "41051")


def test_a_lost_answer_is_unconfirmed_and_the_customer_greeted_once(worker: Worker) -> None:
    record, claim = worker.claimed()
    worker.wecom.faults(dropped_after=1)
    greeting = worker.aside(worker.greeter.greet, claim)
    until(lambda: worker.results(record))
    worker.wecom.faults()
    greeting.join()
    row = worker.ledger.fields(claim.id)
    assert (row["outcome"], row["errcode"]) == ("unconfirmed", "41050")
    assert text_of(worker, record) == PLAIN
    assert worker.wecom.summary().spent_twice == 0


def test_an_error_of_wecoms_own_that_delivered_is_unconfirmed(worker: Worker) -> None:
    record, claim = worker.claimed()
    worker.wecom.faults(busy_after=1)
    greeting = worker.aside(worker.greeter.greet, claim)
    until(lambda: worker.results(record))
    worker.wecom.faults()
    greeting.join()
    row = worker.ledger.fields(claim.id)
    assert (row["outcome"], row["errcode"]) == ("unconfirmed", "41050")
    assert text_of(worker, record) == PLAIN


def test_the_successor_of_a_worker_that_died_with_the_answer_says_unconfirmed(
    worker: Worker, redis_client: Redis
) -> None:
    record, _ = worker.claimed()
    worker.services.clients["default"].external_contact.send_welcome_msg(
        {"welcome_code": record.welcome_code, "text": {"content": PLAIN}}
    )  # and here it dies
    let_time_pass(redis_client, 5)
    (successor,) = worker.ledger.claim(1)
    row = worker.greet(successor)
    assert (row["outcome"], row["errcode"]) == ("unconfirmed", "41050")
    assert redis_client.hget(keys.COUNTERS, "recoveries_total|app=default") == "1"


def test_the_lease_of_a_successor_outlasts_its_try(worker: Worker, redis_client: Redis) -> None:
    """Or a third worker sends in parallel."""
    record, _ = worker.claimed()
    for _ in range(2):
        let_time_pass(redis_client, 5)
        (successor,) = worker.ledger.claim(1)
    worker.wecom.faults(hang=1, hang_s=1)
    before = worker.ledger.now()
    greeting = worker.aside(worker.greeter.greet, successor)
    until(lambda: worker.results(record))
    lease = (redis_client.zscore(keys.DUE, successor.id) - before) / 1000
    worker.wecom.faults()
    greeting.join()
    assert lease > CLAIM_LEASE + 0.5
    assert policy.try_timeout(successor.attempts + 1, left=20.0) > CLAIM_LEASE


def test_the_successor_of_a_worker_that_died_before_its_try_greets(worker: Worker, redis_client: Redis) -> None:
    record, _ = worker.claimed()
    let_time_pass(redis_client, 5)
    (successor,) = worker.ledger.claim(1)
    assert worker.greet(successor)["outcome"] == "sent"
    assert worker.results(record) == [0]


def test_an_event_that_never_came_to_a_try_is_not_called_unconfirmed(worker: Worker, redis_client: Redis) -> None:
    record, event = worker.added()
    redis_client.set(keys.book("default"), 2)  # and there is no revision 2
    (claim,) = worker.ledger.claim(1)
    worker.greeter.greet(claim)
    let_time_pass(redis_client, 5)
    redis_client.hincrby(keys.event(event.id), "received_at", -20_000)
    (claim,) = worker.ledger.claim(1)
    assert worker.greet(claim)["outcome"] != "unconfirmed"
    assert worker.results(record) == []


def test_a_secret_that_wecom_refuses_is_said_and_tried_once_for_all(wecom: StandIn, redis_url: str) -> None:
    worker = Worker.made(wecom, redis_url, WECOM_CORP_SECRET="wrong-secret")
    claims = [worker.claimed()[1] for _ in range(5)]
    rows = [worker.greet(claim) for claim in claims]
    assert {(row["outcome"], row["errcode"]) for row in rows} == {("refused", "40001")}
    assert wecom.summary().token_refusals == 1


def test_neither_code_nor_token_is_in_what_is_logged(naming: Worker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "tasks")
    ready(naming)
    tokens = naming.services.clients["default"].tokens
    values = {tokens._token.value}
    naming.wecom.faults(busy=0.3, dropped_after=0.2, not_json=0.2, paths=("*",), seed=5)
    told = ""
    for _ in range(3):
        record, claim = naming.claimed()
        told += str(naming.greet(claim))
        told += "".join(str(entry.__dict__) for entry in caplog.records)
        assert record.welcome_code not in told
        values.add(tokens._token.value)
    assert "dropped_after" in told or "try 1" in told, "there was something to tell"
    assert not [value for value in values if value in told]
    assert naming.app.secret not in told


# ------------------------------------------------------------------------------------------------ Redis is away


def test_an_outcome_waits_for_redis_to_return(wecom: StandIn, server: RedisServer) -> None:
    worker = Worker.made(wecom, server.url)
    record, claim = worker.claimed()
    wecom.faults(latency_ms=1500)
    greeting = worker.aside(worker.greeter.greet, claim)
    until(lambda: worker.results(record))
    server.kill()
    wecom.wait_until_greeted(1)
    time.sleep(0.5)
    assert greeting.is_alive()
    server.start()
    greeting.join(30)
    assert worker.ledger.fields(claim.id)["outcome"] == "sent"
    assert worker.results(record) == [0]
    worker.close()


def test_the_try_that_the_claim_has_noted_needs_no_redis(
    wecom: StandIn, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.greeting.greeter.PREPARED", 9.0)  # however long it takes here to come to the try
    worker = Worker.made(wecom, server.url)
    _, claim = worker.claimed()
    ready(worker)
    server.kill()
    greeting = worker.aside(worker.greeter.greet, claim)
    wecom.wait_until_greeted(1)
    server.start()
    greeting.join(30)
    assert worker.ledger.fields(claim.id)["outcome"] == "sent"
    worker.close()


def test_a_further_try_waits_for_redis_before_it_begins(wecom: StandIn, server: RedisServer) -> None:
    """Or its successor would not know of it."""
    worker = Worker.made(wecom, server.url)
    record, claim = worker.claimed()
    ready(worker)
    wecom.faults(busy=1, latency_ms=2000)
    greeting = worker.aside(worker.greeter.greet, claim)
    until(lambda: worker.results(record))
    server.kill()
    wecom.faults()
    time.sleep(2.8)
    assert worker.results(record) == [-1]
    server.start()
    greeting.join(30)
    assert worker.results(record) == [-1, 0]
    assert worker.ledger.fields(claim.id)["outcome"] == "sent"
    worker.close()


def test_a_wait_for_redis_is_taken_from_the_time_of_the_try(wecom: StandIn, server: RedisServer) -> None:
    """When the code has died, who still waits for an answer waits for nothing."""
    worker = Worker.made(wecom, server.url)
    ready(worker)
    wecom.faults(hang=1)
    record, claim = worker.claimed(ago=15)
    for _ in range(2):
        with server.client() as client:
            let_time_pass(client, 5)
        (claim,) = worker.ledger.claim(1)
    assert claim.left() < policy.TIMEOUTS[2], "a third try could use up what is left"
    server.kill()
    greeting = worker.aside(worker.greeter.greet, claim)
    time.sleep(2.5)
    server.start()
    greeting.join()
    steps = json.loads(worker.ledger.fields(claim.id)["steps"])
    assert worker.results(record) == ["hang"]
    assert steps["answer_3"] < 20_000 + 2300, "and not 2.5 s later"
    worker.close()


def test_without_redis_to_the_end_no_further_try_is_made(wecom: StandIn, server: RedisServer) -> None:
    worker = Worker.made(wecom, server.url, WELCOME_WINDOW_S="2")
    record, claim = worker.claimed()
    ready(worker)
    server.kill()
    claim = held(claim, 0.6)
    worker.greeter.greet(claim)
    assert claim.left() < 0.5
    assert worker.results(record) == []
    worker.close()
