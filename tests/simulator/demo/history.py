"""Thirty days of customers: more at weekends and in the evening, a slow lunch, and 39 minutes without workers. Pure.

The same for the same moment.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import lru_cache

from tasks.changes.failed_transfers import REFUSED as BY_CUSTOMER
from tasks.events import LEFT, NOT_TRANSFERRED, ContactAdded, ContactChanged
from tasks.ledger.claims import FollowUpProgress, Settlement
from tasks.ledger.delivery import Attempt, FollowUpStatus, Outcome
from tasks.reasons import Kind, Reason
from tasks.templates.conditions import Contact
from tasks.templates.model import Book, Choice
from tasks.templates.render import wanted
from tasks.templates.select import select
from tests.simulator.demo.company import (
    APP,
    DEPARTMENTS,
    DIRECTORY,
    MEMBERS,
    SUCCESSOR,
    UNLICENSED,
    UNLICENSED_FROM,
    WAYS,
    Way,
)
from tests.support.past import Past
from tests.support.people import full_name

DAYS = 30
A_DAY = 240  # customers, on an ordinary day a month ago
WEEKDAYS = (0.86, 0.8, 0.84, 0.88, 1.06, 1.5, 1.38)  # Monday first
GROWTH = 0.2  # over the month

DOWN_FROM, DOWN_UNTIL = time(20, 2), time(20, 41)  # of the bad day: the workers were down
RESTART_FROM, RESTART_UNTIL = time(12, 4), time(12, 12)  # of the last day on which it was that late: a slow restart
CUT_FROM, CUT_UNTIL = time(10, 38), time(10, 54)  # and that day's: half of what is sent to WeCom does not arrive
SLOW_DAYS_AGO, SLOW_FROM, SLOW_UNTIL = 16, time(11, 50), time(13, 10)  # WeCom was slow and busy

ORDINARY = {"sent": 9625, "no_code": 200, "lost": 90, "unconfirmed": 40, "refused": 20, "failed": 10, "stale": 15}
LEAVING, LEAVING_ELSE = {"抖音新人礼": 0.12, "抖音一对一": 0.075}, 0.05  # part of a variant's customers, in the end
REFUSED = Reason.of(Kind.WECOM_ERROR, errcode=41054, errmsg="user not activated")
NO_LICENCE = Reason.of(Kind.WECOM_ERROR, errcode=701008, errmsg="no license")
REFUSED_AT = time(10, 12)  # of the last day on which it was that late: a customer refused the member's successor
HANDED_OVER = "wm" + hashlib.sha256("青禾 hand-over".encode()).hexdigest()[:30]  # that customer
GIVEN_UP = (1, 30)  # days ago, and which of that day's: the one whose follow-up was given up
NOT_TAGGED = FollowUpProgress(
    FollowUpStatus.FAILED,
    Reason.of(Kind.GIVEN_UP, tries=7, cause=Reason.of(Kind.WECOM_ERROR, errcode=84061, errmsg="not external contact")),
)
BUSY = Reason.of(Kind.WECOM_ERROR, errcode=-1, errmsg="system busy")
BAD_GATEWAY = Reason.of(Kind.NO_ANSWER, failure="http_status", detail="502")


@dataclass(frozen=True, slots=True)
class Stored:
    """A revision of the book, and since when it was live."""

    since: datetime
    number: int
    book: Book


def bad_day(today: date) -> date:
    """The last Saturday that is three days ago or more."""
    since = (today.weekday() - 5) % 7
    return today - timedelta(since if since >= 3 else since + 7)


def last(clock: time, now: datetime) -> date:
    """The last day on which it was so late before `now`."""
    return now.date() - timedelta(now.time() < clock)


def history(now: datetime, corp_id: str, books: Sequence[Stored]) -> Iterator[Past]:
    """The customers of DAYS days until `now`, which is in the zone of the rules, oldest first."""
    for ago in range(DAYS - 1, -1, -1):
        found = _day(now.date() - timedelta(ago), ago, corp_id, books, now)
        yield from sorted(found, key=lambda one: one.received_at)


def _day(day: date, ago: int, corp_id: str, books: Sequence[Stored], now: datetime) -> Iterator[Past]:
    chance = random.Random(f"青禾 {ago}")  # a day of its own, whatever the others are like
    number = A_DAY * WEEKDAYS[day.weekday()] * (1 + GROWTH * (DAYS - ago) / DAYS) * chance.uniform(0.93, 1.07)
    for n in range(round(number)):
        drawn = _Draws(chance)
        at = datetime.combine(day, time(drawn.hour), now.tzinfo) + timedelta(seconds=drawn.second)
        if at <= now:
            one = _customer(drawn, ago * 1000 + n, at, corp_id, _live(books, at), now)
            yield replace(one, follow_up=NOT_TAGGED) if (ago, n) == GIVEN_UP and one.follow_up else one


class _Draws:
    """What chance says of one customer; always the same number of draws, so that the others do not depend on it."""

    def __init__(self, chance: random.Random) -> None:
        self.way: Way = chance.choices(WAYS, [way.share for way in WAYS])[0]
        self.member = chance.choice(self.way.members)
        self.hour = chance.choices(range(24), self.way.hours)[0]
        self.second = chance.uniform(0.1, 3599.9)
        self.outcome = Outcome(chance.choices(list(ORDINARY), list(ORDINARY.values()))[0])
        self.lookup = round(chance.uniform(12, 60))
        self.answer = round(90 + chance.lognormvariate(4.0, 0.75))
        self.slow = round(chance.lognormvariate(7.6, 0.6))
        self.again = chance.random()


def _live(books: Sequence[Stored], at: datetime) -> Stored:
    return max((one for one in books if one.since <= at), key=lambda one: one.since)


def _customer(drawn: _Draws, number: int, at: datetime, corp_id: str, live: Stored, now: datetime) -> Past:
    member = drawn.member
    event = ContactAdded(
        app=APP,
        corp_id=corp_id,
        change="add",
        user_id=member,
        external_user_id="wm" + hashlib.sha256(f"青禾 {number}".encode()).hexdigest()[:30],
        created_at=int(at.timestamp()),
        state=drawn.way.state,
        pushed_at=int(at.timestamp()),
    )
    contact = Contact(APP, member, event.external_user_id, event.state, event.change, at, DIRECTORY)
    choice = select(live.book, contact)
    assert choice is not None  # the book has a rule for everybody
    settlement = replace(_settlement(drawn, at, now), revision=live.number)
    if "prepared" in settlement.steps:
        values = _values(choice, number, member, event.state, at)
        settlement = replace(
            settlement, template=choice.template.name, rule=choice.rule, variant=choice.variant, values=values
        )
    return Past(event, at.timestamp(), settlement, _follow_up(choice, drawn))


def _values(choice: Choice, number: int, member: str, state: str, at: datetime) -> dict[str, str]:
    about = MEMBERS[member]
    every = {
        "customer": "" if number % 37 == 5 else full_name(number),
        "member": about["name"],
        "department": DEPARTMENTS[about["department"][0]]["name"],
        "state": state,
        "date": f"{at:%Y-%m-%d}",
        "time": f"{at:%H:%M}",
    }
    return {name: every[name] for name in sorted(_wanted(choice.template)) if every.get(name)}


_wanted = lru_cache(wanted)


def _follow_up(choice: Choice, drawn: _Draws) -> FollowUpProgress | None:
    then = choice.template.then
    if not then.tags and not then.remark:
        return None
    tags = tuple(f"{tag.group}/{tag.name}" for tag in then.tags)
    remark = ("kept" if drawn.again < 0.06 else "set") if then.remark else None
    return FollowUpProgress(FollowUpStatus.DONE, tags=tags, remark=remark)


# ------------------------------------------------------------------------------------------------ what became of them


def down(now: datetime) -> list[tuple[datetime, datetime]]:
    """When nobody worked: from, until."""
    days = {bad_day(now.date()): (DOWN_FROM, DOWN_UNTIL), last(RESTART_UNTIL, now): (RESTART_FROM, RESTART_UNTIL)}
    return [
        (datetime.combine(day, since, now.tzinfo), datetime.combine(day, until, now.tzinfo))
        for day, (since, until) in days.items()
    ]


def _settlement(drawn: _Draws, at: datetime, now: datetime) -> Settlement:
    clock, day, today = at.time(), at.date(), now.date()
    for since, until in down(now):
        if since <= at < until:
            return _expired(max((until - at).total_seconds(), 20.1))
    if day == last(CUT_UNTIL, now) and CUT_FROM <= clock < CUT_UNTIL and drawn.again < 0.5:
        return _failed(drawn)
    if drawn.member == UNLICENSED and day == today and at.hour >= UNLICENSED_FROM:
        return _tried(drawn, [NO_LICENCE], Outcome.REFUSED)
    if day == today - timedelta(SLOW_DAYS_AGO) and SLOW_FROM <= clock < SLOW_UNTIL:
        return _slow(drawn)
    if drawn.outcome is Outcome.NO_CODE:
        return Settlement(Outcome.NO_CODE, Reason.of(Kind.NO_WELCOME_CODE), steps={"started": 4})
    if drawn.outcome is Outcome.STALE:
        seconds = 320 + drawn.lookup * 20
        return Settlement(Outcome.STALE, Reason.of(Kind.ANNOUNCED_LATE, seconds=seconds), steps={"started": 4})
    if drawn.outcome is Outcome.SENT:
        return _tried(drawn, [BUSY, None] if drawn.again < 0.02 else [None], Outcome.SENT)
    if drawn.outcome is Outcome.LOST:
        return _tried(drawn, [Reason.of(Kind.WECOM_ERROR, errcode=41051, errmsg="already chatting")], Outcome.LOST)
    if drawn.outcome is Outcome.UNCONFIRMED:
        lost = Reason.of(Kind.NO_ANSWER, failure="connection_cut")
        used = Reason.of(Kind.WECOM_ERROR, errcode=41050, errmsg="invalid welcome_code")
        found = _tried(drawn, [lost, used], Outcome.UNCONFIRMED)
        return replace(found, reason=Reason.of(Kind.CODE_USED_AFTER_LOST_ANSWER))
    if drawn.outcome is Outcome.FAILED:
        return _failed(drawn)
    return _tried(drawn, [REFUSED], Outcome.REFUSED)


def _expired(waited: float) -> Settlement:
    """Of one who was added so many seconds before the workers came back."""
    reason = Reason.of(Kind.WINDOW_OVER, where="queue", seconds=round(waited, 1))
    return Settlement(Outcome.EXPIRED, reason, steps={"started": round(waited * 1000)})


def _tried(drawn: _Draws, answers: Sequence[Reason | None], outcome: Outcome, each: int = 0) -> Settlement:
    """A greeting with these answers to its tries, each after `each` ms; 0: as long as usual."""
    steps = {"started": 4, "chosen": 5, "named": 5 + drawn.lookup}
    at = steps["prepared"] = steps["named"] + 1
    for number in range(1, len(answers) + 1):
        steps[f"try_{number}"] = at + 1
        steps.setdefault("token", at + 1)
        at += each or drawn.answer
        steps[f"answer_{number}"] = at
        at += round(250 * 2**number * (0.75 + drawn.again / 2))
    reason = answers[-1]
    return Settlement(
        outcome,
        reason,
        errcode=reason.errcode if reason else None,
        attempts=len(answers),
        steps=steps,
        tries=[Attempt(one) for one in answers],
    )


def _failed(drawn: _Draws) -> Settlement:
    """Nothing but a gateway's errors until there was no time."""
    found = _tried(drawn, [BAD_GATEWAY] * 5, Outcome.FAILED, 240)
    reason = Reason.of(Kind.TRIES_FAILED, tries=5, in_doubt=False, cause=BAD_GATEWAY)
    return replace(found, reason=reason)


