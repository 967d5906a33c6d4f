"""What a draft would change for recent customers, and which of its rules are never reached. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from operator import attrgetter

from tasks.templates.conditions import NOBODY_KNOWN, Contact, Directory, judge
from tasks.templates.model import DEFAULT, Book, Choice, Hours, When
from tasks.templates.select import pick

_WILD = frozenset("*?[")
_NUMBER = attrgetter("number")


@dataclass(frozen=True, slots=True)
class Difference:
    """An event whose welcome would be different. None: no welcome."""

    id: str
    contact: Contact
    before: Choice | None
    after: Choice | None


@dataclass(frozen=True, slots=True)
class Impact:
    """What would change. `unknown`: events where a rule needs a fact that is not stored, such as customer_type."""

    total: int
    different: tuple[Difference, ...]
    unknown: int


@dataclass(frozen=True, slots=True)
class Hits:
    """How often each rule of a book would win, by its number from 1; 0: no rule.

    `states`: State that no rule has a condition for → number of customers added with it.
    """

    total: int
    rules: Counter[int] = field(default_factory=Counter)
    unknown: int = 0
    states: Counter[str] = field(default_factory=Counter)


def compare(before: Book | None, after: Book, contacts: Iterable[tuple[str, Contact]]) -> Impact:
    """Compare both books' choices for each (id, contact). They differ when the customer would get something else."""
    total = unknown = 0
    different = []
    rules, departments = [_Rules(book) for book in (before, after)], _Departments()
    for identity, contact in contacts:
        total += 1
        within = departments.of(contact)
        numbers = [one.winner(contact, within) for one in rules]
        if None in numbers:
            unknown += 1
            continue
        old, new = (_choice(book, number or 0, contact) for book, number in zip((before, after), numbers, strict=True))
        if _sent(old) != _sent(new):
            different.append(Difference(identity, contact, old, new))
    return Impact(total, tuple(different), unknown)


def unnamed_states(book: Book, contacts: Iterable[tuple[str, Contact]]) -> Counter[str]:
    """State that no rule has a condition for → how many (id, contact) were added with it."""
    asked = _Rules(book)
    return Counter(one.state for _, one in contacts if one.state and not asked.names(one.state))


def hits(book: Book, contacts: Iterable[tuple[str, Contact]]) -> Hits:
    """Count which rule of a book each (id, contact) gets."""
    total = unknown = 0
    rules: Counter[int] = Counter()
    states: Counter[str] = Counter()
    asked, departments = _Rules(book), _Departments()
    for _, contact in contacts:
        total += 1
        if contact.state and not asked.names(contact.state):
            states[contact.state] += 1
        number = asked.winner(contact, departments.of(contact))
        if number is None:
            unknown += 1
        else:
            rules[number] += 1
    return Hits(total, rules, unknown, states)


class _Rule:
    """A rule, prepared for many contacts."""

    def __init__(self, number: int, when: When) -> None:
        self.number, self.when = number, when
        self.members = frozenset(one.lower() for one in when.member)
        self.states = frozenset(one for one in when.state if not _WILD & set(one))
        self.patterns = _Patterns(one for one in when.state if _WILD & set(one))
        self.asks_more = bool(  # than the State, the member and the department
            when.change or when.hours or when.weekdays or when.dates or when.customer_type or when.add_way
        )

    def is_open_to(self, state: str) -> bool:
        """Whether its condition for the State holds, or it has none."""
        return not self.when.state or state in self.states or self.patterns.match(state)


