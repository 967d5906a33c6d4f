"""The differences between two books: by template, rule and group welcome, and line by line. Pure."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from tasks.templates.conditions import WEEKDAYS
from tasks.templates.model import Book, Rule


def changes(old: Book, new: Book) -> Iterator[str]:
    """A line for each template, rule and group welcome that was added, removed or changed."""
    yield from _named("template", old.templates, new.templates)
    before, after = _rules(old), _rules(new)
    yield from _named("rule", before, after)
    stayed = [name for name in before if name in after]
    if stayed != [name for name in after if name in before]:
        yield "~ rules: in another order"
    yield from _named("group welcome", old.group_welcomes, new.group_welcomes)


def lines(old: str, new: str, old_name: str, new_name: str) -> Iterator[str]:
    """The unified diff of two texts."""
    compared = difflib.unified_diff(old.splitlines(), new.splitlines(), old_name, new_name, lineterm="")
    yield from compared


def _rules(book: Book) -> dict[str, Rule]:
    """Rules by name. An unnamed rule is keyed by its content, so that a change of its number is no difference."""
    return {rule.name or _in_words(rule): rule for rule in book.rules}


def _in_words(rule: Rule) -> str:
    conditions = [f"{one.name}: {_values(one.name, rule)}" for one in fields(rule.when) if getattr(rule.when, one.name)]
    uses = ", ".join(variant.template for variant in rule.variants)
    return f"({' and '.join(conditions) or 'always'}: use {uses})"


def _values(name: str, rule: Rule) -> str:
    values = getattr(rule.when, name)
    return ", ".join(WEEKDAYS[value] if name == "weekdays" else str(value) for value in values)


def _named(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in old:
        if name not in new:
            yield f"- {what} {name}"
    for name, value in new.items():
        if name not in old:
            yield f"+ {what} {name}"
        elif old[name] != value:
            yield f"~ {what} {name}: {', '.join(_differing(old[name], value))}"


def _differing(old: Any, new: Any) -> Iterator[str]:
    """The names of the fields that differ; of conditions and follow-ups, the names of their fields."""
    for one in fields(new):
        before, after = getattr(old, one.name), getattr(new, one.name)
        if not one.compare or before == after:
            continue
        if one.name in ("when", "then"):
            yield from _differing(before, after)
        else:
            yield {"variants": "use", "item": "its attachment"}.get(one.name, one.name)
