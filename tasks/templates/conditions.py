"""A rule's conditions: what is known of a contact, and whether each condition holds. Pure.

holds       the rule may win
fails       it does not apply; `why` says so in words
unknown     a fact that it asks for is not known: it does not apply either, and a later rule may
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fnmatch import fnmatchcase
from types import MappingProxyType

from tasks.events import CHANGES
from tasks.sentences import Sentence, said
from tasks.templates.model import Hours, When

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CUSTOMER_TYPES: Mapping[int | None, str] = {1: "wechat", 2: "wecom"}  # WeCom's `type` of an external_contact, doc 92114
DEPARTMENTS, CUSTOMER_TYPE, ADD_WAY = "departments", "customer_type", "add_way"  # the facts that need a look-up
FACTS = {"department": DEPARTMENTS, "customer_type": CUSTOMER_TYPE, "add_way": ADD_WAY}  # by the condition that asks


@dataclass(frozen=True, slots=True)
class Directory:
    """What is known of the corp's tree. `parents` None: nothing. A member who is not in `members` is unknown."""

    members: Mapping[str, frozenset[int]] = field(default_factory=dict)  # user_id → the departments it is in itself
    parents: Mapping[int, int] | None = None  # department → the one above; of the root: 0

    def contains(self, user_id: str, department: int) -> bool | None:
        """Whether a member is in a department or below it; None when that cannot be told."""
        own = self.members.get(user_id)
        if own is None:
            return None
        if department in own:
            return True
        if self.parents is None:
            return None
        for one in own:
            seen: set[int] = set()
            while one in self.parents and one not in seen:  # WeCom sends no rings, but a loop here would be for ever
                seen.add(one)
                one = self.parents[one]
                if one == department:
                    return True
        return False if all(one in self.parents for one in own) else None


