"""`wecom-welcome up`: the whole system on one machine. Starts every role, brings back what dies, drains on SIGTERM.

embedded server ── web ── welcome ── upkeep ── beat         each a process of its own
                   stop: web and beat first, then the workers, which finish what they have, then the server
"""

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tasks.settings import Settings
from tasks.storage import connections
from tasks.storage.embedded import Embedded
from webhook.cli.parent_death import dying_with_this_process
from webhook.cli.shutdown_signal import ShutdownSignal
from webhook.server.addresses import address, bare, loopback

log = logging.getLogger(__name__)

LOOK = 0.1  # seconds between two looks at the children
AGAIN_AFTER = (0.0, 0.2, 0.5, 1.0)  # seconds before a child that died is started again; the last one repeats
SETTLED = 10.0  # seconds of life after which a child's deaths are forgotten
STOP_WITHIN = 25.0  # seconds for one stage to drain: longer than a welcome's window
READY_WITHIN = 20.0  # seconds after which it is said what is missing
LOCK_WITHIN = 2.0  # seconds for the server of an `up` that was killed just now to write its last and end
SERVER_START = 10.0  # seconds for the embedded server to answer; a large append-only file takes its time


class StartError(Exception):
    """The system cannot start. The message says what to do."""


@dataclass(slots=True)
class Child:
    """One supervised process."""

    name: str
    command: Sequence[str]
    stage: int  # lower stages are stopped first
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    deaths: int = 0
    again_at: float = field(default=0.0)
    holds: IO[str] | None = None  # a file that it holds open too: the lock lasts as long as either

    def start(self, environ: Mapping[str, str]) -> None:
        """Start it, so that it gets SIGTERM if this process is killed: the next `up` finds port and files free."""
        self.process = subprocess.Popen(
            dying_with_this_process(self.command),
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone
            pass_fds=[self.holds.fileno()] if self.holds is not None else [],
        )
        self.started_at = time.monotonic()


def up(settings: Settings, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Run everything until SIGTERM or SIGINT. Raises StartError or EmbeddedError."""
    _refuse_taken_port(host, port)
    environ = dict(os.environ)
    children: list[Child] = []
    lock = None
    if settings.redis_url is None:
        embedded = Embedded(settings.data_dir)
        command = embedded.prepare()
        lock = embedded.lock(LOCK_WITHIN)
        server = Child("server", command, stage=2, holds=lock)
        environ["REDIS_URL"] = embedded.url
        children.append(server)
        server.start(environ)
        _wait_for_server(server, embedded)
    children += [
        Child("web", [*_command(), "role", "web", "--host", host, "--port", str(port)], stage=0),
        Child("welcome", [*_command(), "role", "welcome"], stage=1),
        Child("upkeep", [*_command(), "role", "upkeep"], stage=1),
        Child("beat", [*_command(), "role", "beat"], stage=0),
    ]
    announce(f"wecom-welcome is starting on http://{address(host, port)}")
    threading.Thread(target=_announce_ready, args=(host, port, announce), daemon=True).start()
    try:
        _watch(children, environ)
    finally:
        _stop(children)
        if lock is not None:
            lock.close()


def _announce_ready(host: str, port: int, announce: Callable[[str], None]) -> None:
    """Say once that the system is ready, or after a while what is missing."""
    url = f"http://{address(loopback(host), port)}/readyz"
    answer = "no answer"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever HTTP_PROXY says
    by = time.monotonic() + READY_WITHIN
    while time.monotonic() < by:
        time.sleep(0.25)
        try:
            with direct.open(url, timeout=2) as response:
                remarks = json.load(response).get("remarks", [])
            announce("wecom-welcome is ready" + "".join(f"; but {remark}" for remark in remarks))
            return
        except urllib.error.HTTPError as error:
            answer = "; ".join(json.load(error)["missing"])
        except (OSError, ValueError, KeyError):
            continue
    announce(f"wecom-welcome is not ready after {READY_WITHIN:.0f} s: {answer}")


def _watch(children: Sequence[Child], environ: Mapping[str, str]) -> None:
    ending = ShutdownSignal(signal.SIGTERM, signal.SIGINT)
    while not ending.wait():
        now = time.monotonic()
        for child in children:
            _look_at(child, now, environ)
        ending.wait(LOOK)


def _look_at(child: Child, now: float, environ: Mapping[str, str]) -> None:
    if child.process is None:
        if now >= child.again_at:
            child.start(environ)
        return
    code = child.process.poll()
    if code is None:
        if now - child.started_at > SETTLED:
            child.deaths = 0
        return
    with contextlib.suppress(ProcessLookupError):  # a child of it may hold the port
        os.killpg(child.process.pid, signal.SIGKILL)
    wait = AGAIN_AFTER[min(child.deaths, len(AGAIN_AFTER) - 1)]
    child.deaths += 1
    child.process, child.again_at = None, now + wait
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    log.error("%s %s; starting it again in %.1f s", child.name, how, wait)


def _stop(children: Sequence[Child]) -> None:
    for stage in sorted({child.stage for child in children}):
        running = [c.process for c in children if c.stage == stage and c.process and c.process.poll() is None]
        for process in running:
            process.terminate()
        by = time.monotonic() + STOP_WITHIN
        for process in running:
            try:
                process.wait(max(0.0, by - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.error("process %s does not stop; killing it", process.pid)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait_for_server(server: Child, embedded: Embedded) -> None:
    client = connections.connect(embedded.url, timeout=1.0, retries=0)
    by = time.monotonic() + SERVER_START
    while time.monotonic() < by:
        if server.process is None or server.process.poll() is not None:
            break
        with contextlib.suppress(Exception):  # not there yet, or still loading its file
            if client.ping():
                client.close()
                return
        time.sleep(0.02)
    _stop([server])
    raise StartError(f"the embedded server does not start; {embedded.log} says why")


def _refuse_taken_port(host: str, port: int) -> None:
    try:
        family, *_, bound = socket.getaddrinfo(bare(host), port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(bound)
    except OSError as error:
        raise StartError(
            f"cannot listen on {address(host, port)} ({error.strerror}); choose another with --port"
        ) from None


def _command() -> list[str]:
    """This very command again."""
    script = Path(sys.argv[0])
    return [sys.executable, "-m", "webhook"] if script.name == "__main__.py" else [sys.executable, str(script)]
