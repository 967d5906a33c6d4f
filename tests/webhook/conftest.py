"""The web side in this process, on a real Redis."""

from collections.abc import Iterator

import pytest

from tests.support.builders import some_settings
from tests.support.processes import RedisServer
from tests.support.web import Web


@pytest.fixture
def web(redis_url: str) -> Web:
    return Web(some_settings(REDIS_URL=redis_url))


@pytest.fixture(scope="module")
def hurt_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that tests of this module may hurt, if they heal it."""
    with RedisServer(tmp_path_factory.mktemp("hurt"), in_memory=True) as server:
        yield server
