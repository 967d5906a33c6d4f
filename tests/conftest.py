"""What every test may ask for: a real Redis server, the WeCom stand-in, tools that pip cannot install."""

import functools
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import pytest
from flask import Flask
from hypothesis import HealthCheck
from jinja2 import FileSystemBytecodeCache
from werkzeug.security import generate_password_hash

from tasks.services import Services, build_services
from tasks.settings import read
from tasks.storage import connections
from tasks.wecom import robot
from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support import unit
from tests.support.books import FILES
from tests.support.builders import ENVIRONMENT
from tests.support.console import PASSWORD
from tests.support.processes import RedisServer, free_port
from webhook.console import auth

NOT_RUN = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[NOT_RUN] = []
    # how long an example takes is the machine's doing
    hypothesis.settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    hypothesis.settings.load_profile("tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if unit.is_unit(item):
            item.add_marker("unit")


@pytest.fixture(scope="session", autouse=True)
def _unit_tests_stay_inside(request: pytest.FixtureRequest) -> None:
    if request.config.option.markexpr == "unit":
        sys.addaudithook(unit.stay_inside)


@pytest.fixture(autouse=True)
def _sockets_without_a_timeout() -> None:
    """A Celery worker that ends in a thread sets a default for the whole process, and two may leave it behind."""
    socket.setdefaulttimeout(None)


@pytest.fixture(scope="session")
def leave_out(request: pytest.FixtureRequest) -> Callable[[str], NoReturn]:
    """`leave_out("no IPv6")`: this machine lacks what the test needs, which is named at the end; in CI it fails."""

    def leave_out(what: str) -> NoReturn:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{what}, and CI runs everything", pytrace=False)
        test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
        request.config.stash[NOT_RUN].append(f"{test}: {what}")
        pytest.skip(what)

    return leave_out


@pytest.fixture(scope="session")
def require_tool(leave_out: Callable[[str], NoReturn]) -> Callable[[str], str]:
    """`require_tool("systemd-analyze")` → its path. A file that a tool needs is required by its path."""

    def require(tool: str) -> str:
        places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"
        path = tool if Path(tool).is_file() else shutil.which(tool, path=places)
        return path or leave_out(f"no {tool}")

    return require


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # one of several processes: what it left out goes to the first
        session.config.workeroutput["not_run"] = session.config.stash[NOT_RUN]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[NOT_RUN].extend(getattr(node, "workeroutput", {}).get("not_run", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    absent = terminalreporter.config.stash[NOT_RUN]
    if absent:
        terminalreporter.section("not run")
        for line in absent:
            terminalreporter.line(line)


@pytest.fixture(scope="session", autouse=True)
def compiled_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Each page of the console is compiled once in a run, not once for each application that a test makes."""
    with pytest.MonkeyPatch.context() as patch:
        folder = str(tmp_path_factory.mktemp("pages"))
        patch.setattr(Flask, "jinja_options", {"bytecode_cache": FileSystemBytecodeCache(folder)})
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_password() -> Iterator[None]:
    """What a password is compared with is made cheaply: each comparison costs 0.1 s otherwise, which others test."""
    with pytest.MonkeyPatch.context() as patch:
        cheap = functools.partial(generate_password_hash, method="pbkdf2:sha256:1")
        patch.setattr(auth, "generate_password_hash", cheap)
        yield


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One real server for all tests that do not hurt it."""
    small = ("--auto-aof-rewrite-min-size", "4mb")  # what thousands of tests write, and forget again
    with RedisServer(tmp_path_factory.mktemp("redis"), *small) as server:
        yield server


@pytest.fixture(scope="module")
def hurt_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that tests of this module may hurt, if they heal it."""
    with RedisServer(tmp_path_factory.mktemp("hurt")) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """An empty database."""
    with connections.connect(redis_server.url, timeout=5) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[connections.Redis]:
    with connections.connect(redis_url, timeout=5) as client:
        yield client


@pytest.fixture(scope="session")
def stand_in() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        yield stand_in


@pytest.fixture
def wecom(stand_in: StandIn) -> Iterator[StandIn]:
    """The stand-in without memory, faults or latency; and so the next module finds it."""
    stand_in.pristine()
    yield stand_in
    stand_in.pristine()


@pytest.fixture
def at_wecom(wecom: StandIn) -> dict[str, str]:
    """The settings of an app that the stand-in knows and that can message members, at an address that is free."""
    url = f"http://127.0.0.1:{free_port()}"
    app = wecom.register(App.random(callback_url=f"{url}/callback"))
    return app.environment(wecom.base_url) | {"WECOM_AGENT_ID": app.agent_id, "WELCOME_PUBLIC_URL": url}


@pytest.fixture
def hasty_robot(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message to a group robot is tried again almost at once."""
    monkeypatch.setattr(robot, "WAITS", (0.01, 0.02))


@pytest.fixture
def variables() -> dict[str, str]:
    """Settings of `services` that are not the usual ones. Tests that need some override this fixture."""
    return {}


@pytest.fixture
def book() -> str | None:
    """The welcome book of `services`, by default none. Tests that need one override this fixture."""
    return None


@pytest.fixture
def services(redis_url: str, variables: dict[str, str], book: str | None, tmp_path: Path) -> Iterator[Services]:
    """An installation with a console, on an empty database, as its web side has it, but for its short time-out."""
    usual = ENVIRONMENT | {"REDIS_URL": redis_url, "CONSOLE_PASSWORD": PASSWORD}
    made = build_services(read(usual | variables, tmp_path), timeout=5)
    if book is not None:
        made.books.save("default", book, FILES)
    yield made
    for client in made.clients.values():
        client.close()
    made.redis.close()
