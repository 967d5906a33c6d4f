"""REDIS_URL → connections that never wait long: our own clients', and Celery's broker.

Every client has socket time-outs and its own retry policy: redis-py's ten retries turn one stalled call into ten
seconds, and without a time-out a half-open link holds its caller for ever.
"""

import re
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

Redis: TypeAlias = redis.Redis  # its replies come as text: see tasks.storage.replies


def connect(url: str, *, timeout: float, retries: int = 1) -> Redis:
    """A thread-safe client. `timeout`: seconds for a connection and for each answer.

    One retry mends a connection that died while it was idle; the worst case is (retries + 1) × timeout.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), retries),
        "decode_responses": True,
        "protocol": 2,
    }
    if not url.startswith("unix://"):
        options["socket_keepalive"] = True
    if url.startswith("sentinel://"):
        group = SentinelURL.read(url)
        patience = {"socket_timeout": timeout, "socket_connect_timeout": timeout, "retry": Retry(NoBackoff(), 0)}
        sentinel = Sentinel(list(group.hosts), sentinel_kwargs={**patience, "protocol": 2}, protocol=2)
        client: Redis = sentinel.master_for(group.master, db=group.db, password=group.password, **options)
        return client
    return redis.Redis.from_url(url, **options)


def broker(url: str) -> tuple[str, dict[str, Any]]:
    """(broker_url, broker_transport_options) for Celery."""
    options: dict[str, Any] = {
        "socket_timeout": 3,
        "socket_connect_timeout": 1,
        "socket_keepalive": True,
        "health_check_interval": 5,
        "visibility_timeout": 3600,  # the ledger's leases bring events back, not Celery
    }
    if url.startswith("unix://"):
        parts = urlsplit(url)
        db = re.search(r"(?:^|&)db=(\d+)", parts.query)
        secret = f":{parts.password}@" if parts.password else ""
        return f"redis+socket://{secret}{parts.path}?virtual_host={db.group(1) if db else 0}", options | {
            "socket_keepalive": None
        }
    if url.startswith("sentinel://"):
        group = SentinelURL.read(url)
        secret = f":{quote(group.password, safe='')}@" if group.password else ""
        hosts = ";".join(f"sentinel://{secret}{host}:{port}/{group.db}" for host, port in group.hosts)
        return hosts, options | {"master_name": group.master}
    return url, options


@dataclass(frozen=True, slots=True)
class SentinelURL:
    """sentinel://[:password@]host1:26379,host2:26379/master/db, read. The password is the master's."""

    hosts: tuple[tuple[str, int], ...]
    master: str
    db: int
    password: str | None

    @classmethod
    def read(cls, url: str) -> "SentinelURL":
        rest = url.removeprefix("sentinel://")
        secret, at, rest = rest.rpartition("@")
        hosts, master, *db = rest.split("/")
        return cls(
            hosts=tuple((host, int(port)) for host, _, port in (one.rpartition(":") for one in hosts.split(","))),
            master=master,
            db=int(db[0]) if db and db[0] else 0,
            password=unquote(secret.removeprefix(":")) if at else None,
        )
