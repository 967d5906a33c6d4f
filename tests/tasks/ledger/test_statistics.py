"""What became of the customers, by day: counted with the outcome, bounded whatever comes, read day by day."""

import math
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tasks.ledger import statistics
from tasks.ledger.claims import SettledEvent, Settlement
from tasks.ledger.delivery import Outcome
from tasks.ledger.ledger import Ledger
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.builders import in_words
from tests.support.ledger import a_ledger, settled

ZONE = ZoneInfo("Asia/Shanghai")


def counted(client: Redis, *dimensions: str) -> statistics.Tallies:
    (tallies,) = statistics.read(client, "default", [datetime.now(ZONE).date()], dimensions).values()
    return tallies


def test_a_greeting_is_counted_in_each_dimension(redis_client: Redis, ledger: Ledger) -> None:
    sent = Settlement(Outcome.SENT, template="t", rule="r", variant="a", steps={"try_1": 90, "answer_1": 130})
    settled(ledger, sent, state="douyin", user_id="zhangsan")
    hour = f"{datetime.now(ZONE):%H}"
    assert counted(redis_client, *statistics.DIMENSIONS) == {
        ("total", "", "sent"): 1,
        ("hour", hour, "sent"): 1,
        ("channel", "douyin", "sent"): 1,
        ("member", "zhangsan", "sent"): 1,
        ("template", "t", "sent"): 1,
        ("variant", ("r", "a"), "sent"): 1,
        ("latency", "200", "sent"): 1,
        ("pace", (hour, "200"), "sent"): 1,
    }


@pytest.mark.parametrize(
    ("settlement", "cause"),
    [
        (Settlement(Outcome.REFUSED, in_words("no"), 48002), "48002"),
        (Settlement(Outcome.EXPIRED, in_words("paused by Li Min"), cause="paused"), "paused"),
        (Settlement(Outcome.EXPIRED, in_words("30 s in the queue")), ""),
    ],
)
def test_why_it_was_not_sent_is_counted(
    redis_client: Redis, ledger: Ledger, settlement: Settlement, cause: str
) -> None:
    settled(ledger, settlement)
    assert counted(redis_client, "cause") == {("cause", cause, settlement.outcome): 1}


def test_an_answer_that_was_thought_lost_is_not_counted_twice(redis_client: Redis, ledger: Ledger) -> None:
    event = settled(ledger, Settlement(Outcome.UNCONFIRMED, in_words("an answer was lost"), 41050, template="t"))
    ledger.settle(SettledEvent(event, Settlement(Outcome.SENT, template="t")))
    assert counted(redis_client, "total", "cause") == {("total", "", "sent"): 1}


@pytest.mark.parametrize("state", ["a|b", "sent", "sent|", "", "|", "x" * 600, "\n", "<b>", '"]', "客户", "😀"])
def test_no_value_is_taken_for_another(redis_client: Redis, ledger: Ledger, state: str) -> None:
    settled(ledger, Settlement(Outcome.SENT), state=state)
    settled(ledger, Settlement(Outcome.NO_CODE), state=state)
    settled(ledger, Settlement(Outcome.SENT), state="plain")
    assert counted(redis_client, "channel") == {
        ("channel", state, "sent"): 1,
        ("channel", state, "no_code"): 1,
        ("channel", "plain", "sent"): 1,
    }


def test_rules_and_variants_are_told_apart_whatever_their_names(redis_client: Redis, ledger: Ledger) -> None:
    pairs = [("r", "a"), ("ra", ""), ("", "ra"), ("r|1", "a"), ("r", "|1a"), ("规则", "一")]
    for rule, variant in pairs:
        settled(ledger, Settlement(Outcome.SENT, rule=rule, variant=variant))
    named = [(rule, variant) for rule, variant in pairs if variant]
    assert counted(redis_client, "variant") == {("variant", pair, "sent"): 1 for pair in named}


def test_who_sends_ever_new_states_fills_no_memory(
    redis_client: Redis, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "FIELDS_LIMIT", 3)
    for number in (1, 2, 3, 4, 5, 1):
        settled(ledger, Settlement(Outcome.SENT), state=f"s{number}")
    settled(ledger, Settlement(Outcome.SENT), state="x" * 601)
    counts = counted(redis_client, "channel")
    assert counts == {
        ("channel", "s1", "sent"): 2,
        ("channel", "s2", "sent"): 1,
        ("channel", "s3", "sent"): 1,
        ("channel", None, "sent"): 3,
    }


def test_what_had_no_room_is_taken_back_where_it_was_counted(
    redis_client: Redis, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "FIELDS_LIMIT", 1)
    settled(ledger, Settlement(Outcome.FAILED), state="first")
    event = settled(ledger, Settlement(Outcome.FAILED), state="second")
    ledger.settle(SettledEvent(event, Settlement(Outcome.SENT)))
    assert counted(redis_client, "channel") == {("channel", "first", "failed"): 1, ("channel", None, "sent"): 1}


