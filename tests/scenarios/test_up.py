"""`wecom-welcome up`: what dies is back and greets, a killed supervisor leaves nothing behind, SIGTERM drains."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.simulator.client import StandIn
from tests.support.judge import assert_all_greeted, calls
from tests.support.processes import CHILDREN, COMMAND, LONG_WINDOW, Up, free_port
from tests.support.until import until

BACK = 20.0  # seconds until a process that was killed is there again; 2 are promised, and measured with -v
Measured = Callable[[str, float], None]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, stand_in: StandIn) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("up"), stand_in, WELCOME_WINDOW_S=str(LONG_WINDOW)) as up:
        yield up


@pytest.fixture
def up(shared: Up, wecom: StandIn) -> Up:
    if not shared.supervisor.alive():  # a test that failed after it had killed it
        shared.start()
    wecom.register(shared.app)
    wecom.settings(window_s=LONG_WINDOW)
    wecom.pushing(retries=300, spacing_s=0.2)
    wecom.add()  # whose greeting finds out that the stand-in's reset has revoked the token
    wecom.wait_until_greeted(1)
    shared.wait_until_complete()
    return shared


def first_greeting(wecom: StandIn, since: float) -> float:
    """Seconds from then to the first greeting of somebody who was added afterwards."""
    return min(r.greeted_at - since for r in wecom.records() if r.planned_at > since and r.greeted_at is not None)


@pytest.mark.parametrize("name", CHILDREN)
def test_a_process_that_is_killed_is_back_and_nobody_goes_without_greeting(
    up: Up, wecom: StandIn, name: str, measured: Measured
) -> None:
    wecom.faults(latency_ms=80)
    wecom.load(20, rate=40)
    wecom.wait_until_greeted(10)
    before = up.pids()[name]
    os.kill(before, signal.SIGKILL)
    died_at = time.time()
    wecom.load(20, rate=20)
    until(lambda: up.pids().get(name) not in (None, before), BACK, what=f"another {name}")
    until(lambda: up.get("/readyz/intake") == 200, BACK, what="somebody who stores events")
    measured(f"up: {name} killed, is back", time.time() - died_at)
    wecom.wait_until_pushed()
    found = assert_all_greeted(wecom, up, redis_died=name == "server")
    assert found.accepted == found.events
    greets_after = first_greeting(wecom, died_at)
    measured(f"up: {name} killed, greets somebody added afterwards", greets_after)
    assert greets_after < BACK


def test_the_roles_share_the_memory_that_they_only_read(up: Up) -> None:
    """Started as commands, each would have four fifths of its pages for itself."""
    for name in ("welcome", "upkeep", "beat"):
        process = psutil.Process(up.pids()[name]).memory_full_info()
        assert process.pss < 0.6 * process.rss, name


def test_all_processes_killed_at_once_are_back_and_nobody_goes_without_greeting(
    up: Up, wecom: StandIn, measured: Measured
) -> None:
    wecom.faults(latency_ms=80)
    wecom.load(20, rate=40)
    wecom.wait_until_greeted(10)
    for pid in up.pids().values():
        os.kill(pid, signal.SIGKILL)
    died_at = time.time()
    wecom.load(20, rate=20)
    until(lambda: up.get("/readyz/intake") == 200, BACK, what="somebody who stores events")
    wecom.wait_until_pushed()
    found = assert_all_greeted(wecom, up, redis_died=True)
    assert found.accepted == found.events
    greets_after = first_greeting(wecom, died_at)
    measured("up: all killed at once, greets somebody added afterwards", greets_after)
    assert greets_after < BACK


def test_after_a_kill_of_up_itself_its_processes_end_and_the_next_one_greets_whom_it_had_accepted(
    up: Up, wecom: StandIn, measured: Measured
) -> None:
    wecom.faults(latency_ms=300)
    wecom.load(100, rate=50)
    wecom.wait_until_greeted(10)
    children = {name: psutil.Process(pid) for name, pid in up.pids().items()}
    os.kill(up.supervisor.pid, signal.SIGKILL)
    up.supervisor.wait()
    died_at = time.monotonic()
    until(lambda: not any(running(children[name]) for name in ("server", "web")), what="free port and files")
    measured("up: killed itself, port and files are free", time.monotonic() - died_at)
    up.start()
    until(lambda: not any(map(running, children.values())), what="the end of all processes of the first")
    measured("up: killed itself, all its processes have ended", time.monotonic() - died_at)
    wecom.wait_until_pushed()
    found = assert_all_greeted(wecom, up)
    assert found.accepted == found.events


def running(process: psutil.Process) -> bool:
    """Whether it is; one that has ended and whose parent has not asked for its exit code is not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_when_told_to_stop_it_finishes_the_calls_in_flight(
    up: Up, wecom: StandIn, number: signal.Signals, measured: Measured
) -> None:
    wecom.pushing(retries=0)
    wecom.faults(latency_ms=1500)

    def in_flight() -> bool:
        if not wecom.status()["loading"]:  # however late this process looks
            wecom.load(40, rate=40)
        return wecom.status()["last_greeted_at"] > time.time() + 0.5

    until(in_flight, what="calls in flight")
    told_at = time.monotonic()
    up.supervisor.signal(number)
    assert up.supervisor.wait() == 0
    measured(f"up: {number.name} with calls of 1.5 s in flight, has stopped", time.monotonic() - told_at)
    assert up.get("/healthz") is None
    assert not up.socket.exists()
    assert all(r.greeted_at for r in wecom.records() if r.sends)
    up.start()
    wecom.wait_until_pushed()
    found = assert_all_greeted(wecom, up)
    assert (found.recovered, found.outcomes) == (0, {"sent": found.accepted})
    assert all(calls(record)[-1] == 0 for record in wecom.records() if record.accepted_at)


