"""Every outcome and errcode in words, in both languages."""

import ast
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from babel.messages.pofile import read_po

from tasks.ledger.delivery import MISSED, OF_NO_EVENT, OUTCOMES, Attempt, Delivery, LeftOut, LeftOutBecause
from tasks.media_renewal import MediaStatus
from tasks.messages import Message, translate
from tasks.reasons import Kind, Reason
from tasks.wecom.catalogue import Entry, calls
from tasks.wecom.errors import CODES, from_answer
from tests.support.builders import a_delivery, answered
from tests.support.documents import ROOT
from webhook.errcode_texts import errcode, explained, in_our_words, who
from webhook.outcomes import BAD, NAMES, STEPS, TONES, OutcomeText, note, outcome_text
from webhook.reason_texts import media_alarms

NOW = 1_795_000_000
REFUSALS = {"Refused", "error"}  # of the stand-in
WINDOW = 20.0
PLACEHOLDER = r"%\(\w+\)s"
SENT_STEPS = {"started": 29, "chosen": 30, "named": 93, "prepared": 95, "try_1": 96, "token": 97, "answer_1": 227}
BUSY = Attempt(answered(-1, "system busy"))
LOST = Attempt(Reason.of(Kind.NO_ANSWER, failure="http_status", detail="502"))
SILENT = Attempt(Reason.of(Kind.NO_ANSWER, failure="answer_timeout"))
TAKEN = Attempt()
UNUSABLE = Attempt(Reason.of(Kind.UNEXPECTED, error="OSError"))


def refused(*numbers: int) -> tuple[LeftOut, ...]:
    return tuple(LeftOut(number, LeftOutBecause.REFUSED) for number in numbers)


def absent(*numbers: int) -> tuple[LeftOut, ...]:
    return tuple(LeftOut(number, LeftOutBecause.NOT_UPLOADED) for number in numbers)


def unknown(*numbers: int) -> tuple[LeftOut, ...]:
    return tuple(LeftOut(number, LeftOutBecause.UNKNOWN) for number in numbers)


NOT_ALLOWED = Reason.from_error(
    from_answer(
        60020, "not allow to access from your ip, hint: [17], from ip: 203.0.113.9, more info at https://x", "p"
    )
)
TRIES_NOT_ALLOWED = Reason.of(Kind.TRIES_FAILED, tries=3, in_doubt=False, cause=NOT_ALLOWED)
TOO_LONG = Reason.of(Kind.INVALID_REQUEST, field="text.content", value="4003 bytes of UTF-8", limit="at most 4000")


def not_transferred(why: str) -> Reason:
    return Reason.of(Kind.NOT_TRANSFERRED, why=why)


def became(outcome: str | None, **different: Any) -> Delivery:
    values: dict[str, Any] = {"created_at": NOW - 1, "received_ms": NOW * 1000, "template": "default", "revision": 1}
    return a_delivery(outcome, **values | {"rule": "1", "attempts": 1} | different)


