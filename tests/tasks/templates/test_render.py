"""Text and names → what is sent: one pass, values cut, the author's text never."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tasks.templates.model import FollowUp, Template
from tasks.templates.render import (
    PLACEHOLDERS,
    Placeholder,
    cut,
    fill,
    longest,
    message,
    mistakes,
    placeholders,
    remark,
    wanted,
)
from tasks.wecom.message_limits import TEXT

NAMES = {"customer": "李四", "member": "张三", "alias": "", "state": "s-1", "date": "2026-10-01", "time": "21:30"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("您好", "您好"),
        ("您好{customer}，我是{member}", "您好李四，我是张三"),
        ("{member}{member}", "张三张三"),
        ("{date} {time} {state}", "2026-10-01 21:30 s-1"),
        ("您好{customer|朋友}", "您好李四"),
        ("您好{alias}！", "您好！"),  # known to be empty
        ("您好{position}！", "您好！"),  # not known
        ("您好{alias|朋友}！", "您好朋友！"),
        ("您好{position|朋友}！", "您好朋友！"),
        ("您好{position|}！", "您好！"),
        ("{position|a|b}", "a|b"),
        ("{position|第一行\n第二行}", "第一行\n第二行"),
        ("{{customer}}", "{customer}"),
        ("{{{customer}}}", "{李四}"),
        ("}}{{", "}{"),
        ("{{}}", "{}"),
    ],
)
def test_placeholders_fallbacks_and_braces(text: str, filled: str) -> None:
    placeholders(text)  # valid
    assert fill(text, NAMES) == filled


@pytest.mark.parametrize("name", ["{member}", "{{", "}}", "{member|x}", "\\1", "\\g<0>", "{", "%s"])
def test_a_name_stays_as_it_is(name: str) -> None:
    assert fill("您好{customer}！{member}", {"customer": name, "member": "张三"}) == f"您好{name}！张三"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "a single { at character 1; write {{"),
        ("a}", "a single } at character 2; write }}"),
        ("{customer", "a single { at character 1; write {{"),
        ("{{customer}", "a single } at character 11; write }}"),
        ("{customer|{member}}", "a single { at character 1; write {{"),
        ("{}", "no placeholder {}; there are"),
        ("{ customer }", "no placeholder { customer }; there are"),
        ("{Customer}", "no placeholder {Customer}; there are"),
        ("{company}", "no placeholder {company}; there are"),
    ],
)
def test_what_is_no_placeholder_is_named(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(what)}"):
        placeholders(text)


def test_only_the_names_that_a_text_uses_are_wanted() -> None:
    text = "{customer|朋友} {{member}} {state}"
    assert placeholders(text) == [Placeholder("customer", "朋友"), Placeholder("state", "")]
    assert wanted(Template("default", text)) == {"customer", "state"}


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("customer", "a" * 40, "a" * 32),
        ("customer", "好" * 40, "好" * 32),
        ("customer", "😀" * 40, "😀" * 32),
        ("member", "a" * 70, "a" * 64),
        ("member", "好" * 30, "好" * 21),  # 63 bytes: the 22nd would begin inside and end outside
        ("member", "a" * 63 + "好", "a" * 63),
        ("state", "😀" * 17, "😀" * 16),
        ("state", "", ""),
    ],
)
def test_values_are_cut_at_the_border_of_a_character(name: str, value: str, kept: str) -> None:
    assert cut(name, value) == kept


@pytest.mark.parametrize(
    "name", ["\u3164", "\u200b", "\u2800\u3164 ", "\u202e", "\u0301", "\ufe0f", "\u3164" * 40 + "\u200d"]
)
def test_a_name_that_shows_nothing_gives_the_fallback_and_no_remark(name: str) -> None:
    values = {"customer": name, "member": name, "alias": name, "department": name, "position": name, "corp": name}
    for placeholder in values:
        assert fill(f"您好{{{placeholder}|朋友}}，", values) == "您好朋友，"
        assert fill(f"您好{{{placeholder}}}，", values) == "您好，"
    assert remark(Template("default", "x", then=FollowUp(remark="{customer}")), values) == ""
    assert remark(Template("default", "x", then=FollowUp(remark="{customer|客户}")), values) == "客户"


def test_a_name_is_cut_before_joined_emoji_and_not_inside_of_them() -> None:
    assert cut("customer", "x" * 30 + "👩\u200d👧") == "x" * 30
    assert cut("customer", "x" * 29 + "👩\u200d👧") == "x" * 29 + "👩\u200d👧"
    assert cut("member", "x" * 60 + "🇨🇳") == "x" * 60
    assert (
        remark(Template("default", "x", then=FollowUp(remark="{customer}")), {"customer": "x" * 18 + "👩\u200d👧"})
        == "x" * 18
    )


def test_a_blank_beginning_takes_no_room_from_the_name() -> None:
    assert cut("customer", "\u3164" * 40 + "李四") == "李四"
    assert cut("member", "\u200b" * 40 + "张三") == "张三"


@given(st.text(alphabet="李a\u0301\u200d\u3164\u202e👩\ufe0f\U000e0067 ", max_size=80))
def test_a_value_that_was_cut_is_cut_no_further(value: str) -> None:
    for name in ("customer", "member"):
        assert cut(name, cut(name, value)) == cut(name, value)


def test_neither_text_nor_fallback_is_ever_cut() -> None:
    text = "好" * 1000
    assert fill(text + "{member|" + "友" * 100 + "}", {}) == text + "友" * 100


def test_a_message_is_what_wecom_takes() -> None:
    assert message(Template("default", "您好{customer}"), NAMES) == {"text": {"content": "您好李四"}}


names = st.text(max_size=80) | st.text(alphabet="😀好{}|a", max_size=80)
values = st.fixed_dictionaries(
    {"date": st.just("2026-10-01"), "time": st.just("21:30")},
    optional={name: names for name in PLACEHOLDERS if name not in ("date", "time")},
)
pieces = st.one_of(
    st.text(max_size=30).map(lambda text: text.replace("{", "{{").replace("}", "}}")),
    st.builds(
        lambda name, fallback: f"{{{name}{fallback}}}",
        st.sampled_from(PLACEHOLDERS),
        st.just("") | st.text(alphabet="友a|\n", max_size=60).map(lambda text: "|" + text),
    ),
)
texts = st.builds("".join, st.lists(pieces, max_size=60))


@given(texts, values)
def test_no_names_make_a_text_longer_than_was_foreseen(text: str, values: dict[str, str]) -> None:
    placeholders(text)  # valid
    assert len(fill(text, values).encode()) <= longest(text)


@given(st.integers(0, 200), texts, values)
def test_whatever_validates_is_short_enough_for_wecom(padding: int, text: str, values: dict[str, str]) -> None:
    room = TEXT.most - longest(text)
    assume(room >= padding)
    text += "x" * (room - padding)
    assert longest(text) <= TEXT.most
    content = message(Template("default", text), values)["text"]["content"]
    assert len(content.encode()) <= TEXT.most


@given(st.text())
def test_any_text_is_filled_or_refused(text: str) -> None:
    try:
        placeholders(text)
    except ValueError:
        return
    fill(text, {})


@pytest.mark.parametrize(
    ("name", "meant"), [("custmer", "customer"), ("Member", "member"), ("departement", "department"), ("xyz", "")]
)
def test_a_placeholder_that_was_probably_meant_is_named(name: str, meant: str) -> None:
    (mistake,) = mistakes(f"{{{name}}}")
    assert str(mistake.sentence).endswith(f"date, time; did you mean {meant}?" if meant else "date, time")
