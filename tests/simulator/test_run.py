"""`make run`: the product for a real app, or the demo, and clear words when it cannot start."""

import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from tasks.services import build_services
from tests.simulator.client import ROOT
from tests.simulator.demo.installation import server
from tests.support.builders import some_settings
from tests.support.processes import free_port
from tests.support.until import until

GREETED = re.compile(r"greeted \S+ for \S+ in \d+\.\d\d s: ")


def has_greeted(told: Path, number: int) -> bool:
    return len(GREETED.findall(told.read_text())) >= number


def run(up: str, where: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m tests.simulator.run`, with another program in the place of `wecom-welcome`."""
    script = f"import sys; from tests.simulator import run; run.UP = {up!r}; sys.exit(run.main())"
    unset = {"WECOM_CORP_ID": "", "WELCOME_CONFIG": "", "WELCOME_DATA_DIR": ""}
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=where,
        env={**os.environ, **unset, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=180,
    )


def test_with_an_app_in_the_environment_it_is_the_product(tmp_path: Path) -> None:
    assert run("/bin/echo", tmp_path, "--port", "8001", WECOM_CORP_ID="ww1").stdout == "up --port 8001\n"


def test_with_an_app_in_dot_env_it_is_the_product(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WELCOME_CONFIG=apps.toml\n")
    assert run("/bin/echo", tmp_path).stdout == "up\n"


def test_a_taken_port_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run("/bin/false", tmp_path, "--port", str(taken.getsockname()[1]))
    assert ended.returncode == 1
    assert "Address already in use" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize("port", ["80000", "0", "-1", "http", "99999999999999999999"])
def test_a_port_that_is_none_is_said_in_words(tmp_path: Path, port: str) -> None:
    ended = run("/bin/false", tmp_path, "--port", port)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"{port} is no port: a number from 1 to 65535" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells children of their parent's death")
def test_when_the_demo_is_killed_the_product_ends_too(tmp_path: Path) -> None:
    up = tmp_path / "up"
    up.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    up.chmod(0o700)
    script = f"import sys; from tests.simulator import run; run.UP = {str(up)!r}; sys.exit(run.main())"
    unset = {"WECOM_CORP_ID": "", "WELCOME_CONFIG": "", "WELCOME_DATA_DIR": ""}
    with subprocess.Popen(
        [sys.executable, "-c", script, "--port", str(free_port())],
        cwd=tmp_path,
        env={**os.environ, **unset, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    ) as demo:
        until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
        product = psutil.Process(int((tmp_path / "pid").read_text()))
        demo.kill()
    until(lambda: not product.is_running() or product.status() == psutil.STATUS_ZOMBIE)


def test_the_demo_ends_with_the_product_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WECOM_CORP_ID=\n")  # an empty variable counts as unset
    ended = run("/bin/false", tmp_path, "--port", str(free_port()))
    assert ended.returncode == 1
    assert "ended with status 1" in ended.stderr
    assert list((tmp_path / "var").iterdir()) == []


@pytest.mark.timeout(180)
def test_it_greets_and_stops_and_a_second_time_has_the_same_past(tmp_path: Path) -> None:
    environment = {**os.environ, "WECOM_CORP_ID": "", "WELCOME_CONFIG": "", "PYTHONPATH": str(ROOT)}
    environment["WELCOME_DATA_DIR"] = str(tmp_path / "data")
    port = str(free_port())
    for turn in ("first", "second"):
        told = tmp_path / turn
        with (
            told.open("w") as out,
            subprocess.Popen(
                [sys.executable, "-m", "tests.simulator.run", "--port", port],
                cwd=tmp_path,
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            ) as demo,
        ):
            try:
                until(partial(has_greeted, told, 6), 90, what="six greetings")
            finally:
                demo.send_signal(signal.SIGINT)
            assert demo.wait(60) == 0, told.read_text()
        assert told.read_text().endswith("stopped\n")
        assert "Traceback" not in told.read_text()
    settings = some_settings(tmp_path, WELCOME_DATA_DIR=str(tmp_path / "data"))
    with server(settings.data_dir) as url:
        rows = build_services(replace(settings, redis_url=url)).ledger.count("default")
    assert 7_000 < sum(rows.values()) < 10_000
