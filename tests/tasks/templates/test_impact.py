"""What a draft would change, and which rules nobody reaches."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.templates.conditions import NOBODY_KNOWN, Contact, Directory, judge, why_not
from tasks.templates.impact import compare, covers, hits, shadowed
from tasks.templates.select import select
from tests.support.books import SHANGHAI, a_book, someone

TREE = Directory({"zhangsan": frozenset({30}), "lisi": frozenset({4})}, {1: 0, 3: 1, 30: 3, 4: 1})


def book(*rules: str, default: str = "d") -> Any:
    lines = "\n".join(f"  - {rule}" for rule in (*rules, "{use: default}"))
    return a_book(
        f"version: 1\ntemplates: {{default: {{text: {default}}}, one: {{text: '1'}}, two: {{text: '2'}}}}\n"
        f"rules:\n{lines}\n"
    )


def test_who_would_get_something_else() -> None:
    contacts = [(str(number), someone(state=f"s-{number}", external_user_id=f"wm{number}")) for number in range(4)]
    before, after = book(), book("{when: {state: ['s-1', 's-2']}, use: one}")
    found = compare(before, after, contacts)
    assert (found.total, found.unknown) == (4, 0)
    assert [(one.id, one.before.template.name, one.after.template.name) for one in found.different] == [
        ("1", "default", "one"),
        ("2", "default", "one"),
    ]


def test_another_text_is_another_welcome_and_another_name_is_not() -> None:
    contacts = [("a", someone())]
    assert len(compare(book(), book(default="new"), contacts).different) == 1
    renamed = a_book("version: 1\ntemplates: {neu: {text: d}}\nrules: [{use: neu}]")
    assert compare(book(), renamed, contacts).different == ()


def test_without_a_live_book_everybody_gets_something_new() -> None:
    assert len(compare(None, book(), [("a", someone())]).different) == 1


def test_what_is_not_kept_of_a_customer_is_counted_as_unknown() -> None:
    after = book("{when: {customer_type: wecom}, use: one}")
    found = compare(book(), after, [("a", someone()), ("b", someone(customer_type="wecom"))])
    assert (found.unknown, len(found.different)) == (1, 1)
    assert hits(after, [("a", someone())]).unknown == 1


def test_the_winner_is_what_select_chooses() -> None:
    rules = book("{name: ab, when: {state: 'a-*'}, use: {one: 1, two: 1}}", "{when: {hours: '00:00-12:00'}, use: two}")
    for number in range(40):
        contact = someone(
            f"2026-11-22T{number % 24:02d}:30", state="a-1" if number % 3 else "", external_user_id=f"wm{number}"
        )
        chosen = select(rules, contact)
        assert chosen is not None
        (difference,) = compare(None, rules, [("", contact)]).different
        assert difference.after is not None
        assert (difference.after.template, difference.after.rule) == (chosen.template, chosen.rule)


def test_hits_by_rule_and_channels_without_one() -> None:
    rules = book("{when: {state: 'a-*'}, use: one}")
    contacts = [(state + str(n), someone(state=state)) for n, state in enumerate(("a-1", "a-2", "b", "b", ""))]
    found = hits(rules, contacts)
    assert dict(found.rules) == {1: 2, 2: 3}
    assert dict(found.states) == {"b": 2}


@pytest.mark.parametrize(
    ("first", "second", "hidden"),
    [
        ("use: one", "when: {state: a}, use: two", True),
        ("when: {state: a}, use: one", "use: two", False),
        ("when: {member: [ZhangSan, lisi]}, use: one", "when: {member: zhangsan}, use: two", True),
        ("when: {member: zhangsan}, use: one", "when: {member: [zhangsan, lisi]}, use: two", False),
        ("when: {department: 3}, use: one", "when: {member: zhangsan}, use: two", True),
        ("when: {department: 3}, use: one", "when: {member: lisi}, use: two", False),
        ("when: {department: 3}, use: one", "when: {member: nobody}, use: two", False),
        ("when: {department: 3}, use: one", "when: {department: 30}, use: two", True),
        ("when: {department: 30}, use: one", "when: {department: 3}, use: two", False),
        ("when: {state: 'a-*'}, use: one", "when: {state: 'a-1*'}, use: two", True),
        ("when: {state: 'a-?'}, use: one", "when: {state: 'a-1'}, use: two", True),
        ("when: {state: 'a-?'}, use: one", "when: {state: 'a-*'}, use: two", False),
        ("when: {state: '*'}, use: one", "when: {member: lisi}, use: two", False),
        ("when: {hours: '21:00-08:00'}, use: one", "when: {hours: '22:00-07:00'}, use: two", True),
        ("when: {hours: '21:00-08:00'}, use: one", "when: {hours: '06:00-07:00'}, use: two", True),
        (
            "when: {hours: '21:00-08:00', weekdays: mon}, use: one",
            "when: {hours: '06:00-07:00', weekdays: mon}, use: two",
            False,
        ),
        ("when: {weekdays: [mon, tue]}, use: one", "when: {weekdays: mon, hours: '22:00-02:00'}, use: two", False),
        ("when: {dates: 2026-10-01..2026-10-07}, use: one", "when: {dates: 2026-10-02}, use: two", True),
        ("when: {customer_type: wechat}, use: one", "when: {customer_type: [wechat, wecom]}, use: two", False),
        ("when: {change: [add, half_add]}, use: one", "when: {change: add, state: x}, use: two", True),
    ],
)
def test_a_rule_that_is_never_reached(first: str, second: str, hidden: bool) -> None:
    found = shadowed(book(f"{{{first}}}", f"{{{second}}}"), TREE)
    assert (found.get(2) == 1) is hidden


def test_what_stands_behind_everybodys_rule_is_never_reached() -> None:
    assert shadowed(book("{when: {state: x}, use: one}", "{use: two}", "{when: {state: y}, use: one}")) == {3: 2, 4: 2}


HOURS = st.sampled_from(["21:00-08:00", "22:00-07:00", "06:00-07:00", "08:00-24:00", "00:00-12:00", "22:00-23:00"])
DAYS = st.sampled_from(["mon", "tue", "[mon, tue]", "[sat, sun]"])
DATES = st.sampled_from(["2026-10-01..2026-10-07", "2026-10-02", "2026-10-05..2026-10-09"])
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "member": st.sampled_from(["zhangsan", "[zhangsan, lisi]", "lisi"]),
        "department": st.sampled_from(["1", "3", "30", "[3, 4]"]),
        "state": st.sampled_from(["a", "'a*'", "'*'", "'a?'", "'ab*'", "['a', 'b*']"]),
        "hours": HOURS,
        "weekdays": DAYS,
        "dates": DATES,
        "change": st.sampled_from(["add", "[add, half_add]"]),
    },
)


def rule(conditions: dict[str, str]) -> str:
    if not conditions:
        return "{use: one}"
    return f"{{when: {{{', '.join(f'{name}: {value}' for name, value in conditions.items())}}}, use: one}}"


@given(st.lists(CONDITIONS, max_size=6), st.data())
def test_the_rule_that_is_found_fast_is_the_first_that_holds(
    several: list[dict[str, str]], data: st.DataObject
) -> None:
    found = book(*map(rule, several))
    for _ in range(4):
        contact = someone(
            f"2026-10-{data.draw(st.integers(1, 12)):02d}T{data.draw(st.integers(0, 23)):02d}:30",
            user_id=data.draw(st.sampled_from(["zhangsan", "ZhangSan", "lisi", "wang"])),
            state=data.draw(st.sampled_from(["", "a", "ab", "abc", "b", "bc"])),
            change=data.draw(st.sampled_from(["add", "half_add"])),
            directory=data.draw(st.sampled_from([TREE, NOBODY_KNOWN])),
        )
        assert hits(found, [("", contact)]).rules == Counter(first_that_holds(found, contact))


def test_a_rule_of_states_and_patterns_is_found_by_either() -> None:
    found = book("{when: {state: ['a', 'b*']}, use: one}")
    several = [("", someone(state=state)) for state in ("a", "b1", "c")]
    assert hits(found, several).rules == Counter({1: 2, 2: 1})


def first_that_holds(of: Any, contact: Contact) -> list[int]:
    """The rule's number; [] where an unknown fact decides."""
    for number, one in enumerate(of.rules, 1):
        verdicts = [verdict.holds for verdict in judge(one.when, contact)]
        if False not in verdicts:
            return [] if None in verdicts else [number]
    return [0]


@given(CONDITIONS, CONDITIONS, st.data())
def test_covering_is_never_wrong(wide: dict[str, str], narrow: dict[str, str], data: st.DataObject) -> None:
    first, second, _ = book(rule(wide), rule(narrow)).rules
    if not covers(first.when, second.when, TREE):
        return
    minutes = data.draw(st.integers(0, 14 * 24 * 60))
    contact = someone(
        user_id=data.draw(st.sampled_from(["zhangsan", "lisi", "wang"])),
        state=data.draw(st.sampled_from(["", "a", "ab", "abc", "b", "bc"])),
        change=data.draw(st.sampled_from(["add", "half_add"])),
        directory=TREE,
    )
    at = datetime(2026, 9, 28, tzinfo=SHANGHAI) + timedelta(minutes=minutes)
    contact = contact.__class__(**{name: getattr(contact, name) for name in contact.__slots__} | {"at": at})
    if why_not(second.when, contact) is None:
        assert why_not(first.when, contact) is None
