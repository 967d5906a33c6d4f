"""F52: what leaks shows over many events: memory, threads, files and connections of each process."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.simulator.client import StandIn
from tests.support.judge import Verdict, assert_all_greeted
from tests.support.processes import Process, Product

RATE, WARM, COUNT = 200, 6000, 20_000  # events a second; before the first look; from there to the second
GROWTH = 10 << 20  # bytes of a process: what comes and goes. A leak of a kilobyte an event would be twice as much
MORE = 100  # threads, files and connections, that come and go with the load: one an event would be 20 000


@dataclass(frozen=True, slots=True)
class Use:
    """What a process and its children use. `memory`: resident bytes."""

    memory: int
    threads: int
    files: int


def use(process: Process) -> Use:
    parent = psutil.Process(process.pid)
    tree = [parent, *parent.children(recursive=True)]
    return Use(
        memory=sum(one.memory_info().rss for one in tree),
        threads=sum(one.num_threads() for one in tree),
        files=sum(one.num_fds() for one in tree),
    )


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_f52_nothing_grows_with_the_events_but_their_rows(
    tmp_path: Path,
    wecom: StandIn,
    measured: Callable[..., None],
    reliability: Callable[[str, int, Verdict], None],
) -> None:
    with Product(tmp_path, wecom) as product:
        wecom.faults(latency_ms=80)
        wecom.load(WARM, rate=RATE)
        wecom.wait_until_greeted(WARM, 180)
        before = {name: use(role) for name, role in product.roles.items()}
        wecom.load(COUNT, rate=RATE)
        wecom.wait_until_greeted(WARM + COUNT, 240)
        after = {name: use(role) for name, role in product.roles.items()}
        reliability(f"F52 {WARM + COUNT} events", 0, assert_all_greeted(wecom, product))
        for name in after:
            grown = after[name].memory - before[name].memory
            measured(f"F52: {name} grew over {COUNT} events", grown / 1024, "kB")
            assert grown < GROWTH, name
            assert after[name].threads - before[name].threads < MORE, name
            assert after[name].files - before[name].files < MORE, name