def _slow(drawn: _Draws) -> Settlement:
    """While WeCom was slow: seconds for an answer, and busy at times."""
    if drawn.again < 0.08:
        return _failed(drawn)
    return _tried(drawn, [BUSY, None] if drawn.again < 0.4 else [None], Outcome.SENT, min(drawn.slow, 8_000))


# ------------------------------------------------------------------------------------------------ who leaves again


def leaving(one: Past, now: datetime) -> ContactChanged | None:
    """That the customer has deleted the member again, if they have by now: most of those who do, do so soon."""
    event, settlement = one.event, one.settlement
    chance = random.Random(event.id)
    if chance.random() > LEAVING.get(settlement.variant, LEAVING_ELSE):
        return None
    at = round(one.received_at + 120 + chance.expovariate(1 / (3.5 * 86_400)))
    if at >= now.timestamp():
        return None
    return ContactChanged(event.app, event.corp_id, LEFT, event.user_id, event.external_user_id, at, pushed_at=at)


def refusal(corp_id: str, now: datetime) -> ContactChanged:
    """That a customer of a member who left did not want the successor."""
    at = round(datetime.combine(last(REFUSED_AT, now), REFUSED_AT, now.tzinfo).timestamp())
    return ContactChanged(APP, corp_id, NOT_TRANSFERRED, SUCCESSOR, HANDED_OVER, at, BY_CUSTOMER, pushed_at=at)
