"""Every outcome and errcode in words, in both languages."""

import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from babel.messages.pofile import read_po

from tasks.ledger.ledger import MISSED, OUTCOMES
from tasks.messages import Message, translate
from tasks.wecom.errors import CODES
from webhook.outcomes import BAD, NAMES, STEPS, TONES, OutcomeText, errcode, note, outcome_text, seconds, who

NOW = 1_795_000_000
SENT_STEPS = {"started": 29, "chosen": 30, "named": 93, "prepared": 95, "try_1": 96, "token": 97, "answer_1": 227}
BUSY = {"errcode": -1, "reason": "-1 system busy"}
LOST = {"errcode": None, "reason": "HTTP 502"}
TAKEN = {"errcode": 0, "reason": ""}


def a_delivery(outcome: str | None, **different: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "id": "3f9a",
        "app": "default",
        "change": "add",
        "user_id": "zhangsan",
        "external_user_id": "wm1",
        "state": "",
        "created_at": NOW - 1,
        "received_at": float(NOW),
        "outcome": outcome,
        "errcode": None,
        "reason": "",
        "template": "default",
        "rule": "1",
        "variant": "",
        "attempts": 1,
        "recoveries": 0,
        "steps": {},
        "cause": "",
        "revision": 1,
        "tries": [],
        "without": [],
        "followup": None,
    }
    return values | different


CASES: list[tuple[dict[str, Any], str, str]] = [  # delivery, tone, words of it in English
    (a_delivery(None), "plain", "In progress: 15 s left"),
    (a_delivery(None, received_at=NOW - 60.0), "bad", "Not sent yet, and the 20 s are over"),
    (a_delivery("sent", steps=SENT_STEPS, tries=[TAKEN]), "ok", "Sent 0.2 s after WeCom's notification"),
    (a_delivery("sent", errcode=0), "ok", "Sent; accepted by WeCom"),
    (
        a_delivery("sent", steps=SENT_STEPS | {"try_2": 1257, "answer_2": 1366}, tries=[BUSY, TAKEN], attempts=2),
        "ok",
        "Try 1 failed: WeCom is busy (-1). Try 2 was accepted.",
    ),
    (
        a_delivery("sent", steps={"started": 4100, "try_2": 4101, "answer_2": 4300}, tries=[TAKEN], recoveries=1),
        "ok",
        "A worker stopped in the middle and another took over (times: 1).",
    ),
    (a_delivery("sent", without=[3, 4], steps={"lighter": 9}), "warn", "attachment 3, 4, refused by WeCom."),
    (a_delivery("sent", without=[1], steps={"media_not_ready": 9}), "warn", "attachment 1, not uploaded to WeCom yet"),
    (
        a_delivery("sent", without=[1, 2], steps={"media_not_ready": 9, "lighter": 9}),
        "warn",
        "1, 2, refused by WeCom or",
    ),
    (a_delivery("unconfirmed", tries=[LOST]), "unknown", "look into the chat"),
    (a_delivery("unconfirmed", errcode=41050), "unknown", "the code was used (41050)"),
    (a_delivery("lost", errcode=41051), "plain", "another app was first"),
    (a_delivery("lost", errcode=41096), "plain", "another app was sending"),
    (a_delivery("no_code"), "warn", "added without approval, is not given twice"),
    (a_delivery("no_code", change="half_add"), "warn", "a welcome is set in WeCom's own console"),
    (a_delivery("no_template", revision=None), "bad", "no welcome is published"),
    (a_delivery("no_template"), "bad", "add a welcome for “everything else” and publish it"),
    (a_delivery("expired", steps={"started": 31000}), "bad", "Not sent: 31 s in the queue, and the code lives 20 s"),
    (a_delivery("expired", steps={"started": 31000}, cause="paused"), "bad", "The welcome lane was paused then."),
    (a_delivery("expired", steps={"started": 21000}, recoveries=2), "bad", "the 20 s were over before a try could"),
    (a_delivery("expired", steps={"started": 9, "chosen": 19700}), "bad", "choosing the welcome took 20 s"),
    (a_delivery("expired", steps={"started": 9, "chosen": 9, "named": 19700}), "bad", "looking up names took 20 s"),
    (a_delivery("expired", steps={"started": 9, "prepared": 10, "try_2": 19600}), "bad", "waiting for Redis took 20 s"),
    (
        a_delivery("expired", steps={"started": 9, "try_1": 10, "answer_1": 15000}, tries=[BUSY]),
        "bad",
        "one try took 15 s of the 20 s",
    ),
    (
        a_delivery("expired", steps={"started": 9, "try_1": 10, "answer_1": 20, "try_2": 9000, "answer_2": 9001}),
        "bad",
        "The longest step took 9.0 s.",
    ),
    (a_delivery("expired", reason="it was unfinished when the backup was made"), "bad", "the 20 s were over"),
    (a_delivery("stale", created_at=NOW - 420), "bad", "WeCom told 7 minutes late"),
    (a_delivery("refused", reason="no app gone is configured", app="gone"), "bad", "the app “gone” is not configured"),
    (
        a_delivery("refused", steps=SENT_STEPS, reason="text.content: 4003 bytes of UTF-8, at most 4000"),
        "bad",
        "The limit: text.content: 4003 bytes of UTF-8, at most 4000",
    ),
    (a_delivery("refused", errcode=60020, reason="60020 not allow"), "bad", "add it to 企业可信IP"),
    (a_delivery("refused", errcode=60020, reason="60020 not allow"), "bad", "(the WeCom administrator)"),
    (a_delivery("refused", errcode=40058, reason="40058 picurl exceed"), "bad", "WeCom's own words: picurl exceed"),
    (a_delivery("refused", errcode=99999, reason="99999 <b>100%s</b>"), "bad", "WeCom says “<b>100%s</b>” (99999)"),
    (a_delivery("failed", tries=[BUSY, LOST], attempts=7), "bad", "within 20 s (tries: 7)"),
    (a_delivery("failed", tries=[BUSY, LOST], attempts=7), "bad", "The last try: no answer: HTTP 502."),
    (
        a_delivery("failed", tries=[{"errcode": None, "reason": "no answer in time"}], attempts=7),
        "bad",
        "The last try: no answer in time.",
    ),
    (a_delivery("failed", errcode=45009, reason="45009 x", attempts=3), "bad", "it passes by itself"),
    (a_delivery("dead", recoveries=4), "bad", "stopped in the middle of it, one after the other (times: 4)"),
    (a_delivery("rehearsed", steps={"started": 3, "prepared": 180}), "plain", "everything but the send, in 0.2 s"),
    (a_delivery("rehearsed"), "plain", "Nothing was sent"),
    (a_delivery("unannounced"), "bad", "WeCom never told of this customer"),
    (a_delivery("something new"), "bad", "Outcome something new, of another release"),
]


