"""What every page does beside its subject: navigation on a phone, buttons that lock, focus that stays, new rows."""

import re

from playwright.sync_api import Route, expect

from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.services import Services
from tests.support.chromium import POLL, Visit
from tests.support.ledger import settled

SENT = Settlement(Outcome.SENT, steps={"answer_1": 900})


def test_the_rest_of_a_phones_navigation_opens_without_javascript(visit: Visit, services: Services) -> None:
    page = visit("/", width=390, script=False)
    rest = page.locator(".sheet-of-more")
    expect(rest).to_be_hidden()
    page.locator(".more > summary").click()
    expect(rest).to_be_visible()
    page.mouse.click(195, 200)  # beside it
    expect(rest).to_be_hidden()
    page.locator(".more > summary").click()
    rest.get_by_text("渠道").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("渠道")
    expect(page.locator(".more > summary")).to_have_attribute("aria-current", "true")


def test_nothing_lies_under_the_camera_of_a_phone_on_its_side(visit: Visit) -> None:
    page = visit("/", width=852)
    insets = {"left": 59, "right": 59, "bottom": 21}
    page.context.new_cdp_session(page).send("Emulation.setSafeAreaInsetsOverride", {"insets": insets})
    page.wait_for_function("() => document.querySelector('.brand').getBoundingClientRect().left >= 59")
    side, heading, table = (page.locator(one).bounding_box() for one in (".shell", "h1", "main .panel >> nth=0"))
    assert side
    assert heading
    assert table
    assert side["x"] == 59
    assert heading["x"] == side["x"] + side["width"] + 24
    assert table["x"] + table["width"] == 852 - 59


def test_a_menu_closes_with_escape_and_gives_the_focus_back(visit: Visit) -> None:
    page = visit("/")
    account = page.locator(".account")
    account.locator("summary").press("Enter")
    expect(account.get_by_role("button", name="退出")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(account.get_by_role("button", name="退出")).to_be_hidden()
    expect(account.locator("summary")).to_be_focused()


def test_a_page_that_the_browser_kept_is_asked_for_again_after_signing_out(visit: Visit) -> None:
    page = visit("/missed")
    back = "() => dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))"
    page.evaluate(back)
    expect(page.locator("h1")).to_be_visible()
    page.locator(".account summary").click()
    page.get_by_role("button", name="退出").evaluate("""button => { // a kept page, in the moment after
      button.form.addEventListener("submit", (event) => event.preventDefault());
      button.click();
    }""")
    page.context.clear_cookies()
    page.evaluate(back)
    expect(page).to_have_url(re.compile("/console/login"))


def test_a_button_works_once_while_it_is_on_its_way_and_again_when_one_comes_back(visit: Visit) -> None:
    page = visit("/queue")
    page.get_by_text("暂停后续任务").click()
    sent: list[str] = []

    def stay(route: Route) -> None:
        sent.append(route.request.url)
        route.fulfill(status=204)  # a browser stays where it is

    page.route("**/queue/lanes/*/pause", stay)
    button = page.get_by_role("button", name="暂停，直到有人恢复")
    with page.expect_request("**/pause"):
        button.click(no_wait_after=True)
    expect(button).to_have_attribute("aria-busy", "true")
    button.click(no_wait_after=True)
    page.evaluate("() => dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    expect(button).not_to_have_attribute("aria-busy", "true")
    with page.expect_request("**/pause"):
        button.click(no_wait_after=True)
    expect(button).to_have_attribute("aria-busy", "true")
    assert len(sent) == 2  # the click between them sent nothing


def test_after_a_form_the_focus_is_at_what_was_said_and_at_the_summary_where_something_is_wrong(visit: Visit) -> None:
    page = visit("/queue")
    page.get_by_text("暂停后续任务").click()
    page.get_by_role("button", name="暂停，直到有人恢复").click()
    expect(page.locator("#flashes .verdict")).to_be_focused()
    page.goto(page.url.replace("/queue", "/numbers?since=yesterday"))
    expect(page.locator("#errors")).to_be_focused()


def test_new_rows_are_marked_once_and_the_page_says_how_old_it_is(visit: Visit, services: Services) -> None:
    first = settled(services.ledger, SENT).id
    page = visit("/", language="en", clock=True)
    expect(page.locator(".fresh")).to_have_count(0)
    second = settled(services.ledger, SENT).id
    page.clock.run_for(POLL)
    expect(page.locator(f"#e-{second}.fresh")).to_be_visible()
    assert "fresh" not in (page.locator(f"#e-{first}").get_attribute("class") or "")
    expect(page.locator("[data-live-state]")).to_contain_text("s ago")
    page.reload()
    expect(page.locator(f"#e-{second}")).to_be_visible()
    expect(page.locator(".fresh")).to_have_count(0)


def test_print_is_dark_on_white_and_has_no_navigation(visit: Visit) -> None:
    page = visit("/setup/sheet")
    page.emulate_media(color_scheme="dark", media="print")
    expect(page.locator("h1")).to_have_css("color", "rgb(26, 31, 38)")
    expect(page.locator(".shell")).to_be_hidden()
