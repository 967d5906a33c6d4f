"""IPv6 addresses to listen on: the system serves there, and what it prints is a URL with brackets."""

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import requests

from tests.simulator.client import StandIn
from tests.support.processes import Up, free_port
from tests.support.until import until


@pytest.fixture(autouse=True)
def _ipv6(leave_out: Callable[[str], NoReturn]) -> None:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return
    leave_out("no IPv6")


@pytest.mark.parametrize(("host", "shown"), [("::1", "[::1]"), ("[::1]", "[::1]"), ("::", "[::]")])
def test_the_system_listens_there(tmp_path: Path, wecom: StandIn, host: str, shown: str) -> None:
    own = {"CONSOLE_BIND": f"[::1]:{free_port()}", "METRICS_BIND": f"[::]:{free_port()}"}
    up = Up(tmp_path, wecom, CONSOLE_PASSWORD="a-long-password-of-operators", **own)
    up.supervisor = up.command("up", "--host", host, "--port", str(up.port))
    up.url = f"http://[::1]:{up.port}"
    with up:
        until(lambda: "wecom-welcome is ready" in up.supervisor.output(), what="the line that it is ready")
        assert f"wecom-welcome is starting on http://{shown}:{up.port}\n" in up.supervisor.output()
        assert up.get("/healthz") == 200
        assert requests.get(f"http://{own['CONSOLE_BIND']}/console/login", timeout=30).status_code == 200
        metrics = own["METRICS_BIND"].replace("[::]", "[::1]")
        assert "wecom_welcome_" in requests.get(f"http://{metrics}/metrics", timeout=30).text
        for elsewhere in (f"{up.url}/metrics", f"{up.url}/console/login", f"http://{metrics}/callback"):
            assert requests.get(elsewhere, timeout=30).status_code == 404


@pytest.mark.parametrize(("host", "why"), [("::1", "in use"), ("2001:db8::1", ""), ("::zz", "")])
def test_what_it_cannot_listen_on_is_said_with_brackets_in_one_line(
    tmp_path: Path, wecom: StandIn, host: str, why: str
) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        up = Up(tmp_path, wecom).command("up", "--host", host, "--port", str(port)).start()
        assert up.wait(60) == 1
    (line,) = up.output().splitlines()
    assert line.startswith(f"wecom-welcome: cannot listen on [{host.strip('[]')}]:{port} (")
    assert why in line
