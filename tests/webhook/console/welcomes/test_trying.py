"""“Send to me”: what stands in the editor comes to a member as a test; nothing is saved, and what fails says why."""

from typing import Any

import pytest

from tasks.audit import Act
from tasks.people.roles import Grant, Kind, Role
from tasks.services import Services
from tasks.templates.edits import GROUP
from tests.simulator.client import StandIn
from tests.support.console import Browser, text_of
from tests.support.editor import BOOK, attachment, fields


@pytest.fixture
def book() -> str:
    return BOOK


@pytest.fixture
def variables(at_wecom: dict[str, str], wecom: StandIn) -> dict[str, str]:
    wecom.people(members={"zhangsan": {"name": "张三"}})
    return at_wecom


@pytest.fixture
def send(browse: Browser, services: Services) -> Any:
    """Press the button with these fields changed. → the page's answer."""

    def press(name: str = "default", kind: str = "template", to: str = "zhangsan", **different: Any) -> Any:
        sent = fields(services.drafts, name, kind, do="try", to=to, **different)
        page = "groups" if kind == GROUP else "welcomes"
        return browse.post(f"/{page}/edit?name={name}", sent)

    return press


def said(wecom: StandIn) -> list[str]:
    return [one["text"]["content"] for one in wecom.messages() if "text" in one]


def test_what_is_typed_comes_to_the_member_and_is_not_saved(send: Any, services: Services, wecom: StandIn) -> None:
    link = attachment(0, "link", title="t", url="https://example.com")
    page = send(text="{customer}，你好！我是{member}", **link)
    assert "Sent to 张三: 2 messages, marked as a test" in text_of(page)
    assert "{customer}，你好！我是{member}" in page.text  # still in the form
    mark, text = said(wecom)
    assert "测试" in mark
    assert text == "王芳，你好！我是张伟"
    assert services.drafts.get("default") is None
    (entry,) = [one for one in services.audit.entries() if one.act == Act.TRIED_WELCOME]
    assert entry.target == "default"


def test_who_has_signed_in_with_wecom_gets_it_whatever_the_form_says(services: Services, wecom: StandIn) -> None:
    corp = services.settings.apps["default"].corp_id
    services.grants.give(Grant(corp, Kind.MEMBER, "lisi", Role.EDITOR))
    wecom.people(members={"lisi": {"name": "李四"}})
    browser = Browser(services)
    browser.sign_in_with_wecom(wecom, "lisi")
    assert "Send to me" in text_of(browser.get("/welcomes/edit?name=default"))
    sent = fields(services.drafts, "default", do="try", to="zhangsan")
    assert "Sent to 李四: 1 message" in text_of(browser.post("/welcomes/edit?name=default", sent))
    assert {tuple(one["members"]) for one in wecom.messages()} == {("lisi",)}


def test_a_group_welcome_can_be_tried_too(send: Any, wecom: StandIn) -> None:
    assert send("newcomers", GROUP).status_code == 200
    assert said(wecom)[1] == "欢迎 王芳"


def test_what_could_not_be_saved_is_not_tried(send: Any, wecom: StandIn) -> None:
    page = send(text="{custmer}")
    assert page.status_code == 422
    assert "did you mean customer?" in text_of(page)
    assert wecom.messages() == []


@pytest.mark.parametrize("to", ["", " ", "x" * 65])
def test_without_a_member_nothing_is_sent(send: Any, wecom: StandIn, to: str) -> None:
    page = send(to=to)
    assert page.status_code == 422
    assert "Choose the member who is to get the test" in text_of(page)
    assert wecom.messages() == []


def test_wecoms_refusal_is_told_in_words(send: Any, wecom: StandIn) -> None:
    page = send(to="nobody")
    assert page.status_code == 502
    assert "The test was not sent: not in the app's visible range" in text_of(page)
    wecom.faults(busy=1, paths=("message/send",))
    page = text_of(send())
    assert "The test was not sent: " in page
    assert "(-1)" in page
    assert "What to do: " in page


def test_tests_are_few(send: Any, wecom: StandIn) -> None:
    assert [send().status_code for _ in range(3)] == [200, 200, 429]
    assert len(wecom.messages()) == 4


class TestWithoutAnAgent:
    @pytest.fixture
    def variables(self, at_wecom: dict[str, str]) -> dict[str, str]:
        return {name: one for name, one in at_wecom.items() if name != "WECOM_AGENT_ID"}

    def test_the_page_says_what_is_missing(self, browse: Browser, send: Any, wecom: StandIn) -> None:
        page = browse.get("/welcomes/edit?name=default")
        assert "WECOM_AGENT_ID is not set" in text_of(page)
        assert 'value="try"' not in page.text
        assert send().status_code == 422
        assert wecom.messages() == []
