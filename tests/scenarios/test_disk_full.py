"""F51: the disk of Redis is full. It takes no write until there is room; WeCom is told, and nothing is restarted.

Without the lifeboat, which would greet: see test_lifeboat.py.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.simulator.client import StandIn
from tests.support.judge import assert_all_greeted
from tests.support.processes import COMMAND, LONG_WINDOW, Product
from tests.support.until import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the files of a running process")
RETURN = 12.0  # seconds from room on the disk to a greeting; 2 are promised, and measured with -v


@pytest.fixture
def product(tmp_path: Path, wecom: StandIn) -> Iterator[Product]:
    settings = {"CONSOLE_PASSWORD": "let-me-in", "WELCOME_LIFEBOAT": "off", "WELCOME_WINDOW_S": str(LONG_WINDOW)}
    with Product(tmp_path, wecom, start=["web", "welcome", "upkeep"], **settings) as product:
        yield product


def check(product: Product) -> tuple[int, str]:
    """(exit code, what it says of Redis) of `wecom-welcome check`."""
    command = [sys.executable, str(COMMAND), "check"]
    ended = subprocess.run(
        command, env=product.environ, cwd=product.folder, capture_output=True, text=True, timeout=120
    )
    return ended.returncode, ended.stdout.partition("Redis: ")[2].partition(" (MISCONF ")[0]


def all_answered(wecom: StandIn, by: float) -> bool:
    """Whether every event that was due by then has been answered at least once."""
    return all(record.accepted_at or record.failures for record in wecom.records() if record.planned_at < by)


def test_f51_a_full_disk_costs_nobody_the_greeting_and_is_named(
    product: Product, wecom: StandIn, measured: Callable[[str, float], None]
) -> None:
    wecom.settings(window_s=LONG_WINDOW)  # customers wait while the command looks at it
    wecom.pushing(retries=200, spacing_s=0.3)
    wecom.faults(latency_ms=80)
    wecom.load(150, rate=30)
    wecom.wait_until_greeted(30)
    with product.redis.disk_full():
        until(lambda: any(record.failures for record in wecom.records()), what="a refusal")
        full_at = time.time()
        until(lambda: all_answered(wecom, full_at), what="an answer to each push that was under way")
        accepted = wecom.status()["accepted"]
        answer = requests.get(f"{product.url}/readyz", timeout=30)
        assert (answer.status_code, answer.json()["missing"]) == (503, ["Redis cannot write to its disk"])
        assert product.get("/readyz/intake") == 503
        assert product.get("/console/login") == 503
        assert check(product) == (1, "cannot write to its disk")
        assert wecom.status()["accepted"] == accepted
    back_at = time.time()
    until(lambda: wecom.status()["last_greeted_at"] > back_at, what="a greeting")
    back_in = min(r.greeted_at for r in wecom.records() if (r.greeted_at or 0) > back_at) - back_at
    measured("F51: room on the disk again, greets after", back_in)
    assert back_in < RETURN
    wecom.wait_until_pushed()
    found = assert_all_greeted(wecom, product)
    assert found.accepted == found.events == 150
    assert {failure for record in wecom.records() for failure in record.failures} == {"503"}
    product.wait_for_page("/readyz")
    product.wait_for_page("/console/login")
    assert all(product.roles[name].alive() for name in ("web", "welcome", "upkeep"))