@pytest.fixture(scope="module")
def chinese() -> dict[str, str]:
    """msgid → Chinese."""
    path = resources.files("webhook").joinpath("console/translations/zh_Hans/verdicts.po")
    with path.open("rb") as file:
        return {str(one.id): str(one.string) for one in read_po(file) if one.id}


def services(found: OutcomeText) -> Iterator[Message]:
    def within(sentence: Message) -> Iterator[Message]:
        yield sentence
        for value in sentence.values.values():
            if isinstance(value, Message):
                yield from within(value)

    for sentence in (found.headline, *found.more):
        yield from within(sentence)


@pytest.mark.parametrize(("delivery", "tone", "words"), CASES)
def test_a_delivery_in_words(delivery: dict[str, Any], tone: str, words: str, chinese: dict[str, str]) -> None:
    found = outcome_text(delivery, now=NOW + 5.0)
    english = " ".join(translate(one) for one in (found.headline, *found.more))
    assert found.tone == tone
    assert words in english
    assert "None" not in english
    assert not translate(found.headline).endswith((".", "!"))
    for sentence in services(found):
        assert re.search("[\u4e00-\u9fff]", chinese[sentence.msgid].replace("%(code)s", "码")), sentence.msgid
    assert translate(found.headline, chinese.__getitem__)


def test_the_table_has_every_outcome_and_each_has_a_name_and_a_tone(chinese: dict[str, str]) -> None:
    assert NAMES.keys() == {*OUTCOMES, "open", "unannounced"}
    assert {delivery["outcome"] or "open" for delivery, _, _ in CASES} == {*NAMES, "something new"}
    assert {outcome for outcome in OUTCOMES if TONES.get(outcome, BAD) == BAD} == MISSED
    assert all(chinese[name] for name in (*NAMES.values(), *STEPS.values()))


def test_who_was_missed_is_to_be_greeted_by_hand() -> None:
    for delivery, _, _ in CASES:
        said = [translate(one) for one in outcome_text(delivery).more]
        assert any("say hello" in one for one in said) == (delivery["outcome"] in {*MISSED, "unannounced"})


@pytest.mark.parametrize(
    ("delivery", "words"),
    [
        (a_delivery("sent"), None),
        (a_delivery("sent", attempts=2), "on try 2"),
        (a_delivery("sent", attempts=2, without=[3, 4]), "without attachment 3, 4"),
        (a_delivery("expired", steps={"started": 31000}), "In the queue 31 s"),
        (a_delivery("expired", steps={"started": 9, "try_1": 10, "answer_1": 15000}), "Try 1 15 s"),
        (a_delivery("expired"), None),
        (a_delivery("stale", created_at=NOW - 420), "7 minutes late"),
        (a_delivery("refused", errcode=60020), "this server's IP is not allowed (60020)"),
        (a_delivery("refused", reason="no app gone is configured"), None),
        (a_delivery("no_template", revision=None), "no welcome is published"),
        (a_delivery("failed", attempts=5), "tries: 5"),
        (a_delivery("failed", attempts=5, errcode=-1), "WeCom is busy (-1)"),
        (a_delivery("lost", errcode=41051), None),
        (a_delivery("no_code"), None),
        (a_delivery(None), None),
    ],
)
def test_a_list_has_a_few_words_beside_the_outcome(
    delivery: dict[str, Any], words: str | None, chinese: dict[str, str]
) -> None:
    found = note(delivery)
    assert (found and translate(found)) == words
    assert found is None or translate(found, chinese.__getitem__)


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
        assert not re.search("！|您|非法|无效|失败", translated), translated


@pytest.mark.parametrize(
    ("value", "said"), [(0.004, "0.00"), (0.04, "0.04"), (0.14, "0.1"), (9.96, "10"), (31.2, "31")]
)
def test_seconds_are_read_by_people(value: float, said: str) -> None:
    assert seconds(value) == said
