"""The client without the rest of the project: it needs the standard library and urllib3, and redis to share a token."""

import ast
import inspect
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import tasks.wecom
from tasks.wecom.client import ResourceOf
from tests.simulator.api import SUITE_ACCESS_TOKEN
from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support.alone import NEEDS, alone
from tests.support.documents import ROOT, Page
from tests.support.servers import GIVES_TOKEN, Server, answering, whole

PACKAGE = Path(tasks.wecom.__file__).parent
README = Page(PACKAGE / "README.md")


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


def test_what_users_need_is_in_the_package_itself_and_in_its_readme() -> None:
    named = {span for cells in README.section("Errors").rows() for span in re.findall(r"`(\w+)`", cells[0])}
    exported = {name: getattr(tasks.wecom, name) for name in tasks.wecom.__all__}
    errors = {
        name
        for name, value in vars(tasks.wecom.errors).items()
        if isinstance(value, type) and issubclass(value, tasks.wecom.WeComError)
    }
    assert errors | {"WeComClient", "DownloadedFile", "Failure"} == set(exported)
    assert named | {"WeComError"} == errors
    arguments = {cells[0].strip("`"): cells[1] for cells in README.section("In five lines").rows()}
    signature = inspect.signature(tasks.wecom.WeComClient).parameters
    assert ["corp_id", "secret", *arguments] == list(signature)
    resources = {name for name, value in vars(tasks.wecom.WeComClient).items() if isinstance(value, ResourceOf)}
    shown = re.findall(r"`client\.(\w+)`", " ".join(cells[0] for cells in README.section("Calls").rows()))
    assert set(shown) == resources


def test_the_loggers_that_the_readme_names_are_there() -> None:
    assert set(re.findall(r"`(tasks\.wecom\.\w+)`", README.section("Logs").text)) == {
        f"tasks.wecom.{path.stem}" for path in PACKAGE.glob("*.py") if "logging.getLogger(__name__)" in path.read_text()
    } - {"tasks.wecom.__init__"}


@pytest.mark.parametrize("document", [README, Page(ROOT / "deploy/client/README.md")], ids=str)
def test_what_the_readme_shows_works(
    document: Page, wecom: StandIn, app: App, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of its snippets, in order, against the stand-in; the distribution's under the name that it has here."""
    wecom.people(customers={"wmAAAA": {"name": "李四"}})
    added = wecom.add(external_user_id="wmAAAA", state="fair", push=False)
    snippets = [code for language, code in document.blocks if language == "python"]
    assert len(snippets) == document.text.count("```python")
    names: dict[str, Any] = {"__name__": "snippet", "suite_access_token": lambda: SUITE_ACCESS_TOKEN}
    for code in snippets:
        given = code.replace('"secret-of-the-app"', f'"{app.secret}", base_url="{wecom.base_url}"')
        given = given.replace('"permanent-code", fetch', f'"{app.secret}", "{wecom.base_url}", fetch')
        given = given.replace("permanent-code", app.secret).replace("https://qyapi.weixin.qq.com", wecom.base_url)
        given = given.replace("ww0123456789abcdef", app.corp_id).replace("redis://127.0.0.1:6379", redis_url)
        exec(compile(given.replace("wecom_client", "tasks.wecom"), str(document), "exec"), names)
    if document is not README:
        assert capsys.readouterr().out == "张三\n"
        return
    assert capsys.readouterr().out == "李四 fair\n['zhangsan']\n张三\n"
    assert wecom.summary().token_fetches == {"default": 3}
    assert names["client"].tokens.is_shared()
    assert names["greet"](names["client"], added.welcome_code, "hello") == "greeted"
    assert names["page"].endswith(f"&state={names['state']}")
    assert names["member"](names["client"], wecom.code_for("zhangsan")) == "zhangsan"
    used = names["greet"](names["client"], added.welcome_code, "hello")
    assert used.startswith("Final 41050: ")
    names["client"].close()
    with Server(
        answering(lambda number: GIVES_TOKEN if number == 1 else whole(b"<html>", "502 Bad Gateway"))
    ) as server:
        away = tasks.wecom.WeComClient("ww0", "s", server.url)
        assert names["greet"](away, "code", "hello") == "may be done: http_status, HTTP 502"
    assert names["greet"](away.apart(), "code", "hello").startswith("try again: the connection ")
