"""`wecom-welcome api`: every call of the client from the command line."""

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result

from tasks.wecom.catalogue import Entry, calls
from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support import cli
from webhook.cli import api as api_command
from webhook.cli.main import main

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.fixture
def environ(app: App, wecom: StandIn) -> dict[str, str]:
    """No Redis is needed."""
    return app.environment(wecom.base_url)


def run(*arguments: str, **environ: str) -> Result:
    """`wecom-welcome api …`"""
    return cli.run("api", *arguments, **environ)


def failure(*arguments: str, **environ: str) -> str:
    """What it complains of, and it says nothing else."""
    result = run(*arguments, **environ)
    assert result.stdout == ""
    return cli.complaint(result)


def answer(environ: dict[str, str], *arguments: str) -> Any:
    result = run(*arguments, **environ)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


# ------------------------------------------------------------------------------------------------ calls


def test_a_call_prints_what_wecom_answers(wecom: StandIn, environ: dict[str, str]) -> None:
    wecom.people(members={"zhangsan": {"name": "张三"}})
    result = run("user/get", "--userid", "zhangsan", **environ)
    assert json.loads(result.stdout)["name"] == "张三"
    assert "张三" in result.stdout
    assert answer(environ, "getcallbackip")["ip_list"]


def test_options_have_the_types_of_the_parameters(wecom: StandIn, environ: dict[str, str]) -> None:
    wecom.people(members={"zhangsan": {}, "lisi": {}})
    options = ["--type", "2", "--scene", "2", "--user", "zhangsan", "--user", "lisi", "--skip_verify", "false"]
    made = answer(environ, "externalcontact/add_contact_way", *options)
    way = answer(environ, "externalcontact/get_contact_way", "--config_id", made["config_id"])["contact_way"]
    assert (way["type"], way["user"], way["skip_verify"]) == (2, ["zhangsan", "lisi"], False)


def test_one_option_of_a_list_is_a_list(wecom: StandIn, environ: dict[str, str]) -> None:
    wecom.add(user_id="zhangsan", push=False)
    rows = answer(environ, "externalcontact/batch/get_by_user", "--userid_list", "zhangsan")["external_contact_list"]
    assert len(rows) == 1


def test_an_object_is_json_or_a_file(wecom: StandIn, environ: dict[str, str], tmp_path: Path) -> None:
    path = "externalcontact/send_welcome_msg"
    codes = [wecom.add(push=False).welcome_code for _ in range(2)]
    assert answer(environ, path, "--template", json.dumps({"welcome_code": codes[0], "text": {"content": "您好"}})) == {
        "errcode": 0,
        "errmsg": "ok",
    }
    (tmp_path / "w.json").write_text(json.dumps({"welcome_code": codes[1], "text": {"content": "您好"}}), "utf-8")
    answer(environ, path, "--template", "@w.json")
    assert [record.content["text"] for record in wecom.records() if record.content] == ["您好", "您好"]


def test_objects_in_lists_are_json_too(wecom: StandIn, environ: dict[str, str]) -> None:
    options = ["--group_name", "来源", "--tag", '{"name": "抖音"}', "--tag", '{"name": "小红书"}']
    made = answer(environ, "externalcontact/add_corp_tag", *options)["tag_group"]
    assert [tag["name"] for tag in made["tag"]] == ["抖音", "小红书"]


def test_files_go_up_and_come_back(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "封面.png").write_bytes(PNG)
    media_id = answer(environ, "media/upload", "--type", "image", "--media", "@封面.png")["media_id"]
    assert answer(environ, "media/get", "--media_id", media_id, "--output", "back.png")["filename"] == "封面.png"
    assert (tmp_path / "back.png").read_bytes() == PNG
    assert run("media/get", "--media_id", media_id, "--output", "-", **environ).stdout_bytes == PNG


def test_dashes_are_taken_for_underscores(wecom: StandIn, environ: dict[str, str]) -> None:
    added = wecom.add(push=False)
    assert answer(environ, "/externalcontact/get", "--external-userid", added.external_user_id)["follow_user"]


# ------------------------------------------------------------------------------------------------ pages


def test_all_follows_the_cursor_and_prints_an_item_a_line(wecom: StandIn, environ: dict[str, str]) -> None:
    for _ in range(5):
        wecom.add(user_id="zhangsan", push=False)
    options = ["--userid_list", "zhangsan", "--limit", "2", "--all"]
    result = run("externalcontact/batch/get_by_user", *options, **environ)
    assert len([json.loads(line) for line in result.stdout.splitlines()]) == 5
    assert result.stderr == "5 in all\n"
    assert wecom.summary().answers["externalcontact/batch/get_by_user"] == {"0": 3}


