"""Three-way merge of a draft's changes and those published since; clashes are left for a person to decide. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.templates.edits import GROUP, RULE, SECTION, TEMPLATE, Content, Part, used
from tasks.templates.yaml_writer import Value, Values, normal


@dataclass(frozen=True, slots=True)
class Clash:
    """A part that both sides changed differently since the original. None: that side does not have it."""

    part: Part
    yours: Value | None
    theirs: Value | None
    original: Value | None


RULES = Part(RULE, "*")  # all rules together: when both sides changed the list, the intended order is unknown


def merged(
    original: Content, yours: Content, theirs: Content, choices: Mapping[Part, str] | None = None
) -> tuple[Content, tuple[Clash, ...]]:
    """(your changes since `original` applied to `theirs`, the clashes that are undecided).

    `choices`: part → "yours" or "theirs" where a clash was decided. Undecided parts stay theirs in the result.
    A template that was deleted on their side stays if your rules send it.
    """
    clashes: list[Clash] = []
    choices = choices or {}

    def pick(part: Part, mine: Any, other: Any, before: Any, same: tuple[bool, bool, bool]) -> Any:
        unchanged_here, unchanged_there, equal = same
        if unchanged_here or equal:
            return other
        if unchanged_there:
            return mine
        if part not in choices:
            clashes.append(Clash(part, mine, other, before))
        return mine if choices.get(part) == "yours" else other

    values: Values = {"version": "1"}
    for kind, section in SECTION.items():
        picked: dict[str, Any] = {}
        for name in _in_order(theirs.named(kind), yours.named(kind)):
            part = Part(kind, name)
            digests = [side.digest(part) for side in (yours, theirs, original)]
            value = pick(part, yours.part(part), theirs.part(part), original.part(part), _equal(*digests))
            if value is not None:
                picked[name] = value
        values[section] = picked
    ours, other, before = ([side.digest_of(rule) for rule in side.rules] for side in (yours, theirs, original))
    values["rules"] = pick(RULES, yours.rules, theirs.rules, original.rules, _equal(ours, other, before))
    for rule in values["rules"]:
        for name in used(rule):
            for side in (yours, original):
                if name not in values["templates"] and name in side.named(TEMPLATE):
                    values["templates"][name] = side.named(TEMPLATE)[name]
    changed = {path: one for path, one in yours.files.items() if original.files.get(path) != one}
    return Content(normal(values), {**yours.files, **theirs.files, **changed}), tuple(clashes)


def _equal(yours: Any, theirs: Any, original: Any) -> tuple[bool, bool, bool]:
    return yours == original, theirs == original, yours == theirs


def _in_order(*named: Iterable[str]) -> Iterator[str]:
    """Each name once, in the order of its first appearance."""
    yield from dict.fromkeys(name for names in named for name in names)


def changed(before: Content, after: Content) -> Iterator[Part]:
    """The parts that differ; RULES once when any rule or their order does."""
    for kind in (TEMPLATE, GROUP):
        for name in _in_order(before.named(kind), after.named(kind)):
            if before.digest(Part(kind, name)) != after.digest(Part(kind, name)):
                yield Part(kind, name)
    if [before.digest_of(rule) for rule in before.rules] != [after.digest_of(rule) for rule in after.rules]:
        yield RULES
