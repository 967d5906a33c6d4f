"""What is sent: any book that validates is a message that WeCom takes, for any contact."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.books.media_store import described
from tasks.templates.book import BookError, read
from tasks.templates.model import Image, Media, MediaID, MiniProgram, Template
from tasks.templates.render import PLACEHOLDERS, Upload, left_out, message, needed, remark, uploads
from tests.simulator import greeting
from tests.support.books import FILES, JPG, PNG, a_book, a_template, looking_at, the_example

SHA = {path: described(path, content).sha256 for path, content in FILES.items()}
READY = {
    Upload(SHA["media/hello.png"], "url"): "https://wework.qpic.cn/hello",
    Upload(SHA["media/cover.png"], "image"): "id-of-cover",
    Upload(SHA["media/intro.mp4"], "video"): "id-of-intro",
    Upload(SHA["media/price.pdf"], "file", "price.pdf"): "id-of-price",
}


def brochure() -> Template:
    return a_book(the_example()).templates["brochure"]


def test_a_message_is_what_wecom_takes_in_the_books_order() -> None:
    assert message(brochure(), {"customer": "王芳", "department": "东区"}, READY) == {
        "text": {"content": "王芳，欢迎来到东区"},
        "attachments": [
            {"msgtype": "image", "image": {"pic_url": "https://wework.qpic.cn/hello"}},
            {
                "msgtype": "link",
                "link": {
                    "title": "产品手册",
                    "url": "https://example.com/book",
                    "desc": "最新版",
                    "picurl": "https://example.com/c.png",
                },
            },
            {
                "msgtype": "miniprogram",
                "miniprogram": {
                    "title": "预约",
                    "pic_media_id": "id-of-cover",
                    "appid": "wx8bd80126147df384",
                    "page": "pages/index.html",
                },
            },
            {"msgtype": "video", "video": {"media_id": "id-of-intro"}},
            {"msgtype": "file", "file": {"media_id": "id-of-price"}},
        ],
    }


def test_an_attachment_that_is_not_ready_is_left_out_and_named() -> None:
    ready = {upload: value for upload, value in READY.items() if upload.how not in ("video", "image")}
    body = message(brochure(), {}, ready)
    assert [one["msgtype"] for one in body["attachments"]] == ["image", "link", "file"]
    assert list(left_out(brochure(), ready)) == [
        "attachment 3 (miniprogram media/cover.png)",
        "attachment 4 (video media/intro.mp4)",
    ]


def test_without_attachments_there_is_no_list_of_them() -> None:
    """WeCom refuses an empty one with 41088."""
    template = a_book(a_template("text: t\nattachments: [file: {file: media/price.pdf}]")).templates["default"]
    assert message(template, {}) == {"text": {"content": "t"}}


def test_what_is_needed_is_each_file_once_for_each_way_it_is_shown() -> None:
    book = a_book(
        a_template(
            "text: t\nattachments:\n- image: {file: media/cover.png}\n- image: {file: media/cover.png}\n"
            "- file: {file: media/cover.png}\n"
            "- miniprogram: {title: t, appid: wx1, page: p, cover: media/cover.png}"
        )
    )
    cover = SHA["media/cover.png"]
    assert list(needed(book)) == [Upload(cover, "url"), Upload(cover, "file", "cover.png"), Upload(cover, "image")]


def test_an_image_too_large_for_a_permanent_url_is_temporary() -> None:
    large = described("a.png", PNG + bytes(2 << 20))
    assert uploads(Image(large)) == (Upload(large.sha256, "image"),)
    small = described("a.jpg", JPG)
    assert uploads(Image(small)) == (Upload(small.sha256, "url"), Upload(small.sha256, "image"))


def test_the_second_best_stands_in() -> None:
    picture = described("a.jpg", JPG)
    template = Template("t", "t", (Image(picture),))
    body = message(template, {}, {Upload(picture.sha256, "image"): "temporary"})
    assert body["attachments"] == [{"msgtype": "image", "image": {"media_id": "temporary"}}]


def test_ids_that_the_author_gave_need_nothing() -> None:
    program = MiniProgram("t", "wx1", "p", MediaID("3a"))
    assert uploads(program) == ()
    assert list(left_out(Template("t", "t", (program,)), {})) == []


@pytest.mark.parametrize(
    ("text", "customer", "cut"),
    [("{customer}", "王芳", "王芳"), ("{customer}-a", "x" * 40, "x" * 20), ("{customer}", "", ""), ("", "王芳", "")],
)
def test_a_remark_has_20_characters_at_most(text: str, customer: str, cut: str) -> None:
    book = a_book(a_template("text: t" + (f"\nthen: {{remark: '{text}'}}" if text else "")))
    assert remark(book.templates["default"], {"customer": customer}) == cut


# ------------------------------------------------------------------------------------------------ any book, any contact

NAMES = st.text(st.characters(), max_size=80) | st.text(alphabet="😀好{}| \u3000\n", max_size=80)  # surrogates too
CONTACTS = st.fixed_dictionaries(
    {"date": st.just("2026-10-01"), "time": st.just("21:30")},
    optional={name: NAMES for name in PLACEHOLDERS if name not in ("date", "time")},
)
WORDS = st.text(alphabet="您好 ab😀", max_size=20)
PIECES = WORDS | st.builds(
    lambda name, fallback: f"{{{name}{fallback}}}",
    st.sampled_from(PLACEHOLDERS),
    st.just("") | WORDS.map(lambda text: "|" + text),
)
TEXTS = st.builds(
    lambda parts, padding: "".join(parts) + "好" * padding, st.lists(PIECES, max_size=9), st.integers(0, 1300)
)
URLS = st.integers(0, 2040).map(lambda size: "https://a.cn/" + "x" * size)
TITLES = st.integers(1, 45).map(lambda size: "题" * size)
ATTACHMENTS = st.one_of(
    st.sampled_from([{"image": {"file": "media/hello.png"}}, {"image": {"file": "media/cover.png"}}]),
    st.builds(lambda title, url: {"link": {"title": title, "url": url}}, TITLES, URLS),
    st.builds(
        lambda title, page: {
            "miniprogram": {"title": title, "appid": "wx1", "page": "p" * page, "cover": "media/cover.png"}
        },
        TITLES,
        st.integers(1, 1030),
    ),
    st.just({"video": {"file": "media/intro.mp4"}}),
    st.just({"file": {"file": "media/price.pdf"}}),
)
UPLOADS = [*READY, Upload(SHA["media/cover.png"], "url")]


@given(TEXTS, st.lists(ATTACHMENTS, max_size=10), CONTACTS, st.lists(st.sampled_from(UPLOADS), unique=True))
@settings(max_examples=250)
def test_any_book_that_validates_is_a_message_that_wecom_takes_for_any_contact(
    text: str, attachments: list[dict[str, Any]], values: dict[str, str], ready: list[Upload]
) -> None:
    """The witness is the stand-in, which has the rules of doc 92137 from elsewhere."""
    template = {"text": text} | ({"attachments": attachments} if attachments else {})
    source = yaml.safe_dump({"version": 1, "templates": {"t": template}, "rules": [{"use": "t"}]}, allow_unicode=True)
    try:
        book = read(source, looking_at(FILES))
    except BookError:
        return
    ids = {upload: f"{upload.how}-{number}" for number, upload in enumerate(ready)}
    body = {"welcome_code": "code", **message(book.templates["t"], values, ids)}
    sent = json.dumps(body, ensure_ascii=False).encode()
    told = greeting.read(
        sent,
        usable=lambda media_id, type_: media_id.startswith(type_),
        uploaded=lambda url: url.startswith("url"),
    )
    assert told.text.strip()
    assert not told.warning
    assert len(told.text.encode()) <= 4000
    shown = len(book.templates["t"].attachments)
    assert len(told.attachments) + len(list(left_out(book.templates["t"], ids))) == shown


@given(
    st.builds(Media, st.just("a"), st.just("0" * 64), st.sampled_from(["PNG", "WebP", "MP4", "PDF"]), st.integers(0))
)
def test_every_file_has_a_way_to_be_shown(media: Media) -> None:
    assert len(uploads(Image(media))) in (1, 2)
