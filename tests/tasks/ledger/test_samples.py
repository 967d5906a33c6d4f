"""Samples of the queue: one writer, bounded, and what nobody looked at is not known."""

from datetime import timedelta

import pytest

from tasks.ledger import samples
from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.ledger.ledger import Ledger
from tasks.ledger.samples import Sample
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.ledger import a_ledger, accepted, settled


def aged(client: Redis, milliseconds: int = samples.EVERY_MS) -> None:
    """The newest sample was taken so long ago."""
    newest = client.lindex(keys.SAMPLES, 0)
    assert newest is not None
    at, _, rest = newest.partition("|")
    client.lset(keys.SAMPLES, 0, f"{int(at) - milliseconds}|{rest}")


def test_a_sample_says_what_waits_what_is_under_way_and_how_many_came_and_went(
    redis_client: Redis, ledger: Ledger
) -> None:
    ledger.requeue()
    aged(redis_client)
    for _ in range(4):
        accepted(ledger)
    ledger.claim(1)
    settled(ledger, Settlement(Outcome.SENT))
    settled(ledger, Settlement(Outcome.SENT), rehearsal=True)
    settled(ledger, Settlement(Outcome.EXPIRED))
    settled(ledger, Settlement(Outcome.LOST))
    ledger.requeue()
    first, second = samples.read(redis_client)
    assert (first.waiting, first.in_flight, first.added) == (0, 0, None)
    assert (second.waiting, second.in_flight) == (3, 1)
    assert second.seconds == pytest.approx(second.at - first.at)
    assert (second.added, second.greeted, second.missed) == (8, 1, 1)


def test_of_many_processes_one_takes_it_and_an_hour_is_kept(
    redis_client: Redis, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        ledger.requeue()
        a_ledger(redis_client).requeue()
    assert redis_client.llen(keys.SAMPLES) == 1
    monkeypatch.setattr(samples, "KEPT", 3)
    for _ in range(5):
        aged(redis_client)
        ledger.requeue()
    assert redis_client.llen(keys.SAMPLES) == 3
    assert samples.LIFE - 5 < redis_client.ttl(keys.SAMPLES) <= samples.LIFE


@pytest.mark.parametrize("ahead", [-3_600_000, 86_400_000])
def test_a_clock_that_was_set_back_or_a_key_that_is_no_list_stops_nothing(
    redis_client: Redis, ledger: Ledger, ahead: int
) -> None:
    ledger.requeue()
    aged(redis_client, ahead)
    ledger.requeue()
    assert redis_client.llen(keys.SAMPLES) == 2
    redis_client.set(keys.SAMPLES, "no list")
    accepted(ledger, ago=3.0)
    assert ledger.requeue() == 1
    assert redis_client.llen(keys.SAMPLES) == 1


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ([], []),
        (["20000|1|2|5|7|0", "10000|0|0|9|6|0"], [Sample(10, 0, 0), Sample(20, 1, 2, 10, 5, 1, 0)]),
        (["20000|1|2|5|3|0", "10000|0|0|9|6|0"], [Sample(10, 0, 0), Sample(20, 1, 2, 10, 5, None, 0)]),  # restored
        (["90000|1|2|5|7|0", "10000|0|0|9|6|0"], [Sample(10, 0, 0), Sample(50), Sample(90, 1, 2)]),  # nobody looked
        (["20000|1|2|5|7|0", "nonsense", "3|4", "-1|0|0|0|0|0", "10000|0|0|9|6|0|of|later"], 2),
    ],
)
def test_stored_samples_become_differences(stored: list[str], expected: list[Sample] | int) -> None:
    found = samples.parsed(stored)
    assert found == expected or len(found) == expected


def test_the_hour_is_what_is_kept() -> None:
    assert timedelta(milliseconds=samples.EVERY_MS) * (samples.KEPT - 1) == timedelta(hours=1)