CASES: list[tuple[Delivery, str, str]] = [  # delivery, tone, words of it in English
    (became(None), "plain", "In progress: 15 s left"),
    (became(None, received_ms=(NOW - 60) * 1000), "bad", "Not sent yet, and the limit of 20 s is over"),
    (became("sent", steps=SENT_STEPS, tries=(TAKEN,)), "ok", "Sent 0.2 s after WeCom's notification"),
    (became("sent", errcode=0), "ok", "Sent; accepted by WeCom"),
    (
        became("sent", steps=SENT_STEPS | {"try_2": 1257, "answer_2": 1366}, tries=(BUSY, TAKEN), attempts=2),
        "ok",
        "Try 1 failed: WeCom is busy (-1). Try 2 was accepted.",
    ),
    (
        became("sent", steps={"started": 4100, "try_2": 4101, "answer_2": 4300}, tries=(TAKEN,), claims=2),
        "ok",
        "A worker stopped midway and another took over (times: 1).",
    ),
    (
        became(
            "sent", steps={"started": 4100, "try_2": 4101, "answer_2": 4300}, tries=(TAKEN,), claims=2, given_back=1
        ),
        "ok",
        "WeCom's rate limit held it back (times: 1).",
    ),
    (became("sent", left_out=refused(3, 4)), "warn", "attachment 3, 4, refused by WeCom."),
    (became("sent", left_out=absent(1)), "warn", "attachment 1, not uploaded to WeCom yet"),
    (
        became("sent", left_out=refused(1) + absent(2)),
        "warn",
        "1, 2, refused by WeCom or",
    ),
    (became("unconfirmed", tries=(LOST,)), "unknown", "check the chat"),
    (became("unconfirmed", errcode=41050), "unknown", "the code was used (41050)"),
    (became("lost", errcode=41051), "plain", "another app was first"),
    (became("lost", errcode=41096), "plain", "another app was sending"),
    (became("no_code"), "warn", "added without approval, is not given twice"),
    (became("no_code", change="half_add"), "warn", "a welcome is set in WeCom's own console"),
    (became("no_template", revision=None), "bad", "no welcome is published"),
    (became("no_template"), "bad", "add a welcome for “everything else” and publish it"),
    (became("expired", steps={"started": 31000}), "bad", "Not sent: 31 s in the queue; the limit is 20 s"),
    (became("expired", steps={"started": 2_287_000}), "bad", "Not sent: 38 min in the queue; the limit is 20 s"),
    (became("expired", steps={"started": 31000}, cause="paused"), "bad", "The welcome lane was paused then."),
    (became("expired", steps={"started": 19500}, cause="overloaded"), "bad", "more customers were added than could be"),
    (became("expired", steps={"started": 19500}, cause="overloaded"), "bad", "All workers were busy for 20 s"),
    (became("expired", steps={"started": 19500}, cause="limited"), "bad", "Not sent: held back by WeCom's rate limit"),
    (became("expired", steps={"started": 19500}, cause="limited"), "bad", "It waited 20 s"),
    (became("expired", steps={"started": 21000}, claims=3), "bad", "the limit of 20 s was over before the first try"),
    (became("expired", steps={"started": 9, "chosen": 19700}), "bad", "choosing the welcome took 20 s"),
    (became("expired", steps={"started": 9, "chosen": 9, "named": 19700}), "bad", "looking up names took 20 s"),
    (became("expired", steps={"started": 9, "prepared": 10, "try_2": 19600}), "bad", "waiting for Redis took 20 s"),
    (
        became("expired", steps={"started": 9, "try_1": 10, "answer_1": 15000}, tries=(BUSY,)),
        "bad",
        "one try took 15 s; the limit is 20 s",
    ),
    (
        became("expired", steps={"started": 9, "try_1": 10, "answer_1": 20, "try_2": 9000, "answer_2": 9001}),
        "bad",
        "The longest step took 9.0 s.",
    ),
    (became("expired", reason=Reason.of(Kind.UNFINISHED_IN_BACKUP)), "bad", "the limit of 20 s was over"),
    (became("stale", created_at=NOW - 420), "bad", "WeCom's notification came 7 min late"),
    (
        became("refused", reason=Reason.of(Kind.APP_NOT_CONFIGURED, app="gone"), app="gone"),
        "bad",
        "the app “gone” is not configured",
    ),
    (
        became("refused", steps=SENT_STEPS, reason=TOO_LONG),
        "bad",
        "The limit: text.content: 4003 bytes of UTF-8, at most 4000",
    ),
    (became("refused", errcode=60020, reason=answered(60020, "not allow")), "bad", "add it to 企业可信IP"),
    (became("refused", errcode=60020, reason=answered(60020, "not allow")), "bad", "(the WeCom administrator)"),
    (became("refused", errcode=60020, reason=NOT_ALLOWED), "bad", "add 203.0.113.9 to 企业可信IP"),
    (became("failed", errcode=60020, reason=TRIES_NOT_ALLOWED), "bad", "add 203.0.113.9 to 企业可信IP"),
    (
        became("refused", errcode=40058, reason=answered(40058, "picurl exceed")),
        "bad",
        "WeCom's own words: picurl exceed",
    ),
    (
        became("refused", errcode=99999, reason=answered(99999, "<b>100%s</b>")),
        "bad",
        "WeCom says “<b>100%s</b>” (99999)",
    ),
    (became("failed", tries=(BUSY, LOST), attempts=7), "bad", "within 20 s (tries: 7)"),
    (became("failed", tries=(BUSY, LOST), attempts=7), "bad", "The last try: no answer: HTTP 502."),
    (became("failed", tries=(BUSY, UNUSABLE), attempts=7), "bad", "The last try: no answer: OSError."),
    (
        became("failed", tries=(SILENT,), attempts=7),
        "bad",
        "The last try: no answer in time.",
    ),
    (became("failed", errcode=45009, reason=answered(45009, "x"), attempts=3), "bad", "it recovers by itself"),
    (
        became("failed", errcode=45009, reason=answered(45009, "x"), attempts=3),
        "bad",
        "Not sent within 20 s: too many calls (45009), tries: 3",
    ),
    (became("dead", claims=5), "bad", "stopped midway again and again (times: 4)"),
    (became("rehearsed", steps={"started": 3, "prepared": 180}), "plain", "everything but the send, in 0.2 s"),
    (became("rehearsed"), "plain", "Nothing was sent"),
    (became("unannounced"), "bad", "WeCom sent no notification of this customer"),
    (became("not_transferred", reason=not_transferred("customer_refused")), "bad", "WeCom allows two hand-overs"),
    (became("not_transferred", reason=not_transferred("customer_limit_exceed")), "bad", "as many customers as WeCom"),
    (became("not_transferred", reason=not_transferred("something new")), "bad", "Hand the customer over again in We"),
    (became("something new"), "bad", "Outcome something new, of another release"),
]


