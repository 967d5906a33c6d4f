"""F44, F45: machines whose clocks are minutes apart, and clocks that are set while work goes on."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.simulator.client import StandIn
from tests.support.judge import assert_all_greeted, calls
from tests.support.processes import Process, Product
from tests.support.skewed import set_clock
from tests.support.until import until

MINUTES = 300.0  # seconds
LATE = 15.0  # seconds until a greeting, on any machine; hundredths are usual
WRONG = {"web": MINUTES, "welcome": -MINUTES, "upkeep": MINUTES}


class Machines:
    """The product with each role on a machine of its own, whose clock is wrong."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.roles = {role: self._role(role) for role in WRONG}
        self.set(1)

    def _role(self, role: str) -> Process:
        port = ["--port", str(self.product.port)] if role == "web" else []
        command = [sys.executable, "-m", "tests.support.skewed", str(self._clock(role)), "--", "role", role, *port]
        process = Process(f"skewed-{role}", command, self.product.environ, self.product.folder)
        self.product.processes.append(process)
        return process

    def _clock(self, role: str) -> Path:
        return self.product.folder / f"{role}.clock"

    def set(self, factor: float) -> None:
        """Set every clock: 0 is right."""
        for role, ahead in WRONG.items():
            set_clock(self._clock(role), ahead * factor)


@pytest.fixture
def machines(tmp_path: Path, wecom: StandIn) -> Iterator[Machines]:
    with Product(tmp_path, wecom, start=[]) as product:
        machines = Machines(product)
        for role in machines.roles.values():
            role.start()
        product.wait_for_page("/readyz")
        yield machines


def test_f44_f45_clocks_that_are_minutes_apart_and_are_set_meanwhile_make_nobody_late(
    machines: Machines, wecom: StandIn, measured: Callable[[str, float], None]
) -> None:
    wecom.faults(latency_ms=80)
    count = 0
    for factor in (1, -1, 0):  # ten minutes back or forth for each, then right
        wecom.load(60, rate=40)
        wecom.wait_until_greeted(count + 20)
        machines.set(factor)
        count += 60
        wecom.wait_until_greeted(count)
    found = assert_all_greeted(wecom, machines.product)
    assert (found.accepted, found.outcomes, found.recovered) == (180, {"sent": 180}, 0)
    assert all(calls(record) == [0] for record in wecom.records())
    assert found.to_greeting.max < LATE
    measured("F44, F45: clocks 5 min off and set, the slowest greeting", found.to_greeting.max)
    steps = [step for row in machines.product.rows() for step in row["steps"].values()]
    assert min(steps) >= 0
    assert max(steps) < LATE * 1000
    until(lambda: machines.product.get("/readyz") == 200, what="/readyz")
