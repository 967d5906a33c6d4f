"""StandIn: the stand-in as a process of its own, with a typed method for each control call.

with StandIn(Faults(latency_ms=80)) as wecom:
    app = wecom.register(App.random(callback_url="http://127.0.0.1:8000/callback"))
    ...start the product with app.environment(wecom.base_url)...
    wecom.add(user_id="zhangsan")
    wecom.wait_until_greeted(1)
"""

import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import requests

from tests.simulator.faults import Faults
from tests.simulator.records import Record, Summary
from tests.simulator.world import App

ROOT = Path(__file__).parents[2]
START_S = 60.0


class StandIn:
    """Ends with its `with` block, and with this process, however it ends (its standard input closes)."""

    def __init__(
        self,
        faults: Faults | None = None,
        *,
        window_s: float = 20,
        token_life_s: float = 7200,
        port: int = 0,
    ) -> None:
        self._arguments = [f"--port={port}", f"--window={window_s}", f"--token-life={token_life_s}", "--until-eof"]
        self._arguments.append("--members=")  # a test says who is there
        self._faults = faults
        self._process: subprocess.Popen[str] | None = None
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy between here and loopback
        self.base_url = ""  # for WECOM_API_BASE

    def __enter__(self) -> "StandIn":
        return self.start()

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.stop()

    def start(self) -> "StandIn":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.simulator", *self._arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C at the terminal is for the parent to handle
        )
        ready, _, _ = select.select([self._process.stdout], [], [], START_S)
        line = self._process.stdout.readline() if ready else ""
        url = re.search(r"http://\S+", line)
        if url is None:
            self.stop()
            raise RuntimeError(f"the stand-in did not start within {START_S:.0f} s: {line!r}")
        self.base_url = url[0]
        if self._faults is not None:
            self.faults(self._faults)
        return self

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._session.close()
        self._process = None

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_seconds(self) -> float:
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system

    # -------------------------------------------------------------------------------- what it is

    def register(self, app: App) -> App:
        """Register the app, or change it. Returns it."""
        self._post("register", asdict(app))
        return app

    def settings(self, **settings: float) -> None:
        """Change any of window_s, token_life_s, media_life_s, clock_s. In seconds."""
        self._post("settings", settings)

    def faults(self, faults: Faults | None = None, **rates: Any) -> None:
        """Replace all faults, restarting their seed; without arguments there are none."""
        self._post("faults", asdict(Faults(**rates) if faults is None else faults))

    def pushing(self, **pushing: Any) -> None:
        """Set how callbacks are pushed: fields of sender.Pushing; fields not named get their default."""
        self._post("pushing", pushing)

    def people(
        self,
        members: dict[str, dict[str, Any]] | None = None,
        customers: dict[str, dict[str, Any]] | None = None,
        chats: dict[str, dict[str, Any]] | None = None,
        departments: dict[int, dict[str, Any]] | None = None,
        app: str = "default",
    ) -> None:
        """Set fields by id, as the API returns them: `members={"zhangsan": {"name": "张三"}}`. Status 5: has left.

        A member with `licensed` False has no interface licence: 701008.
        """
        people = {"members": members, "customers": customers, "chats": chats, "departments": departments}
        self._post("people", {"app": app, **{kind: fields or {} for kind, fields in people.items()}})

    def sign_in(self, **fields: Any) -> None:
        """`domains`: registered for 授权登录, none: any. `present`: the member in WeCom's own browser."""
        self._post("sign_in", fields)

    def code_for(self, who: str, app: str = "default") -> str:
        """A sign-in's code for a member, as the app's authorize page gives it."""
        code: str = self._post("sign_in", {"who": who, "app": app})["code"]
        return code

    def acquaint(self, contacts: list[dict[str, Any]], app: str = "default") -> None:
        """Make contacts without an event, at any time: `user_id`, `external_user_id`, `created_at`, `state` of each."""
        self._post("acquaint", {"app": app, "contacts": contacts})

    # -------------------------------------------------------------------------------- what happens

    def add(self, **event: Any) -> Record:
        """Add a customer now: fields of sender.Event. Pushed to the callback unless `push=False`."""
        return Record.from_json(self._post("add", event))

    def repeat(self, record: Record | int, times: int = 1) -> None:
        """Push the same event `times` more, in parallel, whether it was accepted or not."""
        self._post("repeat", {"id": record if isinstance(record, int) else record.id, "times": times})

    def load(self, count: int, rate: float, *, members: int = 50, **event: Any) -> tuple[float, float]:
        """Start adding `count` customers, `rate` a second, in an open loop. → (begin, end), Unix time; does not wait.

        A burst is `load(8000, rate=8000)`. Further fields as in `add`. Waits for the end of an earlier load.
        """
        self._wait_until(lambda status: not status["loading"], "the end of the earlier load", timeout=120)
        plan = self._post("load", {"count": count, "rate": rate, "members": members, **event}, timeout=60)
        return plan["starts_at"], plan["ends_at"]

    def verify(self, app: str = "default") -> dict[str, Any]:
        """Verify the callback URL as the admin console does: ok, status, seconds."""
        return self._post("verify", {"app": app})

    def revoke_tokens(self) -> int:
        return self._post("revoke", {})["revoked"]

    def kill_media(self, ids: list[str] | None = None) -> int:
        """Expire material early, by media id; None: all of it. → how many."""
        return self._post("kill_media", {"ids": ids})["killed"]

    def pristine(self) -> None:
        """Reset everything, with default settings and no faults or latency. Apps stay."""
        self.reset()
        self.settings(window_s=20, token_life_s=7200, media_life_s=3 * 86400, clock_s=0)
        self.faults()
        self.pushing()

    def reset(self) -> None:
        """Forget records, tokens, people and media, and stop pushes in progress; apps, settings, faults stay."""
        self._post("reset", {})

    # -------------------------------------------------------------------------------- results

    def status(self) -> dict[str, Any]:
        """Cheap to poll: added, accepted, given_up, greeted, pushing (in progress), loading, connections."""
        return self._get("status")

    def summary(self) -> Summary:
        return Summary.from_json(self._get("summary"))

    def records(self, from_id: int = 1) -> list[Record]:
        return [Record.from_json(value) for value in self._get(f"records?from={from_id}")]

    def record(self, record: Record | int) -> Record:
        """The record as it is now."""
        return Record.from_json(self._get(f"record?id={record if isinstance(record, int) else record.id}"))

    def wait_until_greeted(self, count: int, timeout: float = 60) -> None:
        """Wait until `count` customers have their greeting. TimeoutError shows the status."""
        self._wait_until(lambda status: status["greeted"] >= count, f"{count} greeted", timeout)
        time.sleep(max(0.0, self.status()["last_greeted_at"] - time.time()))  # decided, and now also delivered

    def wait_until_accepted(self, count: int, timeout: float = 60) -> None:
        """Wait until `count` events were answered 200."""
        self._wait_until(lambda status: status["accepted"] >= count, f"{count} accepted", timeout)

    def wait_until_pushed(self, timeout: float = 120) -> None:
        """Wait until the load is over and every event was accepted or given up."""
        self._wait_until(lambda status: not status["loading"] and not status["pushing"], "all pushed", timeout)

    def messages(self, app: str = "default") -> list[dict[str, Any]]:
        """The app messages to members, oldest first: the `members` reached, and the `text` or other kind."""
        return self._get(f"messages?app={app}")

    def robot(self) -> str:
        """The URL of a new group robot, for ALERT_WEBHOOK."""
        url: str = self._post("robot", {})["url"]
        return url

    def alerts(self, robot: str) -> list[str]:
        """What the robot of this URL has sent to its group, oldest first."""
        return [message["content"] for message in self._get(f"alerts?{robot.partition('?')[2]}")]

    def _wait_until(self, met: Callable[[dict[str, Any]], bool], wanted: str, timeout: float) -> None:
        give_up_at = time.monotonic() + timeout
        while not met(status := self.status()):
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"not {wanted} within {timeout:g} s: {status}")
            time.sleep(0.02)

    def _post(self, name: str, body: dict[str, Any], timeout: float = 60) -> Any:
        return self._answer(self._session.post(f"{self.base_url}/simulator/{name}", json=body, timeout=timeout))

    def _get(self, name: str) -> Any:
        return self._answer(self._session.get(f"{self.base_url}/simulator/{name}", timeout=60))

    @staticmethod
    def _answer(response: requests.Response) -> Any:
        if response.status_code != 200:
            raise ValueError(f"the stand-in refused: {response.text}")
        return response.json()
