"""Writing a welcome in a real browser: what is previewed is what the worker sends, and nothing typed is lost."""

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, Route, expect

from tasks.books.draft_store import Drafts
from tasks.services import Services
from tasks.templates import render
from tasks.templates.edits import TEMPLATE, Part, SetNamed
from tasks.workers import make_greeter
from tests.simulator.client import StandIn
from tests.support.books import MP4, PDF, WEBP
from tests.support.chromium import Visit, loaded_width
from tests.support.console import NAME, PASSWORD
from tests.support.until import until
from webhook.console.welcomes import preview

DOT = bytes.fromhex(  # a PNG of one pixel
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000 1f15c4890000000d49444154789c6360606060000000050001"
    "a5f645400000000049454e44ae426082".replace(" ", "")
)
MEASURE = (Path(__file__).parent / "measure.js").read_text("utf-8")
EDIT = "/welcomes/edit?name=default"


@pytest.fixture
def drafts(services: Services) -> Drafts:
    return services.drafts


def saved(page: Page) -> None:
    expect(page.locator("#flashes")).to_contain_text(re.compile("草稿已保存|The draft is saved"))


def value(drafts: Drafts, name: str = "default") -> Any:
    return drafts.working("default").content.part(Part(TEMPLATE, name))


def test_write_see_save_and_the_worker_sends_just_that(visit: Visit, drafts: Drafts) -> None:
    page = visit(EDIT)
    page.fill("#text", "")
    page.locator("#text").press_sequentially("{customer|朋友}，您好！我是{member} <b>&amp;")
    expect(page.locator(".sample-ordinary .phone-text")).to_have_text("王芳，您好！我是张伟 <b>&amp;")
    page.get_by_text("没有昵称").click()
    expect(page.locator(".sample-nameless .phone-text")).to_be_visible()
    seen = {who: page.locator(f".sample-{who} .phone-text").text_content() for who in preview.CUSTOMERS}
    page.click(".editor-bar .primary")
    saved(page)
    template = drafts.working("default").book().templates["default"]
    for who, customer in preview.CUSTOMERS.items():
        sent = render.message(template, {**preview.MEMBER, "customer": customer})
        assert seen[who] == sent["text"]["content"]  # type: ignore[index]


def test_what_was_previewed_is_what_a_customer_gets(visit: Visit, services: Services, wecom: StandIn) -> None:
    """Written, looked at, published; then WeCom announces a customer on the callback, and a worker greets."""
    wecom.people(members={"zhangsan": {"name": "张伟"}}, customers={"wm-wangfang": {"name": "王芳"}})
    page = visit(EDIT)
    page.fill("#text", "{customer|朋友}，您好！\n我是{member} 🌸 {{8 折}} <b>&amp;")
    page.click("[value='add:link']")
    page.fill("[name='attachments-0-title']", "产品手册")
    page.fill("[name='attachments-0-url']", "https://example.com/book")
    bubble = page.locator(".sample-ordinary .phone-text")
    expect(bubble).to_contain_text("王芳，您好！")
    previewed = bubble.text_content()
    page.click(".editor-bar [value=publish]")
    page.click("main form:has(#note) button.primary")
    expect(page.locator("main")).to_contain_text("第 2 版")

    record = wecom.add(external_user_id="wm-wangfang")
    wecom.wait_until_accepted(1)
    (claim,) = services.ledger.claim(1)
    make_greeter(services).greet(claim)
    sent = wecom.record(record).content
    assert sent is not None
    assert sent["text"] == previewed
    assert [one["msgtype"] for one in sent["attachments"]] == ["link"]


def test_the_counter_and_a_wrong_placeholder_speak_while_typing(visit: Visit) -> None:
    page = visit(EDIT, language="en")
    page.eval_on_selector("#counter [role=status]", "status => { status.same = true }")
    page.fill("#text", "{custmer}" + "好" * 1400)
    expect(page.locator("#counter")).to_contain_text("did you mean customer?")
    expect(page.locator("#counter")).to_contain_text("more than the 4000 that WeCom takes")
    same = page.eval_on_selector("#counter [role=status]", "status => status.same")
    assert same, "a live region that is replaced is not read out"
    page.click(".editor-bar .primary")
    expect(page.locator("#errors")).to_be_focused()
    expect(page).to_have_title(re.compile("^Error:"))
    assert page.input_value("#text").startswith("{custmer}好")
    page.click("#errors a")
    expect(page.locator("#text")).to_be_focused()


