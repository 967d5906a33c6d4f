"""F8, F19, F22, F48: a role is told to stop while it starts, starts while Redis is away, finds it empty, runs twice."""

import signal
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tasks.monitoring import jobs
from tasks.storage import keys
from tests.simulator.client import StandIn
from tests.support.judge import assert_all_greeted, row_of, verdict
from tests.support.processes import LONG_WINDOW, ROLES, Process, Product
from tests.support.until import until

STOPS = 45.0  # seconds in which a role that is just starting ends: its start, and a little, on any machine


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, stand_in: StandIn) -> Iterator[Product]:
    settings = {"WELCOME_LIFEBOAT": "off", "WELCOME_WINDOW_S": str(LONG_WINDOW)}
    with Product(tmp_path_factory.mktemp("starts"), stand_in, start=[], **settings) as product:
        yield product


@pytest.fixture
def product(shared: Product, wecom: StandIn) -> Iterator[Product]:
    """The product with Redis alone."""
    if not shared.redis.alive():  # a scenario that failed while it was away
        shared.redis.start()
    wecom.register(shared.app)
    wecom.settings(window_s=LONG_WINDOW)
    wecom.pushing(retries=200, spacing_s=0.3)
    shared.forget_tokens()
    yield shared
    shared.stop_all_but()
    assert shared.unfinished() == 0, "a scenario left events behind"


def test_f08_a_role_told_to_stop_while_it_starts_ends_and_takes_nobody_along(
    product: Product, wecom: StandIn, measured: Callable[[str, float], None]
) -> None:
    slowest = 0.0
    for after in (0.05, 0.15, 0.3, 0.6, 0.9, 1.2):  # seconds; they start beside each other, so more slowly than alone
        started_at = time.monotonic()
        roles = [product.roles[name].start() for name in ROLES]
        time.sleep(max(0.0, started_at + after - time.monotonic()))
        told_at = time.monotonic()
        for role in roles:
            role.signal(signal.SIGTERM)
        for role in roles:
            assert role.wait(STOPS) in (0, -signal.SIGTERM), role.name
        slowest = max(slowest, time.monotonic() - told_at)
        if after == 0.3:
            wecom.add()
    measured("F8: SIGTERM while it starts, the slowest role", slowest)
    product.roles["web"].start()
    product.roles["welcome"].start()
    wecom.wait_until_greeted(1)
    assert_all_greeted(wecom, product)


def test_f22_roles_that_start_while_redis_is_away_work_when_it_comes(
    product: Product, wecom: StandIn, measured: Callable[[str, float], None]
) -> None:
    product.redis.kill()
    for name in ROLES:
        product.roles[name].start()
    until(lambda: product.get("/healthz") == 200, what="the web side")
    assert product.get("/readyz") == product.get("/readyz/intake") == 503
    wecom.add()
    time.sleep(2)
    until(lambda: wecom.records()[0].failures, what="an answer")
    assert all(product.roles[name].alive() for name in ROLES)
    assert set(wecom.records()[0].failures) == {"503"}
    product.redis.start()
    back_at = time.time()
    wecom.wait_until_greeted(1)
    until(lambda: product.get("/readyz") == 200, what="/readyz")
    measured("F22: Redis comes, greets after", wecom.records()[0].greeted_at - back_at)
    measured("F22: Redis comes, all are ready after", time.time() - back_at)
    assert_all_greeted(wecom, product)


def hurried(product: Product, name: str = "hurried-beat") -> Process:
    """A schedule that sends every task each second, not started yet."""
    command = [sys.executable, "-m", "tests.support.hurried", "1", "--", "role", "beat"]
    product.processes.append(process := Process(name, command, product.environ, product.folder))
    return process


@pytest.fixture
def hurried_beat(product: Product) -> Process:
    return hurried(product)


def scheduled(product: Product) -> int:
    """How many messages wait for the upkeep worker, of which there is none."""
    with product.client() as client:
        return int(client.llen(keys.SLOW_QUEUE))


def test_f22_the_schedule_goes_on_when_redis_was_away_at_its_start_and_later(
    product: Product, hurried_beat: Process
) -> None:
    product.redis.kill()
    hurried_beat.start()
    time.sleep(2)
    assert hurried_beat.alive()
    product.redis.start()
    until(lambda: scheduled(product) > 0, what="a scheduled message")
    assert "role beat of wecom-welcome " in hurried_beat.log.read_text("utf-8").splitlines()[0]
    product.redis.kill()
    time.sleep(2)
    product.redis.start()
    before = scheduled(product)
    until(lambda: scheduled(product) > before, what="another scheduled message")


def test_f48_two_schedules_at_once_do_everything_and_pile_nothing_up(
    product: Product, wecom: StandIn, hurried_beat: Process
) -> None:
    other = hurried(product, "other-beat")
    for process in (product.roles["upkeep"], hurried_beat, other):
        process.start()
    began = time.time()

    def ran() -> dict[str, jobs.Job]:
        with product.client() as client:
            return {job.name: job for job in jobs.read(client, jobs.SCHEDULE) if (job.at or 0) > began}

    until(lambda: set(ran()) == set(jobs.SCHEDULE), what="a run of each job")
    began = time.time() + 1
    until(lambda: set(ran()) == set(jobs.SCHEDULE), what="another run of each")
    assert {job.failed for job in ran().values()} == {""}
    assert scheduled(product) <= 2 * len(jobs.SCHEDULE), "a message of each schedule for each job"
    assert hurried_beat.alive()
    assert other.alive()
    assert sum(wecom.summary().token_fetches.values()) == 1


def test_f19_a_redis_that_comes_back_empty_has_its_book_again_and_new_customers_are_greeted(
    product: Product, wecom: StandIn, hurried_beat: Process, measured: Callable[[str, float], None]
) -> None:
    for process in (*(product.roles[name] for name in ("web", "welcome", "upkeep")), hurried_beat):
        process.start()
    product.wait_for_page("/readyz")
    first = wecom.add()
    wecom.wait_until_greeted(1)
    assert row_of(product, first)["outcome"]
    with product.client() as client:
        client.flushall()
    lost_at = time.time()

    def somebody_new_is_greeted() -> bool:
        wecom.add()
        time.sleep(0.5)
        return wecom.status()["greeted"] > 1

    until(somebody_new_is_greeted, what="a greeting")
    measured("F19: an empty Redis, with a schedule in seconds: greets after", time.time() - lost_at)
    found = verdict(wecom, product, redis_died=True)
    assert set(found.outcomes) <= {"sent", "no_template"}
    product.wait_for_page("/readyz")
