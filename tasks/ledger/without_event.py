"""Rows of customers of whom no event tells, put on the work list: never announced, or not handed over (OF_NO_EVENT)."""

from tasks.ledger.delivery import Delivery
from tasks.ledger.ledger import TRIM_LATEST
from tasks.ledger.rows import index, row_without_event
from tasks.storage import keys
from tasks.storage.connections import Redis


def add(client: Redis, delivery: Delivery, life: int) -> bool:
    """Store a row, and put it on the list of what is to do, unless it is stored already. `life`: seconds of a row.

    The customer's index lists it too, so a later greeting takes it off the list, as it does with any missed event
    (settle.lua). Raises redis.RedisError.
    """
    row = keys.event(delivery.id)
    if client.exists(row):
        return False
    with client.pipeline() as pipe:
        pipe.hset(row, mapping=row_without_event(delivery))
        pipe.expire(row, life + TRIM_LATEST)
        pipe.zadd(keys.missed(delivery.app), {delivery.id: delivery.received_ms})
        listing = index(delivery.app, "external_user_id", delivery.external_user_id)
        pipe.zadd(listing, {delivery.id: delivery.received_ms})
        pipe.expire(listing, life + TRIM_LATEST)  # none of its rows was stored later
        pipe.execute()
    return True
