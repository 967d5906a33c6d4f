"""The field rules of send_welcome_msg."""

import json
from typing import Any

import pytest

from tests.simulator import greeting
from tests.simulator.greeting import Refused

CODE = {"welcome_code": "c"}
TEXT = {"text": {"content": "您好"}}
IMAGE = {"msgtype": "image", "image": {"media_id": "an-image"}}
LINK = {"title": "t", "url": "https://example.com"}
MINIPROGRAM = {"title": "t", "pic_media_id": "an-image", "appid": "wx1", "page": "p"}


def read(call: Any) -> greeting.Greeting:
    return greeting.read(
        call if isinstance(call, bytes) else json.dumps(call, ensure_ascii=False).encode(),
        usable=lambda media_id, type_: media_id == {"image": "an-image", "video": "a-video", "file": "a-file"}[type_],
        uploaded=lambda url: url == "https://wework.qpic.cn/1",
    )


def attached(kind: str, **item: str) -> dict[str, Any]:
    return {"msgtype": kind, kind: item}


@pytest.mark.parametrize(
    "item",
    [
        IMAGE,
        attached("image", pic_url="https://wework.qpic.cn/1"),
        attached("image", media_id="an-image", pic_url="https://elsewhere"),  # media_id wins
        attached("link", **LINK, desc="d" * 512, picurl="https://example.com/c.png"),
        attached("miniprogram", **MINIPROGRAM),
        attached("video", media_id="a-video"),
        attached("file", media_id="a-file"),
    ],
    ids=lambda item: item["msgtype"],
)
def test_each_kind_of_attachment_passes_with_its_fields(item: dict[str, Any]) -> None:
    assert read({**CODE, "attachments": [item]}).attachments == [item]


@pytest.mark.parametrize(
    ("call", "errcode"),
    [
        (TEXT, 41049),
        ({**TEXT, "welcome_code": ""}, 41049),
        (CODE, 40063),
        ({**CODE, "text": {"content": ""}}, 44004),
        ({**CODE, "attachments": []}, 41088),
        ({**CODE, "text": {"content": "好" * 1334}}, 45002),  # 4002 bytes
        ({**CODE, "text": {"content": 1}}, 40058),
        ({**CODE, "text": "hello"}, 40058),
        ({**CODE, "attachments": [IMAGE] * 10}, 41064),
        ({**CODE, "attachments": [{"msgtype": "voice", "voice": {}}]}, 41065),
        ({**CODE, "attachments": [{"image": {"media_id": "an-image"}}]}, 41065),
        ({**CODE, "attachments": [{"msgtype": "image"}]}, 40063),
        ({**CODE, "attachments": [attached("link", title="t")]}, 40063),
        ({**CODE, "attachments": [attached("link", url="https://example.com")]}, 40063),
        ({**CODE, "attachments": [attached("link", **{**LINK, "title": "题" * 43})]}, 40058),  # 129 bytes
        ({**CODE, "attachments": [attached("link", **LINK, desc="d" * 513)]}, 40058),
        ({**CODE, "attachments": [attached("miniprogram", **{**MINIPROGRAM, "title": "t" * 65})]}, 40058),
        ({**CODE, "attachments": [attached("miniprogram", **{**MINIPROGRAM, "pic_media_id": "dead"})]}, 40007),
        ({**CODE, "attachments": [attached("image", media_id="dead")]}, 40007),
        ({**CODE, "attachments": [attached("image", media_id="a-video")]}, 40007),
        ({**CODE, "attachments": [attached("image", pic_url="https://elsewhere")]}, 40058),
        ({**CODE, "attachments": [attached("file", media_id="an-image")]}, 40007),
        ({**TEXT, **CODE, "attachments": [IMAGE, attached("video", media_id="dead")]}, 40007),  # one fails all
        ([], 40058),
        (b"", 40058),
        (b'{"welcome_code": "c", "text": ', 40058),
        (b'\xff{"welcome_code": "c"}', 40058),
        (rb'{"welcome_code": "c", "text": {"content": "\u60a8\u597d"}}', 40033),
    ],
)
def test_a_broken_rule_has_its_errcode(call: Any, errcode: int) -> None:
    with pytest.raises(Refused) as refused:
        read(call)
    assert refused.value.errcode == errcode


def test_text_may_have_4000_bytes_and_attachments_be_nine() -> None:
    told = read({**CODE, "text": {"content": "好" * 1333}, "attachments": [IMAGE] * 9})
    assert len(told.text.encode()) == 3999
    assert len(told.attachments) == 9


def test_a_backslash_before_a_u_is_no_escape() -> None:
    assert read(rb'{"welcome_code": "c", "text": {"content": "C:\\u0041"}}').text == r"C:\u0041"


@pytest.mark.parametrize("item", [{"link": []}, {"attachments": {}}, {"text": []}, {"image": ""}, {"link": None}])
def test_an_empty_item_of_the_wrong_type_passes_with_a_warning(item: dict[str, Any]) -> None:
    assert read({**CODE, **TEXT, **item}).warning


def test_the_legacy_form_is_accepted_and_image_comes_before_link() -> None:
    told = read({**CODE, **TEXT, "link": LINK, "image": {"media_id": "an-image"}})
    assert told.attachments == [IMAGE]
