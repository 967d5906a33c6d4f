"""Deliveries in a browser: filter, hand the address on, see what became of one, be told of new ones."""

import re

from playwright.sync_api import expect

from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Attempt
from tasks.services import Services
from tests.support.chromium import POLL, Visit
from tests.support.ledger import settled

STEPS = {"started": 29, "chosen": 30, "named": 93, "prepared": 95, "try_1": 96, "token": 97, "answer_1": 227}


def added(services: Services, outcome: str, user_id: str, name: str, state: str = "") -> str:
    """A customer of whom this became. → the event's id"""
    values = {"customer": name, "member": {"zhangwei": "张伟", "lisi": "李四"}[user_id]}
    settlement = Settlement(
        outcome, template="default", rule="1", revision=1, attempts=1, steps=STEPS, tries=[Attempt()], values=values
    )
    return settled(services.ledger, settlement, user_id=user_id, state=state).id


def test_a_filter_is_an_address_that_shows_another_operator_the_same(services: Services, visit: Visit) -> None:
    for number in range(3):
        added(services, "sent", "zhangwei", f"客户{number}", "douyin-1")
    late = added(services, "refused", "lisi", "韩梅", "douyin-1")
    page = visit("/deliveries")
    page.get_by_role("link", name="未送达").last.click()
    page.fill("input[name=member]", "lisi")
    page.fill("input[name=channel]", "douyin-1")
    page.get_by_role("button", name="筛选").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    assert "韩梅" not in page.url
    path = page.url.partition("/console")[2]
    for width, script in ((390, True), (1280, False)):
        other = visit(path, width=width, script=script, as_="王强")
        expect(other.locator("tbody tr")).to_have_count(1)
        expect(other.locator("tbody tr")).to_have_attribute("id", f"e-{late}")
        expect(other.locator(".active-filter")).to_contain_text("李四")


def test_a_delivery_is_opened_read_and_left_for_its_neighbour(services: Services, visit: Visit) -> None:
    added(services, "sent", "lisi", "别人")
    older = added(services, "sent", "zhangwei", "王芳")
    newer = added(services, "refused", "zhangwei", "韩梅")
    page = visit("/deliveries?member=zhangwei", language="en", width=390)
    page.get_by_role("link", name="韩梅").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("Refused by WeCom: 韩梅"))
    expect(page.locator(".phone-text")).to_have_text("您好韩梅，我是张伟，很高兴认识您！")
    page.get_by_role("link", name="Older one").click()
    page.wait_for_url(f"**/e/{older}?member=zhangwei")
    expect(page.get_by_role("link", name="Older one")).to_have_count(0)  # the other one is not of this filter
    page.get_by_role("link", name="Newer one").click()
    page.wait_for_url(f"**/e/{newer}?member=zhangwei")
    page.get_by_text("Raw data").click()
    expect(page.locator("pre")).to_contain_text('"user_id": "zhangwei"')


def test_the_heads_of_columns_stay_in_sight(services: Services, visit: Visit) -> None:
    for number in range(12):
        added(services, "sent", "zhangwei", f"客户{number}")
    page = visit("/deliveries")
    page.set_viewport_size({"width": 1280, "height": 400})
    page.locator("tbody tr").last.scroll_into_view_if_needed()
    top = page.locator("thead th").first.evaluate("head => head.getBoundingClientRect().top")
    assert top == 0


def test_new_rows_are_told_and_not_pushed_in(services: Services, visit: Visit) -> None:
    first = added(services, "sent", "zhangwei", "王芳")
    page = visit("/deliveries", clock=True)
    added(services, "sent", "lisi", "韩梅")
    page.clock.run_for(POLL)
    news = page.get_by_role("link", name="有 1 条新记录，显示")
    expect(news).to_be_visible()
    expect(page.locator("tbody tr")).to_have_attribute("id", f"e-{first}")
    news.click()
    expect(page.locator("tbody tr")).to_have_count(2)


def test_on_a_phone_the_outcomes_are_one_row_and_the_chosen_one_is_in_sight(services: Services, visit: Visit) -> None:
    for outcome in ("sent", "unconfirmed", "no_code", "lost", "rehearsed"):
        added(services, outcome, "zhangwei", outcome)
    page = visit("/deliveries?outcome=lost", width=390)
    row, chosen = page.locator("#tabs .tabs"), page.locator("#tabs [aria-current]")
    tops = row.locator("a").evaluate_all("(all) => new Set(all.map((one) => one.getBoundingClientRect().top)).size")
    assert (tops, row.evaluate("(one) => one.scrollWidth > one.clientWidth")) == (1, True)
    expect(chosen).to_be_in_viewport(ratio=1)
    row.locator("a").first.focus()
    expect(row.locator("a").first).to_be_in_viewport(ratio=1)