class _Patterns:
    """Patterns of States, asked many times: most are told apart by how they begin, at a fraction of the work."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.all = frozenset(patterns)
        self._beginnings = tuple(re.split(r"[*?\[]", one, maxsplit=1)[0] for one in self.all)

    def __bool__(self) -> bool:
        return bool(self.all)

    def match(self, state: str) -> bool:
        """Whether one of them does."""
        return state.startswith(self._beginnings) and any(fnmatchcase(state, one) for one in self.all)


class _Rules:
    """The rules of a book, by member, State and department: most are not for a contact. None as the book: no rules."""

    def __init__(self, book: Book | None) -> None:
        self._of_members: dict[str, list[_Rule]] = {}
        self._of_states: dict[str, list[_Rule]] = {}
        self._of_departments: dict[int, list[_Rule]] = {}
        self._of_patterns: list[_Rule] = []
        self._others: list[_Rule] = []  # for all members, States and departments
        rules = [_Rule(number, rule.when) for number, rule in enumerate(book.rules if book else (), 1)]
        for one in rules:
            self._file(one)
        self._states = {state for one in rules for state in one.states}
        self._patterns = _Patterns(pattern for one in rules for pattern in one.patterns.all)
        self._open: dict[str, list[_Rule]] = {}  # State → rules for all members and departments that are open to it
        self._near: dict[frozenset[int] | None, list[_Rule]] = {}  # departments → rules for these

    def _file(self, one: _Rule) -> None:
        """Put a rule where it is looked for, by its narrowest condition."""
        if one.members:
            for member in one.members:
                self._of_members.setdefault(member, []).append(one)
        elif one.states and not one.patterns:
            for state in one.states:
                self._of_states.setdefault(state, []).append(one)
        elif one.when.department:
            for department in one.when.department:
                self._of_departments.setdefault(department, []).append(one)
        else:
            (self._of_patterns if one.patterns else self._others).append(one)

    def winner(self, contact: Contact, departments: frozenset[int] | None) -> int | None:
        """The number of the rule that a contact of these departments (None: unknown) gets; 0: none.

        None: it depends on an unknown fact.
        """
        for one in self._open_to(contact, departments):
            if one.when.department and departments is not None and departments.isdisjoint(one.when.department):
                continue
            if not one.asks_more and (departments is not None or not one.when.department):
                return one.number  # it is among these rules because the rest holds
            known = True
            for verdict in judge(one.when, contact):
                if verdict.holds is False:
                    break
                known = known and verdict.holds is not None
            else:
                return one.number if known else None
        return 0

    def names(self, state: str) -> bool:
        """Whether a rule has a condition for this State, and it holds."""
        return state in self._states or self._patterns.match(state)

    def _open_to(self, contact: Contact, departments: frozenset[int] | None) -> list[_Rule]:
        """The rules that are open to a contact's State, member and departments, in their order."""
        state = contact.state
        found = self._open.get(state)
        if found is None:
            of_patterns = self._of_patterns if self.names(state) else ()  # most States are named by none
            found = [*self._of_states.get(state, ()), *(one for one in of_patterns if one.is_open_to(state))]
            self._open[state] = found = [*found, *self._others]
        own = self._of_members.get(contact.user_id.lower(), ())
        near = self._near.get(departments)
        if near is None:
            asked = self._of_departments if departments is None else departments
            several = {one.number: one for each in asked for one in self._of_departments.get(each, ())}
            self._near[departments] = near = list(several.values())
        return _in_order([*found, *(one for one in (*own, *near) if one.is_open_to(state))])


class _Departments:
    """The departments of members, worked out once for each."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], frozenset[int] | None] = {}

    def of(self, contact: Contact) -> frozenset[int] | None:
        """Those that a contact's member is in or below; None where that is not wholly known."""
        key = contact.user_id, id(contact.directory)
        if key not in self._known:
            self._known[key] = contact.directory.all_of(contact.user_id)
        return self._known[key]


def _in_order(rules: list[_Rule]) -> list[_Rule]:
    return sorted(rules, key=_NUMBER)


def _choice(book: Book | None, number: int, contact: Contact) -> Choice | None:
    if book is None:
        return None
    if not number:
        return Choice(book.templates[DEFAULT], "") if DEFAULT in book.templates else None
    rule = book.rules[number - 1]
    label = rule.label(number)
    return Choice(book.templates[pick(rule, label, contact)], label)


def _sent(choice: Choice | None) -> object:
    """What the customer gets by a choice, so without the template's name."""
    return None if choice is None else (choice.template.text, choice.template.attachments, choice.template.then)


# ------------------------------------------------------------------------------------------------ never reached


def shadowed(book: Book, directory: Directory = NOBODY_KNOWN) -> dict[int, int]:
    """Number of a rule that is never reached → number of an earlier one that holds whenever it does, both from 1.

    Finds only what can be proven from pairs of rules; a rule that is not in it may still be unreachable.
    """
    parents = None if directory.parents is None else frozenset(directory.parents.items())
    rules = tuple(rule.when for rule in book.rules)
    return dict(_shadowed(rules, frozenset(directory.members.items()), parents))


