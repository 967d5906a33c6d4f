"""`make run`: starts the product as it is configured, or the demo without a configuration.

The demo is the whole product with a simulated WeCom, in a small company that has worked with it for thirty days (see
tests.simulator.demo). Customers are added through the real, encrypted callback, and each greeting is a line on the
terminal, and so is each alert to its group robot. It leaves nothing behind: its data directory is temporary.
"""

import argparse
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from dotenv import dotenv_values

from tests.simulator.client import StandIn
from tests.simulator.demo.company import ADMIN, BOOK
from tests.simulator.demo.live import USUAL, WINDOW_S, Greetings
from tests.simulator.world import App
from webhook.cli.parent_death import dying_with_this_process
from webhook.cli.shutdown_signal import ShutdownSignal

UP = Path(sys.executable).with_name("wecom-welcome")
READY_S = 30
DRAIN_S = 30
KEEP_DAYS = "35"  # the days of the company's past, and some more


class Failed(Exception):
    """The demo cannot go on. The message says what to do."""


def configured() -> bool:
    """Is there a real app, in the environment or in `.env`? An empty variable counts as unset."""
    stored = dotenv_values(".env", interpolate=False)
    return any(os.environ.get(name) or stored.get(name) for name in ("WECOM_CORP_ID", "WELCOME_CONFIG"))


def main() -> int:
    if configured():
        os.execv(UP, [str(UP), "up", *sys.argv[1:]])
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulator.run",
        description="The demo: the whole product beside a stand-in for WeCom. Set WECOM_CORP_ID or WELCOME_CONFIG, "
        "here or in .env, to run the product for a real app instead. Further options go to `wecom-welcome up`.",
        epilog="example: python -m tests.simulator.run --port 8010",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=port_number, default=8000, help="default %(default)s")
    given, further = parser.parse_known_args()
    stop = ShutdownSignal(signal.SIGINT, signal.SIGTERM)
    try:
        demo(given.host, given.port, further, stop)
    except Failed as exc:
        print(f"the demo stops: {exc}", file=sys.stderr)
        return 1
    return 0


def demo(host: str, port: int, further: list[str], stop: ShutdownSignal) -> None:
    """Run until `stop`. Failed if something is in the way."""
    check_free(host, port)
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
    password = secrets.token_urlsafe(9)
    say("starting; Ctrl-C stops everything")
    with StandIn(USUAL, window_s=WINDOW_S) as wecom, data_directory() as data:
        app = wecom.register(App.random(callback_url=f"{url}/callback", corp_id=f"ww{secrets.token_hex(6)}demo"))
        robot = wecom.robot()
        environment = {
            **os.environ,
            **app.environment(wecom.base_url),
            "no_proxy": "*",  # everything of the demo is on this machine
            "REDIS_URL": "",  # the embedded server: a demo leaves no rows in a real one
            "WELCOME_BOOK": str(BOOK),
            "WELCOME_DATA_DIR": str(data),
            "WECOM_AGENT_ID": app.agent_id,
            "WELCOME_PUBLIC_URL": url,
            "CONSOLE_PASSWORD": password,
            "CONSOLE_ADMINS": ADMIN,
            "ALERT_WEBHOOK": robot,
            "WELCOME_KEEP_DAYS": os.environ.get("WELCOME_KEEP_DAYS") or KEEP_DAYS,
            "LOG_LEVEL": os.environ.get("LOG_LEVEL") or "error",
        }
        _furnish(environment, wecom)
        command = [str(UP), "up", "--host", host, "--port", str(port), *further]
        with running(command, environment) as product:
            if wait_until_ready(url, product, stop):
                introduce(url, wecom.base_url, password, data)
                Greetings(wecom, robot, say).watch(lambda seconds: _stopped(product, stop, seconds))
            say("stopping")
    say("stopped")


def _furnish(environment: dict[str, str], wecom: StandIn) -> None:
    """Give the data directory its past. Failed if it, or a setting, cannot be used."""
    from tasks.settings import SettingsError  # here: half a second, in which a wrong option is said already
    from tasks.storage.embedded import EmbeddedError
    from tests.simulator.demo.installation import furnish

    try:
        furnish(environment, wecom, Path.cwd())
    except (EmbeddedError, SettingsError) as error:
        raise Failed(str(error)) from None


def port_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text} is no port: a number from 1 to 65535")
    return int(text)


def check_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            raise Failed(
                f"cannot listen on {host}:{port}: {exc.strerror}. End what listens there, or choose another port: "
                f"{sys.executable} -m tests.simulator.run --port {port + 10}"
            ) from None


@contextmanager
def data_directory() -> Iterator[Path]:
    """A new directory that is deleted with the demo, unless WELCOME_DATA_DIR names one to keep."""
    if given := os.environ.get("WELCOME_DATA_DIR"):
        yield Path(given)
        return
    Path("var").mkdir(exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix="demo-", dir="var")).absolute()
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A child in a session of its own, so that Ctrl-C reaches it as SIGTERM, for a warm shutdown."""
    if shutil.which(command[0]) is None:
        raise Failed(f"cannot start {command[0]}: it is not there. `make install` puts it there")
    child = subprocess.Popen(dying_with_this_process(command), env=environment, start_new_session=True)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(DRAIN_S)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def wait_until_ready(url: str, product: subprocess.Popen[bytes], stop: ShutdownSignal) -> bool:
    """True once /readyz answers 200 and names no file that WeCom lacks, False if the demo is stopped before.

    The demo's book is stored as if it were old, so /readyz does not wait for the first upload of its files by itself.
    """
    give_up_at, reason = time.monotonic() + READY_S, "no answer"
    while not stop.wait(0.1):
        check_alive(product)
        try:
            answer = look(f"{url}/readyz")
        except requests.RequestException:
            reason = "no answer"
        else:
            if answer.status_code == 200 and not answer.json()["media"]:
                return True
            reason = f"{answer.status_code} {answer.text.strip()[:500]}"
        if time.monotonic() > give_up_at:
            raise Failed(f"{url}/readyz is not 200 after {READY_S} s: {reason}. LOG_LEVEL=info tells more")
    return False


def _stopped(product: subprocess.Popen[bytes], stop: ShutdownSignal, seconds: float) -> bool:
    """Wait so long, unless the demo is to stop: then true. Failed if the product has ended."""
    check_alive(product)
    return stop.wait(seconds)


def look(url: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False  # no proxy between here and loopback
        return session.get(url, timeout=2, allow_redirects=False)


def check_alive(product: subprocess.Popen[bytes]) -> None:
    if product.poll() is not None:
        raise Failed(f"`wecom-welcome up` ended with status {product.returncode}; LOG_LEVEL=info tells more")


def introduce(url: str, api: str, password: str, data: Path) -> None:
    print(f"\n  callback   {url}/callback      where WeCom's stand-in pushes to")
    print(f"  ready?     {url}/readyz")
    print(f"  metrics    {url}/metrics")
    if look(f"{url}/console/").status_code != 404:
        print(f"  console    {url}/console/      password {password}")
        print("                                              or with WeCom, as one of the company's members")
    print(f"  stand-in   {api}/simulator/summary")
    print(f"  Celery     WELCOME_DATA_DIR={os.path.relpath(data)} .venv/bin/celery -A tasks status\n", flush=True)


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