def test_a_chip_writes_at_the_end_or_where_the_caret_is(visit: Visit) -> None:
    page = visit(EDIT)
    before = page.input_value("#text")
    page.click("[data-insert=date]")
    assert page.input_value("#text") == before + "{date}"
    page.locator("#text").evaluate("text => text.setSelectionRange(0, 2)")
    page.click("[data-insert=time]")
    assert page.input_value("#text") == "{time}" + before[2:] + "{date}"


CHIPS = """() => [...document.querySelectorAll(".word-chip")].map((chip) => ({
    shown: chip.dataset.label, box: chip.getBoundingClientRect().toJSON() }))"""


def chips(page: Page) -> list[str]:
    return [chip["shown"] for chip in page.evaluate(CHIPS)]


def choose(page: Page, number: int) -> None:
    """Press on a chip, which lies over the text."""
    box = page.evaluate(CHIPS)[number]["box"]
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def test_placeholders_are_chips_with_their_names(visit: Visit) -> None:
    page = visit(EDIT)
    page.fill("#text", "{customer|朋友}您好，{{不是}} {custmer} {date}，我是{member}")
    assert chips(page) == ["客户昵称 | 朋友", "日期", "成员姓名"]
    heard = page.locator(f"#{(page.get_attribute('#text', 'aria-describedby') or '').split()[1]}")
    expect(heard).to_have_text("文字里的变量：客户昵称 | 朋友、日期、成员姓名")
    choose(page, 0)
    panel = page.locator("#fallback")
    expect(panel).to_contain_text("客户昵称")
    page.fill("#fallback-words", "尊敬的客户")
    assert page.input_value("#text").startswith("{customer|尊敬的客户}您好")
    expect(page.locator(".sample-nameless .phone-text")).to_contain_text("尊敬的客户您好")
    page.keyboard.press("Enter")
    expect(page.locator("#text")).to_be_focused()
    expect(panel).to_be_hidden()
    page.keyboard.type("！")
    assert page.input_value("#text").startswith("{customer|尊敬的客户}！您好")
    choose(page, 1)
    expect(panel.get_by_label("没有")).to_be_hidden()  # a date is always known
    panel.get_by_role("button", name="移除").click()
    assert chips(page) == ["客户昵称 | 尊敬的客户", "成员姓名"]
    page.keyboard.press("Control+z")
    assert chips(page) == ["客户昵称 | 尊敬的客户", "日期", "成员姓名"]


