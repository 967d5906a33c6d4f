"""An image that buildah has built, and a container's process."""

import json
import subprocess
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from tests.support.processes import Process

IMAGE = "localhost/wecom-welcome:test"


class Image:
    """`config`: what it says of itself. `run` and `start` run it as `docker run` would, on the host's network."""

    def __init__(self, buildah: list[str], folder: Path) -> None:
        self._buildah = buildah
        self.folder = folder
        self.container = self.buildah("from", "--pull-never", IMAGE).strip()

    def buildah(self, *arguments: str | Path) -> str:
        run = subprocess.run([*self._buildah, *arguments], capture_output=True, text=True, check=False)
        assert run.returncode == 0, (run.stdout + run.stderr)[-3000:]
        return run.stdout

    @cached_property
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
