"""The client without the rest of the project: it needs the standard library, urllib3 and redis alone."""

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import tasks.wecom
from tests.simulator.client import StandIn
from tests.simulator.world import App

PACKAGE = Path(tasks.wecom.__file__).parent
NEEDS = ("urllib3", "redis")
PROGRAM = """
import json, sys
folder, arguments = sys.argv[1], sys.argv[2:]
sys.path.append(folder)
from copied_out import WeComAPIError, WeComClient
client = WeComClient(*arguments)
members = client.external_contact.get_follow_user_list()["follow_user"]
try:
    client.user.get("nobody")
except WeComAPIError as error:
    refused = type(error).__name__
loaded = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
print(json.dumps({"members": members, "refused": refused, "loaded": sorted(loaded - {"__main__"})}))
"""


def test_a_copy_under_another_name_works_without_this_project(wecom: StandIn, tmp_path: Path) -> None:
    app = wecom.register(App.random())
    wecom.people(members={"zhangsan": {"name": "张三"}})
    shutil.copytree(PACKAGE, tmp_path / "copied_out", ignore=shutil.ignore_patterns("__pycache__"))
    for name in NEEDS:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        (tmp_path / name).symlink_to(Path(spec.origin).parent)
    isolated = [sys.executable, "-I", "-S"]  # neither PYTHONPATH nor site-packages, where this project is installed
    done = subprocess.run(
        [*isolated, "-c", PROGRAM, str(tmp_path), app.corp_id, app.secret, wecom.base_url],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["members"], said["refused"]) == (["zhangsan"], "Final")
    assert set(said["loaded"]) == {"copied_out", *NEEDS}


def test_the_package_imports_nothing_but_what_it_needs() -> None:
    allowed = {*sys.stdlib_module_names, *NEEDS}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1, f"{path.name} imports from outside its package"
                continue
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.partition(".")[0] in allowed, f"{path.name} imports {name}"


def test_what_users_need_is_in_the_package_itself() -> None:
    exported = {name: getattr(tasks.wecom, name) for name in tasks.wecom.__all__}
    errors = {
        name
        for name, value in vars(tasks.wecom.errors).items()
        if isinstance(value, type) and issubclass(value, tasks.wecom.WeComError)
    }
    assert errors | {"WeComClient", "DownloadedFile", "Failure"} == set(exported)
