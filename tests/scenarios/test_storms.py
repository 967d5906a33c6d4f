"""F6, F7: workers are killed, or told to stop, again and again under load. In the soak, their Redis too."""

import random
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.simulator.client import StandIn
from tests.support.judge import Verdict, assert_all_greeted, calls, verdict
from tests.support.processes import Process, Product
from tests.support.until import until

Note = Callable[[str, int, Verdict], None]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, stand_in: StandIn) -> Iterator[Product]:
    with Product(tmp_path_factory.mktemp("storms"), stand_in, start=["web", "welcome"]) as product:
        yield product


@pytest.fixture
def product(shared: Product, wecom: StandIn) -> Iterator[Product]:
    wecom.register(shared.app)
    wecom.pushing(retries=100, spacing_s=0.3)
    wecom.add()  # whose greeting finds out that the stand-in's reset has revoked the token
    wecom.wait_until_greeted(1)
    wecom.faults(latency_ms=80, jitter_ms=20, busy=0.1)  # a call that a kill cuts off may have had no effect
    yield shared
    assert shared.unfinished() == 0, "a scenario left events behind"


@pytest.fixture
def workers(product: Product) -> Iterator[list[Process]]:
    """Two, so that somebody consumes while the other one starts."""
    both = [product.roles["welcome"], product.role("welcome", "other").start()]
    yield both
    both[1].stop()


def storm(
    product: Product, wecom: StandIn, workers: list[Process], kills: int, every: float, rate: float, seed: int
) -> None:
    """kill -9 of either worker, and its start, at moments that the seed decides, each under a load of its own.

    The next one waits until both are there: where a start takes longer than the kills are apart, nobody would ever be
    at work.
    """
    chance = random.Random(seed)
    for _ in range(kills):
        until(lambda: {worker.pid for worker in workers} <= product.beating(), what="both workers")
        wecom.load(round(rate * every * 1.5), rate=rate)
        time.sleep(every * chance.uniform(0.5, 1.5))
        worker = chance.choice(workers)
        worker.kill()
        worker.start()


@pytest.mark.parametrize("seed", [6])
def test_f06_workers_killed_in_a_storm_leave_everybody_greeted_once(
    product: Product, wecom: StandIn, workers: list[Process], seed: int, measured: Callable[[str, float], None]
) -> None:
    storm(product, wecom, workers, kills=6, every=0.9, rate=20, seed=seed)
    wecom.wait_until_pushed()
    found = assert_all_greeted(wecom, product)
    assert found.accepted == found.events
    measured(f"F6: 6 kills, {found.recovered} recovered, the slowest greeting", found.to_greeting.max)


def restarts(wecom: StandIn, worker: Process, cycles: int) -> list[float]:
    """SIGTERM of a worker at work, and its start, under load. → seconds that each stop took."""
    took = []
    for _ in range(cycles):
        wecom.load(60, rate=30)  # of its own: however long the start took, there is work when the signal comes
        since = time.time() + 1.0
        until(lambda since=since: wecom.status()["last_greeted_at"] > since, what="a greeting by this one")
        told_at = time.monotonic()
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
        took.append(time.monotonic() - told_at)
        worker.start()
    return took


def assert_nobody_noticed(wecom: StandIn, found: Verdict) -> None:
    """No call was cut off: nobody's lease had to end, no answer was lost, nobody was called twice."""
    assert (found.lost, found.missed, found.double) == ([], [], [])
    assert (found.recovered, found.outcomes) == (0, {"sent": found.accepted})
    assert all(calls(record) == [0] for record in wecom.records())


def test_f07_a_worker_told_to_stop_under_load_finishes_what_it_has(
    product: Product, wecom: StandIn, measured: Callable[[str, float], None]
) -> None:
    wecom.faults(latency_ms=300)
    took = restarts(wecom, product.roles["welcome"], cycles=3)
    wecom.wait_until_pushed()
    assert_nobody_noticed(wecom, assert_all_greeted(wecom, product))
    measured("F7: SIGTERM with calls of 0.3 s in flight, the slowest stop", max(took))
    assert max(took) < 20


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_f06_forty_kills_leave_everybody_greeted_once(
    product: Product, wecom: StandIn, workers: list[Process], reliability: Note
) -> None:
    storm(product, wecom, workers, kills=40, every=1.4, rate=60, seed=40)
    wecom.wait_until_pushed()
    found = verdict(wecom, product)
    reliability("F6 kill -9 of workers", 40, found)
    assert (found.lost, found.missed, found.double) == ([], [], [])


@pytest.mark.soak
@pytest.mark.timeout(180)
def test_f07_twenty_stops_under_load_are_noticed_by_nobody(
    product: Product, wecom: StandIn, reliability: Note, measured: Callable[[str, float], None]
) -> None:
    wecom.faults(latency_ms=300)
    took = restarts(wecom, product.roles["welcome"], cycles=20)
    wecom.wait_until_pushed()
    found = verdict(wecom, product)
    reliability("F7 SIGTERM of the only worker", 20, found)
    measured("F7: 20 SIGTERMs with calls of 0.3 s in flight, the slowest stop", max(took))
    assert_nobody_noticed(wecom, found)


@pytest.mark.soak
@pytest.mark.timeout(240)
def test_kills_of_workers_and_of_redis_in_one_run_lose_nobody(
    product: Product, wecom: StandIn, workers: list[Process], reliability: Note
) -> None:
    """18 workers and 8 times Redis, as the design was measured before it was built."""
    wecom.faults(latency_ms=80, jitter_ms=20)  # no busy answers: what is slow here is a recovery
    wecom.load(60 * 85, rate=60)
    chance = random.Random(26)
    victims = ["worker"] * 18 + ["redis"] * 8
    chance.shuffle(victims)
    for victim in victims:
        time.sleep(chance.uniform(2.2, 3.2))
        until(lambda: {worker.pid for worker in workers} <= product.beating(), what="both workers")
        process = product.redis if victim == "redis" else chance.choice(workers)
        process.kill()
        process.start()
    wecom.wait_until_pushed()
    found = verdict(wecom, product, redis_died=True)
    reliability("kill -9: 18 of workers, 8 of Redis", 26, found)
    assert (found.lost, found.missed, found.double) == ([], [], [])