def refusal(folder: Path, environ: dict[str, str], *options: str) -> str:
    """What `up` says on stderr as it refuses to start."""
    folder.mkdir(exist_ok=True)
    ended = subprocess.run(
        [sys.executable, str(COMMAND), "up", *options],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if not k.startswith(("WECOM_", "WELCOME_"))} | environ,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert ended.returncode != 0
    assert ended.stdout == ""
    return ended.stderr


def test_a_port_or_data_directory_in_use_is_told_in_one_line_and_harms_nobody(
    up: Up, wecom: StandIn, tmp_path: Path
) -> None:
    before = up.pids()
    other_data = up.environ | {"WELCOME_DATA_DIR": str(tmp_path / "var")}
    said = refusal(tmp_path, other_data, "--port", str(up.port))
    assert said.count("\n") == 1
    assert f"127.0.0.1:{up.port}" in said
    assert "--port" in said
    assert not (tmp_path / "var").exists()

    said = refusal(tmp_path, up.environ, "--port", str(free_port()))
    assert said.count("\n") == 1
    assert up.environ["WELCOME_DATA_DIR"] in said
    assert "in use" in said

    assert up.pids() == before
    held = [file.path for file in psutil.Process(before["server"]).open_files()]
    assert str(Path(up.environ["WELCOME_DATA_DIR"], "valkey", "lock").resolve()) in held, (
        "it outlives a killed `up` by moments"
    )
    wecom.add()
    wecom.wait_until_greeted(1)
    assert_all_greeted(wecom, up)


def test_missing_settings_are_told_together_in_a_line_each(up: Up, tmp_path: Path) -> None:
    some = {name: up.environ[name] for name in ("WECOM_CORP_ID", "WECOM_CORP_SECRET", "PYTHONPATH")}
    said = refusal(tmp_path, some | {"WELCOME_WINDOW_S": "soon"}, "--port", str(free_port()))
    told = [line.split()[2] for line in said.splitlines()]
    assert told == ["WELCOME_WINDOW_S", "WECOM_TOKEN", "WECOM_ENCODING_AES_KEY"]
    assert some["WECOM_CORP_SECRET"] not in said
    assert not (tmp_path / "var").exists()
