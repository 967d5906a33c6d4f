"""WeCom's limits: everybody waits together, one call tries, and greetings stay below what WeCom allows."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tasks.ledger.claims import Claim
from tasks.rate_limits import limits
from tasks.rate_limits.limits import Limits
from tasks.services import build_services
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.wecom.errors import NotSent
from tests.simulator.client import StandIn
from tests.simulator.faults import SEND
from tests.support.ledger import a_ledger, accepted
from tests.support.until import until
from tests.support.worker import Worker, working
from webhook.reason_texts import describe

FEW, MANY = 2, 8  # greetings in flight in each worker


@contextlib.contextmanager
def two_workers(worker: Worker, in_flight: int) -> Iterator[None]:
    """Two processes of role `welcome`, for all that they share."""
    other = build_services(worker.services.settings, timeout=5)
    with working(worker.services, in_flight), working(other, in_flight):
        yield
    for client in other.clients.values():
        client.close()
    other.redis.close()


def answers(wecom: StandIn) -> Counter[str]:
    """The result of each call of send_welcome_msg → how many."""
    return Counter(wecom.summary().answers.get(SEND, {}))


def wait_for_outcomes(worker: Worker, number: int, timeout: float = 20) -> Counter[str]:
    def settled() -> bool:
        return sum(worker.ledger.count("default").values()) - worker.ledger.count("default")[""] == number

    until(settled, timeout, what="their outcomes")
    return Counter({outcome: n for outcome, n in worker.ledger.count("default").items() if n})


def test_in_a_storm_of_45009_one_call_tries_for_everybody(wecom: StandIn, redis_url: str) -> None:
    worker = Worker.made(wecom, redis_url)
    wecom.faults(per_unit=30, unit_s=2.9)
    for _ in range(50):
        worker.added()
    with two_workers(worker, FEW):
        assert wait_for_outcomes(worker, 50) == {"sent": 50}
    told = answers(wecom)
    assert told["0"] == 50
    assert 2 <= told["45009"] <= 2 * FEW + 2, "those under way when it began, and one after the first pause"
    rows = list(worker.ledger.deliveries())
    assert {row.redeliveries for row in rows} == {0}, "no worker died"
    assert max(row.attempts for row in rows) > 1
    worker.close()


def test_who_cannot_be_greeted_for_a_limit_is_settled_with_that_reason(wecom: StandIn, redis_url: str) -> None:
    worker = Worker.made(wecom, redis_url, WELCOME_WINDOW_S="3")
    wecom.faults(limited=1)
    began = time.monotonic()
    worker.added()
    with two_workers(worker, MANY):
        until(lambda: answers(wecom)["45009"] > 0)
        for _ in range(29):
            worker.added()
        became = wait_for_outcomes(worker, 30)
        took = time.monotonic() - began
        wecom.faults()
        record, event = worker.added()
        until(lambda: worker.results(record) == [0])
        until(lambda: (row := worker.ledger.delivery(event.id)) is not None and row.outcome == "sent")
    assert took > 2, "they had their whole window"
    assert answers(wecom)["45009"] <= len(limits.PAUSES) + 1, "one for each pause"
    rows = [row for row in worker.ledger.deliveries() if row.outcome != "sent"]
    assert became["expired"] >= 26, "the others were refused in their last try"
    for row in rows:
        assert row.reason
        assert (row.outcome == "expired" and row.cause == "limited") or row.reason.errcode == 45009
        assert "45009" in str(describe(row.reason))
    counted = worker.services.redis.hgetall(keys.COUNTERS)
    assert int(counted["limited_total|app=default"]) == became["expired"]
    worker.close()


def test_the_limits_are_kept_without_a_refusal(wecom: StandIn, redis_url: str) -> None:
    """With 1 percent: 100 calls a minute, of which 80 were made. Those who come later wait, and are not greeted."""
    worker = Worker.made(wecom, redis_url, WECOM_LIMIT_PERCENT="1", WELCOME_WINDOW_S="4")
    worker.services.calls["default"].take(SEND, 80, Limits.of(1))
    for _ in range(26):
        worker.added()
    with two_workers(worker, MANY):
        assert wait_for_outcomes(worker, 26) == {"sent": 20, "expired": 6}
    assert answers(wecom) == {"0": 20}
    late = [row for row in worker.ledger.deliveries() if row.outcome == "expired"]
    assert {row.cause for row in late} == {"limited"}
    assert {row.attempts for row in late} <= {0, 1}
    assert "as WeCom allows" in str(describe(late[0].reason)) if late[0].reason else False
    worker.close()


def test_retries_count_as_calls(wecom: StandIn, redis_url: str) -> None:
    worker = Worker.made(wecom, redis_url, WECOM_LIMIT_PERCENT="1", WELCOME_WINDOW_S="4")
    wecom.faults(http_5xx=1)
    for _ in range(40):
        worker.added()
    with two_workers(worker, MANY):
        wait_for_outcomes(worker, 40)
    assert answers(wecom)["http_5xx"] <= 100
    worker.close()


def test_too_many_at_once_makes_fewer_at_once(wecom: StandIn, redis_url: str) -> None:
    worker = Worker.made(wecom, redis_url)
    wecom.faults(at_once=3, latency_ms=60)
    for _ in range(60):
        worker.added()
    with working(worker.services, concurrency=12):
        assert wait_for_outcomes(worker, 60) == {"sent": 60}
    assert answers(wecom)["45033"] < 30, "without it, half of those who come are refused again and again"
    worker.close()


def test_a_burst_of_8000_is_claimed_at_once(worker: Worker, redis_client: Redis) -> None:
    """In seconds: a minute's limit is no limit a second."""
    status = worker.services.calls["default"]
    assert status.limits.minute >= 8000
    for _ in range(20):
        worker.added()
    claims = worker.ledger.claim(20)
    assert len(claims) == 20
    assert status.status().minute == 20


