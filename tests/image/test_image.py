"""The built image: what it says, who it runs as, and that each role works in it and is watched. See conftest.py."""

import contextlib
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tasks.monitoring import heartbeat
from tasks.storage import connections
from tests.support.builders import ENVIRONMENT
from tests.support.image import Image
from tests.support.processes import ROLES, RedisServer, free_port
from tests.support.until import until

pytestmark = pytest.mark.soak
PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
SETTINGS = ENVIRONMENT | {"WELCOME_LIVENESS_FILE": "/tmp/alive"}  # chroot has no /dev/shm of its own


def test_it_says_what_it_is(image: Image) -> None:
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in image.config["Labels"].items()}
    assert labels["title"] == PROJECT["name"]
    assert labels["version"] == PROJECT["version"]
    assert labels["revision"] == "0123456"
    assert labels["created"] == "2026-11-26T00:00:00Z"


def test_it_keeps_its_user_health_check_and_entry_point(image: Image) -> None:
    config = image.config
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"][:3] == ["CMD", "sh", "-c"]
    assert config["Entrypoint"] == ["wecom-welcome"]
    assert config["Cmd"] == ["up", "--host", "0.0.0.0"]


def test_the_command_is_this_release(image: Image) -> None:
    run = image.run("wecom-welcome", "--version")
    assert (run.returncode, run.stdout.split()[-1]) == (0, PROJECT["version"]), run.stderr


def test_it_runs_as_nobody_in_particular_and_can_change_nothing_of_itself(image: Image) -> None:
    assert image.run("id", "-u").stdout.strip() == "10001"
    script = "! touch /opt/wecom-welcome/x && ! touch /usr/bin/x && ! touch /etc/x && ! test -e /src"
    assert image.run("sh", "-c", script).returncode == 0
    assert image.run("sh", "-c", "touch $HOME/x /var/lib/wecom-welcome/y").returncode == 0


def test_the_doctor_names_what_is_missing(image: Image) -> None:
    run = image.run("wecom-welcome", "check")
    assert run.returncode == 1
    assert "WECOM_CORP_ID" in run.stdout
    assert "Traceback" not in run.stderr


@pytest.fixture(scope="module")
def tcp_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that can be reached from inside: a socket's path would lead nowhere there."""
    port = free_port()
    with RedisServer(tmp_path_factory.mktemp("redis"), "--port", str(port)):
        yield f"redis://127.0.0.1:{port}/0"


def test_each_role_works_and_the_health_check_sees_it_until_it_is_frozen(image: Image, tcp_redis: str) -> None:
    port = free_port()
    where = {"web": ["--host", "127.0.0.1", "--port", str(port)]}
    check = image.config["Healthcheck"]["Test"][1:]
    environ = SETTINGS | {"REDIS_URL": tcp_redis}
    running = {  # they share a root here, and so need a file each
        role: image.start(
            role, "role", role, *where.get(role, []), **environ | {"WELCOME_LIVENESS_FILE": f"/tmp/{role}"}
        )
        for role in ROLES
    }

    def checks() -> list[int]:
        return [one.execute(check) for one in running.values()]

    try:
        with connections.connect(tcp_redis, timeout=5) as client:
            until(lambda: {one.role for one in heartbeat.read(client)} == set(ROLES), what="all roles to work")
        until(lambda: checks() == [0, 0, 0, 0], what="the check to see that they work")
        until(lambda: _status(f"http://127.0.0.1:{port}/readyz") is not None, what="web to answer")
        frozen = [one.inside for one in running.values()]
        for process in frozen:
            process.suspend()
        until(lambda: checks() == [1, 1, 1, 1], what="the check to see that they are frozen")
        for process in frozen:
            process.resume()
        until(lambda: checks() == [0, 0, 0, 0], what="the check to see that they work again")
        for process in frozen:
            process.terminate()
        assert [one.wait() for one in running.values()] == [0, 0, 0, 0]
    finally:
        for one in running.values():
            one.kill()


def test_alone_it_is_the_whole_system(image: Image) -> None:
    port = free_port()
    running = image.start("up", "up", "--port", str(port), **SETTINGS)
    try:
        until(lambda: _status(f"http://127.0.0.1:{port}/readyz/intake") == 200, what="the system to accept events")
        running.inside.terminate()
        assert running.wait() == 0, running.output()
    finally:
        running.kill()


def _status(url: str) -> int | None:
    with contextlib.suppress(requests.RequestException):
        return requests.get(url, timeout=10).status_code
    return None
