"""A server that records each request as it is received, and a client that talks to it."""

from collections.abc import Iterator

import pytest

from tasks.wecom import WeComClient
from tests.support.recording import OK, Recorder, recorded


@pytest.fixture(scope="module")
def _recorded() -> Iterator[tuple[Recorder, WeComClient]]:
    with recorded() as both:
        yield both


@pytest.fixture
def recorder(_recorded: tuple[Recorder, WeComClient]) -> Recorder:
    recorder, _ = _recorded
    recorder.requests.clear()
    recorder.answer = lambda request: OK
    return recorder


@pytest.fixture
def client(_recorded: tuple[Recorder, WeComClient]) -> WeComClient:
    return _recorded[1]
