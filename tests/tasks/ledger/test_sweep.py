"""What has a customer's id in its name ends with the last row, whoever pauses and for how long."""

import pytest

from tasks.ledger.claims import SettledEvent, Settlement
from tasks.ledger.delivery import Outcome
from tasks.ledger.ledger import Ledger
from tasks.ledger.rows import index
from tasks.ledger.sweep import LATEST, sweep
from tasks.missed.work_list import WorkList
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.ledger import accepted, settled, unannounced
from tests.support.until import until

LIFE = 31 * 86_400


def sets(client: Redis) -> list[str]:
    return sorted(client.keys(keys.index("*", "*", "*")))


def forever(client: Redis) -> list[str]:
    """What has neither an end nor a name that many share."""
    return [name for name in sets(client) if client.ttl(name) < 0]


def test_every_index_set_lives_as_long_as_its_youngest_row(redis_client: Redis, ledger: Ledger) -> None:
    accepted(ledger, state="dy")
    for outcome in (Outcome.SENT, Outcome.FAILED):
        settled(ledger, Settlement(outcome, template="t"), claimed=True, state="xhs")
    settled(ledger, Settlement(Outcome.FAILED), external_user_id="wm9")
    ledger.settle(
        SettledEvent(settled(ledger, Settlement(Outcome.UNCONFIRMED)), Settlement(Outcome.SENT, template="later"))
    )
    assert len(sets(redis_client)) > 8
    assert [
        redis_client.ttl(name) for name in sets(redis_client) if not LIFE - 5 <= redis_client.ttl(name) <= LIFE
    ] == []


def test_an_older_row_never_shortens_a_sets_life(redis_client: Redis, ledger: Ledger) -> None:
    accepted(ledger)
    for name in sets(redis_client):
        redis_client.expire(name, 10 * LIFE)  # rows that were stored when WELCOME_KEEP_DAYS was higher
    accepted(ledger)
    assert min(redis_client.ttl(index("default", "outcome", "")), 9 * LIFE) == 9 * LIFE


def test_an_unannounced_customer_that_is_ticked_off_late_leaves_nothing(redis_client: Redis) -> None:
    work = WorkList(redis_client, "default")
    work.add_unannounced([unannounced("f" * 32, external_user_id="wm7")], life=30 * 86_400)
    work.tick(["f" * 32], "a", 10**13)  # its time on the list of what is done is far beyond its row's end
    name = index("default", "external_user_id", "wm7")
    assert 0 < redis_client.ttl(name) <= redis_client.ttl(keys.event("f" * 32))


def test_sets_of_an_earlier_release_get_a_life_once_a_day(redis_client: Redis, ledger: Ledger) -> None:
    event = accepted(ledger)
    for name in sets(redis_client):
        redis_client.persist(name)
    count = len(sets(redis_client))
    assert sweep(redis_client, LIFE, ledger.now()) == count
    assert forever(redis_client) == []
    redis_client.persist(sets(redis_client)[0])
    assert sweep(redis_client, LIFE, ledger.now()) == 0  # not again today
    assert 0 < redis_client.ttl(keys.SWEPT) <= 86_400
    assert redis_client.zscore(index("default", "outcome", ""), event.id)


def test_ids_whose_rows_are_gone_are_cut_off_where_the_set_goes_on(redis_client: Redis, ledger: Ledger) -> None:
    young = accepted(ledger)
    name, now = index("default", "user_id", young.user_id), ledger.now()
    redis_client.zadd(name, {"gone": now - LIFE * 1000 - LATEST - 1000, "perhaps": now - LIFE * 1000})
    redis_client.zadd(keys.followup_failed("default"), {"gone": 5, young.id: now})
    sweep(redis_client, LIFE, now)
    assert redis_client.zrange(name, 0, -1) == ["perhaps", young.id]
    assert redis_client.zrange(keys.followup_failed("default"), 0, -1) == [young.id]


def test_what_waits_for_a_full_add_goes_with_its_row(redis_client: Redis, ledger: Ledger) -> None:
    event = accepted(ledger)
    redis_client.hset(keys.FOLLOWUP_AWAITED, "default|zhangsan|wm-gone", "f" * 32)
    redis_client.hset(keys.FOLLOWUP_AWAITED, "default|zhangsan|wm-here", event.id)
    sweep(redis_client, LIFE, ledger.now())
    assert redis_client.hgetall(keys.FOLLOWUP_AWAITED) == {"default|zhangsan|wm-here": event.id}


@pytest.mark.parametrize("outcome", list(Outcome))
def test_when_every_row_has_gone_by_itself_and_nobody_trimmed_no_set_is_left(
    redis_client: Redis, ledger: Ledger, outcome: Outcome
) -> None:
    settled(ledger, Settlement(outcome, template="t"), claimed=True, state="dy")
    for name in (*redis_client.keys(keys.event("*")), *sets(redis_client)):  # time goes by, for all alike
        redis_client.pexpire(name, max(1, redis_client.pttl(name) - LIFE * 1000 + 50))
    until(lambda: not sets(redis_client), 5)