def test_a_chip_is_one_thing_to_the_keyboard(visit: Visit) -> None:
    page = visit(EDIT, language="en")
    page.fill("#text", "a{customer}b")
    page.locator("#text").evaluate("text => text.setSelectionRange(0, 0)")
    where = "[document.querySelector('#text').selectionStart, document.querySelector('#text').selectionEnd]"
    for key, place in [("Right", [1, 1]), ("Right", [1, 11]), ("Right", [11, 11]), ("Left", [1, 11]), ("Left", [1, 1])]:
        page.keyboard.press(f"Arrow{key}")
        page.wait_for_function(f"place => JSON.stringify({where}) === JSON.stringify(place)", arg=place)
    page.keyboard.press("ArrowRight")
    expect(page.locator("#fallback")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#fallback-words")).to_be_focused()
    page.keyboard.type("you")
    page.keyboard.press("Escape")
    assert page.input_value("#text") == "a{customer|you}b"
    page.keyboard.press("Backspace")
    assert page.input_value("#text") == "ab"
    page.keyboard.press("Control+z")
    assert page.input_value("#text") == "a{customer|you}b"
    page.keyboard.press("Control+Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Delete")
    assert page.input_value("#text") == "ab"


UNCOVERED = """box => {  // by the bar with the buttons, that is
  const at = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return at !== null && at.closest(".actions, nav") === null;
}"""

SCROLL = """async (text, top) => {  // and the chips with it, which hear of it in the next frame
  text.scrollTop = top;
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""
PICKED = "text => text.value.slice(text.selectionStart, text.selectionEnd)"


@pytest.mark.parametrize("width", [1280, 320])
def test_chips_lie_where_the_words_are(visit: Visit, width: int) -> None:
    """Whatever is written around them, beside a scroll bar too: what lies under a chip's middle is its placeholder."""
    page = visit(EDIT, width=width)
    lines = ["您好{customer|朋友}，欢迎来到{department}！🌸" * 3, "  a b  c {member}", "", "{state}" * 9, "长" * 50] * 6
    page.fill("#text", "\n".join(lines))
    expect(page.locator(".sample-ordinary .phone-text")).to_contain_text("🌸")  # so that nothing moves any more
    assert len(chips(page)) == 6 * 16
    tall = "text => text.scrollHeight > text.clientHeight && text.clientWidth < text.offsetWidth"
    for top in (0, 10_000):
        page.locator("#text").evaluate(SCROLL, top)
        box = page.locator("#text").bounding_box()
        assert box
        seen = [
            one
            for one in page.evaluate(CHIPS)
            if one["shown"]
            and box["y"] + 8 < one["box"]["y"] < box["y"] + box["height"] - 40
            and page.evaluate(UNCOVERED, one["box"])
        ]
        for one in (seen[0], seen[-1]):
            middle = (one["box"]["x"] + one["box"]["width"] / 2, one["box"]["y"] + one["box"]["height"] / 2)
            page.mouse.click(*middle)
            names = {
                "客户昵称 | 朋友": "{customer|朋友}",
                "部门": "{department}",
                "成员姓名": "{member}",
                "渠道": "{state}",
            }
            until(
                lambda wanted=names[one["shown"]]: page.locator("#text").evaluate(PICKED) == wanted, what=one["shown"]
            )
            page.keyboard.press("Escape")
    assert page.locator("#text").evaluate(tall) or width == 1280


def test_an_input_method_writes_between_chips(visit: Visit, drafts: Drafts) -> None:
    page = visit(EDIT)
    page.fill("#text", "{customer}{member}")
    page.locator("#text").evaluate("text => text.setSelectionRange(10, 10)")
    typing = page.context.new_cdp_session(page)
    typing.send("Input.imeSetComposition", {"text": "nihao", "selectionStart": 5, "selectionEnd": 5})
    assert page.input_value("#text") == "{customer}nihao{member}"
    first, second = (one["box"] for one in page.evaluate(CHIPS))
    assert second["x"] > first["x"] + first["width"] + 20  # it makes room while one types
    typing.send("Input.insertText", {"text": "你好"})
    assert page.input_value("#text") == "{customer}你好{member}"
    page.keyboard.press("Backspace")
    assert page.input_value("#text") == "{customer}你{member}"
    page.click("[data-as-written]")
    expect(page.locator(".words-mirror")).to_be_hidden()
    page.click(".editor-bar .primary")
    saved(page)
    assert value(drafts)["text"] == "{customer}你{member}"


def test_a_placeholders_panel_works_as_safari_clicks_and_composes(visit: Visit) -> None:
    """There a button takes no focus from a click, and an input method's Enter comes after the composition."""
    page = visit(EDIT, language="en")
    page.fill("#text", "a{customer|you}b")
    page.evaluate("""() => window.addEventListener("mousedown", (event) => {
        if (event.defaultPrevented || !event.target.closest("button")) return;
        event.preventDefault();
        document.activeElement.blur();
    })""")
    page.locator("#text").evaluate("text => text.setSelectionRange(3, 3)")
    panel = page.locator("#fallback")
    expect(panel).to_be_visible()
    page.focus("#fallback-words")
    enter = {"key": "Enter", "keyCode": 229, "bubbles": True, "cancelable": True}
    page.dispatch_event("#fallback-words", "keydown", enter)
    expect(panel).to_be_visible()
    panel.locator("[data-act=remove]").click()
    expect(page.locator("#text")).to_have_value("ab")


def test_a_slow_preview_never_replaces_a_newer_one(visit: Visit) -> None:
    page = visit(EDIT)
    held: list[Route] = []
    page.route("**/welcomes/preview", lambda route: route.continue_() if held else held.append(route))
    page.fill("#text", "first")
    until(lambda: held or page.wait_for_timeout(50), what="the first preview on its way")
    page.fill("#text", "second")
    expect(page.locator(".sample-ordinary .phone-text")).to_have_text("second")
    with contextlib.suppress(PlaywrightError):  # the page gave it up
        held[0].continue_()
    page.wait_for_timeout(500)
    expect(page.locator(".sample-ordinary .phone-text")).to_have_text("second")


def test_half_a_word_of_an_input_method_is_not_previewed(visit: Visit) -> None:
    page = visit(EDIT)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "preview" in request.url else None)
    page.focus("#text")
    typing = page.context.new_cdp_session(page)
    typing.send("Input.imeSetComposition", {"text": "ni", "selectionStart": 2, "selectionEnd": 2})
    page.wait_for_timeout(700)
    assert asked == []
    typing.send("Input.insertText", {"text": "你"})
    expect(page.locator(".sample-ordinary .phone-text")).to_contain_text("你")


