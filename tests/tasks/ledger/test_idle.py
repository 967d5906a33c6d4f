"""The times in which no worker took messages: written down by the claim that ends one, and found by a receipt."""

import pytest

from tasks.ledger.idle import IDLE_KEPT, IdlePeriod, idle_period
from tasks.ledger.ledger import Ledger
from tasks.storage import keys
from tasks.storage.connections import Redis


def silent(client: Redis, ledger: Ledger, seconds: float) -> int:
    """The last message was taken so many seconds ago. → that time, in ms."""
    at = ledger.now() - round(seconds * 1000)
    client.set(keys.CONSUMED, at)
    return at


def test_the_claim_that_ends_a_silence_writes_it_down(redis_client: Redis, ledger: Ledger) -> None:
    ledger.claim(1)
    assert redis_client.zcard(keys.IDLE) == 0, "the first message of all ends nothing"
    since = silent(redis_client, ledger, 2340)
    ledger.claim(1)
    ledger.claim(1)
    ((period, until),) = redis_client.zrange(keys.IDLE, 0, -1, withscores=True)
    assert period == f"{since}:{until:.0f}"


def test_canary_messages_that_come_late_are_no_silence(redis_client: Redis, ledger: Ledger) -> None:
    silent(redis_client, ledger, 8)
    ledger.claim(1)
    assert redis_client.zcard(keys.IDLE) == 0


def test_the_record_is_bounded(redis_client: Redis, ledger: Ledger) -> None:
    redis_client.zadd(keys.IDLE, {f"{at}:{at + 1}": at + 1 for at in range(IDLE_KEPT)})
    silent(redis_client, ledger, 60)
    ledger.claim(1)
    assert redis_client.zcard(keys.IDLE) == IDLE_KEPT
    assert redis_client.zrange(keys.IDLE, 0, 0) == ["1:2"]


@pytest.mark.parametrize(
    ("received_at", "found"),
    [
        (990.0, IdlePeriod(1000, 1060)),  # it could still have been greeted when the silence began
        (1030.0, IdlePeriod(1000, 1060)),
        (979.0, None),  # it was too late before
        (1061.0, None),
    ],
)
def test_a_receipt_finds_the_time_in_which_it_waited(
    redis_client: Redis, received_at: float, found: IdlePeriod | None
) -> None:
    redis_client.zadd(
        keys.IDLE, {"1000000:1060000": 1060000, "5000000:5060000": 5060000, "of a later release": 1070000}
    )
    assert idle_period(redis_client, received_at, 20.0) == found