@pytest.fixture(scope="module")
def chinese() -> dict[str, str]:
    """msgid → Chinese."""
    found = {}
    for name in ("errcodes.po", "outcomes.po", "reasons.po"):
        with resources.files("webhook").joinpath("console/translations/zh_Hans", name).open("rb") as file:
            found |= {str(one.id): str(one.string) for one in read_po(file) if one.id}
    return found


def messages(found: OutcomeText) -> Iterator[Message]:
    def within(sentence: Message) -> Iterator[Message]:
        yield sentence
        for value in sentence.values.values():
            if isinstance(value, Message):
                yield from within(value)

    for sentence in (found.headline, *found.more):
        yield from within(sentence)


@pytest.mark.parametrize(("delivery", "tone", "words"), CASES)
def test_a_delivery_in_words(delivery: Delivery, tone: str, words: str, chinese: dict[str, str]) -> None:
    found = outcome_text(delivery, WINDOW, now=NOW + 5.0)
    english = " ".join(translate(one) for one in (found.headline, *found.more))
    assert found.tone == tone
    assert words in english
    assert "None" not in english
    assert not translate(found.headline).endswith((".", "!"))
    for sentence in messages(found):
        if not re.search("[a-z]{2}", re.sub(PLACEHOLDER, "", sentence.msgid)):
            continue  # nothing but what WeCom or a limit says
        assert re.search("[\u4e00-\u9fff]", chinese[sentence.msgid].replace("%(code)s", "码")), sentence.msgid
    assert translate(found.headline, lambda msgid: chinese.get(msgid, msgid))


def test_the_table_has_every_outcome_and_each_has_a_name_and_a_tone(chinese: dict[str, str]) -> None:
    assert NAMES.keys() == {*OUTCOMES, "open", *OF_NO_EVENT}
    assert {delivery.outcome or "open" for delivery, _, _ in CASES} == {*NAMES, "something new"}
    assert {outcome for outcome in OUTCOMES if TONES.get(outcome, BAD) == BAD} == MISSED
    assert all(chinese[name] for name in (*NAMES.values(), *STEPS.values()))


@pytest.mark.parametrize(
    ("delivery", "words"),
    [
        (became(None, received_ms=(NOW - 60) * 1000), "In progress: 25 s left"),
        (became(None, received_ms=(NOW - 90) * 1000), "the limit of 90 s is over"),
        (became("expired", steps={"started": 91000}), "the limit is 90 s"),
        (became("failed", tries=(LOST,), attempts=7), "within 90 s"),
    ],
)
def test_the_window_is_the_one_that_is_given(delivery: Delivery, words: str) -> None:
    assert words in translate(outcome_text(delivery, 90.0, now=NOW + 5.0).headline)


def test_who_was_missed_is_to_be_greeted_by_hand() -> None:
    for delivery, _, _ in CASES:
        said = [translate(one) for one in outcome_text(delivery, WINDOW).more]
        assert any("say hello" in one for one in said) == (delivery.outcome in {*MISSED, "unannounced"})


