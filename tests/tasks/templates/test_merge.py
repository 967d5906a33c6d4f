"""Two sides of a book come together: rule by rule, and the order of the rules by itself."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tasks.templates.edits import RULE, Content, Part
from tasks.templates.merge import ORDER, merged
from tasks.templates.merge_rules import in_order, keyed, moved
from tasks.templates.yaml_writer import Value, normal

KEYS = [f"r{number}" for number in range(6)]
ORDERS = st.permutations(KEYS)


def a_rule(name: str, state: str = "") -> dict[str, Value]:
    return {"name": name, "when": {"state": state or name}, "use": "default"}


def unnamed(state: str, use: str = "default") -> dict[str, Value]:
    return {"when": {"state": state}, "use": use}


def content(*rules: Any) -> Content:
    return Content(normal({"templates": {"default": {"text": "x"}}, "rules": list(rules)}))


def together(original: Content, yours: Content, theirs: Content, **choices: str) -> tuple[list[Any], list[Part]]:
    found, clashes = merged(original, yours, theirs, {Part(RULE, key): side for key, side in choices.items()})
    return found.rules, [clash.part for clash in clashes]


def test_two_editors_of_different_rules_do_not_clash() -> None:
    began = content(a_rule("a"), a_rule("b"), unnamed("c"), unnamed("d"))
    mine = content(a_rule("new"), a_rule("a", "mine"), a_rule("b"), unnamed("c"))  # d is deleted
    theirs = content(a_rule("b"), a_rule("a"), unnamed("theirs"), unnamed("d"), unnamed("also new"))
    rules, clashes = together(began, mine, theirs)
    assert clashes == []
    assert rules == [a_rule("new"), a_rule("b"), a_rule("a", "mine"), unnamed("theirs"), unnamed("also new")]


def test_a_rule_that_both_changed_is_a_clash_of_its_own() -> None:
    began = content(a_rule("a"), a_rule("b"))
    mine, theirs = content(a_rule("a", "mine"), a_rule("b")), content(a_rule("a", "theirs"), a_rule("b", "theirs"))
    digest = began.digest_of(a_rule("a"))
    rules, clashes = together(began, mine, theirs)
    assert clashes == [Part(RULE, digest)]
    rules, clashes = together(began, mine, theirs, **{digest: "yours"})
    assert (rules, clashes) == ([a_rule("a", "mine"), a_rule("b", "theirs")], [])


def test_a_rule_deleted_here_and_changed_there_is_a_clash() -> None:
    began, mine, theirs = (
        content(a_rule("a"), a_rule("b")),
        content(a_rule("b")),
        content(a_rule("a", "x"), a_rule("b")),
    )
    key = began.digest_of(a_rule("a"))
    assert together(began, mine, theirs)[1] == [Part(RULE, key)]
    assert together(began, mine, theirs, **{key: "yours"}) == ([a_rule("b")], [])
    assert together(began, mine, theirs, **{key: "theirs"}) == (theirs.rules, [])


def test_rules_of_one_name_added_on_both_sides_clash_unless_they_are_the_same() -> None:
    began = content(unnamed("z"))
    mine, theirs = content(a_rule("n", "mine"), unnamed("z")), content(a_rule("n", "theirs"), unnamed("z"))
    assert together(began, mine, theirs)[1] == [Part(RULE, "+n")]
    assert together(began, mine, mine) == (mine.rules, [])


def test_an_unnamed_rule_is_known_by_its_place_and_a_renamed_one_by_what_it_says() -> None:
    began = content(unnamed("a"), unnamed("b"), a_rule("c"))
    after = content(unnamed("a"), unnamed("changed"), {**a_rule("c"), "name": "d"})
    before, same = keyed(began, after)
    assert list(same) == list(before)
    other = content(unnamed("a"), unnamed("else", "another"), a_rule("c"))  # nothing of the second is left
    assert [key[0] == "+" for key in keyed(began, other)[1]] == [False, True, False]


def test_moves_that_contradict_each_other_are_a_clash_of_the_order_alone() -> None:
    began = content(a_rule("a"), a_rule("b"), a_rule("c"))
    mine = content(a_rule("b"), a_rule("a", "mine"), a_rule("c"))
    theirs = content(a_rule("a"), a_rule("c"), a_rule("b"))
    rules, clashes = together(began, mine, theirs)
    assert clashes == [ORDER]
    assert rules == [a_rule("a", "mine"), a_rule("c"), a_rule("b")]
    rules, clashes = together(began, mine, theirs, order="yours")
    assert (rules, clashes) == (mine.rules, [])


def test_rules_that_say_the_same_are_kept_apart() -> None:
    began = content(unnamed("a"), unnamed("a"), unnamed("b"))
    assert together(began, content(unnamed("a"), unnamed("b")), began) == ([unnamed("a"), unnamed("b")], [])


def test_of_a_new_order_as_few_as_possible_have_moved() -> None:
    assert moved("abcdef", "bcdefa") == ["a"]
    assert moved("abcdef", "fabcde") == ["f"]
    assert moved("abc", "abxc") == []


@given(ORDERS, ORDERS)
def test_an_order_has_the_moves_of_both_or_is_a_clash(yours: Sequence[str], theirs: Sequence[str]) -> None:
    found = in_order(KEYS, yours, theirs)
    assert found == in_order(KEYS, theirs, yours)
    assert in_order(KEYS, KEYS, theirs) == in_order(KEYS, theirs, KEYS) == list(theirs)
    if found is None:
        return
    for one in KEYS:
        for two in KEYS[KEYS.index(one) + 1 :]:
            flipped = [keys.index(one) > keys.index(two) for keys in (yours, theirs)]
            assert (found.index(one) > found.index(two)) == any(flipped)


@given(ORDERS, ORDERS, st.sets(st.sampled_from(KEYS)), st.sets(st.sampled_from(KEYS)))
def test_no_rule_is_lost(yours: Sequence[str], theirs: Sequence[str], mine: set[str], other: set[str]) -> None:
    began = content(*map(a_rule, KEYS))
    sides = [
        content(*(a_rule(key, "changed" if key in changed else "") for key in keys))
        for keys, changed in ((yours, mine), (theirs, other))
    ]
    rules, _clashes = together(began, *sides)
    assert sorted(rule["name"] for rule in rules) == KEYS
    assert {rule["name"] for rule in rules if rule["when"]["state"] == "changed"} == mine | other
