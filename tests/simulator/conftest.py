"""The stand-in under test, and a callback that records what it receives and answers as told."""

from collections.abc import Iterator

import pytest

from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support.wecom_app import Api, Callback


@pytest.fixture
def api(wecom: StandIn) -> Api:
    return Api(wecom.base_url, wecom.register(App.random()))


@pytest.fixture
def callback(wecom: StandIn) -> Iterator[Callback]:
    callback = Callback()
    wecom.register(callback.app)
    yield callback
    wecom.reset()
    callback.close()