def test_a_day_is_the_local_one_of_the_receipt(redis_client: Redis) -> None:
    for zone in ("Asia/Shanghai", "Pacific/Kiritimati", "Pacific/Midway"):
        redis_client.flushall()
        ledger = a_ledger(redis_client, timezone=ZoneInfo(zone))
        settled(ledger, Settlement(Outcome.SENT))
        now = datetime.now(ZoneInfo(zone))
        assert statistics.read(redis_client, "default", [now.date()], ["hour"]) == {
            now.date(): {("hour", f"{now:%H}", "sent"): 1}
        }


def test_tallies_outlive_the_rows_and_end_one_day(redis_client: Redis, ledger: Ledger) -> None:
    settled(ledger, Settlement(Outcome.SENT, steps={"answer_1": 5}))
    stored = redis_client.keys(keys.tallies("*") + "*")
    assert len(stored) == 6
    assert all(399 * 86400 < redis_client.ttl(key) <= 400 * 86400 for key in stored)


@pytest.mark.parametrize(
    ("steps", "bucket", "finer"),
    [
        ({}, "", ""),
        ({"try_1": 3}, "", ""),
        ({"answer_1": 0}, "100", "10"),
        ({"answer_1": 21}, "100", "30"),
        ({"answer_1": 100}, "100", "100"),
        ({"answer_1": 101}, "200", "200"),
        ({"answer_1": 3100, "answer_2": 4999}, "5000", "5000"),
        ({"answer_10": 20000, "answer_9": 1}, "20000", "20000"),
        ({"answer_1": 20001}, "inf", "inf"),
    ],
)
def test_a_latency_has_one_bucket_of_each_kind(steps: dict[str, int], bucket: str, finer: str) -> None:
    assert statistics.latency(steps) == (bucket, finer)


def test_the_ends_of_the_paces_are_ends_of_the_buckets_too_from_a_tenth_of_a_second() -> None:
    assert {end for end in statistics.PACES if end >= 100} <= set(statistics.BUCKETS)
    assert 20_000 in statistics.PACES


@pytest.mark.parametrize(
    ("counts", "part", "seconds"),
    [
        ({}, 0.5, None),
        ({"100": 10}, 0.5, 0.05),
        ({"1000": 5, "2000": 5}, 0.5, 1.0),
        ({"1000": 1, "20000": 99}, 0.99, pytest.approx(19.99, abs=0.01)),
        ({"100": 1, "inf": 3}, 0.5, math.inf),
    ],
)
def test_a_quantile_lies_in_its_bucket(counts: dict[str, int], part: float, seconds: float | None) -> None:
    assert statistics.quantile({("latency", le, "sent"): count for le, count in counts.items()}, part) == seconds


def test_days_add_up() -> None:
    one: statistics.Tallies = {("total", "", "sent"): 2, ("total", "", "failed"): 1}
    assert statistics.added([one, {("total", "", "sent"): 3}]) == {("total", "", "sent"): 5, ("total", "", "failed"): 1}


def test_several_days_are_read_as_one(redis_client: Redis, ledger: Ledger) -> None:
    for state in ("a", "a", "b"):
        settled(ledger, Settlement(Outcome.SENT, rule="r", variant="v"), state=state)
    today = datetime.now(ZONE).date()
    days = [today - timedelta(1), today]
    redis_client.hset(statistics.key("default", days[0], "channel"), mapping={"sent|a": 4, "failed": 2})
    wanted = ("total", "channel", "variant")
    assert statistics.read_sum(redis_client, "default", days, wanted) == {
        ("total", "", "sent"): 3,
        ("channel", "a", "sent"): 6,
        ("channel", "b", "sent"): 1,
        ("channel", None, "failed"): 2,
        ("variant", ("r", "v"), "sent"): 3,
    }
    assert statistics.added(statistics.read(redis_client, "default", days).values()) == statistics.read_sum(
        redis_client, "default", days
    )


def test_a_day_without_customers_is_empty(redis_client: Redis) -> None:
    assert statistics.read(redis_client, "default", [date(2026, 1, 1)]) == {date(2026, 1, 1): {}}


def test_a_day_without_customers_is_known_if_there_were_some_the_week_before(
    redis_client: Redis, ledger: Ledger
) -> None:
    settled(ledger)
    today = datetime.now(ZONE).date()
    days = [today - timedelta(1), today, today + timedelta(7), today + timedelta(8)]
    found = statistics.read_known(redis_client, "default", days, ["total"])
    assert list(found.values()) == [None, {("total", "", "sent"): 1}, {}, None]


def test_some_values_are_read_alone(redis_client: Redis, ledger: Ledger) -> None:
    for state in ("a|b", "a|b", "c", "d"):
        settled(ledger, state=state)
    settled(ledger, Settlement(Outcome.EXPIRED, rule="r", variant="v"), state="c")
    today = datetime.now(ZONE).date()
    days = [today - timedelta(1), today]
    assert statistics.read_values(redis_client, "default", days, "channel", ["a|b", "c", "none"]) == {
        days[0]: {},
        today: {("channel", "a|b", "sent"): 2, ("channel", "c", "sent"): 1, ("channel", "c", "expired"): 1},
    }
    found = statistics.read_values(redis_client, "default", [today], "variant", [("r", "v")])
    assert found == {today: {("variant", ("r", "v"), "expired"): 1}}
    assert statistics.read_values(redis_client, "default", [today], "channel", []) == {today: {}}
