"""A lifeboat beside a worker's parts, on a Redis of its own, with the stand-in as WeCom."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks import lifeboat
from tasks.lifeboat.lifeboat import Lifeboat
from tests.simulator.client import StandIn
from tests.support.builders import PLAIN_BOOK
from tests.support.processes import RedisServer
from tests.support.worker import Worker


@pytest.fixture
def server(hurt_server: RedisServer) -> RedisServer:
    with hurt_server.client() as client:
        client.flushall()
    return hurt_server


@pytest.fixture
def onboard(wecom: StandIn, server: RedisServer, tmp_path: Path) -> Iterator[Worker]:
    """A worker whose data directory is the test's own."""
    worker = Worker.made(wecom, server.url, PLAIN_BOOK, WELCOME_DATA_DIR=str(tmp_path))
    yield worker
    worker.close()


@pytest.fixture
def make_boat(onboard: Worker) -> Iterator[Callable[[], Lifeboat]]:
    """Another lifeboat in the same folder. It has no thread: a test calls `round`."""
    boats = []

    def make() -> Lifeboat:
        boats.append(lifeboat.build(onboard.services))
        return boats[-1]

    yield make
    for boat in boats:
        boat.stop()


@pytest.fixture
def boat(make_boat: Callable[[], Lifeboat]) -> Lifeboat:
    """A lifeboat that knows what it needs."""
    boat = make_boat()
    boat.round()
    return boat
