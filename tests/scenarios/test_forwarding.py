"""Events forwarded to a receiver that is killed and started again: the one that deploy/README.md shows."""

import os
import re
import signal
import sys
from pathlib import Path

from tests.simulator.client import StandIn
from tests.support.documents import DEPLOY, Page
from tests.support.processes import ROLES, Process, Product, free_port
from tests.support.receiver import SECRET
from tests.support.until import until

COUNT, RATE = 200, 50


def shown_receiver() -> str:
    """The receiver of the page, with the secret filled in."""
    (code,) = (code for language, code in Page(DEPLOY / "README.md").blocks if "standardwebhooks" in code)
    assert len(code.strip().splitlines()) <= 13
    return code.replace("whsec_…", SECRET)


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
    command = [sys.executable, "-m", "flask", "--app", "receiver", "run", "--without-threads", "--port", str(port)]
    receiver = Process("receiver", command, {"PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path))}, tmp_path)
    product = Product(tmp_path / "product", wecom, start=["web", "welcome", "upkeep"])
    configured(product, f"http://127.0.0.1:{port}/hook")

    def got() -> set[str]:
        return set(re.findall(r"^contact\.add ([0-9a-f]{32})$", receiver.log.read_text(), re.MULTILINE))

    receiver.start()
    try:
        with product:
            wecom.load(COUNT, RATE)
            until(lambda: len(got()) >= COUNT // 8, what="the first events")
            receiver.kill(signal.SIGKILL)
            before = len(got())
            until(lambda: len([row for row in product.rows() if row["outcome"]]) == COUNT, what="the greetings")
            receiver.start()
            until(lambda: len(got()) == COUNT, timeout=60, what="every event")
            assert got() == {row["id"] for row in product.rows()}
            (status,) = product.services().forwards.status(product.app.name).values()
            assert (status.waiting, status.parked) == (0, 0)
            assert before < COUNT
    finally:
        receiver.stop()