def test_by_keyboard_alone(visit: Visit, drafts: Drafts) -> None:
    page = visit(EDIT, language="en")

    def reach(selector: str) -> None:
        for _ in range(60):
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            page.keyboard.press("Tab")
        pytest.fail(f"{selector} cannot be reached")

    reach("#text")
    page.keyboard.press("Control+A")
    page.keyboard.type("Hi ")
    reach("[data-insert=customer]")
    page.keyboard.press("Enter")
    expect(page.locator("#fallback-words")).to_be_focused()
    page.keyboard.type("you")
    page.keyboard.press("Enter")
    expect(page.locator("#text")).to_be_focused()
    page.keyboard.type("!")
    assert page.input_value("#text") == "Hi {customer|you}!"
    reach("[value='add:link']")
    page.keyboard.press("Space")
    expect(page.locator("#attachment-0-edit")).to_be_focused()
    reach("[name='attachments-0-title']")
    page.keyboard.type("A link")
    reach("[name='attachments-0-url']")
    page.keyboard.type("https://example.com/")
    page.keyboard.press("Enter")  # saves
    saved(page)
    assert value(drafts) == {
        "text": "Hi {customer|you}!",
        "attachments": [{"link": {"title": "A link", "url": "https://example.com/"}}],
    }


def test_a_file_goes_up_when_it_is_chosen(visit: Visit, drafts: Drafts, tmp_path: Path) -> None:
    for name, content in {"你好.png": DOT, "价格.pdf": PDF, "intro.mp4": MP4, "wrong.png": WEBP}.items():
        (tmp_path / name).write_bytes(content)
    page = visit(EDIT)
    page.fill("#text", "还没有保存")
    for number, (kind, name) in enumerate({"image": "你好.png", "file": "价格.pdf", "video": "intro.mp4"}.items()):
        page.click(f"[value='add:{kind}']")
        page.set_input_files(f"[name='attachments-{number}-upload']", tmp_path / name)
        expect(page.locator(f"#attachment-{number}")).to_contain_text(name)
        expect(page.locator(f"#attachment-{number}-edit")).to_be_focused()
    assert loaded_width(page.locator(".sample-ordinary .phone-image img")) == 1
    page.click("[value='down:0']")
    expect(page.locator("#attachment-1")).to_contain_text("你好.png")
    page.click("[value='add:image']")
    page.set_input_files("[name='attachments-3-upload']", tmp_path / "wrong.png")
    expect(page.locator("#attachment-3 .error")).to_contain_text("这是 WebP 图片")
    page.click("[value='remove:3']")
    expect(page.locator("#attachment-3")).to_have_count(0)
    expect(page.locator("#text")).to_have_value("还没有保存")
    page.click(".editor-bar .primary")
    saved(page)
    kinds = [next(iter(one)) for one in value(drafts)["attachments"]]
    assert kinds == ["file", "image", "video"]


