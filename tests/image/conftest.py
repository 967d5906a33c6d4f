"""The image, built from the Dockerfile by buildah on a base that debootstrap makes: no engine and no image registry.

The base is Debian with its own Python under the official image's names, so each step of the Dockerfile is run. As root.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.processes import Process

ROOT = Path(__file__).parents[2]
BASE, IMAGE = "localhost/python-base:debian", "localhost/wecom-welcome:test"
MEMORY, ROOM = Path("/dev/shm"), 6 << 30  # bytes: the tree and four images made of it
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")  # of this machine, for pip inside


class Image:
    """`inspect`: what it says of itself. `run` and `start` run it as `docker run` would, on the host's network."""

    def __init__(self, buildah: list[str], folder: Path) -> None:
        self._buildah = buildah
        self.folder = folder
        self.container = self.buildah("from", "--pull-never", IMAGE).strip()

    def buildah(self, *arguments: str | Path) -> str:
        run = subprocess.run([*self._buildah, *arguments], capture_output=True, text=True, check=False)
        assert run.returncode == 0, (run.stdout + run.stderr)[-3000:]
        return run.stdout

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = json.loads(self.buildah("inspect", "--type", "image", IMAGE))["Docker"]["config"]
        return config

    def _command(self, arguments: list[str], environ: dict[str, str]) -> list[str]:
        variables = [f"--env={name}={value}" for name, value in environ.items()]
        return [*self._buildah, "run", "--isolation", "chroot", *variables, self.container, "--", *arguments]

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        command = self._command(list(arguments), environ)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    def start(self, name: str, *arguments: str, **environ: str) -> "Running":
        running = Running(name, self._command(["wecom-welcome", *arguments], environ), {}, self.folder)
        running.within = dict(line.split("=", 1) for line in self.config["Env"]) | environ
        running.start()
        return running


class Running(Process):
    """A container's process, and what an engine does with it."""

    within: Mapping[str, str]  # its environment

    @property
    def inside(self) -> psutil.Process:
        """Its process 1. StopIteration while there is none."""
        found = psutil.Process(self.pid).children(recursive=True)
        ours = [one for one in found if one.uids().real == 10001 and "buildah" not in one.cmdline()[0]]
        return next(iter(ours))

    def execute(self, command: list[str]) -> int:
        """The exit code of a command beside it, as `docker exec` runs it."""
        pid = str(self.inside.pid)
        enter = ["nsenter", "-t", pid, "-m", "-r", "-S", "10001", "-G", "10001", *command]
        return subprocess.run(enter, env=self.within, capture_output=True, check=False, timeout=60).returncode


@pytest.fixture(scope="session")
def image(require_tool: Callable[[str], str]) -> Iterator[Image]:
    tools = [require_tool("buildah"), require_tool("debootstrap"), require_tool("nsenter")]
    if os.geteuid() != 0:
        pytest.fail("run it as root: debootstrap and chroot need it")
    # in memory where there is room: Debian's installer waits for the disk after each file
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    with tempfile.TemporaryDirectory(prefix="wecom-welcome-image-", dir=MEMORY if roomy else None) as made:
        folder = Path(made)
        storage = ["--root", str(folder / "storage"), "--runroot", str(folder / "run"), "--storage-driver", "vfs"]
        buildah = [tools[0], *storage]
        try:
            _base(buildah, tools[1], folder)
            build = [*buildah, "build", "--isolation", "chroot", "--format", "docker", "--pull-never", "--layers=false"]
            arguments = {"PYTHON_IMAGE": BASE, "REVISION": "0123456", "CREATED": "2026-11-26T00:00:00Z"}
            arguments |= {name: os.environ[name] for name in ("PIP_INDEX_URL",) if name in os.environ}
            given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
            _run([*build, *given, "-f", ROOT / "deploy/Dockerfile", "-t", IMAGE, ROOT])
            yield Image(buildah, folder)
        finally:
            subprocess.run([*buildah, "rm", "--all"], capture_output=True, check=False)


def _base(buildah: list[str], debootstrap: str, folder: Path) -> None:
    """Debian's Python, called `python` and `pip` as in the official image."""
    tree = folder / "base"
    # the packages' signatures are checked by debootstrap, against Debian's keyring
    _run([debootstrap, "--variant=minbase", "--include=python3,python3-pip,ca-certificates", "bookworm", tree])
    (tree / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    for unneeded in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man"):
        shutil.rmtree(tree / unneeded)
    if AUTHORITIES.exists():
        shutil.copy(AUTHORITIES, tree / AUTHORITIES.relative_to("/"))
    container = _run([*buildah, "from", "scratch"]).strip()
    _run([*buildah, "add", "--quiet", container, tree, "/"])
    _run([*buildah, "commit", "--quiet", container, BASE])
    _run([*buildah, "rm", container])
    shutil.rmtree(tree)


def _run(command: list[Any]) -> str:
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert run.returncode == 0, f"{command[:2]}: {(run.stdout + run.stderr)[-3000:]}"
    return run.stdout
