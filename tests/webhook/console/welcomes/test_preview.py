"""The preview: what is shown is what the worker would send, in that order."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tasks.templates import render
from tasks.templates.model import File, GroupWelcome, Image, Link, Media, MediaID, MiniProgram, PicURL, Template, Video
from webhook.console.welcomes import preview

AT = datetime(2026, 11, 22, 10, 31, tzinfo=ZoneInfo("Asia/Shanghai"))
PICTURE = Media("media/hello.png", "ab" * 32, "PNG", 2048)
EVERYTHING = Template(
    "all",
    "{customer|朋友}，您好！我是{member}，{date} {time}",
    (
        Image(PICTURE),
        Link("产品手册", "https://example.com/book", "最新版", "https://img.example.net/c.png"),
        MiniProgram("预约", "wx8bd80126147df384", "pages/index.html", PICTURE),
        Video(Media("media/intro.mp4", "cd" * 32, "MP4", 4096)),
        File(Media("media/price.pdf", "ef" * 32, "PDF", 8192)),
        Image(PicURL("https://wework.qpic.cn/x")),
        File(MediaID("m1")),
    ),
)


@pytest.mark.parametrize("customer", preview.CUSTOMERS)
def test_the_bubbles_say_what_the_worker_sends(customer: str) -> None:
    values = preview.samples(AT)[customer]
    ready = {upload: "https://example.com/u" for each in EVERYTHING.attachments for upload in render.uploads(each)}
    sent = render.message(EVERYTHING, values, ready)
    shown = preview.bubbles(EVERYTHING, values)
    assert shown[0].text == sent["text"]["content"]  # type: ignore[index]
    assert [one.kind for one in shown[1:]] == [one["msgtype"] for one in sent["attachments"]]  # type: ignore[index, attr-defined]
    assert [one.text for one in shown[1:]] == ["hello.png", "产品手册", "预约", "intro.mp4", "price.pdf", "", ""]
    assert [one.picture for one in shown if one.picture] == [PICTURE.sha256] * 2
    assert [one.elsewhere for one in shown if one.elsewhere] == ["img.example.net", "wework.qpic.cn", "WeCom"]


def test_the_sample_customers_have_a_name_none_and_the_longest_one() -> None:
    samples = preview.samples(AT)
    assert [*samples] == ["ordinary", "nameless", "longest"]
    assert len(samples["longest"]["customer"]) == render.CUSTOMER_CHARACTERS
    assert render.cut("customer", preview.LONGEST_NAME) == preview.LONGEST_NAME
    assert preview.bubbles(EVERYTHING, samples["nameless"])[0].text == "朋友，您好！我是张伟，2026-11-22 10:31"
    for values in samples.values():
        assert len(render.fill(EVERYTHING.text, values).encode()) <= preview.count(EVERYTHING.text).size


def test_placeholders_of_packages_have_examples_but_for_whom_nothing_is_known() -> None:
    samples = preview.samples(AT, own={"crm.level": "金卡"})
    level = {customer: render.fill("{crm.level|会员}", values) for customer, values in samples.items()}
    assert level == {"ordinary": "金卡", "nameless": "会员", "longest": "金卡"}
    assert preview.count("{crm.level}", {"crm.level": 24}).size == 24


def test_what_is_not_chosen_yet_is_nowhere() -> None:
    unfinished = Template("t", "", (Image(MediaID("")), MiniProgram("", "", "", MediaID("")), Link("", "")))
    assert [(one.kind, one.picture, one.elsewhere) for one in preview.bubbles(unfinished, {})] == [
        ("image", "", ""),
        ("miniprogram", "", ""),
        ("link", "", ""),
    ]


def test_an_empty_text_is_no_message() -> None:
    assert preview.bubbles(Template("t", " \n{customer}"), {}) == []


def test_a_group_welcome_has_wecoms_own_placeholder() -> None:
    welcome = GroupWelcome("g", "欢迎 %NICKNAME% {customer}", Link("群规", "https://example.com/rules"))
    assert [one.text for one in preview.group_bubbles(welcome, "王芳")] == ["欢迎 王芳 {customer}", "群规"]


def test_the_counter_warns_near_the_limit_and_says_how_many_characters_are_too_many() -> None:
    assert preview.count("好" * 1000).tone == "plain"
    assert preview.count("好" * 1200).tone == "warn"
    over = preview.count("好" * 1333 + "ab" + "好")
    assert (over.size, over.over, over.characters_over, over.tone) == (4004, 4, 2, "bad")
    assert preview.count("{customer}").size == 128


def test_a_host_of_what_is_no_url() -> None:
    assert preview.host("http://[") == "" == preview.host("")
