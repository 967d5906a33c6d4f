"""A rule's conditions: what is known about a contact, and whether each condition holds. Pure.

holds       the rule may win
fails       the rule does not apply, for the reason in `because`
unknown     a fact that the rule needs is unknown: it does not apply either, and a later rule may
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fnmatch import fnmatchcase
from types import MappingProxyType

from tasks.events import CHANGES
from tasks.messages import Message
from tasks.templates.model import Hours, When

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CUSTOMER_TYPES: Mapping[int | None, str] = {1: "wechat", 2: "wecom"}  # WeCom's `type` of an external_contact, doc 92114
DEPARTMENTS, CUSTOMER_TYPE, ADD_WAY = "departments", "customer_type", "add_way"  # the facts that need a lookup
FACTS = {"department": DEPARTMENTS, "customer_type": CUSTOMER_TYPE, "add_way": ADD_WAY}  # by the condition


@dataclass(frozen=True, slots=True)
class Directory:
    """What is known about the corp's departments. `parents` None: nothing. A member not in `members` is unknown."""

    members: Mapping[str, frozenset[int]] = field(default_factory=dict)  # user_id → departments they belong to directly
    parents: Mapping[int, int] | None = None  # department → its parent; of the root: 0

    def contains(self, user_id: str, department: int) -> bool | None:
        """Whether a member is in a department or below it; None when unknown."""
        own = self.members.get(user_id)
        if own is None:
            return None
        if department in own:
            return True
        if self.parents is None:
            return None
        for one in own:
            seen: set[int] = set()
            while one in self.parents and one not in seen:  # WeCom sends no cycles, but one would loop forever here
                seen.add(one)
                one = self.parents[one]
                if one == department:
                    return True
        return False if all(one in self.parents for one in own) else None

    def all_of(self, user_id: str) -> frozenset[int] | None:
        """Every department that `contains` a member; None when that is not known of each."""
        own = self.members.get(user_id)
        if own is None or self.parents is None or any(one not in self.parents for one in own):
            return None
        found = set(own)
        for one in own:
            while (one := self.parents.get(one, 0)) and one not in found:
                found.add(one)
        return frozenset(found)