def test_a_picture_is_chosen_from_the_library(visit: Visit, drafts: Drafts) -> None:
    drafts.hold("default", "海报.png", DOT)
    page = visit(EDIT)
    page.click("[value='add:image']")
    page.click("#attachment-0 .picker summary")
    page.get_by_role("button", name="海报.png").click()
    expect(page.locator("#attachment-0 .attachment-what")).to_contain_text("海报.png")
    expect(page.locator("#attachment-0-edit")).to_be_focused()
    page.click(".editor-bar .primary")
    saved(page)
    assert value(drafts)["attachments"] == [{"image": {"file": "media/海报.png"}}]


def test_two_editors(visit: Visit, drafts: Drafts) -> None:
    mine = visit(EDIT, language="en")
    theirs = visit(EDIT, as_="王五")
    theirs.fill("#text", "theirs")
    theirs.click(".editor-bar .primary")
    saved(theirs)
    mine.fill("#text", "mine")
    mine.click(".editor-bar .primary")
    expect(mine.locator("#clash")).to_contain_text("王五 changed this meanwhile")
    row = mine.locator("#clash tbody tr")
    for words in ("mine", "theirs", "您好{customer}"):
        expect(row).to_contain_text(words)
    for width in (1280, 390, 320):
        mine.set_viewport_size({"width": width, "height": 900})
        assert mine.evaluate(MEASURE) == []
    mine.get_by_role("button", name="Use theirs").click()
    expect(mine.locator("#text")).to_have_value("theirs")
    mine.get_by_role("button", name="Use mine").click()
    expect(mine.locator("#text")).to_have_value("mine")
    mine.click(".editor-bar .primary")
    saved(mine)
    assert value(drafts)["text"] == "mine"


def test_without_a_script(visit: Visit, drafts: Drafts) -> None:
    page = visit(EDIT, language="en", width=390, script=False)
    page.fill("#text", "Hi {customer|you}")
    page.click("noscript button")
    expect(page.locator(".sample-ordinary .phone-text")).to_have_text("Hi 王芳")
    page.click("[value='add:link']")
    page.fill("[name='attachments-0-title']", "t")
    page.click(".editor-bar .primary")
    expect(page.locator("#errors")).to_contain_text("The address is missing")
    page.fill("[name='attachments-0-url']", "https://example.com")
    page.click(".editor-bar .primary")
    saved(page)
    assert value(drafts)["attachments"] == [{"link": {"title": "t", "url": "https://example.com"}}]


def test_what_is_not_saved_is_not_left_silently(visit: Visit) -> None:
    page = visit(EDIT)
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.fill("#text", "not saved")
    page.click("[value='add:link']")
    assert asked == []
    page.click("#attachment-0 summary")
    page.goto(page.url.partition("/welcomes")[0] + "/media")
    assert asked == ["beforeunload"]


def test_a_session_that_ends_while_one_writes_loses_nothing(visit: Visit, drafts: Drafts) -> None:
    page = visit(EDIT)
    page.fill("#text", "before")
    expect(page.locator(".sample-ordinary .phone-text")).to_have_text("before")
    page.context.clear_cookies(name="welcome-console")
    with page.expect_response("**/welcomes/preview") as answer:
        page.fill("#text", "typed after the end of the session")
    assert answer.value.status == 401
    assert page.input_value("#text") == "typed after the end of the session"
    page.click(".editor-bar .primary")
    expect(page.locator("input[name=name]")).to_have_value(NAME)
    page.fill("input[name=password]", PASSWORD)
    page.click("main button")
    page.click("main button.primary")  # what was typed, once more
    saved(page)
    assert value(drafts)["text"] == "typed after the end of the session"


def test_a_conflict_of_a_rule_is_none_of_ours(visit: Visit, drafts: Drafts) -> None:
    """Somebody else changes another welcome: nothing is asked."""
    page = visit(EDIT)
    page.fill("#text", "mine")
    drafts.change("default", SetNamed("template", "other", {"text": "other"}), "王五")
    page.click(".editor-bar .primary")
    saved(page)
    assert value(drafts, "other")["text"] == "other"