def test_long_pages_show_how_far_they_are(
    wecom: StandIn, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_command, "PROGRESS", 0.0)
    wecom.people(members={"zhangsan": {}, "lisi": {}})
    assert run("user/list_id", "--limit", "1", "--all", **environ).stderr == "1 so far\n2 so far\n2 in all\n"


def test_a_call_without_pages_has_no_all(environ: dict[str, str]) -> None:
    assert "--all" in failure("user/get", "--userid", "x", "--all", **environ)


# ------------------------------------------------------------------------------------------------ failures


def test_an_errcode_comes_with_its_meaning_and_cure(environ: dict[str, str]) -> None:
    said = failure("externalcontact/get", "--external_userid", "wm0", **environ)
    assert said.startswith("externalcontact/get: 84061 ")
    assert "the two are not contacts" in said


def test_what_wecom_cannot_accept_is_refused_with_field_and_limit(environ: dict[str, str]) -> None:
    said = failure("externalcontact/contact_list", "--limit", "1001", **environ)
    assert said == "externalcontact/contact_list: limit: 1001, at most 1000"


def test_a_wecom_that_is_away_is_one_line(environ: dict[str, str]) -> None:
    said = failure("getcallbackip", **{**environ, "WECOM_API_BASE": "http://127.0.0.1:1"})
    assert "WECOM_API_BASE" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["externalcontact/nothing"], "no such method: externalcontact/nothing; `wecom-welcome api --list` shows all"),
        (["get_by_user"], "Did you mean externalcontact/batch/get_by_user?"),
        (["externalcontact/get"], "Missing option '--external_userid'"),
        (["user/list", "--department_id", "x"], "'x' is not a valid integer"),
        (["externalcontact/send_welcome_msg", "--template", "{"], "not JSON"),
        (["externalcontact/send_welcome_msg", "--template", "[]"], "must be a JSON object"),
        (["externalcontact/send_welcome_msg", "--template", "@none.json"], "cannot read none.json"),
        (["media/upload", "--type", "file", "--media", "@none.pdf"], "no file none.pdf"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(arguments: list[str], said: str) -> None:
    assert said in failure(*arguments)


def test_several_apps_want_a_name(wecom: StandIn, environ: dict[str, str], tmp_path: Path) -> None:
    apps = {name: wecom.register(App.random(name)) for name in ("sales", "support")}
    lines = []
    for name, app in apps.items():
        fields = {"corp_id": app.corp_id, "secret": app.secret, "token": app.token, "agent_id": app.agent_id}
        lines += [f"[apps.{name}]", *(f'{k} = "{v}"' for k, v in fields.items())]
        lines.append(f'encoding_aes_key = "{app.encoding_aes_key}"')
    (tmp_path / "apps.toml").write_text("\n".join(lines), "utf-8")
    several = {"WELCOME_CONFIG": "apps.toml", "WECOM_API_BASE": wecom.base_url}
    assert "choose one with --app: sales, support" in failure("getcallbackip", **several)
    assert answer(several, "getcallbackip", "--app", "support")["errcode"] == 0
    assert wecom.summary().token_fetches == {"support": 1}


# ------------------------------------------------------------------------------------------------ help


def test_the_list_names_every_method_with_a_line() -> None:
    lines = run("--list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(calls())
    assert all(re.search(r"  \S.* Doc \d+\.$", line) for line in lines)


@pytest.mark.parametrize("entry", calls().values(), ids=lambda entry: entry.path)
def test_the_help_of_a_method_is_its_docstring(entry: Entry) -> None:
    context = main.make_context("wecom-welcome", [], resilient_parsing=True)
    api = main.get_command(context, "api")
    assert isinstance(api, click.Group)
    below = click.Context(api, parent=context, info_name="api")
    command = api.get_command(below, entry.path)
    assert command is not None
    shown = command.get_help(click.Context(command, parent=below, info_name=entry.path, max_content_width=100))
    words = set(re.findall(r"\w+", shown.lower()))
    assert set(re.findall(r"\w+", entry.doc.lower())) <= words
    assert all(f"--{parameter.name}" in shown for parameter in entry.parameters)
    assert f"Example:  wecom-welcome api {entry.path}" in shown
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.parametrize("entry", calls().values(), ids=lambda entry: entry.path)
def test_the_example_of_a_method_is_understood(entry: Entry, tmp_path: Path) -> None:
    (tmp_path / "body.json").write_text("{}", "utf-8")
    (tmp_path / "hello.png").write_bytes(PNG)
    shown = run(entry.path, "--help").stdout.replace("\\\n", "")
    example = re.search(r"Example:  wecom-welcome api (.+)", shown)
    assert example is not None
    output = ["--output", "x"] if entry.path.startswith("media/get") and "result" not in entry.path else []
    assert run(*example[1].split(), *output).stderr.startswith("wecom-welcome: settings: WECOM_CORP_ID is not set")
