"""The media library: what is listed, what may go, and how bytes are given out. And group welcomes beside WeCom's."""

import io
import re
import time
from typing import Any

import pytest

from tasks.books.draft_store import Drafts
from tasks.books.media_store import Record, described
from tasks.services import Services
from tasks.storage import keys
from tasks.templates.edits import TEMPLATE, Part, SetNamed
from tasks.templates.render import Upload, needed
from tests.support.books import JPG, PDF, PNG, WEBP
from tests.support.builders import in_words
from tests.support.console import Browser, text_of
from webhook.console.welcomes import media_status

BOOK = """\
version: 1
templates:
  default:
    text: hello
    attachments:
      - image: {file: media/hello.png}
      - video: {file: media/intro.mp4}
rules:
  - use: default
"""
DAY = 86400.0
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"


@pytest.fixture
def book() -> str:
    return BOOK


def card(page: str, name: str) -> str:
    """What the library says of a file."""
    cards = re.findall(r"<li>.*?</li>", page, re.S)
    return next(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", one)) for one in cards if name in one)


def test_the_library_says_how_it_stands(browse: Browser, services: Services, drafts: Drafts) -> None:
    corp = services.settings.apps["default"].corp_id
    image, video = needed(services.books.book("default", 1))
    services.books.ready.put(corp, image, "https://example.com/x", None)
    services.books.ready.change(corp, video, lambda record: record.failed(in_words("45009: too often"), time.time()))
    drafts.hold("default", "poster.jpg", JPG)
    services.redis.set(keys.image_quota(corp, time.strftime("%Y-%m", time.gmtime(time.time() + 8 * 3600))), 140)
    page = browse.get("/media")
    assert "Permanent" in card(page.text, "hello.png")
    assert "default" in card(page.text, "hello.png")
    said = card(page.text, "intro.mp4")
    assert "Not at WeCom: sent without it" in said
    assert "45009: too often" in said
    assert "Nothing shows it" in card(page.text, "poster.jpg")
    assert "140 of 3000" in text_of(page)
    assert "1 file is not at WeCom" in text_of(page)


def test_a_draft_says_how_its_files_stand_before_it_is_published(
    browse: Browser, services: Services, drafts: Drafts
) -> None:
    corp, ready = services.settings.apps["default"].corp_id, services.books.ready
    for upload in needed(services.books.book("default", 1)):
        ready.put(corp, upload, "https://example.com/x", None)
    media = drafts.hold("default", "poster.jpg", JPG)
    attachments: list[Any] = [{"image": {"file": media.path}}]
    drafts.change("default", SetNamed(TEMPLATE, "new", {"text": "hi", "attachments": attachments}), "a")
    review = browse.get("/welcomes/publish")
    assert "Media at WeCom: 2 of 3, the rest is on its way" in text_of(review)
    assert 'hx-select="#checks-list"' in review.text
    assert "On its way to WeCom" in text_of(browse.get("/welcomes/edit?name=new"))
    assert "On its way to WeCom" in card(browse.get("/media").text, "poster.jpg")
    stand_in = Upload(media.sha256, "image")
    ready.change(corp, stand_in, lambda record: record.failed(in_words("45009: too often"), time.time()))
    review = browse.get("/welcomes/publish")
    assert "“poster.jpg” is not at WeCom: 45009: too often. Welcomes would go out without it" in text_of(review)
    assert "hx-select" not in review.text
    assert "1 file is not at WeCom" not in text_of(browse.get("/media"))  # no customer misses it yet
    ready.put(corp, stand_in, "id", time.time() + 3 * DAY)
    review = browse.get("/welcomes/publish")
    assert "Media are ready at WeCom: 3 of 3" in text_of(review)
    assert "hx-select" not in review.text


@pytest.mark.parametrize(("record", "state"), [
    (Record(), "renewing"),
    (Record("m", 0, 3 * DAY), "usable"),
    (Record("m", -2.9 * DAY, 0.1 * DAY), "renewing"),
    (Record("m", 0, None), "permanent"),
    (Record("m", 0, 3 * DAY).failed(in_words("no"), 0.0), "failing"),
    (Record().failed(in_words("no"), 0.0), "absent"),
    (Record("m", 0, 30), "renewing"),
])  # fmt: skip
def test_a_file_is_as_fresh_as_the_record_of_its_upload(record: Record, state: str) -> None:
    upload = Upload("ab" * 32, "video")
    found = media_status.standing(upload, {upload.key: record}, 1.0)
    assert found.state == state
    assert (found.reason == in_words("no")) == (state in ("failing", "absent"))


def test_a_stand_in_keeps_an_image_usable() -> None:
    url, stand_in = Upload("ab" * 32, "url"), Upload("ab" * 32, "image")
    records = {url.key: Record().failed(in_words("quota"), 0.0), stand_in.key: Record("m", 0, 3 * DAY)}
    assert media_status.standing(url, records, 1.0).state == "usable"


def test_an_upload_is_kept_and_a_wrong_one_said(browse: Browser, drafts: Drafts) -> None:
    browse.get("/media")
    answer = browse.post("/media", {"file": (io.BytesIO(PDF), "价格.pdf")})
    assert "1 file is in the media library" in text_of(answer)
    assert "media/价格.pdf" in drafts.files("default")
    assert "Choose a file first" in text_of(browse.post("/media", {}))
    assert "WeCom takes files of more than 5" in text_of(browse.post("/media", {"file": (io.BytesIO(b"x"), "a")}))
    assert browse.post("/media", {"file": (io.BytesIO(bytes(22 << 20)), "a")}).status_code == 413


def test_only_what_nothing_shows_is_deleted(browse: Browser, services: Services, drafts: Drafts) -> None:
    unused = drafts.hold("default", "unused.jpg", JPG)
    used = drafts.hold("default", "used.pdf", PDF)
    value: Any = drafts.working("default").content.part(Part(TEMPLATE, "default"))
    value = {**value, "attachments": [{"file": {"file": used.path}}]}
    was = drafts.working("default").content.digest(Part(TEMPLATE, "default"))
    drafts.change("default", SetNamed("template", "default", value, was), "a")
    page = browse.get("/media")
    assert page.text.count('name="path"') == 1
    answer = browse.post("/media/delete", {"path": [unused.path, used.path, "media/hello.png", "media/../x"]})
    assert "1 file is deleted" in text_of(answer)
    assert "3 files stay" in text_of(answer)
    assert services.books.media.get(unused.sha256) is None
    assert services.books.media.get(used.sha256) == PDF
    assert services.books.media.get(described("", PNG).sha256) == PNG


@pytest.mark.parametrize(("content", "kind", "shown"), [
    (PNG, "image/png", "inline"), (JPG, "image/jpeg", "inline"), (SVG, "application/octet-stream", "attachment"),
    (WEBP, "application/octet-stream", "attachment"),
    (b"<html><script>alert(1)</script>", "application/octet-stream", "attachment"),
])  # fmt: skip
def test_bytes_are_given_out_so_that_nothing_in_them_runs(
    browse: Browser, drafts: Drafts, content: bytes, kind: str, shown: str
) -> None:
    media = drafts.hold("default", "x", content)
    answer = browse.get(f"/media/{media.sha256}")
    assert answer.data == content
    assert answer.mimetype == kind
    assert answer.headers["Content-Disposition"].startswith(shown)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"].startswith("private")


def test_bytes_are_for_those_who_signed_in(stranger: Browser, browse: Browser, drafts: Drafts) -> None:
    media = drafts.hold("default", "x", PNG)
    assert stranger.get(f"/media/{media.sha256}", follow_redirects=False).status_code == 302
    for path in ("a" * 64, "..%2fx", "A" * 64, "a" * 63):
        assert browse.get(f"/media/{path}").status_code == 404


def test_hostile_names_in_the_library(browse: Browser, drafts: Drafts) -> None:
    drafts.hold("default", "<script>alert(1)</script>\u202e.jpg", JPG)
    page = browse.get("/media")
    assert "<script>alert" not in page.text
