"""The web side, in this process or in one of its own, and WeCom's hand to write to it."""

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
from werkzeug.test import TestResponse

from tasks import lifeboat
from tasks.ledger import intake
from tasks.reasons import Reason
from tasks.services import build_services
from tasks.settings import Settings
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.builders import ENVIRONMENT
from tests.support.processes import COMMAND, Process, free_port
from tests.support.pushes import Push
from tests.support.until import until
from webhook import create_app


class Web:
    """`post` and `get` as WeCom does them; what is stored, and what was counted."""

    def __init__(self, settings: Settings, with_lifeboat: bool = False) -> None:
        self.services = build_services(settings, timeout=intake.TIMEOUT)
        self.lifeboat = lifeboat.build(self.services) if with_lifeboat else None
        self.application = create_app(self.services, self.lifeboat)
        self._client = self.application.test_client()

    def post(self, push: Push, path: str = "/callback", **options: Any) -> TestResponse:
        return self._client.post(path, query_string=dict(push.query), data=push.body, buffered=True, **options)

    def get(self, path: str, query: Any = None, **options: Any) -> TestResponse:
        return self._client.get(path, query_string=query, buffered=True, **options)

    def counted(self) -> dict[str, int]:
        """Result → how many callbacks."""
        self.services.counters.flush()
        counts: Counter[str] = Counter()
        for field, value in self.services.redis.hgetall(keys.COUNTERS).items():
            name, *labels = field.split("|")
            if name == "callbacks_total":
                counts[dict(label.split("=") for label in labels)["result"]] += int(value)
        return dict(counts)

    def verdict(self, app: str = "default") -> Reason | None:
        """What was wrong with the last callback; None if nothing was."""
        verified = self.services.verifications.last(app)
        return None if verified is None else verified.problem


class WebProcess(Process):
    """`wecom-welcome role web`, as a process of its own."""

    def __init__(self, folder: Path, redis_url: str, **variables: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environ = {**ENVIRONMENT, "REDIS_URL": redis_url, "LOG_LEVEL": "debug", "LOG_FORMAT": "text", **variables}
        super().__init__(
            "web", [sys.executable, str(COMMAND), "role", "web", "--port", str(self.port)], environ, folder
        )

    def __enter__(self) -> "WebProcess":
        self.start()
        until(lambda: self.get("/healthz") == 200, what="the web side's start")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def get(self, path: str, query: Mapping[str, str] | None = None, port: int | None = None, **options: Any) -> Any:
        """A status; None if nobody answers."""
        try:
            return requests.get(
                f"http://127.0.0.1:{port or self.port}{path}", params=query, timeout=30, **options
            ).status_code
        except requests.RequestException:
            return None

    def post(self, push: Push) -> int:
        return requests.post(f"{self.url}/callback", params=push.query, data=push.body, timeout=30).status_code


def stored(client: Redis) -> tuple[int, int, int]:
    """How many rows, due events and messages of the welcome queue there are."""
    return len(client.keys(keys.event("*"))), client.zcard(keys.DUE), client.llen(keys.QUEUE)
