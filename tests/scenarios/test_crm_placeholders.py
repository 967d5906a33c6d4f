"""The example of deploy/examples: a package of the corp's own adds placeholders, and costs a greeting nothing else."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.counters import count
from tasks.storage import keys
from tests.simulator.client import StandIn
from tests.support import crm as theirs
from tests.support.crm import Crm
from tests.support.processes import Product
from tests.support.until import until

BOOK = """\
version: 1
templates:
  default: {text: "您好{crm.level|贵宾}，顾问是{crm.consultant|小王}"}
rules:
  - use: default
"""
FALLBACK = "您好贵宾，顾问是小王"


def counted(product: Product, result: str) -> int:
    with product.redis.client() as client:
        name = count("placeholder_calls_total", app="default", hook="crm", result=result)
        return int(client.hget(keys.COUNTERS, name) or 0)


@pytest.fixture
def crm() -> Iterator[Crm]:
    with theirs.crm() as made:
        yield made


def test_the_example_adds_placeholders_and_a_crm_that_fails_or_hangs_costs_their_fallbacks(
    crm: Crm, wecom: StandIn, tmp_path: Path
) -> None:
    path = os.pathsep.join([str(theirs.install(tmp_path / "theirs")), os.environ.get("PYTHONPATH", "")]).rstrip(":")
    settings = {"PYTHONPATH": path, "CRM_URL": crm.url, "CRM_TOKEN": "t-1"}
    with Product(tmp_path, wecom, start=["web", "welcome"], book=BOOK, **settings) as product:

        def text(**event: str) -> str:
            record = wecom.add(**event)
            until(lambda: wecom.record(record).content, what="a greeting")
            return (wecom.record(record).content or {})["text"]

        crm.known = {f"wm{n}": {"level": "金卡{member}", "consultant": None} for n in range(1000)}
        customers = map("wm{}".format, range(1000))
        until(lambda: text(external_user_id=next(customers)) == "您好金卡{member}，顾问是小王")
        assert crm.asked[0] == ("wm0", "Bearer t-1")
        assert text(external_user_id="wm-unknown") == FALLBACK
        crm.status = 503
        assert text(external_user_id=next(customers)) == FALLBACK
        until(lambda: "RuntimeError at crm_placeholders.py:" in product.roles["welcome"].output())
        crm.status = 0
        before = len(wecom.records())
        wecom.load(40, 40)
        wecom.wait_until_greeted(before + 40)
        assert {(one.content or {})["text"] for one in wecom.records(before + 1)} == {FALLBACK}
        assert {row["outcome"] for row in product.rows()} == {"sent"}
        until(lambda: counted(product, "answered") >= 2)
        until(lambda: counted(product, "failed") + counted(product, "late") > 1)
