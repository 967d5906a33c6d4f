"""The client without the rest of the project: it needs the standard library and urllib3, and redis to share a token."""

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tasks.wecom
from tests.simulator.client import StandIn
from tests.simulator.world import App

PACKAGE = Path(tasks.wecom.__file__).parent
NEEDS = ("urllib3", "redis")
PROGRAM = """
import importlib, json, pickle, sys
folder, name, redis_url, *arguments = sys.argv[1:]
sys.path.append(folder)
library = importlib.import_module(name)
shared = importlib.import_module("redis").Redis.from_url(redis_url) if redis_url else None
with library.WeComClient(*arguments, redis=shared, timeout=20) as client:
    members = client.external_contact.get_follow_user_list()["follow_user"]
    is_shared = client.tokens.is_shared()
    try:
        client.user.get("nobody")
    except library.WeComAPIError as error:
        refused = type(pickle.loads(pickle.dumps(error))).__name__
loaded = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
print(json.dumps([members, refused, is_shared, sorted(loaded - {"__main__"})]))
"""


def alone(folder: Path, name: str, needs: tuple[str, ...], redis_url: str, wecom: StandIn, app: App) -> Any:
    """What PROGRAM prints where nothing can be imported but the package in `folder`, and what it needs."""
    for need in needs:
        spec = importlib.util.find_spec(need)
        assert spec is not None
        assert spec.origin is not None
        (folder / need).symlink_to(Path(spec.origin).parent)
    isolated = [sys.executable, "-I", "-S"]  # neither PYTHONPATH nor site-packages, where this project is installed
    done = subprocess.run(
        [*isolated, "-c", PROGRAM, str(folder), name, redis_url, app.corp_id, app.secret, wecom.base_url],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.fixture
def app(wecom: StandIn) -> App:
    app = wecom.register(App.random())
    wecom.people(members={"zhangsan": {"name": "张三"}})
    return app


@pytest.mark.parametrize("needs", [NEEDS, NEEDS[:1]], ids=["with redis", "without redis"])
def test_a_copy_under_another_name_works_without_this_project(
    wecom: StandIn, app: App, redis_url: str, tmp_path: Path, needs: tuple[str, ...]
) -> None:
    shutil.copytree(PACKAGE, tmp_path / "copied_out", ignore=shutil.ignore_patterns("__pycache__"))
    shared = redis_url if "redis" in needs else ""
    members, refused, is_shared, loaded = alone(tmp_path, "copied_out", needs, shared, wecom, app)
    assert (members, refused, is_shared) == (["zhangsan"], "Final", bool(shared))
    assert set(loaded) == {"copied_out", *needs}


def test_the_package_imports_nothing_but_what_it_needs() -> None:
    allowed = {*sys.stdlib_module_names, *NEEDS}
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1, f"{path.name} imports from outside its package"
                continue
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.partition(".")[0] in allowed, f"{path.name} imports {name}"
                assert node not in tree.body or not name.startswith("redis"), f"{path.name} always imports redis"


def test_what_users_need_is_in_the_package_itself() -> None:
    exported = {name: getattr(tasks.wecom, name) for name in tasks.wecom.__all__}
    errors = {
        name
        for name, value in vars(tasks.wecom.errors).items()
        if isinstance(value, type) and issubclass(value, tasks.wecom.WeComError)
    }
    assert errors | {"WeComClient", "DownloadedFile", "Failure"} == set(exported)
