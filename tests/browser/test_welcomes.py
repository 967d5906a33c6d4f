"""Journeys: a new rule, from its form to the customer who gets it, and back; two editors; a draft that is behind."""

import re

import pytest
from playwright.sync_api import Page, expect

from tasks.books.draft_store import Drafts
from tasks.services import Services
from tasks.templates.edits import TEMPLATE, AddRule, Part, SetNamed
from tests.simulator.client import StandIn
from tests.support.chromium import Visit
from tests.support.ledger import accepted
from tests.support.worker import working

RED = "小红书的朋友您好！"


@pytest.fixture
def drafts(services: Services, wecom: StandIn) -> Drafts:
    wecom.people(members={"zhangsan": {"name": "张三"}, "lisi": {"name": "李四"}})
    drafts = services.drafts
    drafts.change("default", SetNamed(TEMPLATE, "小红书", {"text": RED}), "李敏")
    drafts.publish("default", drafts.working("default").version, "李敏")  # used by no rule yet
    return drafts


def opened(page: Page, condition: str) -> None:
    if page.locator(f"#condition-{condition}").get_attribute("open") is None:
        page.locator(f"#condition-{condition} > summary").click()


@pytest.mark.parametrize(("script", "width"), [(True, 1280), (False, 390)])
def test_a_rule_from_its_form_to_the_customer_and_back(
    services: Services, drafts: Drafts, wecom: StandIn, visit: Visit, script: bool, width: int
) -> None:
    for state in ("xhs-1", "xhs-2", ""):
        accepted(services.ledger, state=state)
    page = visit("/welcomes", width=width, script=script)
    page.click("text=新规则")
    opened(page, "state")
    page.locator("input[name=state]").first.fill("xhs-*")
    page.select_option("select[name=template]", "小红书")
    page.fill("#name", "来自小红书")
    page.click(".actions >> text=保存草稿")
    expect(page.locator("#flashes")).to_contain_text("规则已保存到草稿")
    expect(page.locator(".draft-bar")).to_contain_text("草稿有 1 处改动")
    expect(page.locator(".rule").first).to_contain_text("7 天 2 次")

    page.click("text=查看并发布")
    expect(page.locator(".effect")).to_have_text("过去 7 天的 3 位新客户里，2 位会收到不同的欢迎语")
    page.locator("[aria-labelledby=impact] summary").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.fill("#note", "活动上线")
    page.click("button:text-is('发布')")
    expect(page.locator(".verdict.ok").first).to_contain_text("已发布第 3 版")

    with working(services):
        added = wecom.add(user_id="zhangsan", state="xhs-9")
        wecom.wait_until_greeted(1)
    content = wecom.record(added).content
    assert content is not None
    assert content["text"] == RED

    page.click("text=撤销：回滚到第 2 版")
    expect(page.locator("#flashes")).to_contain_text("第 4 版已在线上，内容与第 2 版相同")
    expect(page.locator("tbody tr").first).to_contain_text("规则 来自小红书 删除")
    with working(services):
        added = wecom.add(user_id="zhangsan", state="xhs-9")
        wecom.wait_until_greeted(2)
    content = wecom.record(added).content
    assert content is not None
    assert content["text"].startswith("您好")


def test_weights_and_nights_speak_while_they_are_typed(drafts: Drafts, visit: Visit) -> None:
    page = visit("/welcomes/rules/new", "en")
    opened(page, "hours")
    page.locator("[name=hours_from]").first.fill("21:00")
    page.locator("[name=hours_to]").first.fill("08:30")
    expect(page.locator("[data-next-day]").first).to_have_text("until the next day")
    page.click("text=A/B: send several")
    expect(page.locator("[name=hours_from]").first).to_have_value("21:00")
    rows = page.locator("[data-use]")
    for number, (template, weight) in enumerate((("default", "30"), ("小红书", "70"))):
        rows.nth(number).locator("select").select_option(template)
        rows.nth(number).locator("[name=weight]").fill(weight)
    expect(rows.nth(0).locator("output")).to_have_text("30 %")
    expect(rows.nth(1).locator("output")).to_have_text("70 %")
    rows.nth(1).locator("[name=weight]").fill("")
    expect(rows.nth(0).locator("output")).to_have_text("")  # of half a pair nothing is 100 %
    expect(rows.nth(1).locator("output")).to_have_text("not complete")
    rows.nth(1).locator("[name=weight]").fill("70")
    page.click(".actions >> text=Save draft")
    expect(page.locator("#name:invalid")).to_be_focused()  # asked for before anything is sent
    page.fill("#name", "night")
    page.click(".actions >> text=Save draft")
    expect(page.locator(".rule").first).to_contain_text("21:00 – 08:30 the next day")
    assert drafts.working("default").content.rules[0]["use"] == {"default": "30", "小红书": "70"}


