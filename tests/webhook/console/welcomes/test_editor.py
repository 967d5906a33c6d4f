"""Writing welcomes in the console: what is saved, what is refused and why, files, and two editors at once."""

import html
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from werkzeug.datastructures import MultiDict

from tasks.books.draft_store import Drafts
from tasks.services import Services, build_services
from tasks.templates import render
from tasks.templates.edits import GROUP, TEMPLATE, SetNamed
from tests.support.books import JPG, MP4, PDF, PNG, WEBP
from tests.support.builders import some_settings
from tests.support.console import PASSWORD, Browser, text_of
from tests.support.editor import BOOK, attachment, digest, fields, value
from tests.support.processes import RedisServer
from webhook.console.welcomes import editor_values, preview

NASTY = "<script>alert(1)</script>\u202eevil 👨‍👩‍👧‍👦"


@pytest.fixture
def book() -> str:
    return BOOK


def a_file(content: bytes, name: str) -> tuple[io.BytesIO, str]:
    return io.BytesIO(content), name


@pytest.mark.parametrize(("kind", "name"), [(TEMPLATE, "default"), (TEMPLATE, "brochure"), (GROUP, "newcomers")])
def test_fields_and_value_say_the_same(drafts: Drafts, kind: str, name: str) -> None:
    known = value(drafts, name, kind)
    assert editor_values.written(editor_values.typed(name, known), kind == GROUP) == known


def test_a_change_is_in_the_draft_and_not_live(browse: Browser, drafts: Drafts, services: Services) -> None:
    page = browse.get("/welcomes/edit", {"name": "brochure"})
    assert "{customer|朋友}，您好" in page.text
    answer = browse.post("/welcomes/edit?name=brochure", fields(drafts, "brochure", text="您好\r\n{customer}"))
    assert answer.status_code == 200
    assert "The draft is saved" in text_of(answer)
    assert value(drafts, "brochure")["text"] == "您好\n{customer}"
    assert value(drafts, "brochure")["then"] == {"tags": ["来源/新客户"], "remark": "{customer}"}
    assert drafts.working("default").author == "李敏"
    assert services.books.book("default", 1).templates["brochure"].text == "{customer|朋友}，您好"
    assert "Draft differs from what is live" in text_of(answer)


def test_saving_what_is_there_changes_nothing(browse: Browser, drafts: Drafts) -> None:
    answer = browse.post("/welcomes/edit?name=brochure", fields(drafts, "brochure"))
    assert "Nothing was changed" in text_of(answer)
    assert drafts.get("default") is None


