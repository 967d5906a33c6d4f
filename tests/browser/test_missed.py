"""A miss, told to the member, ticked off and taken back, with a mouse and without JavaScript."""

import re

import pytest
from playwright.sync_api import expect

from tasks.services import Services
from tasks.storage import keys
from tests.simulator.client import StandIn
from tests.support.chromium import POLL, Visit
from tests.support.ledger import missed
from tests.support.samples import NASTY
from tests.support.until import until


@pytest.fixture
def three(services: Services, wecom: StandIn) -> list[str]:
    """Three who were missed, of two members."""
    wecom.people(members={"zhangsan": {"name": "张三"}, "lisi": {"name": "李四"}})
    ids = [missed(services.redis), missed(services.redis), missed(services.redis, user_id="lisi")]
    for identity, name in zip(ids, ("李雷", "韩梅", "王芳"), strict=True):
        services.app("default").work_list.name(identity, name)
    return ids


def test_a_miss_is_told_ticked_off_and_taken_back(three: list[str], wecom: StandIn, visit: Visit) -> None:
    page = visit("/missed")
    remind = page.locator("button[formaction].primary")
    expect(remind).to_have_text("提醒成员")
    expect(remind).to_be_disabled()
    page.get_by_label("李雷").check()
    expect(remind).to_have_text("提醒这位成员")
    page.get_by_label("韩梅").check()
    page.get_by_label("王芳").check()
    expect(remind).to_have_text("提醒这 2 位成员")
    remind.click()
    expect(page.locator("#flashes")).to_contain_text("已提醒 2 位成员")
    expect(page.locator(".misses .tag.ok")).to_have_count(3)
    texts = {message["members"][0]: message["text"]["content"] for message in wecom.messages()}
    assert "韩梅" in texts["zhangsan"]
    assert texts["zhangsan"].startswith("你有 2 位新客户还没收到欢迎语：")
    assert "王芳" in texts["lisi"]
    page.get_by_label("李雷").check()
    page.get_by_label("韩梅").check()
    page.get_by_role("button", name="把这 2 位标为已跟进").click()
    expect(page.get_by_text("2 位客户已标为已跟进")).to_be_visible()
    expect(page.get_by_label("李雷")).to_have_count(0)
    page.get_by_role("button", name="撤销").click()
    expect(page.locator("#flashes")).to_contain_text("2 位客户已放回待跟进")
    expect(page.get_by_label("李雷")).to_be_visible()


def test_all_of_the_page_can_be_ticked_at_once(three: list[str], services: Services, visit: Visit) -> None:
    page = visit("/missed", "en", 390)
    page.get_by_label("Tick all 3 on this page").check()
    page.get_by_role("button", name="Mark these 3 as followed up").click()
    expect(page.get_by_text("3 customers are marked as followed up")).to_be_visible()
    assert services.app("default").work_list.counts() == (0, 3)


def test_ticks_and_rows_stand_still_while_something_is_ticked(
    three: list[str], services: Services, visit: Visit
) -> None:
    page = visit("/missed", "en", clock=True)
    page.get_by_label("韩梅").check()
    missed(services.redis)
    page.clock.run_for(POLL)
    page.wait_for_timeout(500)
    expect(page.get_by_label("韩梅")).to_be_checked()
    expect(page.locator(".misses input")).to_have_count(3)
    expect(page.get_by_text("Updates wait while customers are ticked")).to_be_visible()
    page.get_by_label("韩梅").uncheck()
    page.clock.run_for(POLL)
    expect(page.locator(".misses input")).to_have_count(4)


def test_an_update_that_is_under_way_loses_no_tick(three: list[str], services: Services, visit: Visit) -> None:
    page = visit("/missed", "en", clock=True)
    page.evaluate(
        """value => document.addEventListener("htmx:before:request", () => {
            document.querySelector(`[value="${value}"]`).checked = true;
        }, {once: true})""",
        three[1],
    )
    missed(services.redis)
    page.clock.run_for(POLL)
    expect(page.locator(".misses input")).to_have_count(4)
    expect(page.get_by_label("韩梅")).to_be_checked()
    expect(page.get_by_role("button", name="Mark this one as followed up")).to_be_enabled()


