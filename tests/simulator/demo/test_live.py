"""What goes wrong with a few live customers: the stand-in's doing, with reasons of the product's own."""

from pathlib import Path
from random import Random

from tests.simulator.client import StandIn
from tests.simulator.demo.installation import people
from tests.simulator.demo.live import MISHAPS, Arrivals
from tests.support.processes import Product


def test_each_mishap_has_an_outcome_and_a_reason_of_its_own(tmp_path: Path, wecom: StandIn) -> None:
    with Product(tmp_path, wecom) as product:
        people(wecom)
        arrivals = Arrivals(wecom, Random(1))
        arrivals.add()
        product.wait_until_settled()
        for kind in MISHAPS:
            arrivals.mishap(kind)
            product.wait_until_settled()
        became = {(row["outcome"], row["errcode"]) for row in product.rows()}
    assert became == {
        ("sent", None),
        ("refused", 701008),
        ("stale", None),
        ("unconfirmed", 41050),
        ("no_code", None),
        ("refused", 41050),
    }
