"""The form of one rule: what a book has for it → fields, and back. Every row of a list is a field of the same name."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from werkzeug.datastructures import MultiDict

from tasks.messages import Message, reason
from tasks.templates import scalars
from tasks.templates.book_rules import rule_from
from tasks.templates.conditions import WEEKDAYS
from tasks.templates.edits import RULE, used
from tasks.templates.model import Rule
from tasks.templates.problems import Problem
from tasks.templates.yaml_writer import Value
from webhook.console.welcomes.change_groups import ChangeGroup

BLANK = 1  # empty rows below those that are filled
MOST_ROWS = 50  # of a list in one form
LISTS = ("member", "department", "state", "weekdays", "customer_type", "add_way", "change")
_PAIRS = {"hours": ("hours_from", "hours_to"), "dates": ("dates_from", "dates_to")}
MIDNIGHT = "24:00"
HALF = "50"
_WEIGHT = scalars.number(Message.of("a weight"), 0, 1_000_000)


@dataclass
class RuleForm:
    """What was typed, or what a rule has. `hours`, `dates`: (from, to); `use`: (template, weight), as texts."""

    name: str = ""
    lists: dict[str, list[str]] = field(default_factory=dict)  # of LISTS
    hours: list[tuple[str, str]] = field(default_factory=list)
    dates: list[tuple[str, str]] = field(default_factory=list)
    use: list[tuple[str, str]] = field(default_factory=list)
    was: str = ""
    errors: dict[str, list[Message]] = field(default_factory=dict)  # field → what is wrong; "rule" for the whole

    @classmethod
    def of_value(cls, rule: Any, was: str = "") -> "RuleForm":
        """From a book's plain value."""
        when = rule.get("when", {})
        return cls(
            name=rule.get("name", ""),
            lists={kind: _listed(when.get(kind, [])) for kind in LISTS},
            hours=[_times(one) for one in _listed(when.get("hours", []))],
            dates=[_days(one) for one in _listed(when.get("dates", []))],
            use=list(used(rule).items()),
            was=was,
        )

    @classmethod
    def of_request(cls, form: "MultiDict[str, str]") -> "RuleForm":
        """From what was sent."""

        def rows(name: str) -> list[str]:
            return [one.strip() for one in form.getlist(name)[:MOST_ROWS]]

        def pairs(kind: str) -> list[tuple[str, str]]:
            first, second = (rows(name) for name in _PAIRS[kind])
            return [pair for pair in zip(first, second, strict=False) if any(pair)]

        uses = list(zip(rows("template"), rows("weight"), strict=False))
        several = len(uses) > 1  # else the weight is a hidden field
        return cls(
            name=form.get("name", "").strip(),
            lists={kind: [one for one in rows(kind) if one] for kind in LISTS},
            hours=pairs("hours"),
            dates=pairs("dates"),
            use=[(template, weight) for template, weight in uses if template or (several and weight)],
            was=form.get("was", ""),
        )

    @property
    def wrong(self) -> bool:
        return bool(self.errors)

    def has(self, kind: str) -> bool:
        """Whether a condition is filled in, or what is wrong is about it."""
        return bool(self.lists.get(kind) or getattr(self, kind, None) or self.errors.get(kind))

    def value(self) -> Value:
        """A book's plain value of it. What cannot be one is in `errors` then."""
        rule: dict[str, Value] = {"name": self.name} if self.name else {}
        when: dict[str, Value] = {}
        for kind, found in (
            ("hours", self._checked("hours", [_hours(*one) for one in self.hours], scalars.hours)),
            ("weekdays", [one for one in WEEKDAYS if one in self.lists.get("weekdays", [])]),
            ("dates", self._checked("dates", [_dates(*one) for one in self.dates], scalars.dates)),
            *((kind, list(dict.fromkeys(self.lists.get(kind, [])))) for kind in LISTS if kind != "weekdays"),
        ):
            if found:
                when[kind] = found[0] if len(found) == 1 else list(found)
        if when:
            rule["when"] = when
        rule["use"] = self._use()
        return rule

    def _use(self) -> Value:
        if not self.use:
            self.wrong_at("use", Message.of("Choose the welcome that is sent"))
            return ""
        if len(self.use) == 1 and self.use[0][0]:
            return self.use[0][0]
        for template, weight in self.use:
            if not template:
                self.wrong_at("use", Message.of("Choose the welcome whose weight is %(weight)s", weight=weight))
            elif not weight:
                self.wrong_at("use", Message.of("Give the welcome “%(name)s” a weight", name=template))
        if len({template for template, _ in self.use}) < len(self.use):
            self.wrong_at("use", Message.of("A welcome is chosen twice; choose each once, with its weight"))
        if not self.name:
            self.wrong_at(
                "name", Message.of("A rule that sends several welcomes needs a name: its results are counted under it")
            )
        self._checked("use", [weight for _, weight in self.use if weight], _WEIGHT)
        uses: dict[str, Value] = dict(self.use)
        return uses

    def _checked(self, kind: str, texts: list[str], read: Any) -> list[str]:
        for text in texts:
            try:
                read(text)
            except ValueError as error:
                self.wrong_at(kind, reason(error))
        return texts

    def wrong_at(self, name: str, what: Message) -> None:
        """Note what is wrong with a field."""
        self.errors.setdefault(name, []).append(what)

    def place(self, problems: Iterable[Problem]) -> None:
        """Note a book's problems at the fields that they are about."""
        for problem in problems:
            below = problem.path[2:]
            if problem.path[:1] != ("rules",) or not below:
                self.wrong_at("rule", problem.what)
            elif below[0] == "when":
                self.wrong_at(str(below[1]) if len(below) > 1 else "rule", problem.what)
            else:
                self.wrong_at(str(below[0]), problem.what)

    def percents(self) -> list[str]:
        """Of each row of `use`, what its weight comes to; "" while a row is not complete."""
        weights = [int(weight) if weight.isdecimal() and weight.isascii() else 0 for _, weight in self.use]
        total = sum(weights)
        whole = len(weights) > 1 and total and all(template and weight for template, weight in self.use)
        return [f"{100 * weight / total:.0f}" if whole else "" for weight in weights]

    def with_variant(self) -> "RuleForm":
        """The form with one more row of `use`: the second has half of the customers."""
        if len(self.use) > 1:
            return replace(self, use=[*self.use, ("", "")])
        template, weight = (*self.use, ("", ""))[0]
        half = weight if weight not in ("", "1") else HALF
        return replace(self, use=[(template, half), ("", HALF)])

    def without_variant(self, number: int) -> "RuleForm":
        """The form without a row of `use`, from 0."""
        return replace(self, use=[one for at, one in enumerate(self.use) if at != number])


