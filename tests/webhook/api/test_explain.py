"""Explain by the API: the answer of `templates explain`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.people.api_tokens import Scope
from tasks.services import Services
from tasks.templates.edits import AddRule
from tests.support.api import NOWHERE, Program
from tests.support.builders import ENVIRONMENT
from tests.support.cli import run, said
from tests.support.crm import crm, installed_here

RULES = """\
version: 1
templates:
  default: {text: "您好，我是{member|您的顾问}"}
  night: {text: 晚上好}
  wechat: {text: 微信好友您好}
rules:
- name: night
  when: {hours: "21:00-08:30"}
  use: night
- name: shop
  when: {state: "shop-*", customer_type: wechat, add_way: 1}
  use: {wechat: 70, default: 30}
"""


@pytest.fixture
def book() -> str:
    return RULES


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        ({"at": "2026-11-22T23:00:00+08:00"}, "night"),
        ({"at": "2026-11-22", "state": "shop-1", "customer_type": "wechat", "add_way": 1}, "shop"),
        ({"at": "2026-11-22", "state": "shop-1"}, ""),
    ],
)
def test_the_answer_is_that_of_the_command(ask: Program, asked: dict[str, Any], rule: str) -> None:
    answer = ask.get("explain", member="zhangsan", **asked).json
    at = "2026-11-22T12:00" if asked["at"] == "2026-11-22" else asked["at"]
    typed = [f"--{name.replace('_', '-')}={value}" for name, value in (asked | {"at": at}).items()]
    environ = ENVIRONMENT | {"REDIS_URL": ask.services.settings.redis_url or "", "WECOM_API_BASE": NOWHERE}
    printed = run("templates", "explain", "--member", "zhangsan", "--json", *typed, **environ)
    assert answer == json.loads(said(printed)[0])
    assert answer["rule"] == rule


def test_the_draft_can_be_asked_before_it_is_live(ask: Program) -> None:
    assert ask.get("explain", member="zhangsan", book="draft").json["code"] == "no_draft"
    ask.services.drafts.change("default", AddRule({"name": "all", "use": "wechat"}, 0), "李敏")
    noon = {"member": "zhangsan", "at": "2026-11-22"}
    assert ask.get("explain", **noon, book="draft").json["rule"] == "all"
    assert ask.get("explain", **noon).json["rule"] == ""


def test_a_member_is_asked_for(ask: Program) -> None:
    answer = ask.get("explain", at="yesterday")
    assert answer.status_code == 422
    assert [one["name"] for one in answer.json["errors"]] == ["member", "at"]


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1999-12-31"])
def test_a_time_that_no_customer_can_have_is_refused(ask: Program, at: str) -> None:
    answer = ask.get("explain", member="zhangsan", at=at)
    assert (answer.status_code, answer.json["code"]) == (422, "invalid_parameters")
    assert [one["name"] for one in answer.json["errors"]] == ["at"]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with crm() as theirs, installed_here(tmp_path):
        theirs.known["wm1"] = {"level": "金卡"}
        monkeypatch.setenv("CRM_URL", theirs.url)
        yield


@pytest.mark.usefixtures("package")
def test_packages_are_asked_about_a_customer_by_who_may_read_deliveries(services: Services) -> None:
    services.books.save("default", RULES.replace("您好，我是{member|您的顾问}", "您好{crm.level|会员}"))
    asked = {"member": "zhangsan", "at": "2026-11-22"}
    ask, other = Program(services), Program(services, [Scope.BOOKS_WRITE])

    def told(**more: str) -> str:
        return str(ask.get("explain", **asked, **more).json["greetings"][0]["text"])

    assert told() == "您好会员"
    assert list(services.audit.entries()) == []
    assert told(customer_id="wm1") == "您好金卡"
    assert [(one.who, one.target) for one in services.audit.entries()] == [
        (f"ci ({ask.token.id})", "packages' placeholders")
    ]
    refused = other.get("explain", **asked, customer_id="wm1")
    assert (refused.status_code, refused.json["scope"]) == (403, Scope.DELIVERIES_READ)
    assert other.get("explain", **asked).status_code == 200
