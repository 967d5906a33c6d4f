"""The sign-in as a person does it: a wrong password, the right one, the way back out."""

from playwright.sync_api import expect

from tests.support.chromium import Visit
from tests.support.console import NAME, PASSWORD


def test_a_person_signs_in_where_he_wanted_to_go_and_out_again(visit: Visit) -> None:
    page = visit("/", "zh_Hans", 390)
    page.locator("summary", has_text="账号").click()
    page.get_by_role("button", name="退出").click()
    expect(page.get_by_label("密码")).to_be_visible()
    page.goto(page.url.replace("/login", "/deliveries"))
    for password in ("wrong", PASSWORD):
        expect(page.get_by_role("heading", level=1)).to_have_text("登录")
        page.get_by_label("姓名").fill(NAME)
        page.get_by_label("密码").fill(password)
        page.get_by_role("button", name="登录").click()
        if password == "wrong":
            expect(page.get_by_role("alert")).to_contain_text("密码不对")
    expect(page.get_by_role("heading", level=1)).to_have_text("发送记录")
    page.locator("summary", has_text="账号").click()
    expect(page.locator(".who")).to_contain_text(NAME)
    page.get_by_role("button", name="退出").click()
    expect(page.get_by_label("密码")).to_be_visible()
    page.go_back()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("登录")