def test_everything_works_without_javascript(
    three: list[str], services: Services, wecom: StandIn, visit: Visit
) -> None:
    page = visit("/missed", "zh_Hans", 320, script=False)
    page.get_by_label("李雷").check()
    page.get_by_role("button", name="提醒所选客户的成员").click()
    expect(page.locator("#flashes")).to_contain_text("已提醒 1 位成员")
    assert len(wecom.messages()) == 1
    page.get_by_label("王芳").check()
    page.get_by_role("button", name="把所选客户标为已跟进").click()
    page.get_by_role("button", name="撤销").click()
    until(lambda: services.app("default").work_list.counts() == (3, 0), what="all on the list again")


def test_a_greeting_is_copied_where_one_is(three: list[str], services: Services, visit: Visit) -> None:
    page = visit("/missed")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("""() => { navigator.clipboard.writeText = async () => { throw new Error("Safari: no click"); }; }""")
    row = page.get_by_role("listitem").filter(has=page.get_by_label("李雷", exact=True))
    button = row.get_by_role("link", name="复制欢迎语")
    page.clock.install(time=0)  # what says so for a second and a half says so until the clock goes on
    page.clock.pause_at(1000)
    button.click()
    expect(row.get_by_text("✓ 已复制")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "您好李雷，我是张三，很高兴认识您！"
    row.get_by_text("✓ 已复制").click()  # again, while it still says so
    page.clock.resume()
    expect(button).to_be_visible()  # and then what it always said
    assert page.url.endswith("/missed")


def test_a_greeting_leads_to_its_page_without_a_script_and_where_there_is_none(
    three: list[str], services: Services, visit: Visit
) -> None:
    plain = visit("/missed", script=False)
    plain.get_by_role("link", name="复制欢迎语").first.click()
    expect(plain).to_have_url(re.compile("/greeting$"))
    services.redis.delete(keys.book("default"))
    page = visit("/missed")
    page.get_by_role("link", name="复制欢迎语").first.click()
    expect(page.get_by_text("没有适用于这位客户的欢迎语")).to_be_visible()


def test_the_greeting_is_copied(three: list[str], visit: Visit) -> None:
    page = visit(f"/missed/{three[0]}/greeting")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="复制文字").click()
    copied = "您好李雷，我是张三，很高兴认识您！"
    until(lambda: page.evaluate("navigator.clipboard.readText()") == copied, what="the greeting in the clipboard")


@pytest.mark.parametrize("width", [1280, 320])
def test_hostile_names_stay_names(three: list[str], services: Services, visit: Visit, width: int) -> None:
    for number, name in enumerate(NASTY):
        identity = missed(services.redis, user_id=name[:64], state=NASTY[-1 - number][:64])
        services.app("default").work_list.name(identity, name)
    page = visit("/missed", "en", width)
    expect(page.locator(".misses li")).to_have_count(3 + len(NASTY))
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    expect(page.locator("footer")).to_be_visible()


@pytest.mark.parametrize("script", [True, False])
def test_customers_are_tagged_from_a_list(
    three: list[str], services: Services, wecom: StandIn, visit: Visit, script: bool
) -> None:
    services.clients["default"].external_contact.add_corp_tag(
        tag=[{"name": "VIP"}, {"name": "普通"}], group_name="等级"
    )
    page = visit("/deliveries", "zh_Hans", 390, script)
    if script:
        expect(page.locator("#ticked")).to_be_hidden()
    page.get_by_label("勾选 李雷").check()
    page.get_by_label("勾选 韩梅").check()
    page.get_by_role("button", name="给这 2 位打标签" if script else "给勾选的客户打标签").click()
    expect(page.get_by_role("heading", name="给 2 位客户打标签")).to_be_visible()
    page.get_by_label("搜索标签").fill("pt")
    if not script:
        page.get_by_role("button", name="搜索").click()
    expect(page.get_by_label("VIP")).to_have_count(0)
    page.get_by_label("普通").check()
    page.get_by_role("button", name="打上标签").click()
    expect(page.locator("#flashes")).to_contain_text("正在给 2 位客户打标签：等级/普通")
    expect(page.get_by_text("正在打标签…")).to_have_count(2)
    assert services.redis.zcard(keys.TAGGING) == 2
