"""Who gets what: the first rule that matches, and never silence for want of a fact."""

from collections import Counter
from datetime import datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.templates.book import read
from tasks.templates.conditions import ADD_WAY, CUSTOMER_TYPE, DEPARTMENTS, Contact, Directory, why_not
from tasks.templates.model import Book, Hours, Rule, Template, Variant, When
from tasks.templates.select import needs, select
from tests.support.books import a_rule, someone
from tests.support.strategies import PARENTS, contacts, whens


def chosen(when: str, contact: Contact) -> str:
    """The rule that wins: `first`, or the last one, without conditions."""
    choice = select(read(a_rule(when)), contact)
    assert choice is not None
    return choice.rule


def the_first_wins(when: str, contact: Contact) -> bool:
    return chosen(when, contact) == "first"


# ------------------------------------------------------------------------------------------------ each condition


@pytest.mark.parametrize(
    ("when", "contact", "matches"),
    [
        ("{member: zhangsan}", {}, True),
        ("{member: [lisi, ZhangSan]}", {}, True),  # WeCom's userids ignore case
        ("{member: lisi}", {}, False),
        ("{state: 'douyin-*'}", {"state": "douyin-1"}, True),
        ("{state: 'douyin-*'}", {"state": "Douyin-1"}, False),
        ("{state: 'douyin-?'}", {"state": "douyin-12"}, False),
        ("{state: '[ab]1'}", {"state": "b1"}, True),
        ("{state: [x, 'd*']}", {"state": "douyin"}, True),
        ("{state: 001}", {"state": "001"}, True),
        ("{state: 001}", {"state": "1"}, False),
        ("{state: '?*'}", {"state": ""}, False),
        ("{state: ''}", {"state": ""}, True),
        ("{change: half_add}", {"change": "half_add"}, True),
        ("{change: [half_add, audit_approved]}", {"change": "add"}, False),
        ("{customer_type: wecom}", {"customer_type": "wecom"}, True),
        ("{customer_type: wecom}", {"customer_type": "wechat"}, False),
        ("{customer_type: [wecom, wechat]}", {"customer_type": None}, False),
        ("{add_way: [1, 16]}", {"add_way": 16}, True),
        ("{add_way: 1}", {"add_way": 16}, False),
        ("{add_way: 0}", {"add_way": 0}, True),
        ("{add_way: 0}", {"add_way": None}, False),
        ("{member: zhangsan, state: a}", {"state": "b"}, False),
        ("{member: zhangsan, state: a}", {"state": "a"}, True),
    ],
)
def test_a_condition_holds_or_it_does_not(when: str, contact: dict[str, Any], matches: bool) -> None:
    assert the_first_wins(when, someone(**contact)) is matches


@pytest.mark.parametrize(
    ("when", "at", "matches"),
    [
        ("{hours: '09:00-18:00'}", "2026-11-22T09:00", True),
        ("{hours: '09:00-18:00'}", "2026-11-22T17:59:59", True),
        ("{hours: '09:00-18:00'}", "2026-11-22T18:00", False),
        ("{hours: '09:00-18:00'}", "2026-11-22T08:59:59", False),
        ("{hours: '18:00-24:00'}", "2026-11-22T23:59:59", True),
        ("{hours: '18:00-00:00'}", "2026-11-22T23:59:59", True),
        ("{hours: '18:00-24:00'}", "2026-11-22T00:00", False),
        ("{hours: '00:00-24:00'}", "2026-11-22T12:00", True),
        ("{hours: '21:00-08:30'}", "2026-11-22T21:00", True),
        ("{hours: '21:00-08:30'}", "2026-11-22T08:29", True),
        ("{hours: '21:00-08:30'}", "2026-11-22T08:30", False),
        ("{hours: ['08:00-09:00', '20:00-21:00']}", "2026-11-22T20:30", True),
        ("{weekdays: sun}", "2026-11-22T12:00", True),
        ("{weekdays: [mon, tue]}", "2026-11-22T12:00", False),
        ("{dates: 2026-11-22}", "2026-11-22T23:59", True),
        ("{dates: [2026-10-01..2026-10-07, 2026-11-20..2026-11-22]}", "2026-11-22T23:59", True),
        ("{dates: 2026-10-01..2026-10-07}", "2026-10-08T00:00", False),
        # Friday's night: Friday from 21:00, and Saturday until 08:30
        ("{hours: '21:00-08:30', weekdays: fri}", "2026-11-20T22:00", True),
        ("{hours: '21:00-08:30', weekdays: fri}", "2026-11-21T08:00", True),
        ("{hours: '21:00-08:30', weekdays: fri}", "2026-11-20T08:00", False),
        ("{hours: '21:00-08:30', weekdays: fri}", "2026-11-21T22:00", False),
        # and the night of a date
        ("{hours: '21:00-08:30', dates: 2026-11-20}", "2026-11-21T03:00", True),
        ("{hours: '21:00-08:30', dates: 2026-11-20}", "2026-11-20T03:00", False),
    ],
)
def test_hours_weekdays_and_dates_with_nights_that_belong_to_their_evening(when: str, at: str, matches: bool) -> None:
    assert the_first_wins(when, someone(at)) is matches


