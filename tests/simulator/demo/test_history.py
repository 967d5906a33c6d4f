"""The company's thirty days: always the same, with a rhythm, a bad day that can be found, and every rule in use."""

from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from itertools import islice
from random import Random
from zoneinfo import ZoneInfo

import pytest

from tasks.books.files import load
from tasks.events import ContactAdded
from tasks.templates.conditions import Contact
from tasks.templates.select import select
from tests.simulator.demo.company import APP, BOOK, DIRECTORY, UNLICENSED, WAYS
from tests.simulator.demo.history import DAYS, DOWN_FROM, DOWN_UNTIL, Stored, bad_day, history
from tests.simulator.demo.live import arrivals
from tests.support.past import Past

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 26, 21, 0, tzinfo=ZONE)
TODAY = NOW.date()


def lived(now: datetime = NOW) -> Iterable[Past]:
    book, _ = load(BOOK)
    return history(now, "ww1", [Stored(now - timedelta(40), 1, book)])


@pytest.fixture(scope="module")
def past() -> list[Past]:
    return list(lived())


def day_of(one: Past) -> date:
    return datetime.fromtimestamp(one.received_at, ZONE).date()


def test_it_is_always_the_same(past: list[Past]) -> None:
    assert list(islice(lived(), 500)) == past[:500]
    assert len({one.event.id for one in past}) == len(past)


def test_there_are_thirty_days_with_more_customers_at_weekends(past: list[Past]) -> None:
    a_day = Counter(map(day_of, past))
    assert sorted(a_day) == [TODAY - timedelta(n) for n in range(DAYS - 1, -1, -1)]
    weekends = [n for day, n in a_day.items() if day.weekday() >= 5]
    others = [n for day, n in a_day.items() if day.weekday() < 4 and day != TODAY]
    assert min(weekends) > max(others)


@pytest.mark.parametrize("ago", range(7))
def test_the_bad_day_is_a_saturday_of_the_last_ten_days_and_over(ago: int) -> None:
    found = bad_day(TODAY - timedelta(ago))
    assert found.weekday() == 5
    assert 3 <= (TODAY - timedelta(ago) - found).days <= 9


def test_on_the_bad_day_nobody_was_greeted_for_39_minutes_and_nothing_like_it_happened_else(past: list[Past]) -> None:
    expired = Counter(day_of(one) for one in past if one.settlement.outcome == "expired")
    down = [
        one
        for one in past
        if day_of(one) == bad_day(TODAY)
        and DOWN_FROM <= datetime.fromtimestamp(one.received_at, ZONE).time() < DOWN_UNTIL
    ]
    assert {one.settlement.outcome for one in down} == {"expired"}
    assert expired.pop(bad_day(TODAY)) == len(down) > 20
    assert all(count < 5 for count in expired.values())


def test_every_rule_and_both_variants_greeted_somebody(past: list[Past]) -> None:
    book, _ = load(BOOK)
    labels = {rule.label(number) for number, rule in enumerate(book.rules, 1)}
    assert {one.settlement.rule for one in past if one.settlement.rule} == labels
    assert {one.settlement.variant for one in past if one.settlement.variant} == {"抖音新人礼", "抖音一对一"}
    assert {one.settlement.template for one in past} - {""} == set(book.templates)


def test_steps_follow_each_other(past: list[Past]) -> None:
    for one in past:
        timed = [at for name, at in one.settlement.steps.items() if name != "token"]
        assert timed == sorted(timed), one


@pytest.mark.parametrize("hour", [3, 11, 21, 23])
def test_live_customers_come_through_every_rule_that_can_hold_at_that_hour(hour: int) -> None:
    book, _ = load(BOOK)
    way = arrivals(Random(1))
    at = NOW.replace(hour=hour)
    hit = set()
    for number in range(4 * len(WAYS)):
        event = ContactAdded(APP, "ww1", "add", external_user_id=f"wm{number}", created_at=1, **next(way))
        assert event.user_id != UNLICENSED
        contact = Contact(APP, event.user_id, event.external_user_id, event.state, event.change, at, DIRECTORY)
        choice = select(book, contact)
        assert choice is not None
        hit.add(choice.rule)
    night = hour >= 22 or hour < 8
    every = {rule.label(number) for number, rule in enumerate(book.rules, 1)}
    assert hit == every - ({"客服"} if night else {"夜间客服"})
