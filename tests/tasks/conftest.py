"""A worker's parts in this process, on a real Redis, with the stand-in as WeCom."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.ledger.ledger import Ledger
from tasks.storage.connections import Redis
from tasks.wecom.transport import tls_context
from tests.simulator.client import StandIn
from tests.support import certificate
from tests.support.ledger import a_ledger
from tests.support.processes import RedisServer
from tests.support.worker import Worker


@pytest.fixture
def ledger(redis_client: Redis) -> Ledger:
    return a_ledger(redis_client)


@pytest.fixture
def worker(wecom: StandIn, redis_url: str) -> Iterator[Worker]:
    worker = Worker.made(wecom, redis_url)
    yield worker
    worker.close()


@pytest.fixture
def here(wecom: StandIn, redis_url: str) -> Iterator[Worker]:
    """A worker whose app has no book yet: `here.publish(...)`."""
    worker = Worker.made(wecom, redis_url, book=None)
    yield worker
    worker.close()


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that signs itself."""
    return certificate.write(tmp_path_factory.mktemp("tls") / "server.pem")


@pytest.fixture
def trusted(pem: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """A server's side of TLS, with a certificate that this process trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    tls_context.cache_clear()
    yield certificate.server_side(pem)
    tls_context.cache_clear()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis server of the test's own, to be hurt."""
    with RedisServer(tmp_path / "redis") as server:
        yield server