@pytest.mark.parametrize(
    ("different", "said"),
    [
        ({"text": "{custmer}"}, "No placeholder {custmer}; there are customer, member"),
        ({"text": "{xyzzy} hello"}, "No placeholder {xyzzy}; there are customer, member"),
        ({"text": "a { b"}, "A single { at character 3; write {{"),
        ({"text": "{customer}"}, "Without a name the text would be empty"),
        ({"text": "好" * 1343}, "29 more than the 4000 that WeCom takes; shorten it by about 10 Chinese characters"),
        ({"name": ""}, "Give it a name"),
        ({"name": "a|b"}, "The name has a |"),
        ({"name": "n" * 65}, "The name has 65 characters, 1 more than the 64 that fit"),
        ({"name": "default"}, "There is another welcome of this name"),
        ({"attachments-0-title": ""}, "The title is missing"),
        ({"attachments-0-title": "长" * 43}, "The title has 129 bytes, 1 more than the 128 that WeCom takes"),
        ({"attachments-0-title": "Hi {customer}"}, "{customer} would be sent just as it stands"),
        ({"attachments-0-url": "javascript:alert(1)"}, "An address begins with https://"),
        ({"attachments-0-url": "example.com"}, "An address begins with https://"),
        ({"attachments-1-appid": "wx 1"}, "An AppID looks like"),
        ({"attachments-1-media_id": ""}, "Choose a file"),
        ({"tags": "a/b\na/b"}, "Tag a/b is given twice"),
        ({"tags": "/b"}, "A tag is written group/tag, or tag alone; this is “/b”"),
        ({"tags": "x" * 31}, "xxx” has 31 characters, 1 more than the 30 that fit"),
        ({"remark": "r" * 21}, "The remark has 21 characters, 1 more than the 20 that fit"),
        ({"remark": "{nobody}"}, "No placeholder {nobody}; there are customer"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_typed_is_lost(
    browse: Browser, drafts: Drafts, different: Mapping[str, str], said: str
) -> None:
    sent = fields(drafts, "brochure", **different)
    answer = browse.post("/welcomes/edit?name=brochure", sent)
    assert answer.status_code == 422
    assert text_of(answer).count(said) >= 2, "in the summary, and at the field"
    (field,) = different
    marked = "attachments-1-upload" if field == "attachments-1-media_id" else field
    assert re.search(rf'<a href="#{marked}">[^<]*{re.escape(html.escape(said))}', answer.text)
    assert re.search(rf'<div class="field wrong">\s*(<div[^>]*>)?<label for="{marked}">', answer.text)
    assert "Error:" in answer.text
    assert again(answer.text, "attachments-1-page") == "pages/index.html"
    for key, given in different.items():
        assert again(answer.text, key) == given
    assert drafts.get("default") is None


def again(page: str, name: str) -> str:
    """What a page has in a field."""

    found = re.search(rf'<textarea[^>]* name="{name}"[^>]*>\r?\n(.*?)</textarea>', page, re.S)
    tag = re.search(rf'<input[^>]* name="{name}"[^>]*>', page)
    if found is None:
        assert tag, name
        found = re.search(r'value="([^"]*)"', tag[0])
    return html.unescape(found[1]) if found else ""


def test_hostile_texts_are_shown_and_not_run(browse: Browser, drafts: Drafts) -> None:
    sent = fields(drafts, "brochure", text=NASTY, name=NASTY) | {"attachments-0-title": NASTY}
    answer = browse.post("/welcomes/edit?name=brochure", sent)
    assert answer.status_code == 422, "a name has no character that cannot be seen"
    assert "<script>alert" not in answer.text
    sent["name"] = "<b>"
    browse.post("/welcomes/edit?name=brochure", sent)
    assert value(drafts, "<b>")["text"] == NASTY
    assert "<script>alert" not in browse.get("/welcomes/edit", {"name": "<b>"}).text


@pytest.mark.parametrize("name", ["..", "a/b", "publish", "new", "?x=1&y", "%2F", " 中文 "])
def test_a_name_may_be_anything(browse: Browser, drafts: Drafts, name: str) -> None:
    browse.get("/welcomes/new")
    answer = browse.post("/welcomes/new", {"name": name, "text": "hello", "do": "save"})
    assert answer.status_code == 200
    assert value(drafts, name.strip()) == {"text": "hello"}
    assert again(answer.text, "name") == name.strip()


def test_copy_as_new(browse: Browser, drafts: Drafts) -> None:
    page = browse.get("/welcomes/new", {"copy": "brochure"})
    assert again(page.text, "name") == ""
    assert again(page.text, "was") == ""
    assert again(page.text, "attachments-0-title") == "产品手册"


def test_a_new_name_goes_into_the_rules(browse: Browser, drafts: Drafts) -> None:
    browse.get("/welcomes/edit", {"name": "brochure"})
    browse.post("/welcomes/edit?name=brochure", fields(drafts, "brochure", name="手册"))
    assert value(drafts, "brochure") is None
    assert drafts.working("default").content.rules[0]["use"] == "手册"


def test_without_redis_nothing_is_saved_and_nothing_lost(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        services = build_services(some_settings(REDIS_URL=server.url, CONSOLE_PASSWORD=PASSWORD), timeout=0.5)
        services.books.save("default", BOOK)
        browse = Browser(services).sign_in()
        browse.get("/welcomes/edit", {"name": "default"})
        sent = fields(services.drafts, "default", text="typed while Redis was there")
    answer = browse.post("/welcomes/edit?name=default", sent)
    assert answer.status_code == 503
    assert "typed while Redis was there" in answer.text
    assert browse.post("/welcomes/preview", sent).status_code == 503


# ------------------------------------------------------------------------------------------------ attachments


def test_attachments_are_added_moved_and_taken_out(browse: Browser, drafts: Drafts) -> None:
    def kinds(do: str, sent: dict[str, Any]) -> list[str]:
        answer = browse.post("/welcomes/edit?name=brochure", sent | {"do": do})
        assert answer.status_code == 200
        return re.findall(r'name="attachments-\d+-kind" value="(\w+)"', answer.text)

    sent = fields(drafts, "brochure", text="typed and not saved")
    assert kinds("add:image", sent) == ["link", "miniprogram", "image"]
    assert kinds("up:1", sent) == ["miniprogram", "link"]
    assert kinds("down:0", sent) == ["miniprogram", "link"]
    assert kinds("up:0", sent) == kinds("down:1", sent) == kinds("up:77", sent) == ["link", "miniprogram"]
    assert kinds("remove:0", sent) == ["miniprogram"]
    answer = browse.post("/welcomes/edit?name=brochure", sent | {"do": "down:0"})
    assert again(answer.text, "text") == "typed and not saved"
    assert again(answer.text, "attachments-1-title") == "产品手册"
    assert drafts.get("default") is None


def test_nine_attachments_are_all(browse: Browser, drafts: Drafts) -> None:
    sent = fields(drafts, "default")
    for number in range(9):
        sent |= attachment(number, "link", title="t", url="https://example.com")
    answer = browse.post("/welcomes/edit?name=default", sent | {"do": "add:link"})
    assert len(re.findall(r'-kind" value', answer.text)) == 9
    assert "WeCom takes 9 attachments" in text_of(answer)
    assert browse.post("/welcomes/edit?name=default", sent).status_code == 200
    assert len(value(drafts, "default")["attachments"]) == 9


@pytest.mark.parametrize(("kind", "content", "name"), [
    ("image", PNG, "你好.png"), ("image", JPG, "a.jpeg"), ("video", MP4, "intro.mp4"), ("file", PDF, "价格 表.pdf"),
    ("miniprogram", PNG, "cover.png"),
])  # fmt: skip
def test_a_file_is_kept_once_it_has_come(browse: Browser, drafts: Drafts, kind: str, content: bytes, name: str) -> None:
    extra = {"title": "t", "appid": "wx1", "page": "p"} if kind == "miniprogram" else {}
    sent = fields(drafts, "default", text="{wrong}") | attachment(0, kind, **extra)
    answer = browse.post("/welcomes/edit?name=default", sent | {"attachments-0-upload": a_file(content, name)})
    assert answer.status_code == 422
    path = again(answer.text, "attachments-0-path")
    assert path == f"media/{name}"
    sent |= {"text": "right", "attachments-0-path": path}
    assert browse.post("/welcomes/edit?name=default", sent).status_code == 200
    (shown,) = drafts.working("default").book().media().values()
    assert (shown.path, shown.size) == (path, len(content))


@pytest.mark.parametrize(("kind", "content", "name", "said"), [
    ("image", WEBP, "hello.png", "hello.png: this is a WebP image; WeCom takes only JPG and PNG here"),
    ("image", b"<svg onload=alert(1)>", "x.png", "x.png: this is an SVG image"),
    ("image", b"<html><script>alert(1)</script>", "x.jpg", "x.jpg: this is a file of another kind"),
    ("image", JPG + bytes(10 << 20), "x.jpg", "x.jpg has 10.0 MB; WeCom takes only 10 MB here"),
    ("video", PNG, "x.mp4", "x.mp4: this is a PNG image; WeCom takes only MP4 here"),
    ("file", PDF + bytes(20 << 20), "x.pdf", "x.pdf has 20.0 MB; WeCom takes only 20 MB here"),
    ("file", b"abc", "x.txt", "WeCom takes files of more than 5"),
])  # fmt: skip
def test_a_wrong_file_says_what_it_is(
    browse: Browser, drafts: Drafts, kind: str, content: bytes, name: str, said: str
) -> None:
    sent = fields(drafts, "default", text="typed") | attachment(0, kind)
    answer = browse.post("/welcomes/edit?name=default", sent | {"attachments-0-upload": a_file(content, name)})
    assert answer.status_code == 422
    assert said in text_of(answer)
    assert again(answer.text, "text") == "typed"
    assert drafts.files("default") == {}


def test_a_file_that_does_not_fit_any_more_says_so(browse: Browser, services: Services, drafts: Drafts) -> None:
    drafts.hold("default", "kept.pdf", PDF)
    room = services.books.media.limit
    services.books.media.limit = len(PDF)
    sent = fields(drafts, "default", text="typed") | attachment(0, "image")
    answer = browse.post("/welcomes/edit?name=default", sent | {"attachments-0-upload": a_file(PNG, "x.png")})
    services.books.media.limit = room
    assert answer.status_code == 422
    assert "There is no room for more files" in text_of(answer)
    assert again(answer.text, "text") == "typed"
    assert list(drafts.files("default")) == ["media/kept.pdf"]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "C:\\x\\y.png", "<img src=x onerror=alert(1)>.png", "\u202egnp.exe", ".png", "a" * 300]
)
def test_a_hostile_file_name_is_only_a_name(browse: Browser, drafts: Drafts, name: str) -> None:
    sent = fields(drafts, "default") | attachment(0, "file")
    answer = browse.post("/welcomes/edit?name=default", sent | {"attachments-0-upload": a_file(PDF, name)})
    assert answer.status_code == 200
    (path,) = drafts.working("default").files
    assert path.startswith("media/")
    assert path.count("/") == 1
    assert len(path) < 120
    assert "\u202e" not in path
    assert "<img src=x" not in answer.text


def test_a_file_is_chosen_from_the_library(browse: Browser, drafts: Drafts) -> None:
    kept = drafts.hold("default", "hello.png", PNG)
    drafts.hold("default", "price.pdf", PDF)
    sent = fields(drafts, "default") | attachment(0, "image")
    page = browse.post("/welcomes/edit?name=default", sent | {"do": "preview"})
    assert 'value="pick:0:media/hello.png"' in page.text
    assert "price.pdf" not in page.text
    page = browse.post("/welcomes/edit?name=default", fields(drafts, "default", do="preview") | attachment(0, "file"))
    assert '<option value="media/price.pdf">' in page.text
    picked = browse.post("/welcomes/edit?name=default", sent | {"do": f"pick:0:{kept.path}"})
    assert again(picked.text, "attachments-0-path") == kept.path
    for nowhere in ("pick:7:x", "pick:", "pick:x:y", "pick:-1:x"):
        assert browse.post("/welcomes/edit?name=default", sent | {"do": nowhere}).status_code == 200
    browse.post("/welcomes/edit?name=default", sent | {"attachments-0-pick": kept.path})
    assert value(drafts, "default")["attachments"] == [{"image": {"file": kept.path}}]
    sent["was"] = digest(drafts, "default")
    gone = browse.post("/welcomes/edit?name=default", sent | {"attachments-0-pick": "media/gone.png"})
    assert gone.status_code == 422
    assert "This file is not kept any more" in text_of(gone)
    secret = browse.post("/welcomes/edit?name=default", sent | {"attachments-0-pick": "../secret"})
    assert secret.status_code == 422
    assert "../secret leads out of the book's folder" in text_of(secret)


def test_a_form_of_nobody_s(browse: Browser, drafts: Drafts) -> None:
    browse.get("/welcomes/edit", {"name": "default"})
    for sent in (attachment(0, "voice"), {"attachments-0-kind": ""}):
        assert browse.post("/welcomes/edit?name=default", sent).status_code == 400
    for clash in ("{", "[]", '{"mine": {"attachments": [{"kind": "x"}]}}', '{"at": 1}'):
        sent = fields(drafts, "default", do="preview", clash=clash)
        assert browse.post("/welcomes/edit?name=default", sent).status_code == 200
    for page in ("/welcomes/edit", "/welcomes/delete", "/groups/edit", "/groups/delete"):
        assert "There is no “<nobody>” any more" in text_of(browse.get(page, {"name": "<nobody>"}))


# ------------------------------------------------------------------------------------------------ preview


def test_the_preview_is_what_the_worker_sends(browse: Browser, drafts: Drafts) -> None:
    text = "{customer|朋友}，您好！\n{{我}}是{member}，{department} <b>"
    browse.get("/welcomes/edit", {"name": "brochure"})
    answer = browse.post("/welcomes/preview", fields(drafts, "brochure", text=text))
    texts = re.findall(r'<p class="phone-text"[^>]*>(.*?)</p>', answer.text, re.S)
    browse.post("/welcomes/edit?name=brochure", fields(drafts, "brochure", text=text))
    template = drafts.working("default").book().templates["brochure"]

    for shown, customer in zip(texts, preview.CUSTOMERS.values(), strict=True):
        sent = render.message(template, {**preview.MEMBER, "customer": customer})
        assert html.unescape(shown) == sent["text"]["content"]  # type: ignore[index]
    assert "产品手册" in answer.text
    assert "预约" in answer.text


def test_the_counter_counts_bytes_of_the_longest_name(browse: Browser, drafts: Drafts) -> None:
    browse.get("/welcomes/edit", {"name": "default"})

    def said(text: str) -> str:
        return text_of(browse.post("/welcomes/preview", fields(drafts, "default", text=text)))

    assert "128 of 4000 bytes" in said("{customer}")
    assert "4001 of 4000 bytes" in said("好" * 1333 + "ab")
    assert "1 more than the 4000 that WeCom takes; shorten it by about 1 Chinese characters" in said("好" * 1333 + "ab")
    assert "did you mean customer?" in said("{custmer}")
    assert drafts.get("default") is None


# ------------------------------------------------------------------------------------------------ two editors


def test_two_editors_see_all_three_and_lose_nothing(browse: Browser, drafts: Drafts) -> None:
    opened = fields(drafts, "brochure", text="mine", tags="")
    theirs = {**value(drafts, "brochure"), "text": "theirs <i>"}
    drafts.change("default", SetNamed("template", "brochure", theirs, digest(drafts, "brochure")), "王五")
    browse.get("/welcomes/edit", {"name": "brochure"})
    answer = browse.post("/welcomes/edit?name=brochure", opened)
    assert answer.status_code == 409
    said = text_of(answer)
    assert "王五 changed this meanwhile" in said
    for one in ("mine", "theirs <i>", "{customer|朋友}，您好"):
        assert one in said
    assert value(drafts, "brochure")["text"] == "theirs <i>"

    kept = opened | {"was": again(answer.text, "was"), "clash": again(answer.text, "clash")}
    chosen = browse.post("/welcomes/edit?name=brochure", kept | {"do": "theirs:text"})
    assert again(chosen.text, "text") == "theirs <i>"
    back = browse.post("/welcomes/edit?name=brochure", kept | {"text": "theirs <i>", "do": "mine:text"})
    assert again(back.text, "text") == "mine"

    saved = browse.post("/welcomes/edit?name=brochure", kept | {"text": "theirs <i>"})
    assert saved.status_code == 200
    assert value(drafts, "brochure")["text"] == "theirs <i>"
    assert "then" in value(drafts, "brochure")
    assert "tags" not in value(drafts, "brochure")["then"]


def test_what_somebody_deleted_can_be_made_anew(browse: Browser, drafts: Drafts) -> None:
    opened = fields(drafts, "brochure", text="mine")
    browse.get("/welcomes/edit", {"name": "brochure"})
    drafts.change("default", SetNamed("template", "x", {"text": "x"}), "王五")
    browse.get("/welcomes/delete", {"name": "brochure"})
    gone = {"was": digest(drafts, "brochure"), "instead": "x"}
    assert browse.post("/welcomes/delete?name=brochure", gone).status_code == 200
    answer = browse.post("/welcomes/edit?name=brochure", opened)
    assert answer.status_code == 409
    assert "It was deleted" in text_of(answer)
    again_ = opened | {"was": again(answer.text, "was"), "clash": again(answer.text, "clash")}
    assert browse.post("/welcomes/edit?name=brochure", again_).status_code == 200
    assert value(drafts, "brochure")["text"] == "mine"


# ------------------------------------------------------------------------------------------------ taking out


def test_a_welcome_in_use_names_its_rules_and_wants_another(browse: Browser, drafts: Drafts) -> None:
    page = browse.get("/welcomes/delete", {"name": "brochure"})
    assert "night" in text_of(page)
    was = {"was": digest(drafts, "brochure")}
    refused = browse.post("/welcomes/delete?name=brochure", was)
    assert refused.status_code == 422
    assert "Choose the welcome that takes its place" in text_of(refused)
    browse.post("/welcomes/delete?name=brochure", was | {"instead": "default"})
    assert value(drafts, "brochure") is None
    assert drafts.working("default").content.rules[0]["use"] == "default"


def test_what_was_changed_meanwhile_is_not_deleted(browse: Browser, drafts: Drafts) -> None:
    browse.get("/welcomes/delete", {"name": "brochure"})
    answer = browse.post("/welcomes/delete?name=brochure", {"was": "0" * 16, "instead": "default"})
    assert answer.status_code == 422
    assert "It was changed meanwhile" in text_of(answer)
    assert value(drafts, "brochure")


# ------------------------------------------------------------------------------------------------ group welcomes


def test_a_group_welcome_is_written_in_the_same_form(browse: Browser, drafts: Drafts) -> None:
    page = browse.get("/groups/edit", {"name": "newcomers"})
    assert "欢迎 王芳" in page.text
    sent = fields(drafts, "newcomers", GROUP, text="嗨 %NICKNAME%")
    assert browse.post("/groups/edit?name=newcomers", sent).status_code == 200
    assert value(drafts, "newcomers", GROUP) == {
        "text": "嗨 %NICKNAME%", "link": {"title": "群规", "url": "https://example.com/rules"},
    }  # fmt: skip


@pytest.mark.parametrize(("different", "said"), [
    ({"text": "hi {customer}"}, "in groups only %NICKNAME% is replaced"),
    ({"text": "好" * 1001}, "The text has 3003 bytes, 3 more than the 3000 that WeCom takes"),
])  # fmt: skip
def test_a_group_welcome_has_limits_of_its_own(
    browse: Browser, drafts: Drafts, different: dict[str, str], said: str
) -> None:
    browse.get("/groups/edit", {"name": "newcomers"})
    answer = browse.post("/groups/edit?name=newcomers", fields(drafts, "newcomers", GROUP, **different))
    assert answer.status_code == 422
    assert said in text_of(answer)


def test_an_empty_group_welcome_is_refused(browse: Browser) -> None:
    browse.get("/groups/new")
    answer = browse.post("/groups/new", MultiDict({"name": "g", "text": " "}))
    assert answer.status_code == 422
    assert "This group welcome is empty; write a text, or add an attachment" in text_of(answer)
