"""F33-F38, F41: the token dies, the secret is refused, WeCom's API hangs, fails, limits and loses its answers.

Two welcome workers share the work, so that each scenario is also one of several processes.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.simulator.client import StandIn
from tests.simulator.faults import SEND, Faults
from tests.support.builders import BOOK
from tests.support.judge import Verdict, assert_all_greeted, calls, row_of, verdict
from tests.support.processes import Product
from tests.support.until import until

WORKERS = ("welcome", "other")
FAULTY = Faults(
    latency_ms=80, jitter_ms=20, busy=0.10, http_5xx=0.05, dropped_before=0.05, dropped_after=0.03, hang=0.03, seed=41
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, stand_in: StandIn) -> Iterator[Product]:
    few = {"WELCOME_CONCURRENCY": "32"}  # with more, one worker alone takes a burst of these tests
    with Product(tmp_path_factory.mktemp("wecom-faults"), stand_in, **few) as product:
        other = product.role("welcome", "other").start()
        until(lambda: other.pid in product.beating(), what="the other worker")
        yield product


@pytest.fixture
def product(shared: Product, wecom: StandIn) -> Product:
    """Both workers have today's token: the stand-in's reset has revoked the one before."""
    wecom.register(shared.app)
    wecom.faults(latency_ms=150)
    wecom.load(80, rate=4000)
    wecom.wait_until_greeted(80)
    shared.wait_until_settled()
    return shared


def fetches(wecom: StandIn) -> int:
    return sum(wecom.summary().token_fetches.values())


def sent_by(product: Product) -> dict[str, int]:
    """Worker → how many greetings it says to have sent, in its whole life."""
    logs = {process.name: process.output() for process in product.processes}
    return {name: logs[name].count(" sent after ") for name in WORKERS}


def test_two_workers_share_a_burst_and_nobody_is_greeted_twice(product: Product, wecom: StandIn) -> None:
    wecom.faults(latency_ms=400, jitter_ms=20)  # one worker alone would take 5 s
    before, greeted = sent_by(product), wecom.status()["greeted"]
    wecom.load(400, rate=2000)
    wecom.wait_until_greeted(greeted + 400)
    found = assert_all_greeted(wecom, product)
    assert (found.outcomes["sent"], found.recovered) == (greeted + 400, 0)
    assert all(calls(record) == [0] for record in wecom.records())

    def shares() -> dict[str, int]:
        return {name: count - before[name] for name, count in sent_by(product).items()}

    until(lambda: sum(shares().values()) >= 400, what="all lines of the logs, which come after the ledger's rows")
    assert min(shares().values()) > 20, f"one worker did it nearly alone: {shares()}"


def test_f37_a_token_that_dies_in_a_burst_is_renewed_once_by_all_workers_together(
    product: Product, wecom: StandIn
) -> None:
    fetched = fetches(wecom)
    wecom.faults(latency_ms=150, paths=(SEND, "gettoken"))  # time enough for everybody to want a new one
    wecom.load(40, rate=120)
    wecom.wait_until_greeted(80 + 40)
    assert wecom.revoke_tokens() > 0
    wecom.load(200, rate=400)
    wecom.wait_until_pushed()
    found = assert_all_greeted(wecom, product)
    assert found.outcomes == {"sent": 320}
    assert wecom.summary().answers[SEND]["40014"] > 5, "many met the dead token"
    assert fetches(wecom) - fetched == 1


def test_f37_a_token_that_dies_again_and_again_costs_nobody_the_greeting(product: Product, wecom: StandIn) -> None:
    wecom.faults(latency_ms=80, revoke=0.05)
    wecom.load(200, rate=100)
    wecom.wait_until_pushed()
    found = assert_all_greeted(wecom, product)
    assert found.outcomes == {"sent": 280}


def test_f38_in_a_storm_of_45009_the_workers_wait_together(product: Product, wecom: StandIn) -> None:
    """40 calls in 2 seconds are allowed, and who calls more is refused for 2 seconds."""
    wecom.faults(latency_ms=80, per_unit=40, unit_s=2)
    wecom.load(100, rate=100)
    wecom.wait_until_pushed()
    found = assert_all_greeted(wecom, product)
    assert (found.outcomes, found.recovered) == ({"sent": 180}, 0)
    refused = wecom.summary().answers[SEND]["45009"]
    assert 2 <= refused < 100, "those who were under way each time it began, and one after each pause"


def test_f37_a_token_near_its_end_greets_everybody_and_is_asked_for_once(product: Product, wecom: StandIn) -> None:
    """gettoken gives the same token as long as it lives, so that asking for a better one brings nothing."""
    product.forget_tokens()
    wecom.revoke_tokens()
    wecom.settings(token_life_s=55)
    wecom.faults(latency_ms=80, paths=("*",))
    before = fetches(wecom)
    wecom.load(150, rate=30)
    wecom.wait_until_greeted(80 + 150)
    found = assert_all_greeted(wecom, product)
    assert found.outcomes == {"sent": 230}
    assert 1 <= fetches(wecom) - before <= 3, "the first, once at its margin, and upkeep's"


@pytest.mark.parametrize("fault", [{"busy": 1.0, "paths": ("gettoken",)}, {"expired": 1.0}], ids=["-1", "42001"])
def test_f37_while_no_token_is_accepted_all_workers_together_seldom_ask(
    product: Product, wecom: StandIn, fault: dict[str, Any]
) -> None:
    product.forget_tokens()
    wecom.revoke_tokens()
    wecom.faults(**fault)
    began = time.monotonic()
    wecom.load(16, rate=2)
    wecom.wait_until_pushed()
    asked = sum(wecom.summary().answers["gettoken"].values())
    assert 3 <= asked <= 4 + (time.monotonic() - began) / 1.5, "one 0.5, one 1 and then each 1.8 s later"
    wecom.faults()
    record = wecom.add()
    until(lambda: wecom.record(record).greeted_at, what="the greeting")
    assert wecom.record(record).greeted_after < 10, "2 s on a machine that does nothing else"
    assert_all_greeted(wecom, product)


def test_f33_a_hung_connection_leaves_time_for_three_more_tries(product: Product, wecom: StandIn) -> None:
    wecom.faults(hang=1.0)
    record = wecom.add()
    until(lambda: wecom.record(record).sends, what="a call")
    wecom.faults(busy=1.0)
    until(lambda: len(wecom.record(record).sends) >= 3, what="two more")
    wecom.faults()
    until(lambda: wecom.record(record).greeted_at, what="the greeting, by the fourth or a later one")
    assert_all_greeted(wecom, product)
    first, *further, last = calls(wecom.record(record))
    assert (first, set(further), last) == ("hang", {-1}, 0)
    assert len(further) >= 2
    assert wecom.record(record).greeted_after < 18


def test_f33_a_call_that_hangs_after_quick_failures_leaves_time_for_another_too(
    product: Product, wecom: StandIn
) -> None:
    wecom.faults(dropped_before=1.0)
    record = wecom.add()
    until(lambda: len(wecom.record(record).sends) >= 3, what="a third try")
    wecom.faults(hang=1.0)
    until(lambda: wecom.record(record).sends[-1].result == "hang", what="a try that hangs")
    wecom.faults()
    until(lambda: wecom.record(record).greeted_at, what="the greeting, after the hung call was given up")
    assert_all_greeted(wecom, product)


def test_a_faulty_api_costs_nobody_the_greeting_and_no_code_is_spent_twice(product: Product, wecom: StandIn) -> None:
    wecom.faults(FAULTY)
    wecom.load(280, rate=40)
    wecom.wait_until_pushed()
    assert_unharmed(wecom, product)


def assert_unharmed(wecom: StandIn, product: Product) -> Verdict:
    """Everybody was greeted in time, and no code was spent twice, although the faults did strike."""
    found = verdict(wecom, product)
    summary = wecom.summary()
    struck = set(summary.answers[SEND])
    assert {"-1", "http_5xx", "dropped_before", "dropped_after", "hang"} <= struck
    assert (found.lost, found.missed, found.double) == ([], [], [])
    assert (summary.greeted_share, summary.spent_twice) == (1.0, 0)
    assert set(found.outcomes) == {"sent", "unconfirmed"}
    return found


@pytest.mark.soak
@pytest.mark.timeout(180)
def test_a_faulty_api_costs_nobody_the_greeting_for_a_minute(
    product: Product, wecom: StandIn, reliability: Callable[[str, int, Verdict], None]
) -> None:
    wecom.faults(FAULTY)
    wecom.load(50 * 60, rate=50)
    wecom.wait_until_pushed(120)
    reliability("F33-F36, F41 faulty API", 0, verdict(wecom, product))
    assert_unharmed(wecom, product)


def test_f33_names_that_do_not_come_are_replaced_by_their_fallback_in_time(
    tmp_path_factory: pytest.TempPathFactory, wecom: StandIn
) -> None:
    book = BOOK.replace("{customer}", "{customer|朋友}")
    with Product(tmp_path_factory.mktemp("names"), wecom, book=book, start=["web", "welcome"]) as product:
        wecom.people(members={"lisi": {"name": "李四"}})
        wecom.faults(hang=1.0, paths=("externalcontact/get",))
        record = wecom.add(user_id="lisi")
        wecom.wait_until_greeted(1)
        assert_all_greeted(wecom, product)
        record = wecom.record(record)
        assert record.content["text"] == "您好朋友，我是李四，很高兴认识您！"
        assert 1.0 < record.greeted_after < 8


def test_a_refused_secret_is_not_tried_again_for_each_event(product: Product, wecom: StandIn) -> None:
    wecom.register(replace(product.app, secret="another one"))
    wecom.revoke_tokens()
    wecom.load(120, rate=120)
    wecom.wait_until_pushed()
    found = verdict(wecom, product)
    assert (found.outcomes["refused"], len(found.lost)) == (120, 120), "nobody was greeted, and the ledger says why"
    assert {row["errcode"] for row in product.rows() if row["outcome"] == "refused"} == {40001}
    assert not any(product.app.secret in process.output() for process in product.processes)
    assert wecom.summary().token_refusals <= 2, "one of each worker, at worst"

    for worker in product.processes:  # somebody has set the secret right, and started the workers again
        if worker.name in WORKERS:
            worker.kill()
    product.forget_tokens()
    wecom.register(product.app)
    for worker in product.processes:
        if worker.name in WORKERS:
            worker.start()
    record = wecom.add()
    until(lambda: wecom.record(record).greeted_at, what="a greeting")


@pytest.mark.soak
def test_f33_three_hung_calls_in_a_row_leave_time_for_another(product: Product, wecom: StandIn) -> None:
    wecom.faults(hang=1.0)
    record = wecom.add()
    until(lambda: len(wecom.record(record).sends) >= 3, what="a third try")
    wecom.faults()
    until(lambda: wecom.record(record).greeted_at, what="the greeting, by the fourth")
    assert_all_greeted(wecom, product)
    assert row_of(product, record)["attempts"] == 4