def test_look_ups_for_greetings_have_what_background_jobs_must_leave(worker: Worker) -> None:
    customer = worker.added()[0].external_user_id
    calls, path = worker.services.calls["default"], "externalcontact/get"
    allowed = Limits.of(share=limits.BACKGROUND).minute
    while allowed > 0:
        allowed -= calls.take(path, min(allowed, 1000), Limits.of())[0]
    with pytest.raises(NotSent, match="held back"):
        worker.services.clients["default"].with_deadline(time.monotonic() + 0.1).external_contact.get(customer)
    found = worker.services.greeting_clients["default"].external_contact.get(customer)
    assert found["external_contact"]["external_userid"] == customer


@pytest.mark.parametrize("what", ["rehearsal", "no_book", "no_code"])
def test_what_needs_no_call_waits_for_no_limit(wecom: StandIn, redis_url: str, what: str) -> None:
    worker = Worker.made(
        wecom,
        redis_url,
        book=None if what == "no_book" else "version: 1\ntemplates: {a: {text: hi}}\nrules: [{use: a}]\n",
    )
    worker.services.calls["default"].refused(SEND, 45009, probe=False)
    worker.added(rehearsal=what == "rehearsal", **({"welcome_code": ""} if what == "no_code" else {}))
    (claim,) = worker.ledger.claim(1)
    expected = {"rehearsal": "rehearsed", "no_book": "no_template", "no_code": "no_code"}
    assert worker.greet(claim)["outcome"] == expected[what]
    assert worker.services.calls["default"].status().minute == 0
    worker.close()


def test_who_is_not_greeted_after_all_keeps_nobody_waiting(
    wecom: StandIn, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call that tries for everybody would be that of a customer who was greeted with the same code before."""
    monkeypatch.setattr(limits, "PAUSES", (0.05,))
    worker = Worker.made(wecom, redis_url)
    _, first = worker.claimed()
    assert worker.greet(first)["outcome"] == "sent"
    worker.services.calls["default"].refused(SEND, 45009, probe=False)
    accepted(worker.ledger, replace(first.event, created_at=first.event.created_at + 1))
    worker.added()
    claims: list[Claim] = []
    until(lambda: claims.extend(worker.ledger.claim(1)) or claims)
    assert claims[0].probe
    assert worker.greet(claims[0])["outcome"] == "lost"
    (claim,) = worker.ledger.claim(1)
    assert claim.probe, "at once"
    assert worker.greet(claim)["outcome"] == "sent"
    worker.close()


def test_the_customers_of_another_corp_do_not_wait(wecom: StandIn, redis_url: str) -> None:
    worker = Worker.made(wecom, redis_url)
    worker.services.calls["default"].refused(SEND, 45009, probe=False)
    ledger = a_ledger(worker.services.redis, corps=2)
    for _ in range(5):
        worker.added()
    record, _ = worker.added(corp_id="wwother")
    found = []
    until(lambda: found.extend(ledger.claim(2)) or found)
    assert [claim.event.external_user_id for claim in found] == [record.external_user_id]
    worker.close()
