"""F46: many at once, at WeCom's own limit, and while its API is slow; settings are the product's own."""

import signal
from collections.abc import Callable, Iterator

import pytest

from tests.simulator.client import StandIn
from tests.support.judge import Verdict, assert_all_greeted, verdict
from tests.support.processes import Product
from tests.support.until import until

Measured = Callable[[str, float], None]
Note = Callable[[str, int, Verdict], None]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, stand_in: StandIn) -> Iterator[Product]:
    with Product(tmp_path_factory.mktemp("capacity"), stand_in, start=["web", "welcome"]) as product:
        yield product


@pytest.fixture
def product(shared: Product, wecom: StandIn) -> Product:
    wecom.register(shared.app)
    wecom.add()  # whose greeting finds out that the stand-in's reset has revoked the token
    wecom.wait_until_greeted(1)
    return shared


def test_f46_four_hundred_at_once_are_greeted_though_each_greeting_takes_two_seconds(
    product: Product, wecom: StandIn, measured: Measured
) -> None:
    """With 32 in flight, as it once was, these would take 25 seconds."""
    wecom.faults(latency_ms=2000)
    wecom.load(400, rate=400)
    wecom.wait_until_pushed()
    found = assert_all_greeted(wecom, product)
    assert found.greeted == 401
    measured("F46: 400 at once, 2 s a call, the last greeting", found.to_greeting.max)


def test_f07_a_worker_told_to_stop_finishes_all_the_hundreds_that_it_has(product: Product, wecom: StandIn) -> None:
    wecom.faults(latency_ms=2000)
    wecom.load(200, rate=400)
    wecom.wait_until_pushed()
    until(lambda: len([record for record in wecom.records() if record.sends]) > 100, what="most of the calls")
    worker = product.roles["welcome"]
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    begun = [record for record in wecom.records() if record.sends]
    assert len(begun) > 50
    assert all(record.greeted_at is not None for record in begun)
    worker.start()
    found = assert_all_greeted(wecom, product)
    assert found.greeted == 201


@pytest.mark.soak
@pytest.mark.timeout(180)
def test_f46_eight_thousand_in_one_second_are_greeted_in_their_window(
    product: Product, wecom: StandIn, reliability: Note, measured: Measured
) -> None:
    wecom.faults(latency_ms=80, jitter_ms=20)
    wecom.load(8000, rate=8000)
    wecom.wait_until_pushed()
    found = verdict(wecom, product)
    reliability("F46 8000 in one second", 0, found)
    assert (found.lost, found.missed, found.double) == ([], [], [])
    assert found.greeted == 8001
    measured("F46: 8000 at once, the last greeting", found.to_greeting.max)
    assert found.to_greeting.max <= 20


@pytest.mark.soak
@pytest.mark.timeout(180)
def test_f46_as_many_as_wecom_allows_are_greeted_at_once_though_each_greeting_takes_a_second(
    product: Product, wecom: StandIn, reliability: Note, measured: Measured
) -> None:
    wecom.faults(latency_ms=1000, jitter_ms=100)
    wecom.load(167 * 45, rate=167)
    wecom.wait_until_pushed()
    found = verdict(wecom, product)
    reliability("F46 167 a second, a second for each", 0, found)
    assert (found.lost, found.missed, found.double) == ([], [], [])
    measured("F46: 167/s, 1 s a call, p99", found.to_greeting.p99)
    assert found.to_greeting.p99 < 2