NOBODY_KNOWN = Directory(MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Contact:
    """An added contact as rules see it. None: unknown.

    `at`: when the event was received, in the time zone of the rules.
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


NO_REASON = Message.of("it holds")


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judgement on one condition. `holds` None: the `fact` is unknown. `because` makes the text of why it does not
    hold: lazily, since a greeting needs no text, and making it is most of the work.
    """

    holds: bool | None
    because: Callable[[], Message] = lambda: NO_REASON
    fact: str = ""  # that needs a lookup; "" when the event itself has it


_WORDS = frozenset({*CUSTOMER_TYPES.values(), *CHANGES.values()})
HOLDS = Judgement(True)


def judge(when: When, contact: Contact) -> Iterator[Judgement]:
    """The judgements on a rule's conditions, those that need no lookup first."""
    if when.change:
        yield _one_of(contact.change, when.change, Message.of("the change"))
    if when.member:
        among = contact.user_id.lower() in {
            one.lower() for one in when.member
        }  # WeCom's userids ignore case, doc 90195
        yield (
            HOLDS
            if among
            else Judgement(
                False,
                lambda: Message.of(
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
        yield _looked_up(CUSTOMER_TYPE, contact.customer_type, when.customer_type, Message.of("the customer's type"))
    if when.add_way:
        yield _looked_up(ADD_WAY, contact.add_way, when.add_way, Message.of("the add way"))


def applies(when: When, contact: Contact) -> bool:
    """Whether a rule applies to a contact: each of its conditions is known to hold."""
    return all(verdict.holds for verdict in judge(when, contact))


def why_not(when: When, contact: Contact) -> Message | None:
    """Why a rule does not apply to a contact; None when it does."""
    return next((verdict.because() for verdict in judge(when, contact) if not verdict.holds), None)


def began(hours: Hours, at: datetime) -> date | None:
    """The date on which the hours around `at` began; None when `at` is outside the hours."""
    now = at.time()
    if not hours.over_midnight:
        return at.date() if hours.start <= now and (hours.end is None or now < hours.end) else None
    if now >= hours.start:
        return at.date()
    return at.date() - timedelta(days=1) if hours.end is not None and now < hours.end else None


def _time(at: datetime, when: When) -> Judgement:
    """Judges hours, weekdays and dates together: hours over midnight belong to the day on which they began."""
    days = [at.date()]
    if when.hours:
        days = [day for one in when.hours if (day := began(one, at)) is not None]
        if not days:
            return Judgement(
                False,
                lambda: Message.of("%(time)s is not in %(wanted)s", time=f"{at:%H:%M}", wanted=_either(when.hours)),
            )
    on = [day for day in days if not when.weekdays or day.weekday() in when.weekdays]
    if not on:
        return Judgement(
            False,
            lambda: Message.of(
                "%(day)s is not %(wanted)s", day=_day(days[0], at), wanted=_either(map(_weekday, when.weekdays))
            ),
        )
    if when.dates and not any(dates.first <= day <= dates.last for day in on for dates in when.dates):
        return Judgement(
            False, lambda: Message.of("%(day)s is not in %(wanted)s", day=_day(on[0], at), wanted=_either(when.dates))
        )
    return HOLDS


def _day(day: date, at: datetime) -> Message:
    if day == at.date():
        return Message.of("%(weekday)s %(date)s", weekday=_weekday(day.weekday()), date=day)
    return Message.of("%(weekday)s %(date)s, on which these hours began,", weekday=_weekday(day.weekday()), date=day)


def _weekday(number: int) -> Message:
    return Message(WEEKDAYS[number])


def _state(state: str, patterns: tuple[str, ...]) -> Judgement:
    if any(fnmatchcase(state, pattern) for pattern in patterns):
        return HOLDS
    if not state:
        return Judgement(False, lambda: Message.of("there is no State"))
    return Judgement(
        False,
        lambda: Message.of("the State %(state)s does not match %(wanted)s", state=state, wanted=_either(patterns)),
    )


def _department(contact: Contact, departments: tuple[int, ...]) -> Judgement:
    found = [contact.directory.contains(contact.user_id, department) for department in departments]
    if True in found:
        return HOLDS
    if None in found:
        return Judgement(
            None, lambda: Message.of("the departments of %(member)s are not known", member=contact.user_id), DEPARTMENTS
        )
    return Judgement(
        False,
        lambda: Message.of(
            "%(member)s is not in department %(wanted)s or below", member=contact.user_id, wanted=_either(departments)
        ),
        DEPARTMENTS,
    )


def _looked_up(fact: str, value: object, wanted: tuple[object, ...], what: Message) -> Judgement:
    if value is None:
        return Judgement(None, lambda: Message.of("%(what)s is not known", what=what), fact)
    return _one_of(value, wanted, what, fact)


def _one_of(value: object, wanted: tuple[object, ...], what: Message, fact: str = "") -> Judgement:
    if value in wanted:
        return HOLDS
    return Judgement(
        False,
        lambda: Message.of(
            "%(what)s is %(value)s, not %(wanted)s", what=what, value=_word(value), wanted=_either(wanted)
        ),
        fact,
    )


def _word(value: object) -> object:
    """A value that is one of the book's words, as a translatable message; other values as they are."""
    return Message(value) if isinstance(value, str) and value in _WORDS else value


def _either(values: Iterable[object]) -> Message:
    """`a, b or c`."""
    words = [_word(value) for value in values]
    told = words[0] if isinstance(words[0], Message) else Message("%(value)s", {"value": words[0]})
    for word in words[1:-1]:
        told = Message.of("%(first)s, %(next)s", first=told, next=word)
    return Message.of("%(first)s or %(last)s", first=told, last=words[-1]) if len(words) > 1 else told
