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
        return int(
            client.hget(keys.COUNTERS, count("placeholder_calls_total", app="default", hook="crm", result=result))
        )


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

        def texts(first: int, count: int) -> list[str]:
            wecom.wait_until_greeted(first + count - 1)
            return [(one.content or {})["text"] for one in wecom.records(first)]

        record = wecom.add(push=False)
        crm.known[record.external_user_id] = {"level": "金卡{member}", "consultant": None}
        wecom.repeat(record)
        assert texts(1, 1) == ["您好金卡{member}，顾问是小王"]
        assert crm.asked == [(record.external_user_id, "Bearer t-1")]
        wecom.add()
        assert texts(2, 1) == [FALLBACK], "the CRM does not know the customer"
        crm.status = 503
        crm.known |= {f"wm{n}": {"level": "金卡"} for n in range(100)}
        wecom.add(external_user_id="wm1")
        assert texts(3, 1) == [FALLBACK]
        until(lambda: "RuntimeError at crm_placeholders.py:" in product.roles["welcome"].output())
        crm.status = 0
        wecom.load(40, 40)
        assert texts(4, 40) == [FALLBACK] * 40
        assert {row["outcome"] for row in product.rows()} == {"sent"}
        until(lambda: counted(product, "answered") == 2)
        assert counted(product, "failed") >= 1
