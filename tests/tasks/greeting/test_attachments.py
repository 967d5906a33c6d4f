"""Greetings with attachments and with rules that ask, against the stand-in: whatever fails, the text arrives."""

import threading
import time

import pytest

from tasks.directory.lookup import BUDGET
from tasks.greeting import policy
from tasks.greeting.refused_media import RefusedMedia
from tasks.ledger.delivery import Attempt
from tasks.ledger.rows import from_row
from tasks.storage import keys
from tasks.templates.render import Ready
from tasks.wecom import errors
from tests.support.books import ATTACHED, a_rule, a_template
from tests.support.builders import answered
from tests.support.until import until
from tests.support.worker import Worker
from webhook.delivery_record import reason_text

SEND = "externalcontact/send_welcome_msg"


def calls(here: Worker) -> set[str]:
    """What WeCom was asked for besides the greeting and its token."""
    return set(here.wecom.summary().answers) - {"gettoken", SEND}


def words(row: dict[str, str]) -> str:
    """Why, as `deliveries --json` has it."""
    return reason_text(from_row("", row))


def left_out(row: dict[str, str]) -> dict[int, str]:
    """Number → why, of the attachments that were not sent."""
    return {one.number: one.because for one in from_row("", row).left_out}


# ------------------------------------------------------------------------------------------------ attachments


def test_text_and_attachments_arrive_in_one_call(here: Worker) -> None:
    here.publish(a_template(ATTACHED))
    row, seen, record = here.greeted()
    assert (row["outcome"], seen, row["left_out"]) == ("sent", ["image", "link", "video", "file"], "[]")
    assert "reason" not in row
    assert len(record.sends) == 1


def test_what_is_not_at_wecom_yet_is_left_out_and_said(here: Worker) -> None:
    here.publish(a_template(ATTACHED), upload=False)
    row, seen, _ = here.greeted()
    assert (row["outcome"], seen) == ("sent", ["link"])
    assert words(row) == (
        "without attachment 1 (image media/hello.png), attachment 3 (video media/intro.mp4),"
        " attachment 4 (file media/price.pdf): not at WeCom yet"
    )
    assert left_out(row) == {1: "not_uploaded", 3: "not_uploaded", 4: "not_uploaded"}


def test_media_that_died_cost_the_media_and_not_the_greeting_nor_what_has_a_permanent_url(here: Worker) -> None:
    here.publish(a_template(ATTACHED))
    here.wecom.kill_media()
    row, seen, record = here.greeted()
    assert [send.result for send in record.sends] == [40007, 0]
    assert (row["outcome"], seen, row["attempts"]) == ("sent", ["image", "link"], "2")
    assert words(row) == "without attachments that WeCom refused: 40007 invalid media_id"
    assert left_out(row) == {3: "refused", 4: "refused"}
    assert from_row("", row).tries == (Attempt(answered(40007, "invalid media_id")), Attempt())


def test_no_greeting_waits_until_it_is_recorded_what_was_refused(here: Worker) -> None:
    here.publish(a_template(ATTACHED))
    here.wecom.kill_media()
    media, answers, recorded = here.services.books.ready, threading.Event(), []

    def refuse(corp_id: str, sent: Ready) -> None:  # Redis takes its time
        answers.wait(60)
        media.refuse(corp_id, sent)
        recorded.append({upload.how for upload in sent})

    here.greeter._refused_media = RefusedMedia(refuse)
    for _ in range(2):  # the second one meets what the first has met
        _, _, record = here.greeted()
        assert [send.result for send in record.sends] == [40007, 0]
    assert recorded == []
    assert all(one.value for one in media.all(here.app.corp_id).values())
    answers.set()
    until(lambda: recorded)
    _, _, record = here.greeted()
    assert [send.result for send in record.sends] == [0], "the ids are known as dead"
    assert recorded == [{"url", "video", "file"}], "once for both"


def test_an_attachment_that_is_no_media_is_dropped_with_all_of_them(here: Worker) -> None:
    """An image's URL that is not from uploadimg is 40058, which names no attachment."""
    here.publish(a_template("text: 您好\nattachments:\n- image: {pic_url: 'https://example.com/a.png'}"))
    row, seen, record = here.greeted()
    assert [send.result for send in record.sends] == [40058, 0]
    assert (row["outcome"], seen) == ("sent", [])


def test_two_kinds_of_bad_attachments_cost_two_more_tries_and_not_the_greeting(here: Worker) -> None:
    here.publish(
        a_template(
            "text: 您好\nattachments:\n- video: {media_id: gone}\n- link: {title: t, url: 'https://a.cn'}\n"
            "- image: {pic_url: 'https://example.com/a.png'}"
        )
    )
    row, seen, record = here.greeted()
    assert [send.result for send in record.sends] == [40007, 40058, 0]
    assert (row["outcome"], seen) == ("sent", [])  # 40058 names nothing at all
    assert left_out(row) == dict.fromkeys((1, 2, 3), "refused")


def test_without_time_for_another_try_a_refusal_is_the_outcome(here: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "LEAST", 3.0)  # so that a slow machine does not decide
    here.publish(a_template(ATTACHED))
    here.wecom.kill_media()
    here.wecom.faults(latency_ms=1000)
    record, claim = here.claimed(ago=20 - 3.9)
    row = here.greet(claim)
    assert (row["outcome"], row["errcode"]) == ("refused", "40007")
    assert len(here.wecom.record(record).sends) == 1


