"""F1-F5, F9-F12: a welcome worker dies at each point of an event's way, or fails without dying."""

import json
import signal
import time
from collections.abc import Iterator

import pytest

from tasks.ledger import celery_message
from tasks.storage import keys
from tests.simulator.client import StandIn
from tests.simulator.records import Record
from tests.support.judge import assert_all_greeted, calls, row_of, verdict
from tests.support.processes import LONG_WINDOW, Product
from tests.support.until import until

RECOVERY = 15.0  # seconds from a worker's death to the greeting; 5 are promised, slow machines start workers slowly


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, stand_in: StandIn) -> Iterator[Product]:
    window = str(LONG_WINDOW)
    with Product(tmp_path_factory.mktemp("crashes"), stand_in, start=["web"], WELCOME_WINDOW_S=window) as product:
        yield product


@pytest.fixture
def product(shared: Product, wecom: StandIn) -> Iterator[Product]:
    """The product without a worker: each scenario starts those that it is about."""
    shared.forget_tokens()
    wecom.settings(window_s=LONG_WINDOW)
    yield shared
    unfinished = shared.unfinished()
    shared.kill_all_but("web")
    assert unfinished == 0, "the scenario left events behind"


def added(wecom: StandIn) -> Record:
    record = wecom.add()
    wecom.wait_until_accepted(1)
    return record


def dies_and_is_replaced(product: Product, wecom: StandIn, point: str) -> float:
    """A worker takes the event that waits and dies at `point`; another is started. → seconds to the greeting."""
    worker = product.role("welcome", "dying", crash=point).start()
    assert worker.wait() == -signal.SIGKILL
    died_at = time.time()
    product.roles["welcome"].start()
    wecom.wait_until_greeted(1)
    return wecom.records()[0].greeted_at - died_at


def test_f01_a_worker_that_dies_with_a_message_just_taken_off_the_queue_leaves_the_customer_greeted_once(
    product: Product, wecom: StandIn
) -> None:
    record = added(wecom)
    assert dies_and_is_replaced(product, wecom, "kombu.transport.virtual.base:Transport._deliver@before") < RECOVERY
    assert_all_greeted(wecom, product)
    assert row_of(product, record)["recoveries"] == 0


def test_f02_a_worker_that_dies_before_it_claims_leaves_the_customer_greeted_once(
    product: Product, wecom: StandIn
) -> None:
    record = added(wecom)
    assert dies_and_is_replaced(product, wecom, "tasks.ledger.ledger:Ledger.take@before") < RECOVERY
    assert_all_greeted(wecom, product)
    assert row_of(product, record)["recoveries"] == 0


BETWEEN_CLAIM_AND_CALL = (
    "tasks.ledger.ledger:Ledger.take@after",
    "tasks.greeting.message:message@before",
    "tasks.wecom.external_contact:ExternalContact.send_welcome_msg@before",
)


def test_f03_a_worker_that_dies_between_claim_and_call_leaves_the_customer_greeted_once(
    product: Product, wecom: StandIn
) -> None:
    for n, point in enumerate(BETWEEN_CLAIM_AND_CALL):  # each takes one customer along; who died before holds a lease
        wecom.add()
        wecom.wait_until_accepted(n + 1)
        assert product.role("welcome", "dying", crash=point).start().wait() == -signal.SIGKILL
    died_at = time.time()
    product.roles["welcome"].start()
    wecom.wait_until_greeted(len(BETWEEN_CLAIM_AND_CALL))
    assert_all_greeted(wecom, product)
    # where workers start slowly, a later one takes along whose lease has ended
    assert all(row_of(product, record)["recoveries"] >= 1 for record in wecom.records())
    assert {row_of(product, record)["outcome"] for record in wecom.records()} == {"sent"}
    assert max(record.greeted_at for record in wecom.records()) - died_at < RECOVERY


def test_f04_a_worker_that_dies_during_a_call_without_effect_leaves_the_customer_greeted_once(
    product: Product, wecom: StandIn
) -> None:
    wecom.faults(hang=1.0)
    record = dies_during_a_call(product, wecom)
    assert row_of(product, record)["outcome"] == "sent"


def test_f04_a_worker_that_dies_during_a_call_that_takes_effect_leaves_the_customer_greeted_once(
    product: Product, wecom: StandIn
) -> None:
    wecom.faults(latency_ms=2500)
    record = dies_during_a_call(product, wecom)
    assert row_of(product, record)["outcome"] == "unconfirmed"


