"""The command line, in an empty directory, for an app that the stand-in knows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.ledger.ledger import Ledger
from tasks.services import build_services
from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support.builders import some_settings
from tests.support.processes import Product


@pytest.fixture(autouse=True)
def _an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def app(wecom: StandIn) -> App:
    return wecom.register(App.random())


@pytest.fixture
def environ(app: App, wecom: StandIn, redis_url: str) -> dict[str, str]:
    return app.environment(wecom.base_url) | {"REDIS_URL": redis_url}


@pytest.fixture
def ledger(redis_url: str) -> Ledger:
    return build_services(some_settings(REDIS_URL=redis_url)).ledger


@pytest.fixture(scope="module")
def product(stand_in: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    stand_in.reset()
    with Product(tmp_path_factory.mktemp("product"), stand_in) as product:
        yield product
