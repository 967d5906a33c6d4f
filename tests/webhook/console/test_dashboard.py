"""The front page: whether greetings go out, what is to be done, today's numbers and the latest ten."""

from datetime import datetime, timedelta

import pytest

from tasks.ledger import statistics
from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.ledger.pauses import FOLLOW_UPS
from tasks.services import Services
from tasks.templates import book
from tests.support.builders import BOOK, in_words
from tests.support.console import NAME, Browser, a_flow, text_of
from tests.support.ledger import a_failed_follow_up, accepted, settled
from webhook.console.dashboard import verdict, without_rule
from webhook.console.statistics_summary import OutcomeCount

CHANNELS = BOOK.replace("rules:\n", "rules:\n  - name: douyin\n    when: {state: ['douyin-*']}\n    use: default\n")


@pytest.mark.parametrize(
    ("hour", "tone", "says"),
    [
        (OutcomeCount(), "ok", "Ready for new customers"),
        (OutcomeCount(added=9, sent=9), "ok", "are going out"),
        (OutcomeCount(added=90, sent=88, missed=2), "warn", "some customers were missed"),
        (OutcomeCount(added=9, sent=7, missed=2), "bad", "Many customers"),
        (None, "ok", "in about 1.4 s"),
    ],
)
def test_the_last_hour_decides_what_stands_on_top(hour: OutcomeCount | None, tone: str, says: str) -> None:
    found = verdict(a_flow(), None, "1.4", 20.0, hour)
    assert found.tone == tone
    assert says in str(found.headline)


def test_a_queue_in_trouble_is_said_first() -> None:
    assert verdict(a_flow(silence=None), None, None, 20.0, OutcomeCount(added=9, sent=9)).tone == "bad"
    assert verdict(None, None, None, 20.0, None).tone == "unknown"


def test_whoever_has_no_customer_yet_is_led_through_three_steps(browse: Browser, services: Services) -> None:
    page = text_of(browse.get("/"))
    assert "No customer yet. Three steps to start" in page
    assert "No welcome is published" in page
    services.books.save("default", BOOK)
    settled(services.ledger, Settlement(Outcome.REHEARSED), rehearsal=True)
    page = text_of(browse.get("/"))
    assert page.count(" done ") == 2
    settled(services.ledger, Settlement(Outcome.SENT))
    assert "three steps" not in text_of(browse.get("/"))


def test_what_became_of_them_today(browse: Browser, services: Services) -> None:
    services.books.save("default", BOOK)
    for outcome in ("sent", "sent", "expired", "no_code", "unconfirmed"):
        settled(services.ledger, Settlement(outcome, values={"customer": "王芳 <b>"}, steps={"answer_1": 900}))
    accepted(services.ledger)
    response = browse.get("/")
    page = text_of(response)
    for tile in ("New customers 5", "Sent 2", "On-time rate 50.0 %", "Missed 1", "Uncertain 1", "In progress 1"):
        assert tile in page
    assert "王芳 <b>" in page
    assert "<b>" not in response.text.replace("&lt;b&gt;", "")


def test_what_wants_doing_is_listed(browse: Browser, services: Services) -> None:
    services.books.save("default", CHANNELS)
    settled(services.ledger, Settlement(Outcome.EXPIRED), state="douyin-7")
    settled(services.ledger, Settlement(Outcome.SENT), state="xhs-11")
    a_failed_follow_up(services)
    services.queue_pauses.pause(FOLLOW_UPS, NAME)
    services.verifications.record("default", in_words("the token differs"))
    answer = browse.get("/")
    assert "/welcomes/rules/new?state=xhs-11" in answer.text
    page = text_of(answer)
    for says in (
        "1 customer was missed",
        "1 follow-up was given up",
        f"{NAME} has paused the follow-up tasks",
        "The last request to the callback was refused",
        "No access token",
        "No rule for the channel xhs-11 (1 adds today)",
    ):
        assert says in page
    assert "douyin-7 (" not in page


def test_another_app_has_its_own_day(browse: Browser, services: Services) -> None:
    settled(services.ledger, Settlement(Outcome.SENT), app="sales")
    assert "New customers 0" in text_of(browse.get("/"))


@pytest.mark.parametrize(
    ("source", "bare"),
    [(BOOK, []), (CHANNELS, [("xhs", 9), ("Douyin-1", 2)])],
)
def test_a_channel_without_a_rule_counts_where_rules_name_channels(source: str, bare: list[tuple[str, int]]) -> None:
    assert without_rule(book.read(source), {"": 50, "douyin-1": 3, "Douyin-1": 2, "xhs": 9}) == bare


def test_today_is_compared_with_the_same_weekday_until_this_time(browse: Browser, services: Services) -> None:
    settled(services.ledger)
    assert "What is usual is unknown until there is this weekday of an earlier week" in text_of(browse.get("/"))
    today = datetime.now(services.settings.timezone).date()
    for weeks, number in ((1, 5), (2, 8), (3, 11)):  # all in the first hour, which is over, or not: then a part
        key = statistics.key("default", today - timedelta(weeks=weeks), "hour")
        services.redis.hset(key, mapping={"sent|00": number * 60, "expired|00": 6, "sent|23": 9000})
    page = text_of(browse.get("/"))
    if datetime.now(services.settings.timezone).hour not in (0, 23):
        assert "New customers 1 usually 486 -100 %" in page
        assert "Sent 1 usually 480 -100 %" in page
        assert "On-time rate 100.0 % usually 98.8 %" in page
        assert "Missed 0 usually 6 -100 %" in page
        assert "Uncertain 0 usually 0" in page
    assert "of the last 3 weeks known" in page
    assert "00:00–01:00 0 486" in page or "00:00–01:00 1 486" in page
