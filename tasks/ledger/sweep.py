"""What rows may leave behind when they go by themselves, because nobody trimmed for a day: found once a day, and gone.

An index set has the life of the youngest row that it lists, so it ends with it. In one that goes on, the ids of rows
that are gone are cut off by their time; of what waits for a full add, whatever has no row.
"""

from itertools import islice

from tasks.storage import keys
from tasks.storage.connections import Redis

EVERY = 86_400  # seconds
LATEST = 15 * 86_400_000  # ms by which a row may outlive its score: the comparison looks 14 days back
_BATCH = 500


def sweep(client: Redis, life: int, now: int) -> int:
    """Sweep once a day. → how many sets of an earlier release, which have no life, got one.

    life: seconds of a row; now: ms by Redis' clock. Raises redis.RedisError.
    """
    if not client.set(keys.SWEPT, 1, nx=True, ex=EVERY):
        return 0
    bound = now - life * 1000 - LATEST
    found = 0
    names = client.scan_iter(match=keys.index("*", "*", "*"), count=1000)
    while batch := list(islice(names, _BATCH)):
        with client.pipeline(transaction=False) as pipe:
            for name in batch:
                pipe.zremrangebyscore(name, "-inf", bound)
                pipe.ttl(name)
            lives = pipe.execute()[1::2]
        without = [name for name, left in zip(batch, lives, strict=True) if left == -1]
        with client.pipeline(transaction=False) as pipe:
            for name in without:
                pipe.expire(name, life)
            pipe.execute()
        found += len(without)
    for name in client.scan_iter(match=keys.followup_failed("*"), count=1000):
        client.zremrangebyscore(name, "-inf", bound)
    for pair, identity in list(client.hscan_iter(keys.FOLLOWUP_AWAITED, count=_BATCH)):
        if not client.exists(keys.event(identity)):
            client.hdel(keys.FOLLOWUP_AWAITED, pair)
    return found
