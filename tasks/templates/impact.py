"""What a draft would change for recent customers, and which of its rules are never reached. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache

from tasks.templates.conditions import NOBODY_KNOWN, Contact, Directory, judge
from tasks.templates.model import DEFAULT, Book, Choice, Hours, When
from tasks.templates.select import pick

_WILD = frozenset("*?[")


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
    rules = [_Rules(book) for book in (before, after)]
    for identity, contact in contacts:
        total += 1
        numbers = [one.winner(contact) for one in rules]
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
    asked = _Rules(book)
    for _, contact in contacts:
        total += 1
        if contact.state and not asked.names(contact.state):
            states[contact.state] += 1
        number = asked.winner(contact)
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
        self.patterns = [one for one in when.state if _WILD & set(one)]

    def is_open_to(self, state: str) -> bool:
        """Whether its condition for the State holds, or it has none."""
        return not self.when.state or state in self.states or any(fnmatchcase(state, one) for one in self.patterns)


class _Rules:
    """The rules of a book, by member and by State: most rules are not for a contact. None as the book: no rules."""

    def __init__(self, book: Book | None) -> None:
        self._of_members: dict[str, list[_Rule]] = {}
        self._of_states: dict[str, list[_Rule]] = {}
        self._others: list[_Rule] = []  # for all members, and for more than single States
        self._states: set[str] = set()
        self._patterns: set[str] = set()
        for number, rule in enumerate(book.rules if book else (), 1):
            one = _Rule(number, rule.when)
            self._states |= one.states
            self._patterns.update(one.patterns)
            single = one.states if one.states and not one.patterns else ()
            index = self._of_members if one.members else self._of_states
            for value in one.members or single:
                index.setdefault(value, []).append(one)
            if not one.members and not single:
                self._others.append(one)
        self._open: dict[str, list[_Rule]] = {}  # State → rules for all members that are open to it, in order
        self._departments: dict[tuple[str, int], frozenset[int] | None] = {}

    def winner(self, contact: Contact) -> int | None:
        """The number of the rule that a contact gets; 0: none. None: it depends on an unknown fact."""
        departments = self._departments_of(contact)
        for one in self._open_to(contact):
            if one.when.department and departments is not None and departments.isdisjoint(one.when.department):
                continue
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
        return state in self._states or any(fnmatchcase(state, one) for one in self._patterns)

    def _open_to(self, contact: Contact) -> list[_Rule]:
        """The rules that are open to a contact's State and member, in their order."""
        state = contact.state
        found = self._open.get(state)
        if found is None:
            found = [*self._of_states.get(state, ()), *(one for one in self._others if one.is_open_to(state))]
            self._open[state] = found = _in_order(found)
        own = [one for one in self._of_members.get(contact.user_id.lower(), ()) if one.is_open_to(state)]
        return _in_order([*own, *found]) if own else found

    def _departments_of(self, contact: Contact) -> frozenset[int] | None:
        """The departments that a member is in or below; None where that is not wholly known."""
        key = contact.user_id, id(contact.directory)
        if key not in self._departments:
            self._departments[key] = contact.directory.all_of(contact.user_id)
        return self._departments[key]


def _in_order(rules: list[_Rule]) -> list[_Rule]:
    return sorted(rules, key=lambda one: one.number)


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
