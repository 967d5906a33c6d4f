"""F20, F23-F27: Redis refuses, hangs, is full or read-only; WeCom sends an event again; a web side dies."""

import time
from collections.abc import Iterator

import pytest

from tasks.storage import keys
from tests.simulator.client import StandIn
from tests.support.ailing import Trouble, full, gone, hanging, read_only
from tests.support.judge import assert_all_greeted, calls, row_of, verdict
from tests.support.processes import Product
from tests.support.until import until

ANSWER = 1.5  # seconds within which WeCom is told that an event cannot be stored: promised, and asked for in the soak
WAITS = 5.0  # seconds that WeCom waits for an answer: within them it is told on any machine


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, stand_in: StandIn) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("web-faults")
    with Product(folder, stand_in, start=["web", "welcome"], WEB_CONCURRENCY="2", WELCOME_LIFEBOAT="off") as product:
        yield product


@pytest.fixture
def product(shared: Product, wecom: StandIn) -> Product:
    wecom.register(shared.app)
    shared.wait_until_consuming()
    until(lambda: shared.get("/readyz/intake") == 200, what="the web side")
    return shared


@pytest.mark.parametrize("within", [WAITS, pytest.param(ANSWER, marks=pytest.mark.soak)])
@pytest.mark.parametrize("ailing", [gone, hanging, full, read_only])
def test_f20_f23_f24_while_redis_cannot_store_wecom_is_told_503_in_time_and_sends_again(
    product: Product, wecom: StandIn, ailing: Trouble, within: float
) -> None:
    wecom.pushing(timeout_s=within, retries=100, spacing_s=0.5)
    with ailing(product.redis):
        wecom.load(80, rate=40)
        until(lambda: all(r.failures for r in wecom.records()), what="an answer to everybody")
        assert {reason for r in wecom.records() for reason in r.failures} == {"503"}
        assert wecom.status()["accepted"] == 0
    back_at = time.time()
    wecom.wait_until_greeted(80)
    assert wecom.status()["last_greeted_at"] - back_at < 15
    assert_all_greeted(wecom, product)


def test_f25_an_event_pushed_many_times_at_once_is_stored_and_greeted_once(product: Product, wecom: StandIn) -> None:
    wecom.faults(latency_ms=50)
    records = [wecom.add() for _ in range(20)]
    for record in records:
        wecom.repeat(record, 3)
    wecom.wait_until_pushed()
    found = assert_all_greeted(wecom, product)
    assert found.outcomes == {"sent": 20}
    assert [calls(record) for record in wecom.records()] == [[0]] * 20
    with product.client() as client:
        stored = [client.hgetall(keys.event(row_of(product, record)["id"])) for record in records]
    assert [row["resent"] for row in stored] == ["3"] * 20


def test_f26_an_event_replayed_after_its_greeting_changes_nothing(product: Product, wecom: StandIn) -> None:
    wecom.pushing(fresh=False)  # the very same bytes, as somebody who listened in would send them
    record = wecom.add()
    wecom.wait_until_greeted(1)
    before = row_of(product, record)
    wecom.repeat(record, 5)
    wecom.wait_until_pushed()
    product.wait_until_consuming()
    assert row_of(product, record) == before
    assert calls(wecom.record(record)) == [0]
    with product.client() as client:  # so it is after an hour: the row that tells them apart is kept for days
        assert client.ttl(keys.event(before["id"])) > 24 * 3600


def test_f27_a_web_side_that_dies_between_storing_and_answering_stores_the_event_once(
    product: Product, wecom: StandIn
) -> None:
    product.roles["web"].kill()
    dying = product.role("web", "dying", crash="tasks.ledger.ledger:Ledger.accept@after").start()
    until(lambda: product.get("/healthz") == 200, what="the web side that is to die")
    record = wecom.add()
    wecom.wait_until_greeted(1)
    wecom.wait_until_pushed()
    dying.kill()
    product.roles["web"].start()
    record = wecom.record(record)
    assert (record.pushes, record.failures) == (2, ["closed"])
    found = assert_all_greeted(wecom, product)
    assert found.outcomes == {"sent": 1}
    assert calls(record) == [0]


def test_f27_a_web_side_killed_again_and_again_loses_nobody_whom_it_answered(product: Product, wecom: StandIn) -> None:
    wecom.pushing(retries=100, spacing_s=0.5)
    for _ in range(3):  # each under a load of its own: nobody waits for more than one start, however long it takes
        wecom.load(70, rate=50)
        time.sleep(0.7)
        product.roles["web"].kill()
        product.roles["web"].start()
        product.wait_for_page("/readyz/intake")
    wecom.wait_until_pushed()
    found = verdict(wecom, product)
    assert (found.lost, found.missed, found.double) == ([], [], [])
    assert found.greeted == found.accepted == found.events
    assert all(calls(record) == [0] for record in wecom.records())
