"""The OpenAPI document is what the API does: schemathesis asks for what it allows, and for what it does not."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from schemathesis.config import SchemathesisConfig

from tasks.people.api_tokens import Scope
from tasks.services import Services, build_services
from tasks.settings import read
from tasks.storage import connections
from tests.support import samples
from tests.support.api import ROOT
from tests.support.books import FILES
from tests.support.builders import BOOK, ENVIRONMENT
from tests.support.console import PASSWORD
from tests.support.processes import RedisServer
from webhook import create_app
from webhook.api import access

EXAMPLES = 15  # of each operation and kind, beside those at the edges of what it allows
CONFIG = {
    "generation": {"max-examples": EXAMPLES, "deterministic": True, "database": "none"},
    "parameters": {"app": "default"},
}


def services_at(redis_url: str, folder: Path = Path("/nonexistent")) -> Services:
    return build_services(read(ENVIRONMENT | {"REDIS_URL": redis_url, "CONSOLE_PASSWORD": PASSWORD}, folder))


class Served:
    """The application of the test that runs. Before there is one: of an installation without Redis."""

    def __init__(self) -> None:
        self.application: Flask = create_app(services_at("redis://127.0.0.1:1"))
        self.secret = ""

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        return self.application(environ, start_response)


served = Served()
schema = schemathesis.openapi.from_wsgi(f"{ROOT}/openapi.json", served, config=SchemathesisConfig.from_dict(CONFIG))


@pytest.fixture(scope="module", autouse=True)
def installation(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """One that has lived, whose tokens have no limits."""
    with connections.connect(redis_server.url, timeout=5) as client:
        client.flushall()
    services = services_at(redis_server.url, tmp_path_factory.mktemp("api"))
    services.books.save("default", BOOK, FILES)
    samples.fill(services)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(access, "LIMITS", ["1000000 per second"])
        served.application = create_app(services)
    _, served.secret = services.api_tokens.create("schemathesis", set(Scope))
    yield services
    services.redis.close()


@schema.parametrize()
def test_every_operation_does_what_the_document_says(case: schemathesis.Case) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {served.secret}"})
