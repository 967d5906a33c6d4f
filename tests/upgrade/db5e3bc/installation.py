"""An installation of commit db5e3bc, in part in this process, in part as the processes that it starts."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import psutil
from front import Front

from tasks import connections
from tasks.assembly import Parts, assemble
from tasks.corp_tags import CorpTags
from tasks.embedded import Embedded
from tasks.events import CHANGES, ContactAdded
from tasks.followup import FollowUp
from tasks.lanes import Lanes
from tasks.ledger import DUE, Claim
from tasks.ledger.followups import FollowUps, Task
from tasks.people import People
from tasks.settings import Settings, read
from tasks.welcome import Greeter
from tests.books import FILES, MP4
from tests.processes import free_port
from tests.simulator.client import StandIn
from tests.simulator.world import App

SEND = "externalcontact/send_welcome_msg"
CORP = "ww0000000000000000"
OPERATOR = "李敏"
REFUSED_CALLBACKS = (  # apps, by what was wrong with the last callback that was refused
    *("no-query", "no-ciphertext", "mangled", "other-key", "other-corp", "neither", "other-token"),
    *("other-token-and-corp", "accepted"),
)
APPS = ("default", "bare", "later-gone", *REFUSED_CALLBACKS)
KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"  # of WeCom's own sample, as the other tests have it
TOKEN = "QDG6eK"
PASSWORD = "not-a-password"
BROKEN = {"media/broken.mp4": MP4 + b" that is refused", "media/lost.mp4": MP4 + b" whose upload breaks off"}
BOOK = """\
version: 1
templates:
  plain: {text: "您好，很高兴认识您！"}
  names: {text: "您好{customer}，我是{member}，很高兴认识您！"}
  brochure:
    text: "{customer|朋友}，欢迎来到{department}"
    attachments:
      - image: {file: media/hello.png}
      - link: {title: 产品手册, url: "https://example.com/book", desc: 最新版}
      - miniprogram: {title: 预约, appid: wx8bd80126147df384, page: pages/index.html, cover: media/cover.png}
      - video: {file: media/intro.mp4}
      - file: {file: media/price.pdf}
    then: {tags: [来源/新客户], remark: "{customer}"}
  link: {text: "您好", attachments: [link: {title: 产品手册, url: "https://example.com/book"}]}
  video: {text: "您好", attachments: [video: {file: media/broken.mp4}]}
  both:
    text: "您好"
    attachments:
      - video: {file: media/broken.mp4}
      - link: {title: 产品手册, url: "https://example.com/book"}
  lost: {text: "您好", attachments: [video: {file: media/lost.mp4}]}
  tagged: {text: "您好", then: {tags: [来源/新客户, 老客户], remark: "{customer}"}}
  only-tagged: {text: "您好", then: {tags: [来源/新客户]}}
  member-remark: {text: "您好", then: {remark: "{member}的客户"}}
rules:
  - {name: a-or-b, when: {state: "ab-*"}, use: {plain: 50, link: 50}}
  - {when: {state: names}, use: names}
  - {when: {state: brochure}, use: brochure}
  - {when: {state: link}, use: link}
  - {when: {state: video}, use: video}
  - {when: {state: both}, use: both}
  - {when: {state: lost}, use: lost}
  - {when: {state: "tagged*"}, use: tagged}
  - {when: {state: only-tagged}, use: only-tagged}
  - {when: {state: member-remark}, use: member-remark}
  - {name: east, when: {state: "east*", department: 3}, use: tagged}
  - use: plain
group_welcome:
  newcomers: {text: "欢迎 %NICKNAME% 入群", link: {title: 群规, url: "https://example.com/rules"}}
  refused: {text: "这一条被拒绝"}
  lost: {text: "这一条没有回音"}
  waits: {text: "欢迎", video: {file: media/broken.mp4}}
"""
SIMPLE = BOOK.partition("  names:")[0] + "rules:\n  - use: plain\n"
BARE = """\
version: 1
templates: {tagged: {text: "您好", then: {tags: [老客户]}}}
rules:
  - use: tagged
