"""The edits of a draft, each of one part. Pure: content and edit → content.

A part is one template, one rule or one group welcome. An edit names, by a digest, the part as its author saw it; if the
part was changed by another session since, the edit is stale. Edits of different parts do not conflict.
"""

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from tasks.templates.model import DEFAULT, Media
from tasks.templates.yaml_writer import Value, Values

TEMPLATE, RULE, GROUP = "template", "rule", "group_welcome"
ABSENT = ""  # the digest of a part that is not there
SECTION = {TEMPLATE: "templates", GROUP: "group_welcome"}  # kind of a part → section of the book
Named: TypeAlias = Literal["template", "group_welcome"]


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A part of a book. `name`: of a template or group welcome; of a rule its digest, since rules may be unnamed."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Content:
    """A book's plain values, and the files that it may show by path."""

    values: Values
    files: Mapping[str, Media] = field(default_factory=dict)

    @property
    def rules(self) -> list[Any]:
        return list(self.values["rules"])

    def named(self, kind: str) -> dict[str, Any]:
        """The templates, or the group welcomes, by name."""
        return dict(self.values[SECTION[kind]])

    def part(self, part: Part) -> Value | None:
        """The plain value of a part; None if it is not there."""
        if part.kind == RULE:
            return next((rule for rule in self.rules if self.digest_of(rule) == part.name), None)
        found: Value | None = self.named(part.kind).get(part.name)
        return found

    def digest(self, part: Part) -> str:
        """The digest of a part, by which a form names what it began from: 16 hex digits, or ABSENT."""
        value = self.part(part)
        return ABSENT if value is None else self.digest_of(value)

    def digest_of(self, value: Value) -> str:
        """16 hex digits that cover a value and the bytes of the files that it shows."""
        shown = {text: self.files[text].sha256 for text in sorted(set(_texts(value))) if text in self.files}
        return hashlib.sha256(json.dumps([value, shown]).encode()).hexdigest()[:16]

    def parts(self) -> Iterator[Part]:
        """Every part, in the book's order."""
        yield from (Part(TEMPLATE, name) for name in self.named(TEMPLATE))
        yield from (Part(RULE, self.digest_of(rule)) for rule in self.rules)
        yield from (Part(GROUP, name) for name in self.named(GROUP))


class Stale(Exception):
    """The part is no longer what the edit began from. `theirs`: its value now; None: it was deleted."""

    def __init__(self, part: Part, theirs: Value | None) -> None:
        super().__init__(f"{part} was changed meanwhile")
        self.part, self.theirs = part, theirs


class NameTaken(ValueError):
    """Another template or group welcome has the name already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is another one called {name}")
        self.name = name


class StillUsed(ValueError):
    """A template to be deleted is in use. `rules`: labels of rules; `rest`: or by customers that match no rule."""

    def __init__(self, name: str, rules: tuple[str, ...], rest: bool) -> None:
        super().__init__(f"{name} is used by {len(rules)} rules")
        self.name, self.rules, self.rest = name, rules, rest


# ------------------------------------------------------------------------------------------------ the edits


@dataclass(frozen=True, slots=True)
class SetNamed:
    """Write a template or a group welcome. `before`: its old name when it is renamed; rules are updated.

    `was`: digest of what was edited; ABSENT for a new one. Raises Stale, or NameTaken for a new name that is in use.
    """

    kind: Named
    name: str
    value: Value
    was: str = ABSENT
    before: str = ""

    @property
    def part(self) -> Part:
        return Part(self.kind, self.before or self.name)

    def apply(self, content: Content) -> Values:
        now = content.part(self.part)
        if now is not None and self.was == ABSENT:
            raise NameTaken(self.name)
        _expect(content, self.part, self.was)
        values = copy.deepcopy(content.values)
        named = values[SECTION[self.kind]]
        old = self.part.name
        if self.name != old and self.name in named:
            raise NameTaken(self.name)
        if old in named:
            values[SECTION[self.kind]] = {
                (self.name if name == old else name): (self.value if name == old else one)
                for name, one in named.items()
            }
        else:
            named[self.name] = self.value
        if self.kind == TEMPLATE:
            if self.name != old:
                _use_instead(values, old, self.name)
            elif not values["rules"]:
                values["rules"] = [{"use": self.name}]  # everybody gets the first template of a book
        return values


@dataclass(frozen=True, slots=True)
class DeleteNamed:
    """Delete a template or a group welcome. `instead`: the template that rules send in its place.

    Raises Stale, or StillUsed when rules need a replacement and there is none.
    """

    kind: Named
    name: str
    was: str
    instead: str = ""

    @property
    def part(self) -> Part:
        return Part(self.kind, self.name)

    def apply(self, content: Content) -> Values:
        _expect(content, self.part, self.was)
        values = copy.deepcopy(content.values)
        del values[SECTION[self.kind]][self.name]
        if self.kind == TEMPLATE:
            rules, rest = users(content.values, self.name)
            if (rules or rest) and self.instead not in values["templates"]:
                raise StillUsed(self.name, rules, rest)
            _use_instead(values, self.name, self.instead)
        return values


@dataclass(frozen=True, slots=True)
class AddRule:
    """Insert a rule at an index from 0; None: before the rules at the end of the list that hold for everybody."""

    rule: Value
    at: int | None = None

    @property
    def part(self) -> Part:
        return Part(RULE, ABSENT)

    def apply(self, content: Content) -> Values:
        values = copy.deepcopy(content.values)
        rules = values["rules"]
        if self.at is None:
            end = len(rules)
            while end and not _conditions(rules[end - 1]) and _conditions(self.rule):
                end -= 1
            rules.insert(end, self.rule)
        else:
            rules.insert(self.at, self.rule)
        return values


@dataclass(frozen=True, slots=True)
class AddRuleWithTemplate:
    """Write a new template, and insert the rule that sends it, as AddRule does. Raises NameTaken."""

    name: str
    value: Value
    rule: Value
    at: int | None = None

    @property
    def part(self) -> Part:
        return Part(TEMPLATE, self.name)

    def apply(self, content: Content) -> Values:
        written = SetNamed("template", self.name, self.value).apply(content)
        return AddRule(self.rule, self.at).apply(Content(written, content.files))


@dataclass(frozen=True, slots=True)
class SetRule:
    """Replace a rule, wherever it is by now; None deletes it. Raises Stale."""

    was: str
    rule: Value | None

    @property
    def part(self) -> Part:
        return Part(RULE, self.was)

    def apply(self, content: Content) -> Values:
        values = copy.deepcopy(content.values)
        number = _number(content, self.was)
        values["rules"][number : number + 1] = [] if self.rule is None else [self.rule]
        return values


@dataclass(frozen=True, slots=True)
class MoveRule:
    """Move a rule down by `places`, up when negative, at most to either end. Raises Stale."""

    was: str
    places: int

    @property
    def part(self) -> Part:
        return Part(RULE, self.was)

    def apply(self, content: Content) -> Values:
        values = copy.deepcopy(content.values)
        number = _number(content, self.was)
        rule = values["rules"].pop(number)
        values["rules"].insert(max(0, number + self.places), rule)
        return values


@dataclass(frozen=True, slots=True)
class PlaceRule:
    """Move a rule right above another one, or right below it. `beside`: the other one's digest. Raises Stale."""

    was: str
    beside: str
    below: bool = False

    @property
    def part(self) -> Part:
        return Part(RULE, self.was)

    def apply(self, content: Content) -> Values:
        values = copy.deepcopy(content.values)
        number, other = _number(content, self.was), _number(content, self.beside)
        rule = values["rules"].pop(number)
        values["rules"].insert(other - (number < other) + self.below, rule)
        return values


