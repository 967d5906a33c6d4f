"""The command line, in an empty directory, for an app that the stand-in knows."""

from pathlib import Path

import pytest

from tests.simulator.client import StandIn
from tests.simulator.world import App


@pytest.fixture(autouse=True)
def _an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def app(wecom: StandIn) -> App:
    return wecom.register(App.random())


@pytest.fixture
def environ(app: App, wecom: StandIn, redis_url: str) -> dict[str, str]:
    return app.environment(wecom.base_url) | {"REDIS_URL": redis_url}
