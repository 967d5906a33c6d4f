"""`wecom-welcome audit`, and what commands put into the trail."""

import json
import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tasks.audit import Act, AuditTrail, Via
from tasks.storage.connections import Redis
from tests.simulator.client import StandIn
from tests.support import cli
from tests.support.books import a_template
from tests.support.cli import complaint, complaints, said
from tests.support.ledger import missed

ME = pwd.getpwuid(os.getuid()).pw_name
Run = Callable[..., Result]


@pytest.fixture
def run(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("SUDO_USER", raising=False)
    return lambda *arguments, **variables: cli.run(*arguments, **environ | variables)


def trail(run: Run, *options: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in said(run("audit", "--json", *options))]


def acts(run: Run) -> list[tuple[object, object, object]]:
    """(act, target, number), oldest first."""
    return [(one["act"], one["target"], one["number"]) for one in trail(run)][::-1]


def test_what_commands_do_is_recorded_with_the_account(run: Run, redis_client: Redis, wecom: StandIn) -> None:
    wecom.people(members={"zhangsan": {}})
    missed(redis_client, external_user_id="wm-secret")
    Path("book.yaml").write_text(a_template("text: t"), "utf-8")
    Path("new.yaml").write_text(a_template("text: new"), "utf-8")
    for command in (
        "templates import book.yaml --author wang",
        "templates import book.yaml",  # the same: nothing is published
        "templates import new.yaml --author wang",
        "templates rollback 1",
        "templates export out.yaml",
        "channels create dy --state dy --member zhangsan",
        "channels update dy --state dy2",
        "channels delete dy --yes",
        "backup a.zip",
        "restore a.zip --force",
        "forget wm-secret",
        "api externalcontact/get_follow_user_list",
    ):
        said(run(*command.split()))
    assert acts(run) == [
        ("published", "book.yaml (wang)", 1),
        ("published", "new.yaml (wang)", 2),
        ("rolled_back", "1", 3),
        ("exported", "out.yaml", 3),
        ("channel_created", "dy", None),
        ("channel_changed", "dy", None),
        ("channel_deleted", "dy", None),
        ("backed_up", "a.zip", acts(run)[7][2]),
        ("restored", "a.zip", acts(run)[8][2]),
        ("forgot", None, 1),
        ("called_api", "externalcontact/get_follow_user_list", None),
    ]
    assert {(one["who"], one["via"], one["address"]) for one in trail(run)} == {(ME, "command", None)}
    assert "wm-secret" not in run("audit", "--json").stdout


def test_what_fails_is_not_recorded(run: Run) -> None:
    Path("bad.yaml").write_text("version: 9", "utf-8")
    for command in ("templates import bad.yaml", "restore absent.zip", "channels delete nobody --yes"):
        complaints(run(*command.split()))
    assert trail(run) == []


def test_who_became_root_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "wang")
    said(run("backup", "a.zip"))
    assert trail(run)[0]["who"] == f"wang ({ME})"


def test_it_is_shown_newest_first_by_time_and_number(run: Run, redis_client: Redis) -> None:
    audit = AuditTrail(redis_client)
    for number in range(1, 4):
        audit.record(Act.PUBLISHED, "李敏", Via.CONSOLE, "default", number=number, address="10.0.0.1")
    lines = said(run("audit"))
    assert [line.rpartition(" ")[2] for line in lines] == ["3", "2", "1"]
    assert "李敏" in lines[0]
    assert "10.0.0.1" in lines[0]
    assert lines[0].endswith("Published revision 3")
    limited = run("audit", "--limit", "2")
    assert len(said(limited)) == 2
    assert limited.stderr == "These are the newest 2; --limit shows more.\n"
    assert said(run("audit", "--since", "2099-01-01")) == []
    assert len(said(run("audit", "--since", "1h"))) == 3


def test_nothing_done_is_said(run: Run) -> None:
    assert run("audit").stderr == "Nothing was done.\n"
    assert run("audit", "--json").stdout == ""


@pytest.mark.parametrize("since", ["", "yesterday", "7", "-1d", "2026-13-01", "9" * 30 + "d"])
def test_a_time_that_is_none_is_refused(run: Run, since: str) -> None:
    assert complaint(run("audit", "--since", since)) == "--since takes 30m, 2h, 7d, 2026-11-22 or 2026-11-22T10:30"


def test_bad_input_is_one_line(run: Run) -> None:
    assert "no app nobody is configured" in complaint(run("audit", "--app", "nobody"))
    assert run("audit", "--limit", "0").exit_code == 2


def test_its_help_has_an_example(run: Run) -> None:
    assert "Example:  wecom-welcome audit --since 7d" in run("audit", "--help").stdout