@dataclass(frozen=True, slots=True)
class MoveRules:
    """Move rules, in their order, to an index from 0. Those that are not there any more are left out."""

    was: tuple[str, ...]
    at: int

    @property
    def part(self) -> Part:
        return Part(RULE, ABSENT)

    def apply(self, content: Content) -> Values:
        values = copy.deepcopy(content.values)
        chosen = [content.digest_of(rule) in self.was for rule in content.rules]
        moving = [rule for rule, is_chosen in zip(values["rules"], chosen, strict=True) if is_chosen]
        staying = [rule for rule, is_chosen in zip(values["rules"], chosen, strict=True) if not is_chosen]
        values["rules"] = [*staying[: self.at], *moving, *staying[self.at :]]
        return values


@dataclass(frozen=True, slots=True)
class DeleteRules:
    """Delete rules. Those that are not there any more, or were changed, are left out."""

    was: tuple[str, ...]

    @property
    def part(self) -> Part:
        return Part(RULE, ABSENT)

    def apply(self, content: Content) -> Values:
        values = copy.deepcopy(content.values)
        values["rules"] = [rule for rule in values["rules"] if content.digest_of(rule) not in self.was]
        return values


@dataclass(frozen=True, slots=True)
class DeleteUnused:
    """Delete templates of those names that nobody gets; those that are in use by now are left out."""

    names: tuple[str, ...]

    @property
    def part(self) -> Part:
        return Part(TEMPLATE, ABSENT)

    def apply(self, content: Content) -> Values:
        values = copy.deepcopy(content.values)
        for name in set(self.names) & set(values["templates"]):
            if users(content.values, name) == ((), False):
                del values["templates"][name]
        return values


Edit: TypeAlias = (
    SetNamed
    | DeleteNamed
    | AddRule
    | AddRuleWithTemplate
    | SetRule
    | MoveRule
    | PlaceRule
    | MoveRules
    | DeleteRules
    | DeleteUnused
)


def users(values: Values, template: str) -> tuple[tuple[str, ...], bool]:
    """(labels of the rules that send a template, whether customers that match no rule get it)."""
    labels = tuple(
        str(rule.get("name") or number) for number, rule in enumerate(values["rules"], 1) if template in used(rule)
    )
    return labels, template == DEFAULT and all(_conditions(rule) for rule in values["rules"])


def used(rule: Any) -> dict[str, str]:
    """Template → weight, from a rule's plain value."""
    use = rule.get("use", {})
    return {use: "1"} if isinstance(use, str) else dict(use)


def _conditions(rule: Any) -> Any:
    return rule.get("when")


def _use_instead(values: Values, old: str, new: str) -> None:
    """Make rules send `new` in place of `old`; customers that match no rule get `new` in place of `old` too."""
    _, rest = users(values, old)
    for rule in values["rules"]:
        weights = used(rule)
        if old not in weights:
            continue
        if isinstance(rule["use"], str):
            rule["use"] = new
        else:
            merged: dict[str, str] = {}
            for name, weight in weights.items():
                name = new if name == old else name
                merged[name] = str(int(merged[name]) + int(weight)) if name in merged else weight
            rule["use"] = merged
    if rest and new:
        values["rules"].append({"use": new})


def _expect(content: Content, part: Part, was: str) -> None:
    if content.digest(part) != was:
        raise Stale(part, content.part(part))


def _number(content: Content, was: str) -> int:
    for number, rule in enumerate(content.rules):
        if content.digest_of(rule) == was:
            return number
    raise Stale(Part(RULE, was), None)


def _texts(value: Value) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    else:
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
