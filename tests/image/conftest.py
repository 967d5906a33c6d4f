"""The image, built from the Dockerfile by buildah on a base that debootstrap makes: no engine and no image registry.

The base is Debian with its own Python under the official image's names, so each step of the Dockerfile is run. As root.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.image import IMAGE, Image
from tests.support.processes import where_roomy

ROOT = Path(__file__).parents[2]
BASE = "localhost/python-base:debian"
ROOM = 6 << 30  # bytes: the tree and four images made of it
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")  # of this machine, for pip inside


@pytest.fixture(scope="session")
def image(require_tool: Callable[[str], str]) -> Iterator[Image]:
    tools = [require_tool("buildah"), require_tool("debootstrap"), require_tool("nsenter")]
    if os.geteuid() != 0:
        pytest.fail("run it as root: debootstrap and chroot need it")
    # in memory where there is room: Debian's installer waits for the disk after each file
    with tempfile.TemporaryDirectory(prefix="wecom-welcome-image-", dir=where_roomy(ROOM)) as made:
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
