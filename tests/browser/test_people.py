"""A journey for each role, from WeCom's page to what it may do, and to what it is not offered."""

import pytest
from playwright.sync_api import Page, expect

from tasks.people.roles import Grant, Kind, Role
from tasks.services import Services
from tests.simulator.client import StandIn
from tests.support.chromium import Visit

WITHIN_WECOM = "Mozilla/5.0 (iPhone) AppleWebKit/605 Mobile wxwork/4.1.36 MicroMessenger/7.0.1"


@pytest.fixture
def variables(at_wecom: dict[str, str], wecom: StandIn) -> dict[str, str]:
    names = {"zhangsan": "张三", "lisi": "李四", "wangwu": "王五", "zhaoliu": "赵六"}
    wecom.people(members={userid: {"name": name} for userid, name in names.items()})
    return at_wecom | {"CONSOLE_ADMINS": "zhangsan"}


def enter(visit: Visit, services: Services, name: str, role: Role | None = None, width: int = 1280) -> Page:
    """Scan the QR code as a member, who was given this role."""
    if role is not None:
        userid = name.partition("(")[2].rstrip(")")
        corp_id = services.settings.apps["default"].corp_id
        services.grants.give(Grant(corp_id, Kind.MEMBER, userid, role))
    page = visit("/login", "zh_Hans", width)
    page.context.clear_cookies(name="welcome-console")
    page.reload()
    page.get_by_role("link", name="用企业微信登录").click()
    page.get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("今日")
    return page


def test_an_admin_gives_a_role_and_ends_a_session(visit: Visit, services: Services) -> None:
    page = enter(visit, services, "张三 (zhangsan)")
    page.locator("summary", has_text="账号").click()
    page.get_by_role("link", name="成员与角色").click()
    page.locator(".people-picker .tree").get_by_role("checkbox", name="李四").check()
    page.get_by_role("radio", name="发布者").check()
    page.get_by_role("button", name="分配").click()
    expect(page.get_by_role("status")).to_contain_text("李四 现在是发布者")
    other = enter(visit, services, "李四 (lisi)", width=390)
    page.goto(page.url.replace("/people", "/sessions"))
    end = page.get_by_role("button", name="结束 李四 (lisi) 的登录")
    end.click()
    expect(end).to_have_count(0)
    other.reload()
    expect(other.get_by_role("heading", level=1)).to_have_text("登录")


def test_a_viewer_reads_and_is_offered_nothing_to_press(visit: Visit, services: Services) -> None:
    page = enter(visit, services, "王五 (wangwu)", Role.VIEWER, width=390)
    page.goto(page.url + "welcomes/edit?name=default")
    expect(page.get_by_text("需要「编辑者」角色").first).to_be_visible()
    expect(page.get_by_role("textbox").first).to_be_disabled()
    page.goto(page.url.partition("/console")[0] + "/console/people")
    expect(page.get_by_role("heading", level=1)).to_have_text("你的角色没有此权限")


def test_an_editor_saves_a_draft_and_a_publisher_publishes_it(visit: Visit, services: Services) -> None:
    editor = enter(visit, services, "李四 (lisi)", Role.EDITOR)
    editor.goto(editor.url + "welcomes/edit?name=default")
    editor.locator("textarea").first.fill("您好，欢迎光临")
    editor.get_by_role("button", name="保存草稿").first.click()
    expect(editor.locator("#flashes")).to_contain_text("草稿已保存")
    editor.goto(editor.url.partition("/console")[0] + "/console/welcomes/publish")
    expect(editor.get_by_text("需要「发布者」角色").first).to_be_visible()
    expect(editor.locator(".publish-form button.primary")).to_be_disabled()
    publisher = enter(visit, services, "赵六 (zhaoliu)", Role.PUBLISHER)
    publisher.goto(publisher.url + "welcomes/publish")
    publisher.locator(".publish-form button.primary").click()
    publisher.wait_for_url("**/welcomes?published=*")
    assert services.books.revision("default", services.books.current("default") or 0).author == "赵六 (zhaoliu)"


def test_within_wecom_nothing_is_asked(visit: Visit, services: Services, wecom: StandIn) -> None:
    wecom.sign_in(present="zhangsan")
    page = visit("/login", "zh_Hans", 390)
    page.context.clear_cookies(name="welcome-console")
    page.context.new_cdp_session(page).send("Network.setUserAgentOverride", {"userAgent": WITHIN_WECOM})
    page.goto(page.url.replace("/login", "/deliveries"))
    expect(page.get_by_role("heading", level=1)).to_have_text("发送记录")
