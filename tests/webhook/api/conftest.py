"""The API in this process, on a real Redis: `ask` sends a request with a token that may do everything."""

import pytest

from tasks.services import Services
from tests.support.api import NOWHERE, Program
from tests.support.builders import BOOK


@pytest.fixture
def book() -> str:
    return BOOK


@pytest.fixture
def variables() -> dict[str, str]:
    """Nobody asks WeCom."""
    return {"WECOM_API_BASE": NOWHERE}


@pytest.fixture
def ask(services: Services) -> Program:
    """A program with every scope."""
    return Program(services)
