"""A rule in words: its conditions as pages show them, each with its name. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tasks.messages import Message
from tasks.templates.model import Dates, Hours, Rule, When

WEEKDAYS = (
    *(Message.of("Monday"), Message.of("Tuesday"), Message.of("Wednesday"), Message.of("Thursday")),
    *(Message.of("Friday"), Message.of("Saturday"), Message.of("Sunday")),
)
CUSTOMER_TYPES: Mapping[str, Message] = {"wechat": Message.of("a WeChat user"), "wecom": Message.of("a WeCom user")}
CHANGES: Mapping[str, Message] = {
    "add": Message.of("added, and approved"),
    "half_add": Message.of("added without approval"),
    "audit_approved": Message.of("agreed to the chat archive"),
}
ADD_WAYS: Mapping[int, Message] = {  # doc 92114; the list is open
    0: Message.of("unknown source"),
    1: Message.of("scanned a QR code"),
    2: Message.of("searched for the phone number"),
    3: Message.of("a shared card"),
    4: Message.of("a group chat"),
    5: Message.of("the phone's contacts"),
    6: Message.of("WeChat contacts"),
    8: Message.of("a third-party app that was installed"),
    9: Message.of("searched for the email address"),
    10: Message.of("a WeChat video account"),
    11: Message.of("a shared calendar event"),
    12: Message.of("a meeting"),
    13: Message.of("the WeCom account of a WeChat contact"),
    14: Message.of("smart hardware service"),
    15: Message.of("on-site service"),
    16: Message.of("an acquisition link"),
    17: Message.of("custom development"),
    18: Message.of("an answered request"),
    201: Message.of("shared by a colleague"),
    202: Message.of("assigned by an administrator"),
}


@dataclass(frozen=True, slots=True)
class Names:
    """userid → name, and department → name, as far as they are known."""

    members: Mapping[str, str] = field(default_factory=dict)
    departments: Mapping[int, str] = field(default_factory=dict)


NO_NAMES = Names()


NOT_IN_DEPARTMENT = "%(member)s is not in department %(wanted)s or below"  # of tasks.templates.conditions: in ids


def why_lost(why: Message, names: Names) -> Message:
    """Why a rule does not hold, with the names of its departments and their member, as far as they are known. Pure."""
    return _named(why, names) if why.msgid == NOT_IN_DEPARTMENT else why


def _named(what: Message, names: Names) -> Message:
    def name(value: object) -> object:
        if isinstance(value, Message):
            return _named(value, names)
        return (names.departments.get(value) if isinstance(value, int) else names.members.get(str(value))) or value

    return Message(what.msgid, {key: name(value) for key, value in what.values.items()})


@dataclass(frozen=True, slots=True)
class Condition:
    """`kind`: a key of a book's `when`; `name` of it in words; any of `values` is enough."""

    kind: str
    name: Message
    values: tuple[Message, ...]


NAMED: Mapping[str, Message] = {
    "hours": Message.of("Hours"),
    "weekdays": Message.of("Weekdays"),
    "dates": Message.of("Dates"),
    "state": Message.of("Channel"),
    "member": Message.of("Member"),
    "department": Message.of("Department"),
    "customer_type": Message.of("Customer"),
    "add_way": Message.of("Way of adding"),
    "change": Message.of("Event"),
}


def conditions(when: When, names: Names = NO_NAMES) -> tuple[Condition, ...]:
    """A rule's conditions, in the order in which pages show them; () for a rule that always holds."""
    return tuple(
        Condition(kind, name, tuple(_values(kind, getattr(when, kind), names)))
        for kind, name in NAMED.items()
        if getattr(when, kind)
    )


def shares(rule: Rule) -> list[tuple[str, int]]:
    """(template, percent) of a rule that sends several, else one with 100. Percents add up to 100."""
    total = sum(one.weight for one in rule.variants) or 1
    exact = [(one.template, 100 * one.weight / total) for one in rule.variants]
    rounded = [int(percent) for _, percent in exact]
    by_rest = sorted(range(len(exact)), key=lambda number: rounded[number] - exact[number][1])
    for number in by_rest[: 100 - sum(rounded)]:
        rounded[number] += 1
    return [(template, percent) for (template, _), percent in zip(exact, rounded, strict=True)]


def plain(text: object) -> Message:
    """A text that is nobody's language."""
    return Message("%(text)s", {"text": str(text)})


def _values(kind: str, values: Iterable[object], names: Names) -> Iterator[Message]:
    if kind == "weekdays":
        yield from _runs([value for value in values if isinstance(value, int)])
        return
    for value in values:
        if isinstance(value, Hours):
            yield hours(value)
        elif isinstance(value, Dates):
            yield (
                plain(value.first)
                if value.first == value.last
                else Message.of("%(first)s to %(last)s", first=value.first, last=value.last)
            )
        elif kind == "member":
            yield plain(names.members.get(str(value)) or value)
        elif kind == "department":
            known = names.departments.get(int(str(value)))
            name = known or Message.of("number %(number)s", number=value)
            yield Message.of("%(department)s (and below)", department=name)
        elif kind == "customer_type":
            yield CUSTOMER_TYPES.get(str(value), plain(value))
        elif kind == "change":
            yield CHANGES.get(str(value), plain(value))
        elif kind == "add_way":
            yield ADD_WAYS.get(int(str(value)), Message.of("way %(number)s", number=value))
        else:
            yield plain(value)


def hours(value: Hours) -> Message:
    """21:00–08:30 the next day."""
    start, end = f"{value.start:%H:%M}", "24:00" if value.end is None else f"{value.end:%H:%M}"
    if value.over_midnight:
        return Message.of("%(start)s – %(end)s the next day", start=start, end=end)
    return Message.of("%(start)s – %(end)s", start=start, end=end)


def _runs(days: list[int]) -> Iterator[Message]:
    """Weekdays, three or more that follow each other as one."""
    days = sorted(set(days))
    while days:
        last = next((n for n in range(len(days) - 1, 0, -1) if days[n] - days[0] == n), 0)
        if last >= 2:
            yield Message.of("%(first)s–%(last)s", first=WEEKDAYS[days[0]], last=WEEKDAYS[days[last]])
        else:
            yield from (WEEKDAYS[day] for day in days[: last + 1])
        days = days[last + 1 :]
