"""The web side in this process, on a real Redis."""

import pytest

from tests.support.builders import some_settings
from tests.support.web import Web


@pytest.fixture
def web(redis_url: str) -> Web:
    return Web(some_settings(REDIS_URL=redis_url))
