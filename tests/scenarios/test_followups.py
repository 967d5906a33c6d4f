"""Follow-ups over real processes: an upkeep worker dies, a greeting is refused, Redis goes away, half an add."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tasks.storage import keys
from tasks.wecom import WeComClient
from tests.simulator.client import StandIn
from tests.simulator.records import Record
from tests.support.judge import row_of
from tests.support.processes import Product
from tests.support.until import until

BOOK = """\
version: 1
templates:
  default:
    text: 您好
    then: {tags: [来源/新客户], remark: "{customer}-新"}
rules:
  - use: default
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, stand_in: StandIn) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("followups")
    with Product(folder, stand_in, start=["web", "welcome"], book=BOOK) as product:
        yield product


@pytest.fixture
def product(shared: Product, wecom: StandIn) -> Iterator[Product]:
    """The product without an upkeep worker: each scenario starts its own."""
    shared.forget_tokens()
    yield shared
    shared.stop_all_but("web", "welcome")
    with shared.redis.client() as client:
        assert client.zcard(keys.FOLLOWUP_DUE) == 0, "a scenario left follow-ups behind"


def followup(product: Product, record: Record) -> dict[str, Any]:
    """{} while the event is on its way, and while nothing is to be done after it."""
    rows = [row for row in product.rows() if row["external_user_id"] == record.external_user_id]
    return (rows[0]["followup"] or {}) if rows else {}


def is_settled(product: Product, record: Record) -> bool:
    return any(row["external_user_id"] == record.external_user_id and row["outcome"] for row in product.rows())


def until_followed_up(product: Product, record: Record) -> dict[str, Any]:
    until(lambda: followup(product, record).get("state") == "done", every=0.1, what="the follow-up")
    return followup(product, record)


def marks_of(product: Product, record: Record) -> tuple[list[str], str]:
    """(tags, remark) that WeCom has of the pair."""
    client = WeComClient(product.app.corp_id, product.app.secret, product.wecom.base_url)
    (one,) = client.external_contact.get(record.external_user_id)["follow_user"]
    client.close()
    return [tag["tag_name"] for tag in one["tags"]], one["remark"]


def let_time_pass(product: Product, seconds: float) -> None:
    """As if everybody had slept: what is due comes nearer."""
    with product.redis.client() as client:
        for identity, _ in client.zscan_iter(keys.FOLLOWUP_DUE):
            client.zincrby(keys.FOLLOWUP_DUE, -round(seconds * 1000), identity)


@pytest.mark.parametrize(
    "point",
    ["tasks.wecom.external_contact:ExternalContact.mark_tag@after", "tasks.followups.store:FollowUps.record@before"],
)
def test_an_upkeep_worker_that_dies_before_it_records_what_it_did_leaves_the_customer_tagged_once(
    product: Product, wecom: StandIn, point: str
) -> None:
    record = wecom.add()
    dying = product.role("upkeep", "dying", crash=point).start()
    assert dying.wait() == -signal.SIGKILL
    assert followup(product, record)["state"] == "waiting"
    let_time_pass(product, 10)  # its lease
    product.roles["upkeep"].start()
    seen = until_followed_up(product, record)
    assert (seen["attempts"], seen["tags"], seen["remark"]) == (2, ["来源/新客户"], "set")
    assert marks_of(product, record) == (["新客户"], f"客户{record.external_user_id[-4:]}-新")


def test_a_customer_whose_greeting_is_refused_or_has_no_code_is_followed_up(product: Product, wecom: StandIn) -> None:
    product.roles["upkeep"].start()
    refused = wecom.add(welcome_code="", extra={"WelcomeCode": "of-another-app"})
    without = wecom.add(welcome_code="")
    for record, outcome in ((refused, "refused"), (without, "no_code")):
        until_followed_up(product, record)
        assert row_of(product, record)["outcome"] == outcome
        assert marks_of(product, record)[0] == ["新客户"]


def test_a_half_add_is_followed_up_when_it_becomes_a_full_one(product: Product, wecom: StandIn) -> None:
    product.roles["upkeep"].start()
    half = wecom.add(change="add_half_external_contact")
    until(lambda: followup_reason(product, half, "half_add").startswith("waits for the full add"), every=0.1)
    let_time_pass(product, -3600)  # its next try is far
    full = wecom.add(external_user_id=half.external_user_id)
    until(lambda: all(row["state"] == "done" for row in both(product, full)), every=0.1, what="both follow-ups")
    assert len(both(product, full)) == 2
    assert marks_of(product, full)[0] == ["新客户"]


def both(product: Product, record: Record) -> list[dict[str, Any]]:
    rows = [row for row in product.rows() if row["external_user_id"] == record.external_user_id]
    return [row["followup"] or {"state": "not settled yet"} for row in rows]


def followup_reason(product: Product, record: Record, change: str) -> str:
    rows = [r for r in product.rows() if (r["external_user_id"], r["change"]) == (record.external_user_id, change)]
    return rows[0]["followup"]["reason"] if rows and rows[0]["followup"] else ""


def test_follow_ups_survive_a_restart_of_redis(product: Product, wecom: StandIn) -> None:
    wecom.load(20, rate=200)
    wecom.wait_until_greeted(20)
    records = wecom.records()
    until(lambda: all(is_settled(product, record) for record in records), what="their outcomes")
    product.redis.signal(signal.SIGTERM)
    product.redis.wait()
    product.redis.start()
    product.roles["upkeep"].start()
    for record in records:
        assert until_followed_up(product, record)["remark"] == "set"
