"""The stored state has a version: set at the start, raised by a later release, and refused by an earlier one."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.lifeboat import journal
from tasks.state import backup
from tasks.storage import connections, formats, keys
from tasks.storage.embedded import Embedded
from tasks.storage.formats import STATE, Format, FormatRefused, Settling
from tests.simulator.client import StandIn
from tests.support.builders import ENVIRONMENT
from tests.support.cli import run
from tests.support.documents import ROOT, Page
from tests.support.processes import COMMAND, Process, RedisServer, answers, free_port
from tests.support.until import until

LATER = Format(STATE.major + 1, 0)
SAYS = f"the state in Redis has format {LATER}, and this release knows {STATE.major}.x: install the release"


def test_the_first_process_writes_the_version(redis_client: connections.Redis) -> None:
    formats.settle(redis_client)
    assert redis_client.get(keys.FORMAT) == str(STATE)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("0.9", str(STATE)),  # this release has moved it
        (str(STATE), str(STATE)),
        (f"{STATE.major}.{STATE.minor + 1}", f"{STATE.major}.{STATE.minor + 1}"),  # a later one works beside this one
        (f"{STATE.major}.{STATE.minor + 10}", f"{STATE.major}.{STATE.minor + 10}"),
    ],
)
def test_the_version_never_falls(redis_client: connections.Redis, before: str, after: str) -> None:
    redis_client.set(keys.FORMAT, before)
    formats.settle(redis_client)
    assert redis_client.get(keys.FORMAT) == after


def test_processes_that_start_together_agree(redis_client: connections.Redis) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: formats.settle(redis_client), range(32)))
    assert redis_client.get(keys.FORMAT) == str(STATE)


@pytest.mark.parametrize("stored", [str(LATER), "9999.0", "", "1", "1.0.0", "-1.0", "x", "1.0\n", "1.٣"])
def test_a_later_version_and_what_is_none_change_nothing(redis_client: connections.Redis, stored: str) -> None:
    redis_client.set(keys.FORMAT, stored)
    with pytest.raises(FormatRefused):
        formats.settle(redis_client)
    assert redis_client.get(keys.FORMAT) == stored


def test_a_process_that_started_without_redis_ends_when_it_finds_a_later_version(
    redis_client: connections.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[int] = []
    with connections.connect(f"redis://127.0.0.1:{free_port()}", timeout=1, retries=0) as nobody:
        Settling(nobody, ended.append).look()
    assert not ended
    redis_client.set(keys.FORMAT, str(LATER))
    Settling(redis_client, ended.append).look()
    assert ended == [formats.REFUSED]
    assert SAYS in caplog.text


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Redis with the state of a later release."""
    with RedisServer(tmp_path_factory.mktemp("later")) as server:
        with server.client() as client:
            client.set(keys.FORMAT, str(LATER))
        yield server.url


@pytest.mark.parametrize("command", ["role web", "role welcome", "up"])
def test_each_role_refuses_a_later_state_in_one_line(later: str, tmp_path: Path, command: str) -> None:
    port = ["--port", str(free_port())] if command.endswith(("web", "up")) else []
    process = Process("role", [str(COMMAND), *command.split(), *port], ENVIRONMENT | {"REDIS_URL": later}, tmp_path)
    assert process.start().wait(60) == 1
    assert process.output().startswith(f"wecom-welcome: {SAYS}")
    assert len(process.output().splitlines()) == 1


@pytest.mark.parametrize("command", ["backup a.zip", "restore a.zip --force", "deliveries", "forget wm1", "missed"])
def test_each_command_does_too(later: str, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = run(*command.split(), **ENVIRONMENT, REDIS_URL=later)
    assert (told.exit_code, told.stdout, len(told.stderr.splitlines())) == (1, "", 1)
    assert told.stderr.startswith(f"wecom-welcome: {SAYS}")


def test_the_check_up_says_it(later: str, wecom: StandIn, at_wecom: dict[str, str]) -> None:
    told = run("check", **at_wecom, REDIS_URL=later)
    assert told.exit_code == 1
    assert "✗ Redis: holds the state of a later release\n    → install the release that wrote it" in told.stdout


def test_the_embedded_server_with_a_later_state_is_left_as_it_was(tmp_path: Path) -> None:
    embedded = Embedded(tmp_path / "var")
    command = [str(COMMAND), "up", "--port", str(free_port())]
    server = Process("server", embedded.prepare(), {}, tmp_path).start()
    with connections.connect(embedded.url, timeout=5) as client:
        until(lambda: answers(client), what="the server")
        client.set(keys.FORMAT, str(LATER))
    server.stop()
    process = Process("up", command, ENVIRONMENT | {"WELCOME_DATA_DIR": str(tmp_path / "var")}, tmp_path).start()
    assert process.wait(60) == 1
    assert SAYS in process.output()
    assert not embedded.socket.exists()


def test_the_document_has_the_versions_that_the_code_writes() -> None:
    page = Page(ROOT / "deploy/UPGRADING.md").section("Versions of the formats")
    newest = page.rows()[-1]
    assert [re.sub("[`*]", "", cell) for cell in newest[1:4]] == [str(STATE), str(backup.VERSION), str(journal.FORMAT)]
    assert f"## [{newest[0]}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")
