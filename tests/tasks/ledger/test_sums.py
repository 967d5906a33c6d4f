"""Sums that are kept between two reads are those of a new read, whatever was counted meanwhile."""

import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tasks.ledger import statistics, sums
from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.ledger.ledger import Ledger
from tasks.ledger.sums import Sums
from tasks.storage.connections import Redis
from tests.support.builders import in_words
from tests.support.ledger import settled

ZONE = ZoneInfo("Asia/Shanghai")
SETS = (statistics.DIMENSIONS, ("total", "member", "latency"), ("member",), ("hour", "template"), ("total",))


def some(seed: int) -> Iterator[tuple[float, Settlement, str]]:
    """(seconds ago, settlement, member) of some events of six days, mostly of today and yesterday."""
    generator = random.Random(seed)
    for _ in range(60):
        outcome = generator.choice((Outcome.SENT, Outcome.SENT, Outcome.EXPIRED, Outcome.NO_CODE))
        reason = None if outcome is Outcome.SENT else in_words("why")
        steps = {"answer_1": generator.randrange(20_000)}
        days = generator.choice((0, 0, 1, 1, 2, 5))
        yield (
            days * 86_400 + generator.randrange(1000),
            Settlement(outcome, reason, template=generator.choice("ab"), steps=steps),
            generator.choice(("zhangsan", "lisi")),
        )


@pytest.mark.parametrize("seed", range(2))
def test_what_is_kept_is_what_a_new_read_finds(redis_client: Redis, ledger: Ledger, seed: int) -> None:
    kept = Sums(redis_client)
    today = datetime.now(ZONE).date()
    spans = [[today - timedelta(n) for n in range(back)] for back in (1, 2, 7)] + [[today - timedelta(2)]]
    for number, (ago, settlement, member) in enumerate(some(seed)):
        settled(ledger, settlement, ago=ago, user_id=member)
        if number % 12 == 0:
            for days in (*spans, spans[2][::-1]):
                for wanted in SETS:
                    expected = statistics.read_sum(redis_client, "default", days, wanted)
                    assert kept.read("default", days, wanted) == expected
                    assert kept.read("default", days, wanted) == expected


def test_days_that_are_as_they_were_are_not_read_again(
    redis_client: Redis, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, asked = statistics.read_sum, list[int]()

    def watched(client: Redis, app: str, days: list[date], dimensions: set[str]) -> statistics.Tallies:
        asked.append(len(days))
        return read(client, app, days, dimensions)

    monkeypatch.setattr(statistics, "read_sum", watched)
    kept, today = Sums(redis_client), datetime.now(ZONE).date()
    days = [today - timedelta(n) for n in range(7)]
    for at, expected in ((0.0, [6, 1]), (0.0, [1]), (2 * 86_400.0, [6, 1]), (0.0, [1])):
        settled(ledger, ago=at)
        asked.clear()
        kept.read("default", days, {"member"})
        assert asked == expected


def test_a_few_are_kept_and_none_that_is_large(
    redis_client: Redis, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, today = Sums(redis_client), datetime.now(ZONE).date()
    settled(ledger, ago=86_400)
    for back in range(2, 2 + 2 * sums.KEPT):
        kept.read("default", [today - timedelta(n) for n in range(back)], {"member"})
    assert len(kept._kept) == sums.KEPT
    monkeypatch.setattr(sums, "LARGEST", 0)
    kept.read("default", [today - timedelta(n) for n in range(90)], {"member"})
    assert len(kept._kept) == sums.KEPT
    assert not [key for key in kept._kept if len(key[2]) == 89]
