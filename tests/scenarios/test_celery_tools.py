"""Celery's own tools beside the running system: Flower over HTTP, and `celery -A tasks`, as an operator has them."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tasks.monitoring.task_names import FOLLOW_UP, GREET
from tasks.storage import keys
from tests.simulator.client import StandIn
from tests.support.books import a_template
from tests.support.processes import LONG_WINDOW, ROOT, Process, Product, free_port
from tests.support.until import until

BOOK = a_template("text: 您好\nthen: {tags: [来源/新客户]}")
HOST = socket.gethostname()
NODES = {f"welcome@{HOST}", f"upkeep@{HOST}"}


class Flower:
    """Flower with nothing but REDIS_URL."""

    def __init__(self, redis_url: str, folder: Path) -> None:
        self._port = free_port()
        environ = {"REDIS_URL": redis_url, "FLOWER_UNAUTHENTICATED_API": "true"}
        command = ["-m", "celery", "-A", "tasks", "flower", f"--port={self._port}", "--address=127.0.0.1"]
        self.process = Process("flower", [sys.executable, *command], environ, folder)

    def get(self, path: str) -> Any:
        """JSON; None without an answer."""
        try:
            answer = requests.get(f"http://127.0.0.1:{self._port}/api/{path}", timeout=30)
            return answer.json() if answer.ok else None
        except requests.ConnectionError:
            return None

    def post(self, path: str) -> str:
        return requests.post(f"http://127.0.0.1:{self._port}/api/{path}", timeout=30).text

    def knows_both(self) -> bool:
        """Whether it has heard of each worker, and of no other."""
        return set(self.get("workers?refresh=1") or ()) == NODES

    def tasks(self) -> dict[str, dict[str, Any]]:
        return self.get("tasks") or {}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, stand_in: StandIn) -> Iterator[Product]:
    started, window = ["web", "welcome", "upkeep"], str(LONG_WINDOW)  # in which Celery's own commands start
    folder = tmp_path_factory.mktemp("celery")
    with Product(folder, stand_in, start=started, book=BOOK, WELCOME_WINDOW_S=window) as product:
        yield product


@pytest.fixture
def product(shared: Product, wecom: StandIn) -> Product:
    wecom.register(shared.app)
    shared.forget_tokens()
    return shared


@pytest.fixture(scope="module")
def flower(shared: Product, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flower]:
    flower = Flower(shared.redis_url, tmp_path_factory.mktemp("flower"))
    flower.process.start()
    try:
        until(flower.knows_both, every=0.2, what="both workers")
        yield flower
    finally:
        flower.process.kill()


def celery(product: Product, *arguments: str) -> str:
    """The output of `celery -A tasks …`."""
    run = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tasks", *arguments],
        cwd=product.folder, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "REDIS_URL": product.redis_url},
        capture_output=True, text=True, timeout=90, check=True,
    )  # fmt: skip
    return run.stdout


def test_each_greeting_is_a_task_and_whoever_was_missed_a_failure(
    product: Product, wecom: StandIn, flower: Flower
) -> None:
    greeted = [wecom.add() for _ in range(20)]
    missed = wecom.add(created_at=int(time.time()) - 600)
    wecom.wait_until_greeted(20)
    ids = ids_of(product)
    greetings = until(lambda: ended(flower, GREET, 21), every=0.2, what="21 greetings that Flower knows of")
    for record in greeted:
        task = greetings[ids[record.external_user_id]]
        assert (task["state"], task["result"], task["worker"]) == ("SUCCESS", "sent", f"welcome@{HOST}")
    task = greetings[ids[missed.external_user_id]]
    assert (task["state"], task["exception"]) == ("FAILURE", "stale('announced_late')")
    follow_ups = until(lambda: ended(flower, FOLLOW_UP, 21), every=0.2, what="21 follow-ups")
    assert {one["result"] for one in follow_ups.values()} == {"done"}
    told = json.dumps(flower.tasks(), ensure_ascii=False)
    for record in (*greeted, missed):
        for secret in (record.external_user_id, record.welcome_code, record.user_id, "您好"):
            assert secret not in told


def ids_of(product: Product) -> dict[str, str]:
    """Customer → id of the event, which has its outcome."""
    return {row["external_user_id"]: row["id"] for row in product.rows()}


def ended(flower: Flower, name: str, count: int) -> dict[str, dict[str, Any]]:
    """The tasks of this name; {} until so many have ended."""
    tasks = {uuid: task for uuid, task in flower.tasks().items() if task["name"] == name}
    return tasks if sum(task["state"] in ("SUCCESS", "FAILURE") for task in tasks.values()) == count else {}


def test_flowers_buttons_stop_nobody(product: Product, wecom: StandIn, flower: Flower) -> None:
    flower.post(f"worker/shutdown/welcome@{HOST}")
    for button in ("worker/pool/shrink/{}?n=1", "worker/queue/cancel-consumer/{}?queue=welcome"):
        path = button.format(f"welcome@{HOST}")  # Flower waits a second for the worker's answer
        until(lambda path=path: "by remote control" in flower.post(path), what="the refusal")
    wecom.add()
    wecom.wait_until_greeted(1)
    refused = "shutdown was asked for, and refused"
    until(lambda: refused in product.roles["welcome"].output(), what="a line in the log")
    assert product.roles["welcome"].alive()


def test_what_is_being_greeted_is_active(product: Product, wecom: StandIn) -> None:
    wecom.faults(hang=1, hang_s=8)
    with product.client() as client:
        until(lambda: client.zcard(keys.DUE) == 0, what="the outcomes of those who were added before")
        wecom.add()
        (event,) = until(lambda: client.zrange(keys.DUE, 0, -1))

    def active() -> list[dict[str, Any]]:
        told: dict[str, list[dict[str, Any]]] = json.loads(celery(product, "inspect", "active", "--json"))
        return told[f"welcome@{HOST}"]

    (task,) = until(active, what="what is being greeted")
    assert (task["id"], task["name"]) == (event, GREET)


def test_they_are_back_after_redis_was_gone(product: Product, wecom: StandIn, flower: Flower) -> None:
    product.redis.kill()
    product.redis.start()
    record = wecom.add()
    wecom.wait_until_greeted(1)
    assert record.external_user_id in ids_of(product)
    until(flower.knows_both, every=0.2, what="both workers")

    def seen() -> bool:
        later = wecom.add()
        wecom.wait_until_greeted(1)
        return flower.get(f"task/info/{ids_of(product)[later.external_user_id]}") is not None

    until(seen, every=0.5, what="a greeting that Flower hears of")