def rule_of(value: Any) -> Rule | None:
    """A rule's plain value as a book reads it; None if it is none."""
    return rule_from(value) if isinstance(value, dict) else None


def rules_in(groups: Iterable[ChangeGroup]) -> list[Rule]:
    """The rules that changes show, before and after."""
    changes = [one for group in groups for one in group.shown if one.kind == RULE]
    found = (rule_of(value) for one in changes for value in (one.before, one.after))
    return [rule for rule in found if rule is not None]


def _listed(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)] if value else []


def _times(text: str) -> tuple[str, str]:
    """21:00-08:30 as two fields of a form, which know no 24:00."""
    try:
        read = scalars.hours(text)
    except ValueError:
        return text, ""
    return f"{read.start:%H:%M}", "00:00" if read.end is None else f"{read.end:%H:%M}"


def _hours(first: str, last: str) -> str:
    return f"{first}-{MIDNIGHT if last == '00:00' and first != '00:00' else last}"


def _days(text: str) -> tuple[str, str]:
    first, dots, last = text.partition("..")
    return first.strip(), (last if dots else first).strip()


def _dates(first: str, last: str) -> str:
    return first if first == last or not last else f"{first}..{last}"


def field_names() -> Mapping[str, str]:
    """What is wrong is said of these → the id of the field that a summary leads to."""
    return {
        **{kind: f"condition-{kind}" for kind in (*LISTS, *_PAIRS)},
        "use": "use",
        "name": "name",
        "rule": "rule",
    }
