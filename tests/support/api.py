"""A program that uses the HTTP API with a token."""

from collections.abc import Collection
from typing import Any

from werkzeug.test import TestResponse

from tasks.people.api_tokens import Scope
from tasks.services import Services
from webhook import create_app

ROOT = "/api/v1"
NOWHERE = "http://127.0.0.1:1"  # where no WeCom is


class Program:
    """Sends requests below /api/v1/apps/default, or below /api/v1 for a path that begins with a slash."""

    def __init__(
        self, services: Services, scopes: Collection[Scope] = tuple(Scope), apps: Collection[str] = (), by: str = "李敏"
    ) -> None:
        self.services = services
        self.application = create_app(services)
        self.token, self.secret = services.api_tokens.create("ci", scopes, apps, by)
        self._client = self.application.test_client()

    def __call__(self, method: str, path: str, query: Any = None, **options: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.secret}", **options.pop("headers", {})}
        where = path if path.startswith("/") else f"/apps/default/{path}"
        return self._client.open(ROOT + where, method=method, query_string=query, headers=headers, **options)

    def get(self, path: str, **query: Any) -> TestResponse:
        return self("GET", path, query)