def dies_during_a_call(product: Product, wecom: StandIn) -> Record:
    record = added(wecom)
    worker = product.role("welcome", "dying").start()
    until(lambda: wecom.record(record).sends, what="the call")
    worker.kill()
    died_at = time.time()
    wecom.faults()
    product.roles["welcome"].start()
    wecom.wait_until_greeted(1)
    found = assert_all_greeted(wecom, product)
    assert found.recovered == 1
    assert wecom.record(record).sends[-1].at - died_at < RECOVERY
    with product.client() as client:  # what is known of both workers
        stored = client.hgetall(keys.event(row_of(product, record)["id"]))
    assert json.loads(stored["course_1"])["begun"] == 1
    assert {"try_1", "started"} & json.loads(stored["steps"]).keys() == {"started"}
    assert (stored["worker"], "course_2" in stored) == ("2", False)
    return record


def test_f05_a_worker_that_dies_after_wecoms_ok_leaves_the_customer_greeted_once(
    product: Product, wecom: StandIn
) -> None:
    record = added(wecom)
    dies_and_is_replaced(product, wecom, "tasks.greeting.outcomes:Outcomes.add@after")
    assert_all_greeted(wecom, product)
    assert calls(wecom.record(record)) == [0, 41050]
    row = row_of(product, record)
    assert (row["outcome"], row["errcode"], row["recoveries"]) == ("unconfirmed", 41050, 1)


def test_f09_two_workers_with_the_same_message_greet_each_customer_once(product: Product, wecom: StandIn) -> None:
    wecom.faults(latency_ms=30, jitter_ms=30)
    twice = celery_message.message("0123456789abcdef0123456789abcdef")
    with product.client() as client:
        client.lpush(keys.QUEUE, *[twice] * 6)
    for worker in (product.roles["welcome"], product.role("welcome", "other")):
        worker.start()
    wecom.load(120, rate=60)
    with product.client() as client:
        for _ in range(20):
            client.lpush(keys.QUEUE, twice, twice)
            time.sleep(0.1)
    wecom.wait_until_pushed()
    found = assert_all_greeted(wecom, product)
    assert (found.outcomes["sent"], found.recovered) == (120, 0)
    assert all(calls(record) == [0] for record in wecom.records())


def test_f10_a_worker_that_stalls_beyond_its_lease_does_not_stop_the_other_and_does_not_greet_again(
    product: Product, wecom: StandIn
) -> None:
    wecom.faults(latency_ms=1500)
    record = added(wecom)
    stalled = product.role("welcome", "stalled").start()
    until(lambda: wecom.record(record).sends, what="the call")
    stalled.freeze()
    product.roles["welcome"].start()
    until(lambda: len(wecom.record(record).sends) >= 2, what="the other worker's call")
    until(lambda: row_of(product, record)["outcome"], what="an outcome")
    assert row_of(product, record)["outcome"] == "unconfirmed"
    stalled.thaw()
    until(lambda: row_of(product, record)["outcome"] == "sent", what="the answer that was thought lost")
    assert_all_greeted(wecom, product)


def test_f10_a_call_slower_than_a_claims_first_lease_is_not_made_by_another_worker(
    product: Product, wecom: StandIn
) -> None:
    wecom.faults(latency_ms=3500)  # longer than the claim's lease, and than the first try
    record = added(wecom)
    for worker in (product.roles["welcome"], product.role("welcome", "other")):
        worker.start()
    wecom.wait_until_greeted(1)
    found = assert_all_greeted(wecom, product)
    assert found.recovered == 0, "no worker took it from the other"
    assert row_of(product, record)["outcome"] == "unconfirmed"


def test_f11_an_error_in_the_task_costs_a_lease_and_not_the_customer(product: Product, wecom: StandIn) -> None:
    product.role("welcome", "erring", crash="tasks.greeting.greeter:Greeter._greet@raises").start()
    record = added(wecom)
    wecom.wait_until_greeted(1)
    assert_all_greeted(wecom, product)
    assert row_of(product, record)["recoveries"] == 1
    assert wecom.record(record).greeted_after < RECOVERY


def test_f12_an_event_that_always_fails_ends_as_dead_and_holds_nobody_up(product: Product, wecom: StandIn) -> None:
    product.role("welcome", "poisoned", crash="tasks.greeting.greeter:Greeter._greet@raises:*~poison").start()
    poison = wecom.add(user_id="poison")
    for _ in range(5):
        other = wecom.add()
        wecom.wait_until_accepted(other.id)
        until(lambda record=other: wecom.record(record).greeted_at, what="a greeting beside the poison")
        time.sleep(1)
    found = verdict(wecom, product)
    assert (found.greeted, found.outcomes["sent"]) == (5, 5)
    assert row_of(product, poison)["outcome"] == "dead", "nothing was ever sent: it is not unconfirmed"
