"""A lane is paused and resumed, and the page Queue lives while somebody reads it."""

import re

from playwright.sync_api import expect

from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.ledger.pauses import WELCOME
from tasks.services import Services
from tests.support.chromium import POLL, Visit
from tests.support.console import NAME
from tests.support.ledger import settled


def test_the_welcome_lane_is_paused_and_resumed(visit: Visit, services: Services) -> None:
    page = visit("/queue", width=390)
    page.get_by_text("暂停欢迎语通道").click()
    expect(page.get_by_text("暂停期间加好友的客户会错过欢迎语")).to_be_visible()
    page.get_by_role("button", name="暂停 10 分钟").click()
    expect(page.get_by_role("status").first).to_contain_text("10 分钟后自动恢复")
    assert services.queue_pauses.paused()[WELCOME].by == NAME
    page.get_by_role("button", name="恢复欢迎语通道").click()
    expect(page.get_by_role("status").first).to_contain_text("通道已恢复")
    assert services.queue_pauses.paused() == {}


def test_without_javascript_it_is_the_same(visit: Visit, services: Services) -> None:
    page = visit("/queue", language="en", script=False)
    page.get_by_text("Pause follow-up tasks").click()
    page.get_by_role("button", name="Pause until resumed").click()
    expect(page.get_by_role("button", name="Resume follow-up tasks")).to_be_visible()


def test_what_is_new_comes_by_itself_and_what_is_open_stays_open(visit: Visit, services: Services) -> None:
    page = visit("/queue", language="en", clock=True)
    page.get_by_text("Pause the welcome lane").click()
    for _ in range(2):
        settled(services.ledger, Settlement(Outcome.SENT, steps={"answer_1": 900}))
    page.clock.run_for(POLL)
    expect(page.get_by_text("2 greetings today")).to_be_visible()
    expect(page.get_by_role("button", name="Pause for 10 minutes")).to_be_visible()
    page.get_by_role("button", name="Pause updates").click()
    expect(page.get_by_text("Updates paused")).to_be_visible()


def test_a_page_that_stays_open_tells_of_a_pause_and_of_who_was_missed(visit: Visit, services: Services) -> None:
    page = visit("/missed", clock=True)
    expect(page.locator("#paused")).to_be_empty()
    services.queue_pauses.pause(WELCOME, NAME)
    settled(services.ledger, Settlement(Outcome.FAILED, errcode=-1))
    page.clock.run_for(POLL)
    expect(page.locator("#paused")).to_contain_text("欢迎语通道已暂停")
    expect(page.locator("#pulse")).to_have_text("已暂停")
    expect(page.locator("#pages")).to_contain_text("未送达 1")
    services.queue_pauses.resume(WELCOME, NAME)
    page.clock.run_for(POLL)
    expect(page.locator("#paused")).to_be_empty()


def test_numbers_are_asked_for_and_taken_away(visit: Visit, services: Services) -> None:
    settled(services.ledger, state="douyin-1")
    page = visit("/numbers")
    page.get_by_role("link", name="渠道", exact=True).last.click()
    expect(page.get_by_role("row", name=re.compile("douyin-1"))).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="下载 CSV").click()
    assert download.value.suggested_filename.startswith("numbers-channel-")
    assert "douyin-1,1,1,1.0000" in download.value.path().read_text("utf-8-sig")
