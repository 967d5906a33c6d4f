"""A process that is frozen (SIGSTOP) is replaced, and one of several that is frozen is named."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
import requests

from tests.simulator.client import StandIn
from tests.support.judge import assert_all_greeted
from tests.support.processes import LONG_WINDOW, Up
from tests.support.until import until

REPLACED = 30.0  # seconds until a frozen process is replaced; 7 are usual, and measured with -v
Measured = Callable[[str, float], None]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, stand_in: StandIn) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("up"), stand_in, WELCOME_WINDOW_S=str(LONG_WINDOW)) as up:
        yield up


@pytest.fixture
def up(shared: Up, wecom: StandIn) -> Up:
    wecom.register(shared.app)
    wecom.settings(window_s=LONG_WINDOW)
    wecom.pushing(retries=300, spacing_s=0.2)
    wecom.add()  # whose greeting finds out that the stand-in's reset has revoked the token
    wecom.wait_until_greeted(1)
    shared.wait_until_complete()
    return shared


@pytest.mark.parametrize(
    "names",
    [("welcome", "upkeep", "beat"), ("web worker",), pytest.param(("web",), marks=pytest.mark.soak)],
    ids="+".join,
)
def test_a_process_that_is_frozen_is_replaced_and_nobody_goes_without_greeting(
    up: Up, wecom: StandIn, names: tuple[str, ...], measured: Measured
) -> None:
    wecom.faults(latency_ms=300)
    wecom.load(60, rate=20)
    wecom.wait_until_greeted(20)  # and some are in flight
    before = up.pids()
    for name in names:
        os.kill(before[name], signal.SIGSTOP)
    frozen_at = time.time()
    until(lambda: not any(psutil.pid_exists(before[name]) for name in names), REPLACED, what=f"{names} replaced")
    wecom.load(20, rate=40)
    wecom.wait_until_pushed()
    found = assert_all_greeted(wecom, up)
    assert found.accepted == found.events
    until(lambda: set(before) <= set(up.pids()), REPLACED, what="all processes")
    for other in set(before) - set(names) - ({"web worker"} if "web" in names else set()):
        assert up.pids()[other] == before[other], f"{other} was not frozen"
    greeted = [r.greeted_at for r in wecom.records() if r.planned_at > frozen_at and r.greeted_at is not None]
    measured(f"up: {' and '.join(names)} frozen, greets somebody added afterwards", min(greeted) - frozen_at)
    until(lambda: up.get("/readyz") == 200, REPLACED, what="/readyz")
    until(lambda: readiness(up)["silent"] == [], REPLACED, what="nobody silent: who was replaced is forgotten")


def test_one_of_two_workers_that_is_frozen_is_named_and_the_other_one_greets(up: Up, wecom: StandIn) -> None:
    other = up.command("role", "welcome")  # which `up` does not know, so nobody replaces it
    other.start()
    try:
        until(lambda: other.pid in up.beating(), REPLACED, what="its heartbeat")
        other.freeze()

        def named() -> dict[str, Any]:
            said = readiness(up)
            return said if [one["pid"] for one in said["silent"]] == [other.pid] else {}

        said = until(named, REPLACED, what="its name")
        assert said["ready"], said
        assert f"process {other.pid} on" in " ".join(said["remarks"])
        wecom.load(20, rate=40)
        wecom.wait_until_pushed()
        assert_all_greeted(wecom, up)
    finally:
        other.kill()


def readiness(up: Up) -> dict[str, Any]:
    answer: dict[str, Any] = requests.get(f"{up.url}/readyz", timeout=30).json()
    return answer


@pytest.mark.soak
def test_a_server_that_is_stopped_goes_on_and_has_lost_nothing(up: Up, wecom: StandIn, measured: Measured) -> None:
    wecom.load(200, rate=20)
    wecom.wait_until_greeted(20)
    before = up.pids()
    os.kill(before["server"], signal.SIGSTOP)
    frozen_at = time.time()
    wecom.wait_until_pushed()
    found = assert_all_greeted(wecom, up)
    assert found.accepted == found.events
    greeted = [r.greeted_at for r in wecom.records() if r.planned_at > frozen_at and r.greeted_at is not None]
    measured("up: server stopped, greets somebody added afterwards", min(greeted) - frozen_at)
    assert up.pids() == before


@pytest.mark.soak
def test_a_host_that_was_suspended_goes_on_with_the_processes_it_had(up: Up, wecom: StandIn) -> None:
    before = {"up": up.supervisor.pid, **up.pids()}
    for pid in before.values():
        os.kill(pid, signal.SIGSTOP)
    time.sleep(15)
    for pid in before.values():
        os.kill(pid, signal.SIGCONT)
    time.sleep(10)
    assert {"up": up.supervisor.pid, **up.pids()} == before
    wecom.load(20, rate=20)
    wecom.wait_until_pushed()
    assert_all_greeted(wecom, up)
