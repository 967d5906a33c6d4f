"""F13, F16, F20 with the lifeboat: Redis takes no events. Everybody is greeted all the same, once; the rows follow."""

import json
import time
from collections.abc import Callable, Iterator

import pytest

from tests.simulator.client import StandIn
from tests.support.ailing import Trouble, disk_full, full, gone, hanging, on_linux, read_only
from tests.support.judge import Verdict, verdict
from tests.support.processes import Product
from tests.support.until import until


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, stand_in: StandIn) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("lifeboat")
    with Product(folder, stand_in, start=["web", "welcome"]) as product:
        known = folder / "var" / "lifeboat" / "last-known.json"
        until(
            lambda: known.exists() and "default" in json.loads(known.read_text())["apps"],
            what="a lifeboat that knows the book",
        )
        yield product


@pytest.fixture
def product(shared: Product, wecom: StandIn) -> Product:
    wecom.register(shared.app)
    shared.wait_until_consuming()
    wecom.faults(latency_ms=80, jitter_ms=20)
    return shared


def without_redis(
    product: Product, wecom: StandIn, count: int, rate: float, trouble: Trouble = gone, kill_web: bool = False
) -> Verdict:
    """Redis takes no events from a second of load on, until everybody is greeted."""
    wecom.load(count, rate=rate)
    time.sleep(1)
    with trouble(product.redis):
        if kill_web:
            time.sleep(count / rate / 2)
            product.roles["web"].kill()
            product.roles["web"].start()
        wecom.wait_until_pushed()
        until(lambda: wecom.status()["greeted"] >= count, what="everybody greeted without Redis")
    return verdict(wecom, product, redis_away=True, web_died=kill_web)


def assert_everybody_was_greeted_once(found: Verdict) -> None:
    assert (found.lost, found.missed, found.double) == ([], [], [])
    assert found.greeted == found.accepted == found.events == found.outcomes.total()  # and each has its row
    assert set(found.outcomes) <= {"sent", "unconfirmed"}


def test_f13_without_redis_everybody_is_greeted_though_the_web_process_is_killed_too(
    product: Product, wecom: StandIn
) -> None:
    wecom.pushing(retries=100, spacing_s=0.3)  # while it starts again
    assert_everybody_was_greeted_once(without_redis(product, wecom, 100, 20, kill_web=True))


@pytest.mark.parametrize("trouble", [hanging, full, read_only, pytest.param(disk_full, marks=on_linux)])
def test_f16_f20_f51_while_redis_takes_no_events_everybody_is_greeted(
    product: Product, wecom: StandIn, trouble: Trouble
) -> None:
    wecom.pushing(retries=0)  # each is answered 200 at the first time
    assert_everybody_was_greeted_once(without_redis(product, wecom, 40, 20, trouble))


@pytest.mark.soak
@pytest.mark.timeout(240)
@pytest.mark.parametrize("kill_web", [False, True])
def test_f13_a_minute_without_redis_at_fifty_a_second(
    product: Product, wecom: StandIn, kill_web: bool, reliability: Callable[[str, int, Verdict], None]
) -> None:
    if kill_web:
        wecom.pushing(retries=100, spacing_s=0.3)
    found = without_redis(product, wecom, 61 * 50, 50, kill_web=kill_web)
    reliability(f"Redis gone for 60 s{', web killed too' if kill_web else ''}", 1 + kill_web, found)
    assert_everybody_was_greeted_once(found)
