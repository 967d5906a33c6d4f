"""`--json`: one object a line, with the fields that the reference page lists, in its order, and no others."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.client import StandIn
from tests.support import cli
from tests.support.books import a_folder
from tests.support.documents import ROOT

REFERENCE = (ROOT / "webhook/cli/README.md").read_text("utf-8")
Rows = Callable[..., list[dict[str, Any]]]


def documented(row: str) -> list[str]:
    """The fields of a table of the reference, from the row on that begins so."""
    table = REFERENCE[REFERENCE.index(f"\n{row}") + 1 :].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()]
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


@pytest.fixture
def rows(environ: dict[str, str], wecom: StandIn, tmp_path: Path) -> Rows:
    """What a command prints with --json; a book is imported."""
    wecom.people(members={"zhangsan": {"name": "张三"}})
    assert cli.run("templates", "import", str(a_folder(tmp_path)), **environ | {"USER": "wang"}).exit_code == 0

    def rows(*command: str) -> list[dict[str, Any]]:
        result = cli.run(*command, "--json", **environ)
        return [json.loads(line) for line in result.stdout.splitlines()]

    return rows


def test_check(rows: Rows) -> None:
    found = rows("check")
    names = documented("| `app` | the app for which it was looked at; null for the settings |")
    assert all(list(one) == names for one in found)
    by_name = {one["check"]: one for one in found}
    assert by_name["settings"] == {"app": None, "check": "settings", "ok": True, "detail": None, "cure": None}
    assert by_name["EncodingAESKey"]["app"] == "default"
    assert by_name["welcome worker"]["ok"] is False
    assert by_name["welcome worker"]["cure"].startswith("start ")


def test_check_without_settings() -> None:
    result = cli.run("check", "--json", WECOM_TOKEN="hunter!")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert [(one["check"], one["ok"]) for one in found] == [("settings", False)] * 4
    assert found[0]["detail"].startswith("WECOM_TOKEN must be ")


def test_templates_list(rows: Rows) -> None:
    found = rows("templates", "list")
    names = documented("| `app`, `revision` | of the book |")
    for one in found:
        assert [name for name in names if name in one] == sorted(one, key=names.index)
    template = next(one for one in found if one["name"] == "brochure")
    assert {"app": "default", "revision": 1, "kind": "template"}.items() <= template.items()
    assert template["attachments"][0] == {"type": "image", "file": "media/hello.png"}
    assert template["tags"]
    rules = [one for one in found if one["kind"] == "rule"]
    assert [one["number"] for one in rules] == list(range(1, len(rules) + 1))
    assert any(one["when"].get("weekdays") == ["mon", "tue", "wed", "thu", "fri"] for one in rules)
    assert any(one["use"] == {"brochure": 70, "default": 30} for one in rules)
    assert rules[-1]["when"] == {}
    assert any(one["kind"] == "group_welcome" for one in found)


def test_templates_history(rows: Rows, environ: dict[str, str]) -> None:
    assert cli.run("templates", "rollback", "1", "--note", "again", **environ).exit_code == 0
    found = rows("templates", "history")
    assert list(found[0]) == documented("| `app`, `revision`, `current` |")
    assert {"app": "default", "revision": 1, "current": True, "author": "wang", "note": None}.items() <= found[
        -1
    ].items()
    assert "media/hello.png" in found[-1]["files"]


def test_templates_explain(rows: Rows) -> None:
    command = ("templates", "explain", "--member", "zhangsan", "--state", "douyin-1", "--at", "2026-11-25T12:00")
    (found,) = rows(*command)
    assert list(found) == documented("| `app`, `member`, `state`, `change`, `at` |")
    assert found["rule"] == "douyin"
    assert [one["rule"] for one in found["passed_over"]] == ["night", "holiday"]
    assert [one["share"] for one in found["greetings"]] == [0.7, 0.3]
    assert "张三" in found["greetings"][1]["text"]


def test_templates_groups(rows: Rows) -> None:
    (found,) = rows("templates", "groups", "--dry-run")
    assert list(found) == documented("| `app`, `name`, `act`, `reason`, `dry_run` |")[:5]
    assert (found["name"], found["act"], found["dry_run"]) == ("newcomers", "added", True)


def test_channels_list_and_show(rows: Rows, environ: dict[str, str]) -> None:
    assert rows("channels", "list") == []
    created = cli.run("channels", "create", "抖音", "--state", "douyin-1", "--member", "zhangsan", **environ)
    assert created.exit_code == 0, created.stderr
    (found,) = rows("channels", "list")
    assert list(found) == documented("| `app`, `name`, `state` | the app's name, the channel's name and State |")
    assert {"name": "抖音", "state": "douyin-1", "members": ["zhangsan"], "rule": "douyin"}.items() <= found.items()
    assert (found["made_here"], found["at_wecom"]) == (True, None)
    assert [one["at_wecom"] for one in rows("channels", "list", "--all")] == [True]
    assert rows("channels", "show", "抖音") == [found | {"at_wecom": True}]


def test_each_command_that_lists_has_json() -> None:
    found = {
        " ".join(path) for path, command in cli.all_commands() if any("--json" in one.opts for one in command.params)
    }
    assert found >= {
        *("check", "deliveries", "missed", "audit", "channels list", "channels show"),
        *("templates list", "templates history", "templates explain", "templates groups"),
    }