NOBODY_KNOWN = Directory(MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Contact:
    """An added contact as rules see it. None: not known.

    `at`: when the event was received, in the zone that rules are judged in.
    """

    app: str
    user_id: str
    external_user_id: str
    state: str
    change: str  # a value of tasks.events.CHANGES
    at: datetime
    directory: Directory = NOBODY_KNOWN
    customer_type: str | None = None  # a value of CUSTOMER_TYPES
    add_way: int | None = None


NO_REASON = said("it holds")


@dataclass(frozen=True, slots=True)
class Verdict:
    """On one condition. `holds` None: the `fact` is not known. `because` finds the words for why it does not hold:
    a greeting asks for none, and they are most of the work.
    """

    holds: bool | None
    because: Callable[[], Sentence] = lambda: NO_REASON
    fact: str = ""  # that needs a look-up; "" when the event itself has it


_WORDS = frozenset({*CUSTOMER_TYPES.values(), *CHANGES.values()})
HOLDS = Verdict(True)


def judge(when: When, contact: Contact) -> Iterator[Verdict]:
    """The verdicts on a rule's conditions, those that need no look-up first."""
    if when.change:
        yield _one_of(contact.change, when.change, said("the change"))
    if when.member:
        among = contact.user_id.lower() in {
            one.lower() for one in when.member
        }  # WeCom's userids ignore case, doc 90195
        yield (
            HOLDS
            if among
            else Verdict(
                False,
                lambda: said(
                    "the member is %(value)s, not %(wanted)s", value=contact.user_id, wanted=_either(when.member)
                ),
            )
        )
    if when.state:
        yield _state(contact.state, when.state)
    if when.hours or when.weekdays or when.dates:
        yield _time(contact.at, when)
    if when.department:
        yield _department(contact, when.department)
    if when.customer_type:
        yield _looked_up(CUSTOMER_TYPE, contact.customer_type, when.customer_type, said("the customer's type"))
    if when.add_way:
        yield _looked_up(ADD_WAY, contact.add_way, when.add_way, said("the add way"))


def applies(when: When, contact: Contact) -> bool:
    """Whether a rule applies to a contact: each of its conditions is known to hold."""
    return all(verdict.holds for verdict in judge(when, contact))


def why_not(when: When, contact: Contact) -> Sentence | None:
    """Why a rule does not apply to a contact, in words; None when it does."""
    return next((verdict.because() for verdict in judge(when, contact) if not verdict.holds), None)


def began(hours: Hours, at: datetime) -> date | None:
    """The date on which the hours that `at` lies in began; None when it lies outside them."""
    now = at.time()
    if not hours.over_midnight:
        return at.date() if hours.start <= now and (hours.end is None or now < hours.end) else None
    if now >= hours.start:
        return at.date()
    return at.date() - timedelta(days=1) if hours.end is not None and now < hours.end else None


def _time(at: datetime, when: When) -> Verdict:
    """Hours, weekdays and dates together: hours over midnight belong to the day on which they began."""
    days = [at.date()]
    if when.hours:
        days = [day for one in when.hours if (day := began(one, at)) is not None]
        if not days:
            return Verdict(
                False, lambda: said("%(time)s is not in %(wanted)s", time=f"{at:%H:%M}", wanted=_either(when.hours))
            )
    on = [day for day in days if not when.weekdays or day.weekday() in when.weekdays]
    if not on:
        return Verdict(
            False,
            lambda: said(
                "%(day)s is not %(wanted)s", day=_day(days[0], at), wanted=_either(map(_weekday, when.weekdays))
            ),
        )
    if when.dates and not any(dates.first <= day <= dates.last for day in on for dates in when.dates):
        return Verdict(
            False, lambda: said("%(day)s is not in %(wanted)s", day=_day(on[0], at), wanted=_either(when.dates))
        )
    return HOLDS


def _day(day: date, at: datetime) -> Sentence:
    if day == at.date():
        return said("%(weekday)s %(date)s", weekday=_weekday(day.weekday()), date=day)
    return said("%(weekday)s %(date)s, on which these hours began,", weekday=_weekday(day.weekday()), date=day)


def _weekday(number: int) -> Sentence:
    return Sentence(WEEKDAYS[number])


def _state(state: str, patterns: tuple[str, ...]) -> Verdict:
    if any(fnmatchcase(state, pattern) for pattern in patterns):
        return HOLDS
    if not state:
        return Verdict(False, lambda: said("there is no State"))
    return Verdict(
        False, lambda: said("the State %(state)s does not match %(wanted)s", state=state, wanted=_either(patterns))
    )


def _department(contact: Contact, departments: tuple[int, ...]) -> Verdict:
    found = [contact.directory.contains(contact.user_id, department) for department in departments]
    if True in found:
        return HOLDS
    if None in found:
        return Verdict(
            None, lambda: said("the departments of %(member)s are not known", member=contact.user_id), DEPARTMENTS
        )
    return Verdict(
        False,
        lambda: said(
            "%(member)s is not in department %(wanted)s or below", member=contact.user_id, wanted=_either(departments)
        ),
        DEPARTMENTS,
    )


def _looked_up(fact: str, value: object, wanted: tuple[object, ...], what: Sentence) -> Verdict:
    if value is None:
        return Verdict(None, lambda: said("%(what)s is not known", what=what), fact)
    return _one_of(value, wanted, what, fact)


def _one_of(value: object, wanted: tuple[object, ...], what: Sentence, fact: str = "") -> Verdict:
    if value in wanted:
        return HOLDS
    return Verdict(
        False,
        lambda: said("%(what)s is %(value)s, not %(wanted)s", what=what, value=_word(value), wanted=_either(wanted)),
        fact,
    )


def _word(value: object) -> object:
    """A value of the book's that is a word is said in the reader's language."""
    return Sentence(value) if isinstance(value, str) and value in _WORDS else value


def _either(values: Iterable[object]) -> Sentence:
    """`a, b or c`."""
    words = [_word(value) for value in values]
    told = words[0] if isinstance(words[0], Sentence) else Sentence("%(value)s", {"value": words[0]})
    for word in words[1:-1]:
        told = said("%(first)s, %(next)s", first=told, next=word)
    return said("%(first)s or %(last)s", first=told, last=words[-1]) if len(words) > 1 else told
