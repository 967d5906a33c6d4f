"""Three-way merge of a draft's changes and those published since; clashes are left for a person to decide. Pure.

Rules are merged one by one (tasks.templates.merge_rules): changes of different rules do not clash, and the moves of
both sides are made. The order is a clash by itself, where the moves contradict each other.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from tasks.templates import merge_rules
from tasks.templates.edits import GROUP, RULE, SECTION, TEMPLATE, Content, Part, used
from tasks.templates.yaml_writer import Value, Values, normal


@dataclass(frozen=True, slots=True)
class Clash:
    """A part that both sides changed differently since the original. None: that side does not have it.

    A rule is named by its key in merge_rules. Of ORDER each side is the whole list of rules.
    """

    part: Part
    yours: Value | None
    theirs: Value | None
    original: Value | None


RULES = Part(RULE, "*")  # all rules together
ORDER = Part(RULE, "order")
_Version: TypeAlias = tuple[Any, str]  # (plain value or None, its digest)


def merged(
    original: Content, yours: Content, theirs: Content, choices: Mapping[Part, str] | None = None
) -> tuple[Content, tuple[Clash, ...]]:
    """(your changes since `original` applied to `theirs`, the clashes that are undecided).

    `choices`: part → "yours" or "theirs" where a clash was decided. Undecided parts stay theirs in the result.
    A template that was deleted on their side stays if your rules send it.
    """
    picker = _Picker(choices or {})
    values: Values = {"version": "1"}
    for kind, section in SECTION.items():
        picked: dict[str, Any] = {}
        for name in _in_order(theirs.named(kind), yours.named(kind)):
            part = Part(kind, name)
            value = picker.pick(part, *((side.part(part), side.digest(part)) for side in (yours, theirs, original)))
            if value is not None:
                picked[name] = value
        values[section] = picked
    values["rules"] = _rules(picker, original, yours, theirs)
    for rule in values["rules"]:
        for name in used(rule):
            for side in (yours, original):
                if name not in values["templates"] and name in side.named(TEMPLATE):
                    values["templates"][name] = side.named(TEMPLATE)[name]
    changed = {path: one for path, one in yours.files.items() if original.files.get(path) != one}
    return Content(normal(values), {**yours.files, **theirs.files, **changed}), tuple(picker.clashes)


class _Picker:
    """Takes of each part the side that changed it, or the one that was chosen; else the part is a clash."""

    def __init__(self, choices: Mapping[Part, str]) -> None:
        self.choices = choices
        self.clashes: list[Clash] = []

    def pick(self, part: Part, yours: _Version, theirs: _Version, original: _Version) -> Any:
        """The value that stays; theirs while it is undecided."""
        if yours[1] in (original[1], theirs[1]):
            return theirs[0]
        if theirs[1] == original[1]:
            return yours[0]
        if part not in self.choices:
            self.clashes.append(Clash(part, yours[0], theirs[0], original[0]))
        return yours[0] if self.choices.get(part) == "yours" else theirs[0]


def _rules(picker: _Picker, original: Content, yours: Content, theirs: Content) -> list[Any]:
    """The rules of both sides, in an order that has the moves of both."""
    before, mine, other = merge_rules.keyed(original, yours, theirs)
    sides = ((mine, yours), (other, theirs), (before, original))
    kept: dict[str, Any] = {}
    for key in _in_order(other, mine):
        versions = [(rules[key], side.digest_of(rules[key])) if key in rules else (None, "") for rules, side in sides]
        rule = picker.pick(Part(RULE, key), *versions)
        if rule is not None:
            kept[key] = rule
    began, here, there = ([key for key in rules if key in kept] for rules in (before, mine, other))
    order = merge_rules.in_order(began, here, there, picker.choices.get(ORDER, ""))
    if order is None:
        picker.clashes.append(Clash(ORDER, yours.rules, theirs.rules, original.rules))
        order = merge_rules.in_order(began, here, there, "theirs")
    return [kept[key] for key in order or ()]


def _in_order(*named: Iterable[str]) -> Iterator[str]:
    """Each name once, in the order of its first appearance."""
    yield from dict.fromkeys(name for names in named for name in names)


def changed(before: Content, after: Content) -> Iterator[Part]:
    """The parts that differ; RULES once when any rule or their order does."""
    replaced = any(after.files.get(path, one) != one for path, one in before.files.items())  # bytes below the same path
    for kind in (TEMPLATE, GROUP):
        old, new = before.named(kind), after.named(kind)
        for name in _in_order(old, new):
            part = Part(kind, name)
            if old.get(name) != new.get(name) or (replaced and before.digest(part) != after.digest(part)):
                yield part
    if before.rules != after.rules:
        yield RULES


@dataclass(frozen=True, slots=True)
class TakeBack:
    """An edit that makes one part what it is live. A rule is named by its key in merge_rules, and keeps its place.

    `place`: the rule goes back to its place instead. Nothing changes where the part is as it is live.
    """

    live: Content
    part: Part
    place: bool = False

    def apply(self, content: Content) -> Values:
        values = copy.deepcopy(content.values)
        if self.part.kind == RULE:
            values["rules"] = copy.deepcopy(self._rules(content))
            return values
        named = values.get(SECTION.get(self.part.kind, ""), {})  # of a form that is forged nothing
        value = self.live.part(self.part)
        if value is None:
            named.pop(self.part.name, None)
        else:
            named[self.part.name] = copy.deepcopy(value)
        return values

    def _rules(self, content: Content) -> list[Any]:
        before, now = merge_rules.keyed(self.live, content)
        key = self.part.name
        if key not in before:
            return [rule for one, rule in now.items() if one != key]
        rules = now | {key: now[key] if self.place and key in now else before[key]}
        order = list(now)
        if self.place or key not in now:
            order = merge_rules.inserted(
                [one for one in now if one != key], [one for one in before if one in now or one == key]
            )
        return [rules[one] for one in order if one in rules]