def test_two_editors_of_one_rule(drafts: Drafts, visit: Visit) -> None:
    drafts.change("default", AddRule({"name": "vip", "when": {"member": "zhangsan"}, "use": "小红书"}, 0), "李敏")
    address = "/welcomes/rules/" + drafts.working("default").content.digest_of(
        drafts.working("default").content.rules[0]
    )
    mine, theirs = visit(address), visit(address, as_="王五")
    for page, member in ((theirs, "lisi"), (mine, "wangwu")):
        page.locator(".typed input[name=member]").fill(member)
        page.click(".actions >> text=保存草稿")
        expect(page.locator("#flashes .verdict, #clash")).to_be_visible()
    clash = mine.locator("#clash")
    expect(clash).to_contain_text(re.compile("刚刚改过"))
    for member in ("wangwu", "lisi", "zhangsan"):
        expect(clash).to_contain_text(member)
    mine.click(".actions >> text=用我的")
    expect(mine.locator(".rule").first).to_contain_text("wangwu")


@pytest.mark.parametrize("choice", ["yours", "theirs"])
def test_what_was_imported_meanwhile_meets_the_draft(
    services: Services, drafts: Drafts, visit: Visit, choice: str
) -> None:
    was = drafts.working("default").content.digest(Part(TEMPLATE, "小红书"))
    drafts.change("default", SetNamed(TEMPLATE, "小红书", {"text": "草稿里的"}, was), "李敏")
    services.books.save("default", services.books.source("default", 2).replace(RED, "导入的"), author="cli")
    page = visit("/welcomes/publish")
    expect(page.locator(".verdict.warn")).to_contain_text("第 3 版已经发布")
    expect(page.locator("button:text-is('发布')")).to_have_count(0)
    page.click("button:text-is('合并')")
    expect(page.locator("#errors")).to_contain_text("每一处都选定保留哪一份")
    page.check(f"input[value={choice}]")
    page.click("button:text-is('合并')")
    if choice == "yours":
        page.click("button:text-is('发布')")
        expect(page.locator(".verdict.ok").first).to_contain_text("已发布第 4 版")
    else:
        expect(page.locator("main")).to_contain_text("没有要发布的内容")
    text = services.books.book("default", services.books.current("default") or 0).templates["小红书"].text
    assert text == {"yours": "草稿里的", "theirs": "导入的"}[choice]


def test_who_gets_what_is_an_address(drafts: Drafts, visit: Visit) -> None:
    drafts.change("default", AddRule({"name": "夜间", "when": {"hours": "21:00-08:30"}, "use": "小红书"}, 0), "李敏")
    page = visit("/welcomes/explain", width=390)
    page.fill("#member", "zhangsan")
    page.fill("#at", "2026-11-22T23:00")
    page.select_option("#book", "draft")
    page.click("text=试一试")
    expect(page.locator(".phone-text")).to_have_text(RED)
    other = visit(page.url.partition("/console")[2], "en", as_="王五")
    expect(other.locator(".verdict.ok")).to_contain_text("This customer gets 小红书")


def test_rules_are_moved_by_pointer_and_by_keyboard_and_the_focus_stays(drafts: Drafts, visit: Visit) -> None:
    for number in range(4):
        drafts.change(
            "default", AddRule({"name": f"r{number}", "when": {"state": f"s{number}"}, "use": "小红书"}), "李敏"
        )

    def order() -> list[str]:
        return [rule.get("name", "") for rule in drafts.working("default").content.rules]

    before = order()
    page = visit("/welcomes")
    rows = page.locator("[data-rule]")
    third, handle = rows.nth(2).bounding_box(), rows.nth(0).locator("[data-drag]").bounding_box()
    assert third is not None
    assert handle is not None
    page.mouse.move(handle["x"] + 5, handle["y"] + 5)
    page.mouse.down()
    page.mouse.move(handle["x"] + 5, third["y"] + third["height"] - 5, steps=8)
    page.mouse.up()
    expect(page.locator("#flashes")).to_contain_text("移动规则")
    assert order() == [before[1], before[2], before[0], *before[3:]]
    expect(page.locator("[data-rule]").nth(2)).to_be_focused()

    page.locator("[data-rule]").nth(2).locator("[data-drag]").press("Enter")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert order() == before
    with page.expect_navigation():
        page.locator("[data-rule]").nth(1).get_by_role("button", name="下移").press("Enter")
    assert order() == [before[0], before[2], before[1], *before[3:]]
    assert page.evaluate("document.activeElement.value").startswith("down:")

    page.locator("[data-rule]").nth(0).locator("[data-drag]").press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    expect(page.locator("[data-rule]").nth(0)).to_contain_text(before[0])
