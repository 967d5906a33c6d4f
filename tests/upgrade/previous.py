"""A copy of what the release before this one left behind, and this release's processes on it. See db5e3bc/README.md."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from html import unescape
from pathlib import Path
from typing import Any

import requests

from tasks.storage import connections
from tasks.storage.embedded import Embedded
from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support.processes import COMMAND, ROOT, Process, answers, free_port, memory
from tests.support.until import until

HERE = Path(__file__).parent / "db5e3bc"
GOLDEN = HERE / "golden"
MADE_AT: int = json.loads((HERE / "made.json").read_text())["at"]  # ms
WORDS: dict[str, Any] = json.loads((GOLDEN / "words.json").read_text())
CORP, OPERATOR, PASSWORD = "ww0000000000000000", "李敏", "not-a-password"
KEY, TOKEN = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C", "QDG6eK"  # of WeCom's own sample
WINDOW = 60.0  # seconds that a code lives here, the stand-in's too: a slow machine starts all roles in half of it
ENDS_AT = re.compile(rb"(\$9\r\nPEXPIREAT\r\n\$\d+\r\n[^\r]+\r\n\$13\r\n)(\d{13})")

CHANGES = {"add": "add_external_contact", "half_add": "add_half_external_contact"}


def golden(name: str) -> str:
    """What the previous release said."""
    return (GOLDEN / name).read_text("utf-8-sig")


def golden_lines(name: str) -> list[dict[str, Any]]:
    """As `golden`, of a file with one JSON object a line."""
    return [json.loads(line) for line in golden(name).splitlines()]


def copy_data(to: Path) -> None:
    """The data directory as it was left, but for the ends of keys: they have as long to live as when it was made."""
    shutil.copytree(HERE / "data", to, dirs_exist_ok=True)
    since = int(time.time() * 1000) - MADE_AT
    for file in to.glob("valkey/appendonlydir/*.base.aof"):
        moved = ENDS_AT.sub(lambda found: found[1] + str(int(found[2]) + since).encode(), file.read_bytes())
        file.write_bytes(moved)


class Installation:
    """The data directory `folder/var`, and what this release makes of it. Nothing runs at first."""

    def __init__(self, folder: Path, wecom: StandIn, **variables: str) -> None:
        self.folder, self.wecom = folder, wecom
        (folder / "var").symlink_to(memory(self))  # a busy disk would hold its server up
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        shutil.copy(HERE / "apps.toml", folder)
        self.environ = {
            "WELCOME_CONFIG": str(folder / "apps.toml"),
            "WELCOME_DATA_DIR": str(folder / "var"),
            "WECOM_API_BASE": wecom.base_url,
            "WELCOME_KEEP_DAYS": "3650",  # the rows are as old as the release
            "CONSOLE_PASSWORD": PASSWORD,
            "LOG_FORMAT": "text",
            "PYTHONPATH": str(ROOT),
            **variables,
        }
        self.embedded = Embedded(folder / "var")

    def register(self) -> None:
        """Make the apps known to the stand-in."""
        for name in re.findall(r"^\[apps\.(.+)\]$", (HERE / "apps.toml").read_text(), re.MULTILINE):
            self.wecom.register(App(name, CORP, f"not-a-secret-of-{name}", TOKEN, KEY, f"{self.url}/callback/{name}"))

    @contextlib.contextmanager
    def server(self) -> Iterator[connections.Redis]:
        """The embedded server alone, as `up` runs it."""
        process = Process("server", self.embedded.prepare(), {}, self.folder).start()
        client = connections.connect(self.embedded.url, timeout=5)
        try:
            until(lambda: answers(client), what="the embedded server's start")
            yield client
        finally:
            client.close()
            process.stop()

    def process(self, *arguments: str) -> Process:
        """`wecom-welcome` with these arguments, not started yet."""
        return Process(arguments[0], [sys.executable, str(COMMAND), *arguments], self.environ, self.folder)

    def command(self, *arguments: str, fails: bool = False) -> str:
        """The output of `wecom-welcome` with these arguments. `fails`: whether it ends with an exit code of its own."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("WECOM_", "WELCOME_"))}
        ended = subprocess.run(
            [sys.executable, str(COMMAND), *arguments],
            env=inherited | self.environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (ended.returncode != 0) is fails, ended.stderr
        return ended.stdout

    def deliveries(self) -> dict[str, dict[str, Any]]:
        """Event id → a line of `deliveries --json`."""
        lines = self.command("deliveries", "--json", "--limit", "1000").splitlines()
        return {row["id"]: row for row in map(json.loads, lines)}

    def answers(self, path: str = "/readyz/intake") -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(self.url + path, timeout=30).status_code == 200
        return False


class Operator:
    """Somebody who has signed in to the console, over HTTP."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/console"
        self._session = requests.Session()
        self._session.trust_env = False
        self.post("/login", self.get("/login"), name=OPERATOR, password=PASSWORD)

    def get(self, path: str, language: str = "en") -> str:
        """A page's source."""

        def asked() -> requests.Response:
            return self._session.get(self._url + path, cookies={"welcome-language": language}, timeout=60)

        answer = asked()
        if answer.status_code == 503:  # Redis did not answer within the web side's patience of 0.6 s
            answer = until(lambda: found if (found := asked()).status_code != 503 else None, every=0.5, what=path)
        assert answer.status_code == 200, (path, answer.status_code)
        answer.encoding = "utf-8"
        return answer.text

    def text(self, path: str, language: str = "en") -> str:
        """What a page says, in one line."""
        body = re.sub(r"(?s)<(script|style|head).*?</\1>", " ", self.get(path, language))
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())

    def post(self, path: str, page: str, **fields: str) -> None:
        """A form that stands in this page."""
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert token is not None
        data = {"csrf_token": unescape(token[1]), **fields}
        answer = self._session.post(self._url + path, data=data, timeout=60, headers={"Origin": self._origin})
        assert answer.status_code == 200, (path, answer.status_code)

    @property
    def _origin(self) -> str:
        return self._url.removesuffix("/console")