@pytest.mark.parametrize(
    ("delivery", "words"),
    [
        (became("sent"), None),
        (became("sent", attempts=2), "on try 2"),
        (became("sent", attempts=2, left_out=refused(3, 4)), "without attachment 3, 4"),
        (became("expired", steps={"started": 31000}), "In the queue 31 s"),
        (became("expired", steps={"started": 9, "try_1": 10, "answer_1": 15000}), "Try 1 15 s"),
        (became("expired"), None),
        (became("stale", created_at=NOW - 420), "7 min late"),
        (became("refused", errcode=60020), "this server's IP is not allowed (60020)"),
        (became("refused", reason=Reason.of(Kind.APP_NOT_CONFIGURED, app="gone")), None),
        (became("no_template", revision=None), "no welcome is published"),
        (became("failed", attempts=5), "tries: 5"),
        (became("failed", attempts=5, errcode=-1), "WeCom is busy (-1)"),
        (became("lost", errcode=41051), None),
        (became("no_code"), None),
        (became(None), None),
    ],
)
def test_a_list_has_a_few_words_beside_the_outcome(
    delivery: Delivery, words: str | None, chinese: dict[str, str]
) -> None:
    found = note(delivery)
    assert (found and translate(found)) == words
    assert found is None or translate(found, chinese.__getitem__)


def test_no_errcode_that_a_call_may_answer_lacks_words() -> None:
    """Those that the stand-in answers, and those that the calls' docstrings name."""
    played = {code for path in (ROOT / "tests/simulator").glob("*.py") for code in answered_by(path)}
    named = {int(code) for entry in calls().values() for code in re.findall(r"(?<![\d.])\d{5,6}\b", about(entry))}
    assert len(played) > 40
    assert {41050, 84061, 90500, 600018} <= played & named
    assert played | named <= CODES.keys()


def answered_by(path: Path) -> Iterator[int]:
    """The errcodes in a source of the stand-in's: of `Refused(…)` and `error(…)`, and of rows with an "errcode"."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in REFUSALS:
            yield from (number for one in node.args[:1] if (number := literal(one)))
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            yield from (number for key, value in pairs if literal(key) == "errcode" and (number := literal(value)))


def literal(node: ast.expr | None) -> Any:
    try:
        return None if node is None else ast.literal_eval(node)
    except ValueError:
        return None


def about(entry: Entry) -> str:
    """What a docstring says of answers and errors."""
    return entry.described()[1]


@pytest.mark.parametrize(
    ("reason", "words", "theirs"),
    [
        (answered(40003, "invalid userid"), "no such userid (40003)", "没有这个成员（40003）"),
        (NOT_ALLOWED, "this server's IP is not allowed (60020)", "服务器 IP 不在企业可信 IP 里（60020）"),
        (TRIES_NOT_ALLOWED, "3 tries, the last: this server's IP is not allowed (60020)", "60020"),
        (answered(99999, "brand new"), "WeCom says “brand new” (99999)", "企业微信返回「brand new」（99999）"),
        (TOO_LONG, "text.content: 4003 bytes of UTF-8, at most 4000", "4003"),
    ],
)
def test_our_words_stand_in_place_of_wecoms(reason: Reason, words: str, theirs: str, chinese: dict[str, str]) -> None:
    assert translate(explained(reason)) == words
    assert theirs in translate(explained(reason), lambda msgid: chinese.get(msgid, msgid))
    alarm = media_alarms(MediaStatus(1, absent={"a.mp4": reason}))[0]
    assert translate(in_our_words(alarm)) == f"a.mp4 is not at WeCom: {words}"


@pytest.mark.parametrize("code", CODES)
def test_every_errcode_has_its_meaning_its_cure_and_who_can_do_it_in_chinese(
    code: int, chinese: dict[str, str]
) -> None:
    meaning, cure = errcode(code)
    assert chinese[meaning.msgid]
    assert chinese[cure.msgid]
    if (person := who(code)) is not None:
        assert chinese[person.msgid]
    assert CODES[code].error.__name__ == "Final" or person is not None


def test_placeholders_and_dashes_of_the_chinese_are_those_of_the_english(chinese: dict[str, str]) -> None:
    for english, translated in chinese.items():
        assert sorted(re.findall(r"%\(\w+\)s", english)) == sorted(re.findall(r"%\(\w+\)s", translated)), english
        assert not re.search("！|您|非法|失败", translated), translated