@lru_cache(maxsize=16)  # a page is asked for more often than a book or the departments change
def _shadowed(
    rules: tuple[When, ...],
    members: frozenset[tuple[str, frozenset[int]]],
    parents: frozenset[tuple[int, int]] | None,
) -> Mapping[int, int]:
    directory = Directory(dict(members), None if parents is None else dict(parents))
    found = {}
    for number, when, earlier in _candidates(rules):
        for other in earlier:
            if covers(other.when, when, directory):
                found[number] = other.number
                break
    return found


def _candidates(rules: Iterable[When]) -> Iterator[tuple[int, When, list[_Rule]]]:
    """(number, conditions, the earlier rules that may hold whenever it does, in order) of each rule."""
    among: dict[str, list[_Rule]] = {}  # rules for single States or members, by each of these
    wide: list[_Rule] = []
    for number, when in enumerate(rules, 1):
        one = _Rule(number, when)
        asked = [*when.state[:1], *(f"member:{user_id.lower()}" for user_id in when.member[:1])]
        yield number, when, _in_order([*wide, *(other for value in asked for other in among.get(value, ()))])
        single = one.states if one.states and not one.patterns else {f"member:{user_id}" for user_id in one.members}
        for value in single:
            among.setdefault(value, []).append(one)
        if not single:
            wide.append(one)


def covers(wide: When, narrow: When, directory: Directory = NOBODY_KNOWN) -> bool:
    """Whether `wide` certainly holds whenever `narrow` does."""
    return (
        _members(wide, narrow)
        and _departments(wide, narrow, directory)
        and (not wide.state or (bool(narrow.state) and all(_pattern(wide.state, one) for one in narrow.state)))
        and _times(wide, narrow)
        and _among(wide.customer_type, narrow.customer_type)
        and _among(wide.add_way, narrow.add_way)
        and _among(wide.change, narrow.change)
    )


def _among(wide: tuple[object, ...], narrow: tuple[object, ...]) -> bool:
    return not wide or (bool(narrow) and set(narrow) <= set(wide))


def _members(wide: When, narrow: When) -> bool:
    return not wide.member or _among(
        tuple(one.lower() for one in wide.member), tuple(one.lower() for one in narrow.member)
    )


def _departments(wide: When, narrow: When, directory: Directory) -> bool:
    if not wide.department or _among(wide.department, narrow.department):
        return True
    if narrow.department and all(
        any(_below(one, top, directory) for top in wide.department) for one in narrow.department
    ):
        return True
    return bool(narrow.member) and all(
        any(directory.contains(one, top) for top in wide.department) for one in narrow.member
    )


def _below(department: int, top: int, directory: Directory) -> bool:
    return bool(Directory({"": frozenset((department,))}, directory.parents).contains("", top))


def _pattern(wide: tuple[str, ...], narrow: str) -> bool:
    """Whether every State that `narrow` matches is certainly matched by one of the wide patterns."""
    if narrow in wide:
        return True
    plain = not _WILD & set(narrow)
    for pattern in wide:
        if not _WILD & set(pattern):
            continue
        if plain and fnmatchcase(narrow, pattern):
            return True
        beginning = pattern[:-1]
        if pattern.endswith("*") and not _WILD & set(beginning) and narrow.startswith(beginning):
            return True
    return False


def _times(wide: When, narrow: When) -> bool:
    days = bool(wide.weekdays or wide.dates)
    if wide.hours and not (
        narrow.hours and all(any(_within(one, other, days) for other in wide.hours) for one in narrow.hours)
    ):
        return False
    if not wide.hours and days and any(one.over_midnight for one in narrow.hours):
        return False  # their morning counts as the day before here, and as itself there
    if wide.weekdays and not (narrow.weekdays and set(narrow.weekdays) <= set(wide.weekdays)):
        return False
    return not wide.dates or (
        bool(narrow.dates)
        and all(
            any(other.first <= one.first and one.last <= other.last for other in wide.dates) for one in narrow.dates
        )
    )


def _within(narrow: Hours, wide: Hours, same_day: bool) -> bool:
    """Whether hours are contained in others; `same_day`: and also begin on the same day."""
    if narrow.over_midnight:
        return (
            wide.over_midnight
            and wide.start <= narrow.start
            and narrow.end is not None
            and wide.end is not None
            and narrow.end <= wide.end
        )
    if not wide.over_midnight:
        return wide.start <= narrow.start and (wide.end is None or (narrow.end is not None and narrow.end <= wide.end))
    if narrow.start >= wide.start:
        return True
    morning = wide.end is not None and narrow.end is not None and narrow.end <= wide.end
    return morning and not same_day