def move_to_now(client: connections.Redis, wecom: StandIn, identity: str) -> str:
    """Make an unfinished event one of this moment: its code, which lives for seconds, died with the old release's run.

    WeCom's CreateTime and the receipt become now, a lease has just ended, and the stand-in hears of the customer. What
    else the row says stays. → the event's id, which depends on the CreateTime.
    """
    row = client.hgetall(f"welcome:event:{identity}")
    seconds, micros = client.time()
    now = seconds * 1000 + micros // 1000
    moved = row | {"created_at": str(seconds), "received_at": str(now)}
    assert event_id(row) == identity
    new = event_id(moved)
    with client.pipeline() as pipe:
        pipe.rename(f"welcome:event:{identity}", f"welcome:event:{new}")
        pipe.hset(f"welcome:event:{new}", mapping={"created_at": seconds, "received_at": now})
        for key in ("welcome:due", "welcome:events", *client.scan_iter("welcome:index:*", count=1000)):
            if client.zscore(key, identity) is not None:
                pipe.zrem(key, identity)
                pipe.zadd(key, {new: now})
        pipe.execute()
    if row["rehearsal"] != "1":
        names = ("app", "user_id", "external_user_id", "welcome_code", "state")
        change = CHANGES[row["change"]]
        wecom.add(push=False, created_at=seconds, change=change, **{name: row[name] for name in names})
    return new


def event_id(row: Mapping[str, str]) -> str:
    """An event's id by the rule of the previous release."""
    names = ("app", "corp_id", "change", "user_id", "external_user_id", "created_at", "welcome_code")
    return hashlib.sha256("\0".join(row[name] for name in names).encode()).hexdigest()[:32]
