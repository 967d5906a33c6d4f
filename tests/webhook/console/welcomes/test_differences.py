"""What is different between two books, and rules in words."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tasks.templates.edits import Content
from tasks.templates.yaml_writer import normal
from tests.support.books import a_book
from webhook.console.welcomes.differences import GONE, NEW, SAME, count, differences, pieces
from webhook.console.welcomes.rule_form import RuleForm, rule_of
from webhook.console.welcomes.rule_words import Names, conditions, shares


def content(*rules: Any, **templates: str) -> Content:
    return Content(
        normal({"templates": {name: {"text": text} for name, text in templates.items()}, "rules": list(rules)})
    )


NIGHT = {"name": "night", "when": {"hours": "21:00-08:30"}, "use": "a"}
REST = {"use": "a"}


def told(before: Content, after: Content) -> list[tuple[str, str, str]]:
    found = differences(before, after)
    assert count(before, after) == len(found)
    return [(one.kind, one.what, one.name) for one in found]


def test_each_part_that_differs_is_named_once() -> None:
    before = content(NIGHT, REST, a="1", b="2")
    after = content({**NIGHT, "use": "b"}, {"when": {"state": "x"}, "use": "b"}, REST, a="1!", c="3")
    assert told(before, after) == [
        ("template", "changed", "a"),
        ("template", "removed", "b"),
        ("template", "added", "c"),
        ("rule", "changed", "night"),
        ("rule", "added", "2"),
    ]
    assert told(after, after) == []


def test_a_rule_without_a_name_that_was_rewritten_in_its_place_is_changed() -> None:
    before = content({"when": {"state": "x"}, "use": "a"}, REST, a="1")
    after = content({"when": {"state": "y"}, "use": "a"}, REST, a="1")
    assert told(before, after) == [("rule", "changed", "1")]


def test_a_rule_that_moved() -> None:
    other = {"name": "other", "when": {"state": "x"}, "use": "a"}
    assert told(content(NIGHT, other, REST, a="1"), content(other, NIGHT, REST, a="1")) == [("rule", "moved", "other")]


def test_a_change_of_the_text_is_shown_by_words() -> None:
    found = pieces("您好{customer}，我第一时间联系您", "您好{customer|朋友}，我一上班就联系您")
    assert [(one.kind, one.text) for one in found] == [
        (SAME, "您好"),
        (GONE, "{customer}"),
        (NEW, "{customer|朋友}"),
        (SAME, "，我"),
        (GONE, "第一时间"),
        (NEW, "一上班就"),
        (SAME, "联系您"),
    ]


@given(st.text(), st.text())
def test_both_texts_can_be_read_from_the_pieces(before: str, after: str) -> None:
    found = pieces(before, after)
    assert "".join(one.text for one in found if one.kind != NEW) == before
    assert "".join(one.text for one in found if one.kind != GONE) == after


def test_a_long_text_is_compared_by_lines() -> None:
    before = "x y\n" * 2000
    assert len(pieces(before, before + "end\n")) == 2


# ------------------------------------------------------------------------------------------------ words


def in_words(when: str, names: Names) -> list[str]:
    rule = a_book(f"version: 1\ntemplates: {{a: {{text: x}}}}\nrules: [{{when: {when}, use: a}}, {{use: a}}]").rules[0]
    return [f"{one.name}: {' or '.join(map(str, one.values))}" for one in conditions(rule.when, names)]


def test_conditions_in_words() -> None:
    names = Names({"zhangsan": "张伟"}, {3: "华东"})
    found = in_words(
        "{hours: ['21:00-08:30', '12:00-24:00'], weekdays: [mon, tue, wed, fri], dates: [2026-10-01..2026-10-07,"
        " 2026-12-24],"
        " state: 'a-*', member: [zhangsan, lisi], department: [3, 4], customer_type: wecom, add_way: [1, 999],"
        " change: half_add}",
        names,
    )
    assert found == [
        "Hours: 21:00 – 08:30 the next day or 12:00 – 24:00",
        "Weekdays: Monday–Wednesday or Friday",
        "Dates: 2026-10-01 to 2026-10-07 or 2026-12-24",
        "Channel: a-*",
        "Member: 张伟 or lisi",
        "Department: 华东 (and below) or number 4 (and below)",
        "Customer: a WeCom user",
        "Way of adding: scanned a QR code or way 999",
        "Event: added without approval",
    ]


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=5).filter(any))
def test_percentages_add_up(weights: list[int]) -> None:
    rule = rule_of({"name": "n", "use": {f"t{number}": str(one) for number, one in enumerate(weights)}})
    assert rule is not None
    assert sum(percent for _, percent in shares(rule)) == 100


def test_a_form_gives_back_what_it_was_given() -> None:
    value = {
        "name": "all",
        "when": {
            "hours": ["21:00-24:00", "01:00-02:00"],
            "weekdays": ["mon", "tue"],
            "dates": ["2026-10-01..2026-10-07", "2026-12-24"],
            "member": "zhangsan",
            "department": ["3", "4"],
            "add_way": "16",
        },
        "use": {"a": "70", "b": "30"},
    }
    form = RuleForm.of_value(value)
    assert form.value() == value
    assert not form.wrong


def test_an_attachment_is_named_in_words():
    before = Content(normal({"version": 1, "templates": {"a": {"text": "x"}}}))
    link = {"link": {"title": "Guide", "url": "https://example.com"}}
    after = Content(normal({"version": 1, "templates": {"a": {"text": "x", "attachments": [link]}}}))
    (change,) = differences(before, after)
    (field,) = change.fields
    assert "".join(piece.text for piece in field.pieces) == "Link: Guide, https://example.com"
