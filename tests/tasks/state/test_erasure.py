"""Who is forgotten is gone from everything but the totals, and not found anew."""

from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.ledger.ledger import Ledger
from tasks.state import erasure
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.ledger import accepted, settled


def greeted(ledger: Ledger, **different: str) -> str:
    return settled(ledger, Settlement(Outcome.SENT, template="t"), {"sent": 1}, claimed=True, **different).id


def test_who_is_forgotten_is_gone_and_totals_stay(redis_client: Redis, ledger: Ledger) -> None:
    known = greeted(ledger, external_user_id="wm1")
    greeted(ledger, external_user_id="wm1", app="sales")
    other = greeted(ledger, external_user_id="wm2")
    waiting = accepted(ledger, external_user_id="wm1")
    totals = {key: redis_client.hgetall(key) for key in [*redis_client.keys(keys.tallies("*") + "*"), keys.COUNTERS]}
    assert erasure.forget(redis_client, "wm1", "default") == 2
    assert ledger.fields(known) is None
    assert redis_client.zscore(keys.DUE, waiting.id) is None
    assert erasure.forget(redis_client, "wm1") == 1
    assert erasure.forget(redis_client, "wm1") == 0
    assert [row.id for row in ledger.deliveries()] == [other]
    everywhere = str([redis_client.dump(key) for key in redis_client.keys("*")])
    assert "wm1" not in everywhere
    assert totals == {key: redis_client.hgetall(key) for key in totals}


def test_who_is_forgotten_is_in_no_list(redis_client: Redis, ledger: Ledger) -> None:
    event = settled(ledger, Settlement(Outcome.FAILED), external_user_id="wm1")
    assert erasure.forget(redis_client, "wm1") == 1
    for key in redis_client.keys("*"):
        if redis_client.type(key) == "zset":
            assert event.id not in redis_client.zrange(key, 0, -1), key


def test_who_is_forgotten_is_remembered_by_a_digest_of_one_app_or_of_all(redis_client: Redis) -> None:
    erasure.forget(redis_client, "wm1")
    erasure.forget(redis_client, "wm2", "sales")
    customers = ["wm1", "wm2", "wm3"]
    assert erasure.forgotten(redis_client, "sales", customers) == {"wm1", "wm2"}
    assert erasure.forgotten(redis_client, "default", customers) == {"wm1"}
    assert erasure.forgotten(redis_client, "default", []) == set()
