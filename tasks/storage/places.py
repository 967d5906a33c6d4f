"""Places in sorted sets whose scores are milliseconds: a walk from one to the next, and cursors for pages.

A place lies between what came before and what came after it, so that what comes meanwhile shifts nothing.
"""

from collections.abc import Iterator

from tasks.storage import replies
from tasks.storage.connections import Redis

BATCH = 200

Place = tuple[int, str]  # (ms, member), as Redis orders a set


def cursor_of(place: Place) -> str:
    """As a URL or a command takes it."""
    return f"{place[0]}-{place[1]}"


def place_of(cursor: str) -> Place:
    """The place that a cursor names. Raises ValueError for what is no cursor."""
    at, dash, member = cursor.partition("-")
    if not dash or not at.isascii() or not at.isdigit() or len(at) > 15:
        raise ValueError("invalid literal for a cursor")
    return int(at), member


def walk(
    client: Redis,
    key: str,
    since: int = 0,
    until: int | None = None,
    bound: Place | None = None,
    down: bool = True,
    batch: int = BATCH,
) -> Iterator[Place]:
    """The places of a set beyond `bound`, newest first, or oldest first if not `down`. Reads `batch` at a time.

    since, until: ms, both included. Raises redis.RedisError.
    """
    start = 0
    while True:
        if down:
            most = until if bound is None else min(bound[0], until or bound[0])
            found = client.zrevrangebyscore(key, _most(most), since, start, batch, withscores=True)
        else:
            least = since if bound is None else max(bound[0], since)
            found = client.zrangebyscore(key, least, _most(until), start, batch, withscores=True)
        places = [(int(score), member) for member, score in replies.scored(found)]
        if bound is not None:
            places = [place for place in places if (place < bound if down else place > bound)]
        yield from places
        if len(found) < batch:
            return
        start = 0 if places else start + batch  # more than a batch of one millisecond: look further
        bound = places[-1] if places else bound


def _most(until: int | None) -> int | str:
    return "+inf" if until is None else until
