"""What is kept about a customer, erased. The table of tasks.storage.keys says where a customer may be named.

A digest of each erased customer is kept for as long as the nightly comparison looks back, so that it does not bring
the customer in again from WeCom's own list.
"""

import hashlib
import json
import re
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol

import redis

from tasks.ledger.query import of_customer
from tasks.ledger.rows import customer_line, erase, index
from tasks.storage import keys, replies
from tasks.storage.connections import Redis
from tasks.storage.keys import Forget

_BATCH = 500


class OfCustomer(Protocol):
    """What is about one customer of an app."""

    @property
    def app(self) -> str: ...
    @property
    def external_user_id(self) -> str: ...


def forget(client: Redis, external_user_id: str, app: str | None = None) -> int:
    """Erase every row of a customer, of one app or of all; totals stay. → how many rows there were."""
    client.zadd(keys.FORGOTTEN, {_digest(app, external_user_id): time.time()})
    erased = 0
    ids = _candidates(client, external_user_id, app)
    while batch := list(islice(ids, _BATCH)):
        once = list(dict.fromkeys(batch))  # most are named twice
        found = of_customer(client, once, external_user_id, app)
        _remember(client, [one.id for one in found])
        erased += erase(client, found)
    _erase_names(client, external_user_id, app)
    for key in keys.TABLE:
        if key.forget is Forget.ALL:
            for name in list(client.scan_iter(match=re.sub(r"{\w+}", "*", key.name), count=1000)):
                client.delete(name)
    return erased


def _remember(client: Redis, identities: Sequence[str]) -> None:
    """Leave the ids of events for as long as their rows would have stayed: a push that comes again is ignored."""
    with client.pipeline() as pipe:
        for identity in identities:
            pipe.ttl(keys.event(identity))
        lives = pipe.execute()
        for identity, life in zip(identities, lives, strict=True):
            if life > 0:  # those that came by a push
                pipe.set(keys.forgotten_event(identity), "", ex=life)
        pipe.execute()


def rewrite_log(client: Redis, patience: float = 10.0) -> bool:
    """Have Redis rewrite its append-only file, which holds every write since the last time. → whether it does.

    False: it may not be asked (a managed Redis), or another rewrite went on for `patience` seconds. True where there is
    no such file.
    """
    by = time.monotonic() + patience
    while True:
        try:
            if not int(client.info("persistence").get("aof_enabled", 1)):
                return True
        except redis.ResponseError:  # not allowed to ask: try it
            pass
        try:
            client.bgrewriteaof()
            return True
        except redis.ResponseError as error:  # one that began before has what was erased since
            if "in progress" not in str(error) or time.monotonic() > by:
                return False
            time.sleep(0.2)


def forgotten(client: Redis, app: str, external_user_ids: Sequence[str]) -> set[str]:
    """Those of these customers whom `forget` has erased, of this app or of all."""
    if not external_user_ids:
        return set()
    digests = [_digest(of, customer) for customer in external_user_ids for of in (None, app)]
    known = client.zmscore(keys.FORGOTTEN, digests)
    pairs = zip(known[::2], known[1::2], strict=True)
    return {customer for customer, pair in zip(external_user_ids, pairs, strict=True) if pair != (None, None)}


def forgotten_since(client: Redis, one: OfCustomer, at: float) -> bool:
    """Whether `forget` has erased an event's customer, of its app or of all, after `at` (Unix seconds)."""
    digests = [_digest(of, one.external_user_id) for of in (None, one.app)]
    return any(when is not None and float(when) >= at for when in client.zmscore(keys.FORGOTTEN, digests))


def _erase_names(client: Redis, external_user_id: str, app: str | None) -> None:
    """Erase what has the customer in its own name, whether or not a row is left that leads to it."""
    for name in _indexes_of(client, external_user_id, app):
        client.delete(name)
    for field in replies.texts(client.hkeys(keys.FOLLOWUP_AWAITED)):
        of, _, rest = field.partition("|")
        if rest.endswith(f"|{external_user_id}") and app in (None, of):
            client.hdel(keys.FOLLOWUP_AWAITED, field)
    _erase_forwarded(client, external_user_id, app)
    for identity in replies.texts(client.zrange(keys.CHANGES, 0, -1)):
        if _is_about(replies.text_or_none(client.get(keys.change(identity))), external_user_id, app):
            client.set(keys.change(identity), "", keepttl=True)  # so that a replay does not bring it back
            client.zrem(keys.CHANGES, identity)


def _erase_forwarded(client: Redis, external_user_id: str, app: str | None) -> None:
    """Erase the customer's events that are on their way to other systems, or parked."""
    for item in replies.texts(client.lrange(keys.FORWARD_NEW, 0, -1)):
        kind, _, rest = item.partition(":")
        if kind == "change" and _is_about(rest, external_user_id, app):
            client.lrem(keys.FORWARD_NEW, 0, item)
    for name in client.scan_iter(match=keys.forward_entry(app or "*", "*", "*"), count=1000):
        of, target, line = replies.texts_or_none(client.hmget(name, "app", "target", "line"))
        if of is not None and target is not None and line == customer_line(of, external_user_id):
            client.delete(name, keys.forward_line(of, target, line))
            client.zrem(keys.forward_waiting(of, target), name)
            client.zrem(keys.forward_parked(of, target), name)


def _is_about(change: str | None, external_user_id: str, app: str | None) -> bool:
    """Whether a change, as it is stored, is of this customer; what cannot be read is, if it has the customer's id."""
    try:
        values = json.loads(change or "{}")
        return values.get("external_user_id") == external_user_id and app in (None, values.get("app"))
    except (ValueError, AttributeError):  # of another release
        return external_user_id in (change or "")


def _indexes_of(client: Redis, external_user_id: str, app: str | None) -> list[str]:
    """The keys of the customer's index sets, of one app or of all."""
    customer = re.sub(r"([\\*?\[\]])", r"\\\1", index("\0", "external_user_id", external_user_id))
    found = client.scan_iter(match=customer.replace("\0", app or "*"), count=1000)
    return [name for name in found if app is not None or _is_of(name, external_user_id)]


def _is_of(name: str, external_user_id: str) -> bool:
    """Whether this is the customer's index set of one app; a pattern's * takes colons too."""
    app = name.split(":")[2]
    return name == index(app, "external_user_id", external_user_id)


def _candidates(client: Redis, external_user_id: str, app: str | None) -> Iterator[str]:
    """The ids of the rows to look at: all of the ledger, since rows of early releases are in no index."""
    for listed in _indexes_of(client, external_user_id, app):  # rows without an event are in the index only
        yield from replies.texts(client.zrange(listed, 0, -1))
    for identity, _ in client.zscan_iter(keys.EVENTS, count=_BATCH):
        yield identity


def _digest(app: str | None, external_user_id: str) -> str:
    """What FORGOTTEN keeps of a customer, of one app or of all: enough to know it again, and nothing that names it."""
    return hashlib.sha256("\0".join(("forgotten", app or "", external_user_id)).encode()).hexdigest()[:32]