@pytest.mark.parametrize(
    ("departments", "matches"),
    [({3}, True), ({5}, True), ({2, 4}, True), ({1}, False), ({2}, False)],
)
def test_a_department_is_it_and_everything_below_it(departments: set[int], matches: bool) -> None:
    directory = Directory({"zhangsan": frozenset(departments)}, PARENTS)
    assert the_first_wins("{department: 3}", someone(directory=directory)) is matches


@pytest.mark.parametrize(
    ("directory", "contains"),
    [
        (Directory(), None),  # nothing is known of the member
        (Directory({"zhangsan": frozenset({3})}), True),  # of the tree, but it is not needed
        (Directory({"zhangsan": frozenset({5})}), None),
        (Directory({"zhangsan": frozenset({9})}, PARENTS), None),  # a department that this app does not see
        (Directory({"zhangsan": frozenset({2})}, {2: 6, 6: 2}), False),  # a ring
    ],
)
def test_what_is_not_known_of_the_tree_is_neither_yes_nor_no(directory: Directory, contains: bool | None) -> None:
    assert directory.contains("zhangsan", 3) is contains
    assert the_first_wins("{department: 3}", someone(directory=directory)) is (contains is True)


def test_who_matches_no_rule_gets_the_template_default() -> None:
    source = a_rule("{member: lisi}").replace("  - use: default\n", "")
    choice = select(read(source), someone())
    assert choice is not None
    assert (choice.template.name, choice.rule, choice.variant) == ("default", "", "")


# ------------------------------------------------------------------------------------------------ variants


def variants(weights: str, customers: int = 4000) -> Counter[str]:
    book = read(a_rule("{member: zhangsan}", use=weights))
    choices = [select(book, someone(external_user_id=f"wm{number}")) for number in range(customers)]
    return Counter(choice.variant for choice in choices if choice is not None)


def test_variants_go_by_weight() -> None:
    counts = variants("{one: 70, two: 30}")
    assert counts["one"] + counts["two"] == 4000
    assert abs(counts["one"] / 4000 - 0.7) < 0.03


def test_a_variant_without_weight_goes_to_nobody() -> None:
    assert set(variants("{one: 0, two: 3}")) == {"two"}


def test_a_customer_gets_the_same_variant_every_time_and_in_every_process() -> None:
    book = read(a_rule("{member: zhangsan}", use="{one: 1, two: 1}"))
    got = [choice.variant for n in range(8) if (choice := select(book, someone(external_user_id=f"wm{n}"))) is not None]
    assert got == ["two", "two", "two", "one", "two", "one", "two", "one"]  # a change of the hash moves customers


def test_a_small_change_of_weights_moves_few_customers() -> None:
    books = [read(a_rule("{member: zhangsan}", use=f"{{one: {n}, two: {100 - n}}}")) for n in (50, 55)]
    pairs = [[select(book, someone(external_user_id=f"wm{n}")) for book in books] for n in range(2000)]
    moved = sum(before != after for before, after in pairs)
    assert 0 < moved < 2000 * 0.07


def test_a_rule_with_one_template_has_no_variant() -> None:
    choice = select(read(a_rule("{member: zhangsan}")), someone())
    assert choice is not None
    assert (choice.rule, choice.variant) == ("first", "")


# ------------------------------------------------------------------------------------------------ look-ups


