"""F47: more customers than can be greeted, with the real window. In the soak."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.simulator.client import StandIn
from tests.support.judge import row_of, verdict
from tests.support.processes import Product

RATE, LASTS, SLOTS, WINDOW = 25, 60, 8, 20.0


Latencies = tuple[tuple[float, float], ...]  # (seconds after the begin, ms from then on), ...


def capacity(latencies: Latencies) -> float:
    """How many greetings the slots have time for."""
    ends = [*(after for after, _ in latencies[1:]), LASTS]
    return sum((end - after) * SLOTS / (ms / 1000) for (after, ms), end in zip(latencies, ends, strict=True))


def sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))


@pytest.mark.soak
@pytest.mark.parametrize(
    "latencies", [((0, 700),), ((0, 2000),), ((0, 400), (15, 2000), (35, 600))], ids=["0.7 s", "2 s", "changing"]
)
def test_f47_nine_tenths_of_the_capacity_are_greeted_in_time(
    tmp_path: Path, wecom: StandIn, latencies: Latencies, measured: Callable[[str, float], None]
) -> None:
    with Product(tmp_path, wecom, start=["web", "welcome"], WELCOME_CONCURRENCY=str(SLOTS)) as product:
        began, ended = wecom.load(RATE * LASTS, RATE)
        for after, latency in latencies:
            sleep_until(began + after)
            wecom.faults(latency_ms=latency)
        sleep_until(ended + 1)
        wecom.load(30, 3)
        found = verdict(wecom, product, 120)
        assert not found.double, found.double
        records = wecom.records()
        assert [row_of(product, record)["outcome"] for record in records[-30:]] == ["sent"] * 30
        by_then = [record for record in records if record.greeted_at is not None and record.greeted_at <= ended]
        in_time = [record for record in by_then if record.greeted_at - record.pushed_at <= WINDOW]
        measured(f"overload, {len(in_time)} greeted in time of", capacity(latencies))
        assert len(in_time) >= 0.9 * capacity(latencies)
