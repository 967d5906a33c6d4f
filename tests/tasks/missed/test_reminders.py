"""Members are told of customers who were not greeted: one message each, once, by day, with nothing hostile in it."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tasks import upkeep
from tasks.directory.lookup import known_members
from tasks.ledger.delivery import ReminderState
from tasks.missed.reminders import (
    BYTES,
    DELAYS,
    PAUSE,
    SETTLED,
    Reminders,
    is_quiet,
    local_time,
    not_delivered,
    reminder_status,
    safe_name,
    text,
    with_greetings,
)
from tasks.missed.work_list import WorkList, customer_name
from tasks.reasons import Kind, Reason
from tasks.storage import keys
from tasks.wecom.errors import Failure, NotSent
from tests.simulator.client import StandIn
from tests.support.ledger import missed, unannounced
from tests.support.lost_answers import lose_an_answer
from tests.support.worker import Worker

SHANGHAI = ZoneInfo("Asia/Shanghai")
SEND = ("message/send",)
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=SHANGHAI)


@pytest.fixture
def there(wecom: StandIn, redis_url: str) -> Iterator[Worker]:
    worker = Worker.made(wecom, redis_url, WECOM_AGENT_ID="1000002")
    wecom.people(members={"zhangsan": {"name": "张三"}, "lisi": {"name": "李四"}})
    yield worker
    worker.close()


def reminders(worker: Worker) -> Reminders:
    return worker.services.app("default").reminders


def work(worker: Worker) -> WorkList:
    return worker.services.app("default").work_list


def a_miss(worker: Worker, name: str = "", ago: float = 0, **different: str) -> str:
    """A customer who was missed so many seconds ago."""
    identity = missed(worker.services.redis, ago=ago, **different)
    if name:
        work(worker).name(identity, name)
    return identity


# ------------------------------------------------------------------------------------------------ decided


def test_the_text_names_the_customers_and_says_what_to_do() -> None:
    assert text([("李雷", "10:12"), ("韩梅", "10:05")]) == (
        "你有 2 位新客户还没收到欢迎语：李雷（10:12）、韩梅（10:05）。打开聊天打个招呼吧。"
    )
    assert text([("", "10:12")]) == "你有 1 位新客户还没收到欢迎语：一位客户（10:12）。打开聊天打个招呼吧。"


@pytest.mark.parametrize("count", [1, 40, 60, 500])
def test_a_text_stays_within_what_wecom_takes_whole(count: int) -> None:
    told = text([("名" * 32, "11-20 10:12")] * count)
    assert len(told.encode()) <= BYTES
    assert f"你有 {count} 位" in told
    assert told.endswith("打开聊天打个招呼吧。")
    assert (f" 等 {count} 位" in told) == (count > 15)


def test_the_text_to_send_stands_below_and_equal_ones_once() -> None:
    one = with_greetings("你有 1 位", [("李雷", "您好李雷！")])
    assert one == "你有 1 位\n\n可以这样说：\n您好李雷！"
    same = with_greetings("你有 2 位", [("李雷", "您好！"), ("", "您好！")])
    assert same == "你有 2 位\n\n可以这样说：\n您好！"
    several = with_greetings("你有 3 位", [("李雷", "您好！"), ("韩梅", "嗨"), ("", "您好！")])
    assert several == "你有 3 位\n\n可以对李雷、一位客户这样说：\n您好！\n\n可以对韩梅这样说：\n嗨"


def test_a_greeting_that_does_not_fit_is_left_out_whole() -> None:
    line = text([("李雷", "10:12"), ("韩梅", "10:05"), ("王芳", "10:01")])
    told = with_greetings(line, [("李雷", "短"), ("韩梅", "长" * 700), ("王芳", "也短"), ("", " ")])
    assert told.endswith("可以对李雷这样说：\n短\n\n可以对王芳这样说：\n也短")
    whole = with_greetings("线", [("李雷", "字" * 674)])  # with 24 bytes around it
    assert len(whole.encode()) == BYTES - 2
    assert with_greetings("线", [("李雷", "字" * 675)]) == "线"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ('<a href="http://evil.example">点我</a>', '＜a href="http://evil.example"＞点我'),
        ("王\n芳\u202e‮", "王芳"),
        ("👩‍👩‍👧", "👩‍👩‍👧"),
        ("名" * 40, "名" * 32),
        (" \x00 ", ""),
        ("\u3164", ""),
    ],
)
def test_a_name_cannot_say_more_than_a_name(name: str, shown: str) -> None:
    assert safe_name(name) == shown


@pytest.mark.parametrize(
    ("hour", "quiet"), [(21, False), (22, True), (23, True), (0, True), (7, True), (8, False), (12, False)]
)
def test_nobody_is_told_at_night(hour: int, quiet: bool) -> None:
    assert is_quiet(NOON.replace(hour=hour)) is quiet


def test_times_are_of_today_or_carry_their_date() -> None:
    assert local_time(NOON.timestamp() - 3600, NOON) == "11:00"
    assert local_time(NOON.timestamp() - 86400, NOON) == "11-21 12:00"


# ------------------------------------------------------------------------------------------------ by a click


def test_each_member_gets_one_message_about_their_customers(there: Worker) -> None:
    ids = [a_miss(there, "李雷"), a_miss(there, "韩梅"), a_miss(there, "赵敏", user_id="lisi")]
    report = reminders(there).tell(ids, "李敏")
    assert (report.count("sent"), report.skipped) == (2, 0)
    first, second = there.wecom.messages()
    assert first["members"] == ["zhangsan"]
    assert first["text"]["content"].startswith("你有 2 位新客户还没收到欢迎语：李雷（")
    assert "韩梅" in first["text"]["content"]
    assert second["members"] == ["lisi"]
    assert "赵敏" in second["text"]["content"]
    assert {(row.reminder.status, row.reminder.by) for row in work(there).page().rows if row.reminder} == {
        ("sent", "李敏")
    }


def test_a_member_gets_the_text_to_send_with_it(there: Worker) -> None:
    there.publish("version: 1\ntemplates: {default: {text: '您好{customer}，我是{member}'}}\nrules: [{use: default}]\n")
    ids = [a_miss(there, '<a href="http://evil.example">韩梅</a>'), a_miss(there, "李雷")]
    reminders(there).tell(ids, "李敏")
    told = there.wecom.messages()[0]["text"]["content"]
    assert "可以对李雷这样说：\n您好李雷，我是张三" in told
    assert "<" not in told


def test_a_member_is_told_without_a_text_where_there_is_no_book(there: Worker) -> None:
    identity = a_miss(there, "李雷")
    there.services.redis.set(keys.book("default"), 99)
    assert reminders(there).tell([identity], "李敏").count("sent") == 1
    assert there.wecom.messages()[0]["text"]["content"].endswith("打开聊天打个招呼吧。")


def test_nobody_is_told_twice_of_the_same_customer_unless_asked_to(there: Worker) -> None:
    one = a_miss(there)
    reminders(there).tell([one], "a")
    two = a_miss(there)
    report = reminders(there).tell([one, two], "b")
    assert (report.count("sent"), report.skipped) == (1, 1)
    assert there.wecom.messages()[1]["text"]["content"].startswith("你有 1 位")
    assert reminders(there).tell([one], "b", again=True).count("sent") == 1
    assert len(there.wecom.messages()) == 3


def test_two_operators_at_once_send_one_message(there: Worker) -> None:
    ids = [a_miss(there) for _ in range(5)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda who: reminders(there).tell(ids, who), "abcd"))
    told = sum(int(message["text"]["content"].split()[1]) for message in there.wecom.messages())
    assert told == 5


def test_an_answer_of_redis_that_is_lost_leaves_no_reminder_half_sent(
    there: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = a_miss(there)
    reminders(there)
    lose_an_answer(monkeypatch, "EVALSHA")
    assert reminders(there).tell([one], "a").count("sent") == 1
    assert len(there.wecom.messages()) == 1
    assert [row.reminder.status for row in work(there).page().rows if row.reminder] == ["sent"]


def test_rows_that_changed_meanwhile_are_skipped_and_counted(there: Worker) -> None:
    ticked, open_, gone = a_miss(there), a_miss(there), a_miss(there)
    work(there).tick([ticked], "a", 1)
    there.services.redis.delete(keys.event(gone))
    report = reminders(there).tell([ticked, open_, gone, "nobody"], "a")
    assert (report.count("sent"), report.skipped) == (1, 3)


def test_who_cannot_be_told_is_reported_by_member_and_can_be_told_later(there: Worker) -> None:
    there.wecom.people(members={"poor": {"licensed": False}})
    ids = [a_miss(there, user_id="left"), a_miss(there, user_id="poor"), a_miss(there)]
    report = reminders(there).tell(ids, "a")
    assert {one.user_id: (one.status, one.reason) for one in report.told} == {
        "left": ("failed", Reason.of(Kind.MEMBER_NOT_VISIBLE)),
        "poor": ("failed", Reason.of(Kind.MEMBER_NOT_LICENSED)),
        "zhangsan": ("sent", None),
    }
    there.wecom.people(members={"left": {}})
    again = reminders(there).tell(ids, "a")
    assert {one.user_id for one in again.told} == {"left", "poor"}
    assert again.count("sent") == 1


@pytest.mark.parametrize("member", ["@all", "zhangsan|lisi"])
def test_a_message_reaches_one_member_whatever_an_id_says(there: Worker, member: str) -> None:
    (told,) = reminders(there).tell([a_miss(there, "李雷", user_id=member)], "a").told
    assert told.status == "failed"
    assert there.wecom.messages() == []


def test_wecoms_refusal_is_told_in_its_words(there: Worker) -> None:
    there.wecom.faults(limited=1.0, paths=SEND)
    (told,) = reminders(there).tell([a_miss(there)], "a").told
    assert (told.status, told.reason and told.reason.errcode) == ("failed", 45009)
    (row,) = work(there).page().rows
    assert row.reminder is not None
    assert (row.reminder.status, row.reminder.reason) == ("failed", told.reason)


def test_a_lost_answer_is_uncertain_and_not_repeated(there: Worker) -> None:
    there.wecom.faults(dropped_after=1.0, paths=SEND)
    identity = a_miss(there)
    assert reminders(there).tell([identity], "a").told[0].status == "unsure"
    there.wecom.faults()
    assert reminders(there).tell([identity], "a").skipped == 1
    assert len(there.wecom.messages()) == 1


def test_a_message_whose_sender_died_counts_as_uncertain(there: Worker) -> None:
    identity = a_miss(there)
    stamp = int(time.time() * 1000)
    there.services.redis.hset(keys.event(identity), mapping={"reminder": "sending", "reminded_at": stamp})
    (row,) = work(there).page().rows
    assert reminder_status(row, time.time()) == "sending"
    assert reminder_status(row, time.time() + 121) == "unsure"


def test_a_click_does_not_wait_for_ever(there: Worker) -> None:
    there.wecom.faults(latency_ms=1500, paths=SEND)
    there.wecom.people(members={f"m{number}": {} for number in range(4)})
    ids = [a_miss(there, user_id=f"m{number}") for number in range(4)]
    began = time.monotonic()
    report = reminders(there).tell(ids, "a", patience=4.0)  # two, and then less than a second is left
    assert time.monotonic() - began < 10
    assert report.count("sent") >= 1
    assert {one.reason for one in report.told if one.status == "failed"} == {Reason.of(Kind.NO_TIME_LEFT)}
    assert report.skipped == 0
    there.wecom.faults()
    assert reminders(there).tell(ids, "a").count("sent") == 4 - report.count("sent")


def test_without_an_agent_id_no_member_can_be_told(worker: Worker) -> None:
    assert not reminders(worker).possible
    reminders(worker).switch_on("a")
    assert reminders(worker).run(NOON).told == ()


# ------------------------------------------------------------------------------------------------ by itself


def test_it_is_off_at_first_and_says_who_switched_it_on(there: Worker) -> None:
    one = reminders(there)
    assert one.switch() is None
    one.switch_on("李敏")
    one.switch_on("王五")
    switch = one.switch()
    assert switch is not None
    assert switch.by == "李敏"
    one.switch_off()
    assert one.switch() is None


@pytest.fixture
def on(there: Worker) -> Worker:
    """Switched on an hour ago."""
    mapping: dict[str, str | int] = {"by": "李敏", "since": int(time.time()) - 3600}
    there.services.redis.hset(keys.reminders("default"), mapping=mapping)
    return there


def test_who_was_missed_since_then_is_brought_up_once_by_day(on: Worker) -> None:
    a_miss(on, "李雷", ago=SETTLED + 60)
    a_miss(on, "太早", ago=2 * 3600)
    a_miss(on, "太新", ago=10)
    work(on).add_unannounced(
        [
            unannounced(
                "a" * 32,
                user_id="lisi",
                customer_name="赵敏",
                received_ms=int((time.time() - 86400) * 1000),
                found_ms=int((time.time() - 600) * 1000),
            )
        ],
        86400,
    )
    assert reminders(on).run(NOON.replace(hour=23)).told == ()
    assert on.wecom.messages() == []
    assert reminders(on).run(NOON).count("sent") == 2
    texts = {message["members"][0]: message["text"]["content"] for message in on.wecom.messages()}
    assert texts["zhangsan"].startswith("你有 1 位新客户还没收到欢迎语：李雷（")
    assert "赵敏（" in texts["lisi"]
    assert reminders(on).run(NOON).told == ()
    assert {row.reminder.by for row in work(on).page().rows if row.reminder} == {""}


def test_an_outage_makes_few_messages_not_one_a_minute(on: Worker) -> None:
    a_miss(on, ago=SETTLED + 60)
    reminders(on).run(NOON)
    a_miss(on, ago=SETTLED + 50)
    a_miss(on, ago=SETTLED + 40)
    assert reminders(on).run(NOON).told == ()
    (key,) = on.services.redis.keys(keys.reminded("*", "*"))
    assert PAUSE - 10 < on.services.redis.ttl(key) <= PAUSE
    on.services.redis.delete(key)
    assert reminders(on).run(NOON).count("sent") == 1
    assert on.wecom.messages()[1]["text"]["content"].startswith("你有 2 位")


def test_what_failed_is_not_repeated_by_itself(on: Worker) -> None:
    a_miss(on, ago=SETTLED + 60, user_id="left")
    assert reminders(on).run(NOON).count("failed") == 1
    on.services.redis.delete(*on.services.redis.keys(keys.reminded("*", "*")))
    assert reminders(on).run(NOON).told == ()


def let_it_be_time(worker: Worker) -> None:
    """The next try of every reminder is due."""
    redis = worker.services.redis
    for row in work(worker).page().rows:
        if redis.hexists(keys.event(row.id), "reminder_next_at"):
            redis.hset(keys.event(row.id), "reminder_next_at", int(time.time() * 1000) - 1)


def the_reminder(worker: Worker) -> ReminderState:
    (row,) = work(worker).page().rows
    assert row.reminder is not None
    return row.reminder


def no_connection(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_sent(*_: object, **__: object) -> None:
        raise NotSent("message/send", Failure.CONNECTION_REFUSED)

    monkeypatch.setattr("tasks.wecom.messages.Messages.send", not_sent)


@pytest.mark.parametrize("asked", [True, False], ids=["by a click", "by itself"])
@pytest.mark.parametrize("fault", ["busy", "limited", "expired"])
def test_a_reminder_that_did_not_leave_is_tried_again_and_sent_once(on: Worker, fault: str, asked: bool) -> None:
    on.wecom.faults(**{fault: 1.0}, paths=SEND)
    identity = a_miss(on, "李雷", ago=SETTLED + 60)
    if asked:
        reminders(on).switch_off()
        (told,) = reminders(on).tell([identity], "李敏").told
    else:
        (told,) = reminders(on).run(NOON).told
    assert (told.status, told.tried_again) == ("failed", True)
    assert the_reminder(on).next_at == pytest.approx(time.time() + DELAYS[0], abs=10)
    on.wecom.faults()
    assert reminders(on).run(NOON).told == ()  # not yet
    let_it_be_time(on)
    assert reminders(on).run(NOON.replace(hour=23)).told == ()  # nor at night
    assert reminders(on).run(NOON).count("sent") == 1
    let_it_be_time(on)
    assert reminders(on).run(NOON).told == ()
    assert len(on.wecom.messages()) == 1
    state = the_reminder(on)
    assert (state.status, state.by, state.next_at, state.reason) == ("sent", "李敏" if asked else "", None, None)


def test_a_machine_without_a_network_reminds_when_it_has_one(on: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    a_miss(on, ago=SETTLED + 60)
    with monkeypatch.context() as offline:
        no_connection(on, offline)
        for number, delay in enumerate(DELAYS[:3], 1):
            (told,) = reminders(on).run(NOON).told
            assert told.tried_again
            assert the_reminder(on).next_at == pytest.approx(time.time() + delay, abs=10), number
            let_it_be_time(on)
    assert reminders(on).run(NOON).count("sent") == 1
    assert len(on.wecom.messages()) == 1


def test_a_reminder_is_given_up_in_the_end(on: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    no_connection(on, monkeypatch)
    a_miss(on, ago=SETTLED + 60)
    for _ in DELAYS:
        assert reminders(on).run(NOON).told[0].tried_again
        let_it_be_time(on)
    (told,) = reminders(on).run(NOON).told
    assert (told.status, told.tried_again) == ("failed", False)
    let_it_be_time(on)
    assert reminders(on).run(NOON).told == ()


@pytest.mark.parametrize("fault", ["dropped_after", "http_5xx", "not_json"])
def test_a_reminder_that_may_have_arrived_is_never_tried_again(on: Worker, fault: str) -> None:
    on.wecom.faults(**{fault: 1.0}, paths=SEND)
    a_miss(on, ago=SETTLED + 60)
    (told,) = reminders(on).run(NOON).told
    assert (told.status, told.tried_again) == ("unsure", False)
    on.wecom.faults()
    let_it_be_time(on)
    on.services.redis.delete(*on.services.redis.keys(keys.reminded("*", "*")))
    assert reminders(on).run(NOON).told == ()


def test_a_try_that_is_due_is_taken_once_by_several_processes(on: Worker) -> None:
    on.wecom.faults(busy=1.0, paths=SEND)
    ids = [a_miss(on, ago=SETTLED + 60) for _ in range(3)]
    reminders(on).tell(ids, "李敏")
    on.wecom.faults(latency_ms=200, paths=SEND)
    let_it_be_time(on)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: reminders(on).run(NOON), range(4)))
    told = sum(int(message["text"]["content"].split()[1]) for message in on.wecom.messages())
    assert told == 3


def test_a_click_before_the_next_try_takes_its_place(on: Worker) -> None:
    on.wecom.faults(limited=1.0, paths=SEND)
    identity = a_miss(on, ago=SETTLED + 60)
    reminders(on).run(NOON)
    on.wecom.faults()
    assert reminders(on).tell([identity], "李敏").count("sent") == 1
    let_it_be_time(on)
    assert reminders(on).run(NOON).told == ()
    assert len(on.wecom.messages()) == 1


def test_who_was_ticked_off_before_the_next_try_is_left_alone(on: Worker) -> None:
    on.wecom.faults(limited=1.0, paths=SEND)
    identity = a_miss(on, ago=SETTLED + 60)
    reminders(on).run(NOON)
    on.wecom.faults()
    let_it_be_time(on)
    work(on).tick([identity], "a", 1)
    assert reminders(on).run(NOON).told == ()
    assert on.wecom.messages() == []


def test_nobody_is_tried_again_by_itself_after_it_was_switched_off(on: Worker) -> None:
    on.wecom.faults(limited=1.0, paths=SEND)
    a_miss(on, ago=SETTLED + 60)
    reminders(on).run(NOON)
    on.wecom.faults()
    let_it_be_time(on)
    reminders(on).switch_off()
    assert reminders(on).run(NOON).told == ()


def test_the_schedule_learns_names_and_reminds(on: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.missed.reminders.is_quiet", lambda now: False)
    record = on.wecom.add(push=False)
    on.wecom.people(customers={record.external_user_id: {"name": "李雷"}})
    a_miss(on, ago=SETTLED + 60, external_user_id=record.external_user_id)
    upkeep.remind_members(on.services)
    (message,) = on.wecom.messages()
    assert "李雷（" in message["text"]["content"]


# ------------------------------------------------------------------------------------------------ names


def test_names_are_learned_for_people_to_read(there: Worker) -> None:
    record = there.wecom.add(push=False)
    there.wecom.people(customers={record.external_user_id: {"name": "李雷"}})
    a_miss(there, external_user_id=record.external_user_id)
    a_miss(there, external_user_id="wm-unknown")
    assert reminders(there).learn_names(time.monotonic() + 5) == 2
    assert {customer_name(row) for row in work(there).page().rows} == {"李雷", ""}
    assert known_members(there.services.redis, "default", ["zhangsan"])["zhangsan"][0] == "张三"
    assert reminders(there).learn_names(time.monotonic() + 5) == 0  # who has none is not asked for again
    a_miss(there)
    there.wecom.faults(limited=1.0, paths=("externalcontact/get",))
    assert reminders(there).learn_names(time.monotonic() + 5) == 1
    there.wecom.faults()
    assert reminders(there).learn_names(time.monotonic() + 5) == 1  # but for one that was not answered


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({}, None),
        ({"invaliduser": ""}, None),
        ({"invaliduser": None}, None),
        ({"invaliduser": "lisi"}, None),
        ({"invaliduser": "zhangsanfeng|lisi"}, None),
        ({"invaliduser": "ZhangSan"}, Kind.MEMBER_NOT_VISIBLE),
        ({"invaliduser": "lisi|zhangsan"}, Kind.MEMBER_NOT_VISIBLE),
        ({"invaliduser": "lisi | ZHANGSAN"}, Kind.MEMBER_NOT_VISIBLE),
        ({"unlicenseduser": "ZHANGSAN"}, Kind.MEMBER_NOT_LICENSED),
    ],
)
def test_a_member_who_is_not_reached_is_named_in_whatever_case(answer: dict[str, Any], kind: Kind | None) -> None:
    reason = not_delivered("zhangsan", answer)
    assert (reason.kind if reason else None) == kind
