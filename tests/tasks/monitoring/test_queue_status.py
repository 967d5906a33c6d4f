"""How the queues stand: what waits, what is under way, how old the oldest is, and whether anybody comes."""

from tasks.ledger.claims import SettledEvent, Settlement
from tasks.ledger.delivery import Outcome
from tasks.ledger.ledger import Ledger
from tasks.monitoring.queue_status import SILENT, Queues, Reading
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.wecom import WeComClient
from tests.support.ledger import accepted, let_time_pass


def reading(client: Redis) -> Reading:
    return Queues(client, {}).read()


def test_nothing_is_known_of_workers_that_never_came(redis_client: Redis) -> None:
    read = reading(redis_client)
    assert (read.waiting, read.in_flight, read.oldest, read.silence, read.upkeep) == (0, 0, 0.0, None, 0)
    assert not read.consuming
    assert read.memory > 0


def test_what_waits_and_what_is_under_way(redis_client: Redis, ledger: Ledger) -> None:
    events = [accepted(ledger) for _ in range(5)]
    taken = {claim.id for claim in ledger.claim(2)}
    ledger.settle(SettledEvent(next(event for event in events if event.id not in taken), Settlement(Outcome.SENT)))
    read = reading(redis_client)
    assert (read.waiting, read.in_flight) == (2, 2)


def test_what_a_dead_worker_had_waits_again(redis_client: Redis, ledger: Ledger) -> None:
    accepted(ledger)
    ledger.claim(1)
    let_time_pass(redis_client, 10)
    assert (reading(redis_client).waiting, reading(redis_client).in_flight) == (1, 0)


def test_the_oldest_is_as_old_as_its_receipt(redis_client: Redis, ledger: Ledger) -> None:
    for age in (3, 7):
        accepted(ledger, ago=age)
    assert 7 <= reading(redis_client).oldest < 20


def test_an_age_that_cannot_be_known_is_none(redis_client: Redis, ledger: Ledger) -> None:
    event = accepted(ledger)
    redis_client.delete(keys.event(event.id))
    assert reading(redis_client).oldest is None


def test_workers_consume_as_long_as_they_are_heard_of(redis_client: Redis, ledger: Ledger) -> None:
    ledger.claim(0)
    read = reading(redis_client)
    assert read.consuming
    assert 0 <= read.silence < 5
    redis_client.set(keys.CONSUMED, ledger.now() - round(SILENT * 1000) - 1)
    assert not reading(redis_client).consuming


def test_the_slow_queue_and_the_tokens_are_read_too(redis_client: Redis) -> None:
    redis_client.lpush(keys.SLOW_QUEUE, "a", "b")
    clients = {"sales": WeComClient("ww0", "secret", "http://127.0.0.1:1", redis_client)}
    read = Queues(redis_client, clients).read()
    assert (read.upkeep, read.tokens) == (2, {"sales": None})
