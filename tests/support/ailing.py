"""A Redis server that takes no events: gone, hanging, full or read-only. It is well again afterwards."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
import redis

from tests.support.processes import RedisServer

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the files of a running process")
Trouble = Callable[[RedisServer], AbstractContextManager[None]]


@contextlib.contextmanager
def gone(server: RedisServer) -> Iterator[None]:
    server.kill()
    try:
        yield
    finally:
        server.start()


@contextlib.contextmanager
def hanging(server: RedisServer) -> Iterator[None]:
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


@contextlib.contextmanager
def full(server: RedisServer) -> Iterator[None]:
    with server.client() as client:
        client.config_set("maxmemory", "1")
        try:
            yield
        finally:
            client.config_set("maxmemory", "0")


@contextlib.contextmanager
def nearly_full(client: redis.Redis) -> Iterator[None]:
    """Of its `maxmemory` 97 % are used, and every write is taken all the same: the rest is 700 kB."""
    client.setrange("ballast", 24 << 20, b"x")
    client.config_set("maxmemory", int(client.info("memory")["used_memory"] / 0.97))
    try:
        yield
    finally:
        client.config_set("maxmemory", 0)
        client.delete("ballast")


def disk_full(server: RedisServer) -> AbstractContextManager[None]:
    """Linux only."""
    return server.disk_full()


@contextlib.contextmanager
def read_only(server: RedisServer) -> Iterator[None]:
    with server.client() as client:
        client.replicaof("127.0.0.1", 1)  # a master that is not there: the data stays, writes are refused
        try:
            yield
        finally:
            client.replicaof("NO", "ONE")
