"""Journeys: members and departments chosen from the tree and by a search, with JavaScript and without."""

import pytest
from playwright.sync_api import Route, expect

from tasks.services import Services
from tests.simulator.client import StandIn
from tests.support.chromium import Visit


@pytest.fixture(autouse=True)
def _people(services: Services, wecom: StandIn) -> None:
    crowd = {f"m{number:03d}": {"name": f"王{number}", "department": [4]} for number in range(60)}
    wecom.people(
        members={
            **crowd,
            "zhangwei": {"name": "张伟", "department": [3]},
            "zengxue": {"name": "曾雪", "department": [3, 4]},
        },
        departments={3: {"name": "华东区", "parentid": 1}, 4: {"name": "上海组", "parentid": 3}},
    )


@pytest.mark.parametrize(("script", "width"), [(True, 1280), (False, 390)])
def test_a_rule_for_members_and_a_department(services: Services, visit: Visit, script: bool, width: int) -> None:
    page = visit("/welcomes/rules/new", width=width, script=script)
    page.locator("#condition-member > summary").click()
    box = page.locator("#condition-member")
    box.locator("[type=search]").fill("zw")
    if not script:
        box.locator("text=搜索").click()
    box.locator(".pane label", has_text="张伟").click()
    box.locator("[type=search]").fill("zengx")
    box.locator("[type=search]").press("Enter")  # searches, and does not save the rule
    box.locator(".pane label", has_text="曾雪").click()
    if script:
        expect(box.locator(".picked li")).to_have_text(["张伟 zhangwei 华东区", "曾雪 zengxue 华东区 上海组"])
        expect(box.locator(".picked input:checked")).to_have_count(2)

    page.locator("#condition-department > summary").click()
    tree = page.locator("#condition-department .pane")
    expect(tree).to_contain_text("62 位成员")
    tree.locator("summary", has_text="华东区").click()
    tree.locator("label", has_text="上海组").click()

    page.select_option("select[name=template]", "default")
    page.fill("#name", "华东")
    page.click(".actions >> text=保存草稿")
    expect(page.locator("#flashes")).to_contain_text("规则已保存到草稿")
    rule = next(one for one in services.drafts.working("default").content.rules if one.get("name") == "华东")
    assert rule["when"] == {"member": ["zhangwei", "zengxue"], "department": "4"}


def test_what_is_ticked_opened_and_typed_before_the_scripts_are_there_counts(visit: Visit) -> None:
    page = visit("/")
    scripts: list[Route] = []
    page.route("**/static/*.js*", lambda route: scripts.append(route))
    page.goto(page.url + "welcomes/rules/new", wait_until="commit")
    department = page.locator("#condition-department")
    department.locator("> summary").click()
    department.locator(".pane input[type=checkbox]").first.check()
    department.locator(".pane summary", has_text="华东区").click()
    page.locator("#condition-member > summary").click()
    page.locator("#condition-member [type=search]").fill("zw")
    for script in scripts:
        script.continue_()
    page.unroute("**/static/*.js*")
    expect(page.locator("#condition-member .pane label")).to_contain_text("张伟")
    expect(department.locator(".picked li")).to_have_count(1)
    expect(department.locator(".pane label", has_text="上海组")).to_be_visible()


def test_a_chip_is_taken_back_by_the_keyboard(visit: Visit) -> None:
    page = visit("/channels/new")
    page.locator(".pane summary", has_text="华东区").click()
    page.locator(".pane label", has_text="张伟").click()
    page.locator(".pane label", has_text="曾雪").first.click()
    chips = page.locator(".picked li")
    expect(chips).to_have_count(2)
    chips.nth(1).locator("input").focus()
    page.keyboard.press("Space")
    expect(chips).to_have_count(1)
    expect(chips.nth(0).locator("input")).to_be_focused()
    expect(page.locator(".pane label", has_text="曾雪").first.locator("input")).not_to_be_checked()
    page.keyboard.press("Space")
    expect(page.locator("#find-people")).to_be_focused()


@pytest.mark.parametrize(("script", "width"), [(True, 1280), (False, 390)])
def test_a_channel_with_its_rule_and_welcome_in_one_form(
    services: Services, visit: Visit, script: bool, width: int
) -> None:
    page = visit("/channels", width=width, script=script)
    page.click("main >> text=创建第一个渠道")
    page.fill("#name", "抖音直播")
    page.locator("#state").focus()
    if script:
        expect(page.locator("#proposal")).to_contain_text("douyinzhibo")
    page.locator(".pane summary", has_text="华东区").click()
    if not script:
        page.locator(".pane button:visible", has_text="查看").click()
    page.locator(".pane label", has_text="张伟").click()
    if not script:
        page.locator("input[name=welcome][value=new]").check()
    page.fill("#text", "您好{customer|朋友}，欢迎来到直播间！")
    page.click(".actions >> text=创建渠道")
    expect(page.locator(".verdict.warn")).to_contain_text("发布后客户才会收到")
    page.click(".verdict >> text=查看并发布")
    expect(page.locator("main")).to_contain_text("欢迎来到直播间")
    (channel,) = services.app("default").channels.all().values()
    assert (channel.state, channel.members) == ("douyinzhibo", ("zhangwei",))


@pytest.mark.parametrize(("script", "width"), [(True, 390), (False, 1280)])
@pytest.mark.parametrize(
    ("path", "field", "press"),
    [
        ("/welcomes/explain", "#member", "试一试"),
        ("/setup", "#member", "演练"),
        ("/welcomes/edit?name=default", "#try-to", "发送测试"),
    ],
)
def test_one_member_is_chosen_where_an_account_can_be_typed(
    visit: Visit, wecom: StandIn, script: bool, width: int, path: str, field: str, press: str
) -> None:
    page = visit(path, width=width, script=script)
    box = page.locator(".pick-one")
    box.locator("summary", has_text="选择成员").click()
    box.locator("[type=search]").fill("zw")
    if not script:
        box.get_by_role("button", name="搜索").click()
    box.locator(".pane label", has_text="张伟").click()
    if script:
        expect(page.locator(field)).to_have_value("zhangwei")
        expect(box.locator("[type=search]")).to_be_hidden()
    page.get_by_role("button", name=press, exact=True).click()
    expect(page.locator(field)).to_have_value("zhangwei")
