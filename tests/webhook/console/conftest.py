"""The console in this process, on a real Redis: `browse` is a browser that has signed in and knows no JavaScript."""

import pytest

from tasks.books.draft_store import Drafts
from tasks.services import Services
from tests.support.console import Browser


@pytest.fixture
def stranger(services: Services) -> Browser:
    """Somebody who has not signed in."""
    return Browser(services)


@pytest.fixture
def browse(services: Services) -> Browser:
    """Somebody who has."""
    return Browser(services).signed_in()


@pytest.fixture
def drafts(services: Services) -> Drafts:
    return services.drafts
