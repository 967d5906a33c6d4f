"""The image: pinned parts only, nothing of the operator's inside, no root, and no shell around the roles."""

import fnmatch
import json
import os
import re
import subprocess
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.processes import refuses_only_its_settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text("utf-8")
STEPS = [
    tuple(step.split(None, 1))
    for step in re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", DOCKERFILE)).splitlines()
    if step
]
COPIED = [
    source
    for instruction, rest in STEPS
    if instruction == "COPY" and not rest.startswith("--from")
    for source in rest.split()[:-1]
]


def last(instruction: str) -> str:
    return [rest for name, rest in STEPS if name == instruction][-1]


def in_context(path: str) -> bool:
    """As .dockerignore has it, as far as ours needs: the last line that matches the path or a folder above decides."""
    kept = True
    parents = [path, *map(str, Path(path).parents)][:-1]
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!").removeprefix("**/")
        names = [Path(parent).name if "**/" in line else parent for parent in parents]
        if any(fnmatch.fnmatchcase(name, pattern) for name in names):
            kept = line.startswith("!")
    return kept


@pytest.mark.parametrize("source", COPIED)
def test_what_the_image_copies_is_there_and_in_the_context(source):
    assert (ROOT / source).exists()
    assert in_context(source)


@pytest.mark.parametrize(
    "path",
    [".env", ".git/config", ".venv/bin/python", "deploy/environment", "deploy/config/apps.toml", "var/appendonlydir",
     "tests/conftest.py", "tasks/__pycache__/app.pyc"],
)  # fmt: skip
def test_secrets_history_and_leftovers_stay_out_of_the_context(path):
    assert not in_context(path)


def test_everything_that_the_build_needs_is_copied():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    project = pyproject["project"]
    needed = {
        "pyproject.toml",
        "requirements.lock",
        "requirements-flower.lock",
        project["readme"],
        *project["license-files"],
        *packages,
    }
    assert set(COPIED) == needed


def test_nothing_is_installed_that_the_lock_file_does_not_pin():
    installs = [rest.split(" install ")[1] for name, rest in STEPS if name == "RUN" and " install " in rest]
    assert installs == [
        "--require-hashes -r requirements.lock", "--no-deps --no-build-isolation .",
        "--require-hashes -r requirements-flower.lock",
    ]  # fmt: skip


def test_the_base_is_one_image_for_ever() -> None:
    stages = [rest.split() for name, rest in STEPS if name == "FROM"]
    named = {words[2] for words in stages if len(words) == 3}
    assert {words[0] for words in stages} - named == {"${PYTHON_IMAGE}"}
    assert stages[-1] == ["role"]  # what is built unless a target is named
    pinned = next(rest for name, rest in STEPS if name == "ARG")
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", pinned)


def test_the_image_says_what_it_is() -> None:
    labels = dict(re.findall(r"org\.opencontainers\.image\.([a-z.]+)=\"([^\"]+)\"", last("LABEL")))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(labels) == {
        "title", "description", "version", "revision", "created", "licenses", "base.name"
    }  # fmt: skip
    assert (labels["title"], labels["version"]) == (project["name"], project["version"])
    assert labels["licenses"] == project["license"]
    assert labels["base.name"] == "${PYTHON_IMAGE}"


def test_hadolint_has_nothing_to_say(require_tool: Callable[[str], str]) -> None:
    command = [require_tool("hadolint"), "--disable-ignore-pragma", ROOT / "deploy/Dockerfile"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, ""), run.stdout


def test_the_roles_run_as_nobody_in_particular_and_get_the_signals_themselves():
    assert last("USER") == "10001:10001"
    assert last("STOPSIGNAL") == "SIGTERM"
    assert json.loads(last("ENTRYPOINT")) == ["wecom-welcome"]


def test_without_a_command_the_image_is_the_whole_system(tmp_path):
    assert refuses_only_its_settings(json.loads(last("CMD")), tmp_path)


@pytest.mark.parametrize(("age", "healthy"), [(0, True), (3, True), (8, False)])
def test_the_image_is_healthy_as_long_as_its_process_shows_that_it_works(tmp_path, age, healthy):
    file = tmp_path / "alive"
    file.touch()
    os.utime(file, (time.time() - age,) * 2)
    command = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    assert "python" not in command[-1]
    environ = {"PATH": "/usr/bin:/bin", "WELCOME_LIVENESS_FILE": str(file)}
    asked = subprocess.run(command, env=environ, timeout=180, check=False)
    assert (asked.returncode == 0) is healthy
    assert "WELCOME_LIVENESS_FILE=/dev/shm/" in last("ENV")