@pytest.mark.parametrize(
    ("when", "contact", "facts"),
    [
        ("{state: a}", {}, set()),
        ("{department: 3}", {}, {DEPARTMENTS}),
        ("{customer_type: wechat, add_way: 1}", {}, {CUSTOMER_TYPE, ADD_WAY}),
        ("{customer_type: wechat, state: a}", {"state": "b"}, set()),  # it cannot win whatever the type is
        ("{customer_type: wechat, state: a}", {"state": "a"}, {CUSTOMER_TYPE}),
        ("{add_way: 1}", {"add_way": 1}, set()),
    ],
)
def test_only_what_the_choice_depends_on_is_looked_up(when: str, contact: dict[str, Any], facts: set[str]) -> None:
    assert needs(read(a_rule(when)), someone(**contact)) == facts


def test_rules_behind_one_that_holds_ask_for_nothing() -> None:
    source = a_rule("{state: a}") + "  - {when: {department: 3}, use: one}\n"
    assert needs(read(source), someone(state="a")) == set()
    assert needs(read(source)) == {DEPARTMENTS}


# ------------------------------------------------------------------------------------------------ a naive oracle


def glob(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(glob(pattern[1:], text[cut:]) for cut in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and glob(pattern[1:], text[1:])


def below(department: int) -> set[int]:
    children = {one for one, parent in PARENTS.items() if parent == department}
    return {department}.union(*(below(child) for child in children))


def holds(when: When, contact: Contact) -> bool:
    """Written once more, plainly: every span of hours as moments, every subtree as a set."""
    at = contact.at.replace(tzinfo=None)
    spans = []
    for ago in (0, 1):
        day = at.date() - timedelta(days=ago)
        for one in when.hours or (Hours(time(0, 0), None),):
            begin = datetime.combine(day, one.start)
            end = datetime.combine(day, one.end or time(0, 0))
            spans.append((begin, end if end > begin else end + timedelta(days=1)))
    in_time = any(
        begin <= at < end
        and (not when.weekdays or begin.weekday() in when.weekdays)
        and (not when.dates or any(one.first <= begin.date() <= one.last for one in when.dates))
        for begin, end in spans
    )
    own = contact.directory.members.get(contact.user_id, frozenset())
    tree = contact.directory.parents is not None
    inside = any(own & (below(one) if tree and one in PARENTS else {one}) for one in when.department)
    return (
        in_time
        and (not when.member or contact.user_id in when.member)
        and (not when.department or inside)
        and (not when.state or any(glob(one, contact.state) for one in when.state))
        and (not when.customer_type or contact.customer_type in when.customer_type)
        and (not when.add_way or contact.add_way in when.add_way)
        and (not when.change or contact.change in when.change)
    )


@given(whens, contacts)
@settings(max_examples=600)
def test_a_rule_matches_as_a_naive_reading_of_it_does(when: When, contact: Contact) -> None:
    assert (why_not(when, contact) is None) is holds(when, contact)


TEMPLATES = {name: Template(name, name) for name in ("default", "one", "two")}


@given(st.lists(whens, max_size=5), contacts)
@settings(max_examples=300)
def test_the_first_rule_that_holds_wins_and_nobody_gets_nothing(conditions: list[When], contact: Contact) -> None:
    book = Book(TEMPLATES, tuple(Rule((Variant("one"),), when=when) for when in conditions))
    first = next((str(n) for n, when in enumerate(conditions, 1) if holds(when, contact)), "")
    choice = select(book, contact)
    assert choice is not None
    assert (choice.rule, choice.template.name) == (first, "one" if first else "default")


@given(st.lists(whens, max_size=5), contacts)
@settings(max_examples=300)
def test_the_facts_that_are_asked_for_are_all_that_it_takes(conditions: list[When], contact: Contact) -> None:
    book = Book(TEMPLATES, tuple(Rule((Variant("one"),), when=when) for when in conditions))
    unknown = Contact(
        **{name: getattr(contact, name) for name in ("app", "user_id", "external_user_id", "state", "change", "at")}
    )
    facts = needs(book, unknown)
    names = {DEPARTMENTS: "directory", CUSTOMER_TYPE: "customer_type", ADD_WAY: "add_way"}
    asked = Contact(
        **{name: getattr(unknown, name) for name in ("app", "user_id", "external_user_id", "state", "change", "at")},
        **{names[fact]: getattr(contact, names[fact]) for fact in facts},
    )
    assert select(book, asked) == select(book, contact)
    assert facts <= needs(book)
