"""F50: roles are upgraded one by one, under load, and go back. Meanwhile the previous release and this one work on one
Redis.

The previous release is the last commit before this one's version number: `CODE`. A clone without history has no other.
"""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.storage import formats, keys
from tests import upgrade
from tests.simulator.client import StandIn
from tests.support.books import FOLLOWED_UP
from tests.support.judge import assert_all_greeted, calls
from tests.support.processes import LONG_WINDOW, Process, Product
from tests.support.until import until

CODE = Path(upgrade.__file__).with_name("code-dee2447.tar.xz")  # see CONTRIBUTING.md, Releases
COMMAND = ("-c", "from webhook.cli.main import main; main()")


class Mixed:
    """An installation whose roles are each of either release."""

    def __init__(self, product: Product, code: Path) -> None:
        self.product = product
        self._environ = product.environ | {"PYTHONPATH": str(code)}
        self.old = {role: self._previous(role) for role in product.roles}
        self.new = product.roles

    def _previous(self, role: str) -> Process:
        port = ["--port", str(self.product.port)] if role == "web" else []
        command = [sys.executable, *COMMAND, "role", role, *port]
        process = Process(f"old-{role}", command, self._environ, self.product.folder)
        self.product.processes.append(process)
        return process

    def previous_says(self, *arguments: str) -> str:
        """The output of the previous release's command."""
        command = [sys.executable, *COMMAND, *arguments]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("WECOM_", "WELCOME_"))}
        environ = inherited | self._environ
        ended = subprocess.run(
            command, env=environ, cwd=self.product.folder, capture_output=True, text=True, timeout=90
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def web(self, leaves: Process, comes: Process) -> float:
        """The one web side in place of the other, on the same port. → seconds without any."""
        left_at = time.monotonic()
        stops(leaves)
        comes.start()
        self.product.wait_for_page("/readyz/intake")
        return time.monotonic() - left_at


def stops(process: Process) -> None:
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


def sent_by(worker: Process) -> int:
    """How many greetings its log tells of."""
    return worker.output().count(" sent after ")


@pytest.fixture
def mixed(tmp_path: Path, wecom: StandIn) -> Iterator[Mixed]:
    """The previous release, at work."""
    with tarfile.open(CODE) as archive:
        archive.extractall(tmp_path / "code", filter="data")
    few = "2"  # greetings in flight: so few that one worker wakes the other
    wecom.settings(window_s=LONG_WINDOW)
    settings = {"WELCOME_CONCURRENCY": few, "WELCOME_WINDOW_S": str(LONG_WINDOW)}
    with Product(tmp_path, wecom, start=[], book=FOLLOWED_UP, **settings) as product:
        mixed = Mixed(product, tmp_path / "code")
        for role in mixed.old.values():
            role.start()
        product.wait_for_page("/readyz")
        yield mixed


def test_f50_roles_restarted_one_by_one_with_the_next_release_are_noticed_by_nobody(
    mixed: Mixed, wecom: StandIn, measured: Callable[[str, float], None]
) -> None:
    old, new = mixed.old, mixed.new
    wecom.pushing(retries=200, spacing_s=0.3)
    wecom.faults(latency_ms=80, jitter_ms=20)

    def both_greet() -> None:
        before = [sent_by(worker) for worker in (old["welcome"], new["welcome"])]

        def each_did() -> bool:
            if not wecom.status()["pushing"]:  # however long the new one takes to start
                wecom.load(40, rate=40)
            now = [sent_by(worker) for worker in (old["welcome"], new["welcome"])]
            return all(one > then for one, then in zip(now, before, strict=True))

        until(each_did, every=0.1, what="a greeting by each")

    new["welcome"].start()
    both_greet()  # what the previous release stored
    new["upkeep"].start()
    stops(old["upkeep"])
    away = mixed.web(old["web"], new["web"])
    both_greet()  # what this one stored
    stops(old["beat"])
    new["beat"].start()
    wecom.wait_until_pushed()
    stops(old["welcome"])
    measured("F50: the web side restarted, seconds without any", away)
    found = assert_all_greeted(wecom, mixed.product)
    measured("F50: each role upgraded, the slowest greeting", found.to_greeting.max)
    assert (found.recovered, found.outcomes) == (0, {"sent": found.events})
    assert all(calls(record) == [0] for record in wecom.records())
    until(lambda: set(states(mixed.product.rows())) == {"done"}, every=0.2, what="the follow-ups")
    before = [json.loads(line) for line in mixed.previous_says("deliveries", "--json", "--limit", "1000").splitlines()]
    now = {row["id"]: row for row in mixed.product.rows()}
    assert len(before) == len(now) == found.events
    assert not [row["id"] for row in before if any(row[name] != now[row["id"]][name] for name in row)]
    with mixed.product.client() as client:
        assert client.get(keys.FORMAT) == str(formats.STATE)

    old["welcome"].start()  # back again, readers after writers
    mixed.web(new["web"], old["web"])
    stops(new["welcome"])
    already = sent_by(old["welcome"])
    wecom.load(10, rate=40)
    wecom.wait_until_pushed()
    until(lambda: sent_by(old["welcome"]) >= already + 10, every=0.1, what="greetings by the previous release")
    until(lambda: {row["outcome"] for row in mixed.product.rows()} == {"sent"}, every=0.2, what="every outcome")


def states(rows: list[dict[str, Any]]) -> Iterator[str]:
    return (row["followup"]["state"] for row in rows)