"""
MEDIA = FILES | BROKEN


class Installation:
    """Its data directory, the stand-in, and workers of the old code on it."""

    def __init__(self, folder: Path, wecom: StandIn) -> None:
        self.folder, self.wecom = folder, wecom
        folder.mkdir(parents=True)
        (folder / "logs").mkdir()
        self.front = Front(wecom.base_url)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        for name in APPS:
            wecom.register(App(name, CORP, secret_of(name), TOKEN, KEY, f"{self.url}/callback/{name}"))
        self.configure(APPS)
        self.embedded = Embedded(folder / "var")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._out = (folder / "logs/server.out").open("wb")
        self._server = subprocess.Popen(self.embedded.prepare(), stdout=self._out, stderr=self._out)
        self.redis = connections.connect(self.embedded.url, timeout=5)
        until(self._answers)
        self._pool = ThreadPoolExecutor(64)
        self._greetings: list[Callable[[], object]] = []

    def _answers(self) -> bool:
        try:
            return bool(self.redis.ping())
        except Exception:
            return False

    def configure(self, apps: tuple[str, ...]) -> None:
        """Write the settings, of these apps."""
        lines = []
        for name in apps:
            lines += [f"[apps.{name}]", f'corp_id = "{CORP}"', f'secret = "{secret_of(name)}"', 'agent_id = "1000002"']
            lines += [f'token = "{TOKEN}"', f'encoding_aes_key = "{KEY}"', ""]
        (self.folder / "apps.toml").write_text("\n".join(lines))

    # --- the old code in this process

    def environ(self, **variables: str) -> dict[str, str]:
        return {
            "WELCOME_CONFIG": str(self.folder / "apps.toml"),
            "WECOM_API_BASE": self.front.url,
            "WELCOME_DATA_DIR": str(self.folder / "var"),
            "CONSOLE_PASSWORD": PASSWORD,
            "REDIS_URL": self.embedded.url,
            **variables,
        }

    def settings(self, **variables: str) -> Settings:
        return read(self.environ(**variables), self.folder)

    @cache  # noqa: B019  a run has one installation
    def parts(self, window: float = 20, base: str = "") -> Parts:
        return assemble(self.settings(WELCOME_WINDOW_S=str(window), WECOM_API_BASE=base or self.front.url))

    def greeter(self, parts: Parts) -> Greeter:
        people = People(parts.redis, parts.settings.timezone)
        return Greeter(parts.ledger, parts.books, people, parts.clients, parts.counters, Lanes(parts.redis))

    def accept(self, name: str, **different: object) -> ContactAdded:
        """A customer `wm-NAME` is added, and stored. `known` False: WeCom has not heard of it."""
        values: dict[str, object] = {
            "app": "default",
            "corp_id": CORP,
            "change": "add",
            "user_id": "zhangsan",
            "external_user_id": f"wm-{name}",
            "created_at": int(time.time()),
            "welcome_code": f"code-of-{name}",
            "state": "",
        }
        known = different.pop("known", True)
        event = ContactAdded(**values | different)  # type: ignore[arg-type]
        if known:
            change = next(wecoms for wecoms, ours in CHANGES.items() if ours == event.change)
            names = ("app", "user_id", "external_user_id", "created_at", "welcome_code", "state")
            self.wecom.add(push=False, change=change, **{one: getattr(event, one) for one in names})
        assert self.parts().ledger.accept(event)
        return event

    def claimed(self, window: float = 20) -> Claim:
        """The one that is due, claimed by a worker whose code lives so long."""
        (claim,) = self.parts(window).ledger.claim(2)
        return claim

    def lease_ends(self, event: ContactAdded) -> None:
        """As if its worker had died and its lease were over."""
        self.redis.zadd(DUE, {event.id: 0}, xx=True)

    def greet(self, claim: Claim, window: float = 20, base: str = "") -> None:
        """Begin to greet, beside the others; `finish` waits."""
        work = self._pool.submit(self.greeter(self.parts(window, base)).greet, claim)
        self._greetings.append(work.result)

    def scene(self, name: str, *answers: object, always: bool = False, **different: object) -> ContactAdded:
        """A customer whose greeting gets these answers, and then the stand-in's."""
        window, base = float(str(different.pop("window", 20))), str(different.pop("base", ""))
        if answers:
            self.front.script(SEND, f'"code-of-{name}"', *answers, always=always)
        event = self.accept(name, **different)
        self.greet(self.claimed(window), window, base)
        return event

    def finish(self) -> None:
        """Wait for the greetings that have begun."""
        waiting, self._greetings = self._greetings, []
        for result in waiting:
            result()

    def follow_up(self, **different: object) -> FollowUp:
        parts = self.parts()
        values: dict[str, object] = {
            "store": FollowUps(parts.redis),
            "books": parts.books,
            "people": People(parts.redis, parts.settings.timezone),
            "tags": CorpTags(parts.redis),
            "clients": parts.clients,
            "counters": parts.counters,
            "jitter": lambda: 1.0,  # the longest wait
        }
        return FollowUp(**values | different)  # type: ignore[arg-type]

    def follow_ups(self) -> list[Task]:
        """Those that are due, claimed."""
        return FollowUps(self.redis).claim(100)

    def do_follow_ups(self) -> None:
        """All that are due; whatever is not wanted as waiting is done with this."""
        while tasks := self.follow_ups():
            list(self._pool.map(self.follow_up().do, tasks))

    # --- the old code as processes

    def start(self, *roles: str) -> None:
        for role in roles:
            command = [str(Path(sys.executable).with_name("wecom-welcome")), "role", role]
            command += ["--port", str(self.port)] if role == "web" else []
            with (self.folder / "logs" / f"{role}.log").open("ab") as out:
                self.processes[role] = subprocess.Popen(command, env=self._inherited(), stdout=out, stderr=out)

    def kill(self, *roles: str) -> None:
        """kill -9, of a process and those below it."""
        for role in roles:
            process = self.processes.pop(role)
            below = psutil.Process(process.pid).children(recursive=True)
            for one in (process, *below):
                one.kill()
            process.wait()

    def command(self, *arguments: str) -> str:
        """The output of `wecom-welcome …`."""
        command = [str(Path(sys.executable).with_name("wecom-welcome")), *arguments]
        return subprocess.run(command, env=self._inherited(), capture_output=True, text=True, check=True).stdout

    def _inherited(self) -> dict[str, str]:
        return {**os.environ, **self.environ(), "LOG_FORMAT": "text", "PYTHONPATH": str(Path.cwd())}

    def rewrite(self) -> None:
        """Write the append-only file anew, as text."""
        self.redis.config_set("aof-use-rdb-preamble", "no")
        self.redis.bgrewriteaof()
        time.sleep(0.5)
        until(lambda: self.redis.info("persistence")["aof_rewrite_in_progress"] == 0)

    def stop(self) -> None:
        self.kill(*self.processes)
        self._server.terminate()
        self._server.wait()


def secret_of(app: str) -> str:
    return f"not-a-secret-of-{app}"


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    by = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < by, "it did not come"
        time.sleep(0.05)
