"""The console in this process, on a real Redis: `browse` is a browser that has signed in and knows no JavaScript."""

from collections.abc import Iterator

import pytest

from tasks.ledger import intake
from tasks.services import Services, build_services
from tests.support.builders import some_settings
from tests.support.console import PASSWORD, Browser


@pytest.fixture
def services(redis_url: str) -> Iterator[Services]:
    made = build_services(some_settings(REDIS_URL=redis_url, CONSOLE_PASSWORD=PASSWORD), timeout=intake.TIMEOUT)
    yield made
    made.redis.close()


@pytest.fixture
def stranger(services: Services) -> Browser:
    """Somebody who has not signed in."""
    return Browser(services)


@pytest.fixture
def browse(services: Services) -> Browser:
    """Somebody who has."""
    return Browser(services).signed_in()
