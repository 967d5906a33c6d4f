"""A welcome is shown to a member in WeCom before customers get it: all of it, marked, and to nobody else."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.missed.reminders import BYTES
from tasks.reasons import Kind
from tasks.templates.model import File, Image, Link, Media, MediaID, MiniProgram, PicURL, Video
from tasks.templates.render import Upload
from tasks.trials import Trials, parts
from tests.simulator.client import StandIn
from tests.support.books import FILES
from tests.support.worker import Worker

SEND = ("message/send",)
LINK = Link("产品手册", "https://example.com/book", "最新版", "https://example.com/c.png")
PROGRAM = MiniProgram("预约", "wx8bd80126147df384", "pages/index", MediaID("m"))


@pytest.fixture
def there(wecom: StandIn, redis_url: str) -> Iterator[Worker]:
    worker = Worker.made(wecom, redis_url, WECOM_AGENT_ID="1000002")
    wecom.people(members={"zhangsan": {"name": "张三"}})
    yield worker
    worker.close()


@pytest.fixture
def trials(there: Worker) -> Trials:
    return there.services.app("default").trials


def held(worker: Worker, name: str) -> Media:
    return worker.services.drafts.hold("default", name, FILES[f"media/{name}"])


@given(st.text(st.sampled_from("a您🌸\n "), max_size=60), st.integers(4, 30))
def test_a_long_text_comes_in_parts_and_whole(text: str, most: int) -> None:
    found = parts(text, most)
    assert all(0 < len(one.encode()) <= most for one in found)
    assert "".join(found).replace("\n", "").strip() == text.replace("\n", "").strip()
    assert parts("短") == ["短"]


def test_a_member_gets_everything_in_order_and_is_told_that_it_is_a_test(there: Worker, trials: Trials) -> None:
    attachments = [
        Image(held(there, "hello.png")),
        LINK,
        PROGRAM,
        Video(held(there, "intro.mp4")),
        File(held(there, "price.pdf")),
        Image(PicURL("https://wework.qpic.cn/x")),
    ]
    report = trials.send("zhangsan", "default", "您好王芳", attachments)
    assert (report.sent, report.left_out, report.reason) == (7, {}, None)
    mark, text, image, link, program, video, file, picture = there.wecom.messages()
    assert mark["text"]["content"].startswith("【测试】下面是欢迎语「default」")
    assert {tuple(one["members"]) for one in there.wecom.messages()} == {("zhangsan",)}
    assert text["text"]["content"] == "您好王芳"
    assert all(one["media_id"] for one in (image["image"], video["video"], file["file"]))
    (article,) = link["news"]["articles"]
    assert article == {
        "title": "产品手册",
        "description": "最新版",
        "url": "https://example.com/book",
        "picurl": "https://example.com/c.png",
    }
    assert "预约" in program["text"]["content"]
    assert "wx8bd80126147df384" in program["text"]["content"]
    assert picture["news"]["articles"][0]["picurl"] == "https://wework.qpic.cn/x"


def test_a_file_is_uploaded_once_for_trials_and_greetings(there: Worker, trials: Trials) -> None:
    media = held(there, "intro.mp4")
    for _ in range(2):
        assert trials.send("zhangsan", "default", "hi", [Video(media)]).sent == 2
    assert there.wecom.summary().answers["media/upload"] == {"0": 1}
    assert Upload(media.sha256, "video") in there.services.books.ready.get(
        there.app.corp_id, [Upload(media.sha256, "video")]
    )


def test_what_cannot_be_shown_is_named_and_the_rest_is_sent(there: Worker, trials: Trials) -> None:
    gone = Media("media/gone.mp4", "0" * 64, "MP4", 20)
    report = trials.send("zhangsan", "default", "hi", [Video(gone), LINK])
    assert report.sent == 2
    assert {number: one.kind for number, one in report.left_out.items()} == {1: Kind.FILE_NOT_KEPT}
    there.wecom.faults(busy=1, paths=("media/upload",))
    report = trials.send("zhangsan", "default", "hi", [Image(held(there, "hello.png"))])
    assert report.sent == 1
    assert report.left_out[1].errcode == -1


@pytest.mark.parametrize("member", ["@all", "zhangsan|lisi", ""])
def test_a_trial_reaches_one_member_whatever_an_id_says(there: Worker, trials: Trials, member: str) -> None:
    assert trials.send(member, "default", "hi", []).reason is not None
    assert there.wecom.messages() == []


def test_who_cannot_be_reached_is_said_before_anything_else_is_sent(there: Worker, trials: Trials) -> None:
    report = trials.send("nobody", "default", "hi", [LINK])
    assert report.sent == 0
    assert report.reason is not None
    assert report.reason.kind == Kind.MEMBER_NOT_VISIBLE
    there.wecom.people(members={"lisi": {"name": "李四", "licensed": False}})
    report = trials.send("lisi", "default", "hi", [LINK])
    assert (report.sent, report.reason and report.reason.kind) == (0, Kind.MEMBER_NOT_LICENSED)


def test_a_text_longer_than_a_message_is_sent_whole(there: Worker, trials: Trials) -> None:
    text = "好" * 1300
    assert trials.send("zhangsan", "default", text, []).sent == 2
    said = [one["text"]["content"] for one in there.wecom.messages()[1:]]
    assert "".join(said) == text
    assert all(len(one.encode()) <= BYTES for one in said)