def test_a_code_that_is_used_is_not_taken_for_a_bad_attachment(here: Worker) -> None:
    here.publish(a_template(ATTACHED))
    row, _, record = here.greeted(welcome_code="no such code")
    assert (row["outcome"], row["errcode"], row["attempts"]) == ("refused", "41050", "1")
    assert record.sends == []


@pytest.mark.parametrize(
    ("errcode", "msgtypes"),
    [
        (40007, policy.WITH_MEDIA),
        (40009, policy.WITH_MEDIA),
        (90207, {"miniprogram"}),
        (40058, policy.EVERY_ATTACHMENT),
        (41064, policy.EVERY_ATTACHMENT),
        (999999, policy.EVERY_ATTACHMENT),  # nobody lists it: the text alone is worth a try
        (45002, set()),  # the text
        (41049, set()),  # the code
        (41050, set()),
        (41051, set()),
        (-1, set()),
        (45009, set()),
        (48002, set()),
    ],
)
def test_only_what_may_be_an_attachments_fault_is_tried_without_it(errcode: int, msgtypes: set[str]) -> None:
    assert policy.suspects(errors.from_answer(errcode, "", SEND)) == msgtypes
    assert policy.suspects(errors.NoAnswer(SEND, errors.Failure.CONNECTION_CUT)) == set()


# ------------------------------------------------------------------------------------------------ rules that ask


def test_rules_that_ask_for_nothing_cost_no_call(here: Worker) -> None:
    here.publish(a_rule("{state: a, customer_type: wechat}"))
    row, _, _ = here.greeted(state="b")
    assert (row["rule"], calls(here)) == ("2", set())


@pytest.mark.parametrize(
    ("when", "rule"),
    [
        ("{customer_type: wechat}", "first"),
        ("{customer_type: wecom}", "2"),
        ("{add_way: [1, 16]}", "first"),
        ("{add_way: 16}", "2"),
    ],
)
def test_type_and_add_way_are_looked_up_for_the_rule_that_asks(here: Worker, when: str, rule: str) -> None:
    here.publish(a_rule(when))
    row, _, _ = here.greeted()
    assert (row["rule"], calls(here)) == (rule, {"externalcontact/get"})


def test_one_look_up_serves_the_rule_and_the_name(here: Worker) -> None:
    here.publish(a_rule("{customer_type: wechat}").replace("{text: '1'}", "{text: '您好{customer}'}"))
    record, claim = here.claimed()
    here.wecom.people(customers={record.external_user_id: {"name": "王芳"}})
    here.greeter.greet(claim)
    assert (here.wecom.record(record).content or {})["text"] == "您好王芳"
    assert here.wecom.summary().answers["externalcontact/get"] == {"0": 1}


@pytest.mark.parametrize(("department", "rule"), [(5, "first"), (3, "first"), (1, "2")])
def test_a_member_below_a_department_is_in_it(here: Worker, department: int, rule: str) -> None:
    here.publish(a_rule("{department: 3}").replace("{text: '1'}", "{text: '欢迎来到{corp}{department}'}"))
    here.wecom.people(
        members={"zhangsan": {"department": [department]}},
        departments={3: {"name": "东区"}, 5: {"name": "东区二组", "parentid": 3}},
    )
    row, _, record = here.greeted()
    assert row["rule"] == rule
    if department == 5:
        assert (record.content or {})["text"] == "欢迎来到公司东区二组"
        here.greeted()
        asked = {path: sum(count.values()) for path, count in here.wecom.summary().answers.items()}
        assert (asked["user/get"], asked["department/simplelist"], asked["department/get"]) == (1, 1, 2)


def test_a_fact_that_does_not_come_falls_through_to_the_next_rule_within_the_budget(here: Worker) -> None:
    here.publish(a_rule("{customer_type: wechat}"))
    here.wecom.faults(hang=1, paths=("externalcontact/get",))
    began = time.monotonic()
    row, _, _ = here.greeted()
    assert (row["outcome"], row["rule"], row["template"]) == ("sent", "2", "default")
    assert time.monotonic() - began < BUDGET + 5, "not for the time of a call"


def test_variants_are_counted_with_their_outcome(here: Worker) -> None:
    here.publish(a_rule("{state: a}", "{one: 1, two: 1}"))
    rows = [here.greeted(state="a")[0] for _ in range(6)]
    assert {row["rule"] for row in rows} == {"first"}
    counts = here.services.redis.hgetall(keys.COUNTERS)
    for variant in {row["variant"] for row in rows}:
        counted = counts[f"variants_total|app=default|outcome=sent|rule=first|variant={variant}"]
        assert int(counted) == [row["variant"] for row in rows].count(variant)


def test_a_new_revision_is_used_for_the_next_customer(here: Worker) -> None:
    here.publish(a_template("text: a"))
    assert here.greeted()[0]["revision"] == "1"
    here.publish(a_template("text: b"))
    row, _, record = here.greeted()
    assert (row["revision"], (record.content or {})["text"]) == ("2", "b")
