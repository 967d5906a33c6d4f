"""Events forwarded to a receiver that is killed and started again: the one that README.md shows."""

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from tests.simulator.client import StandIn
from tests.support.documents import ROOT, Page
from tests.support.processes import ROLES, Process, Product, free_port
from tests.support.receiver import SECRET
from tests.support.until import until

COUNT, RATE = 200, 50


def shown_receiver() -> str:
    """The receiver of the page, with the secret filled in. The page in Chinese shows the same."""
    english, chinese = (dict(Page(ROOT / name).blocks)["python"] for name in ("README.md", "README.zh-CN.md"))
    assert english == chinese
    return english.replace("whsec_…", SECRET)


def configured(product: Product, url: str) -> None:
    """Give the product its app by a file, with a target."""
    app, keys = product.app, ("WECOM_CORP_ID", "WECOM_CORP_SECRET", "WECOM_TOKEN", "WECOM_ENCODING_AES_KEY")
    values = [product.environ.pop(key) for key in keys]
    table = zip(("corp_id", "secret", "token", "encoding_aes_key"), values, strict=True)
    (product.folder / "apps.toml").write_text(
        f"[apps.{app.name}]\n"
        + "".join(f'{key} = "{value}"\n' for key, value in table)
        + f'[[apps.{app.name}.forward]]\nurl = "{url}"\nsecret = "{SECRET}"\n'
    )
    product.environ.pop("WECOM_AGENT_ID", None)
    product.environ["WELCOME_CONFIG"] = str(product.folder / "apps.toml")
    product.roles = {name: product.role(name) for name in ROLES}


def test_a_receiver_that_is_killed_gets_every_event(tmp_path: Path, wecom: StandIn) -> None:
    port = free_port()
    (tmp_path / "receiver.py").write_text(shown_receiver(), "utf-8")
    command = [sys.executable, "-m", "flask", "--app", "receiver", "run", "--port", str(port)]
    receiver = Process("receiver", command, {"PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path))}, tmp_path)
    product = Product(tmp_path / "product", wecom, start=["web", "welcome", "upkeep"])
    configured(product, f"http://127.0.0.1:{port}/hook")

    def got() -> set[str]:
        with closing(sqlite3.connect(f"file:{tmp_path}/events.db?mode=ro", uri=True)) as events:
            kept = events.execute("SELECT id, body FROM events").fetchall()
        assert {json.loads(body)["type"] for _, body in kept} <= {"contact.add"}
        return {identity for identity, _ in kept}

    def has(count: int) -> Callable[[], bool]:
        def check() -> bool:
            with suppress(sqlite3.OperationalError):  # it is not there yet
                return len(got()) >= count
            return False

        return check

    receiver.start()
    try:
        with product:
            wecom.load(COUNT // 2, RATE)
            until(has(COUNT // 8), what="the first events")
            receiver.kill(signal.SIGKILL)
            wecom.load(COUNT // 2, RATE)
            until(lambda: len([row for row in product.rows() if row["outcome"]]) == COUNT, what="the greetings")
            receiver.start()
            until(has(COUNT), timeout=60, what="every event")
            assert got() == {row["id"] for row in product.rows()}
            forwards = product.services().forwards
            until(lambda: [one.waiting for one in forwards.status(product.app.name).values()] == [0])
            assert [one.parked for one in forwards.status(product.app.name).values()] == [0]
    finally:
        receiver.stop()
