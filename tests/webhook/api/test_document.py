"""The OpenAPI document is what the API does: schemathesis asks for what it allows, and for what it does not."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import strategies
from limits import parse
from schemathesis import checks
from schemathesis.config import SchemathesisConfig

from tasks.books import files
from tasks.people.api_tokens import Scope
from tasks.services import Services, build_services
from tasks.settings import read
from tasks.storage import connections
from tests.support import samples
from tests.support.api import NOWHERE, ROOT
from tests.support.books import FILES
from tests.support.builders import BOOK, ENVIRONMENT
from tests.support.console import PASSWORD
from tests.support.processes import RedisServer
from webhook import create_app
from webhook.api import access, wrong_tokens

EXAMPLES = 10  # of each operation and kind, beside those at the edges of what it allows
CONFIG = SchemathesisConfig.from_dict(
    {
        "generation": {"max-examples": EXAMPLES, "deterministic": True, "database": "none"},
        "parameters": {"app": "default"},
        "operations": [
            {  # that a text is a valid book, or how many days lie between two, cannot be said in a schema
                "include-operation-id": ["validate_book", "import_book", "get_numbers", "get_staying"],
                "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "409", "422"]}},
            }
        ],
    }
)


def services_at(redis_url: str, folder: Path = Path("/nonexistent")) -> Services:
    console = {"REDIS_URL": redis_url, "CONSOLE_PASSWORD": PASSWORD, "WECOM_API_BASE": NOWHERE}
    return build_services(read(ENVIRONMENT | console, folder))


class Served:
    """The application of the test that runs. Before there is one: of an installation without Redis."""

    def __init__(self) -> None:
        self.application: Flask = create_app(services_at("redis://127.0.0.1:1"))
        self.secret = ""
        self.turns = itertools.count()

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        return self.application(environ, start_response)


served = Served()
ZIPS = [files.to_zip(files.Bundle(BOOK)), b"PK\3\4", b"", b"version: 1"]
schemathesis.openapi.media_type("application/zip", strategies.sampled_from(ZIPS))
schema = schemathesis.openapi.from_wsgi(f"{ROOT}/openapi.json", served, config=CONFIG)


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
        patch.setattr(wrong_tokens, "OF_ADDRESS", parse("1000000 per second"))
        served.application = create_app(services)
        served.application.extensions["api"].made()
        _, served.secret = services.api_tokens.create("schemathesis", set(Scope))
        yield services
    services.redis.close()


def asking(path: str, method: str) -> Callable[..., None]:
    """The test of one operation: of a document that has no other."""
    parts = schema.raw_schema["paths"][path]
    alone = {path: {name: part for name, part in parts.items() if name in (method, "parameters")}}
    document = schemathesis.openapi.from_dict({**schema.raw_schema, "paths": alone}, config=CONFIG)
    document.app = served
    others = len(parts) > len(alone[path])  # of the same address: what its other methods do is their tests'
    excluded = [checks.unsupported_method, checks.allow_header_conformance] if others else []

    @document.parametrize()
    def does_what_the_document_says(case: schemathesis.Case, installation: Services) -> None:
        if case.meta is not None and case.meta.generation.mode.is_positive:
            name_what_there_is(case, installation)
        case.call_and_validate(headers={"Authorization": f"Bearer {served.secret}"}, excluded_checks=excluded)

    return does_what_the_document_says


# a function for each: pytest-xdist runs one item of a name, and what schemathesis makes of a single function shares it
OPERATIONS = {
    part["operationId"]: (path, method)
    for path, parts in schema.raw_schema["paths"].items()
    for method, part in parts.items()
    if "operationId" in part
}
globals().update({f"test_{name}": asking(*operation) for name, operation in OPERATIONS.items()})


def test_every_operation_is_asked() -> None:
    api = served.application.extensions["api"].made()
    assert len(OPERATIONS) == len(api.extensions["needs"])


def name_what_there_is(case: schemathesis.Case, services: Services) -> None:
    """Of what is allowed, half is about a delivery, a draft or a revision that is really there."""
    if next(served.turns) % 2:
        return
    newest, draft = next(services.ledger.deliveries()), services.drafts.get("default")
    live = services.books.current("default") or 0
    if "delivery" in case.path_parameters:
        case.path_parameters["delivery"] = newest.id
    if "number" in case.path_parameters:
        case.path_parameters["number"] = live
    for where in (case.query, case.body if isinstance(case.body, dict) else {}):
        if "version" in where:
            where["version"] = draft.version if draft else 1
        if "base" in where:
            where["base"] = live
