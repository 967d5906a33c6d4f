"""Journeys: from nothing to a green rehearsal; a channel from its form to its printed sheet."""

import re

import pytest
from playwright.sync_api import expect

from tasks.services import Services
from tests.simulator.client import StandIn
from tests.support.chromium import Visit, loaded_width
from tests.support.worker import working

STEPS = ("签名", "解密", "存储", "排队", "选择", "渲染")


@pytest.fixture(autouse=True)
def members(services: Services, wecom: StandIn) -> None:
    wecom.people(members={"zhangsan": {"name": "张三"}, "lisi": {"name": "李四"}})


def test_from_nothing_to_a_green_rehearsal(services: Services, visit: Visit) -> None:
    page = visit("/")
    page.click("nav >> text=设置")
    expect(page.locator("#url")).to_have_text(f"{services.settings.public_url}/callback")
    with working(services):
        page.click("text=开始检查")
        expect(page.locator("#flashes")).to_contain_text("检查")
        expect(page.locator(".finding").filter(has_text="回调 URL")).to_contain_text("验证通过")
        page.fill("#member", "zhangsan")
        page.click("button:text-is('演练')")
        expect(page.locator("#flashes")).to_contain_text("没有发送，也不计入数据")
        for step in STEPS:
            expect(page.locator(".step.ok").filter(has_text=step)).to_have_count(1)
    expect(page.locator(".phone-text")).to_have_text("您好，我是张三，很高兴认识您！")
    page.click("text=给企业微信管理员的清单")
    expect(page.locator(".sheet")).to_contain_text(f"{services.settings.public_url}/callback")
    page.emulate_media(media="print")
    expect(page.locator("header.top")).to_be_hidden()


def test_what_is_typed_is_not_lost_while_a_check_runs(services: Services, visit: Visit, wecom: StandIn) -> None:
    wecom.faults(latency_ms=5_500, paths=("gettoken",))
    page = visit("/setup", "en")
    page.click("text=Check now")
    expect(page.locator("text=Checking since")).to_be_visible()
    page.fill("#member", "half a na")
    expect(page.locator("text=Checking since")).to_be_hidden()
    expect(page.locator(".findings")).to_contain_text("WeCom's API")
    expect(page.locator("#member")).to_have_value("half a na")
    expect(page.locator("#member")).to_be_focused()


@pytest.mark.parametrize(("script", "width"), [(True, 1280), (False, 320)])
def test_a_channel_from_its_form_to_its_printed_sheet(visit: Visit, script: bool, width: int) -> None:
    page = visit("/channels", "zh_Hans", width, script)
    page.click("text=创建第一个渠道")
    page.fill("#state", "douyin-1")
    page.click("button:text-is('创建渠道')")
    expect(page).to_have_title(re.compile("^错误："))
    expect(page.locator("#errors")).to_contain_text("填写名称")
    expect(page.locator("#state")).to_have_value("douyin-1")
    page.fill("#name", "抖音门店一号")
    page.check("input[value=zhangsan]")
    page.click("button:text-is('创建渠道')")
    expect(page.locator("h1")).to_have_text("抖音门店一号")
    assert loaded_width(page.locator("img.qr")) > 100
    with page.expect_download() as download:
        page.click("a:text-is('下载渠道码')")
    assert download.value.suggested_filename == "抖音门店一号.png"
    page.click("a:text-is('打印页')")
    expect(page.locator(".poster")).to_contain_text("用微信扫一扫")
    expect(page.locator(".poster")).to_contain_text("zhangsan")
    page.emulate_media(media="print")
    expect(page.locator("header.top")).to_be_hidden()
    expect(page.locator(".poster img")).to_be_visible()
    assert loaded_width(page.locator(".poster img")) > 100
