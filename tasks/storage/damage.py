"""Keys of another type than they should be: nothing that reads one works, and what it held is gone.

Whatever writes or decides meets Redis' error (WRONGTYPE). What people look at shows the rest instead: within
`left_out`, a read of such a key gives what it gives where there is no key, and the key is told of.

It holds for reads in its context only, as a circuit breaker does. What a script says of such a key stays an error.
"""

import contextlib
import copy
import logging
import re
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import redis

from tasks.storage import keys

log = logging.getLogger(__name__)

MOST = 100  # keys that the log names
_named: set[str] = set()
_current: ContextVar[set[str] | None] = ContextVar("damage", default=None)

_LISTS = ("HKEYS", "HVALS", "LRANGE", "ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE")
_NUMBERS = ("STRLEN", "HLEN", "LLEN", "SCARD", "ZCARD", "ZCOUNT", "HEXISTS", "SISMEMBER")
_NOTHING: dict[str, Any] = {  # read → what redis-py answers where there is no key
    **dict.fromkeys(("GET", "GETEX", "GETRANGE", "HGET", "LINDEX", "ZSCORE", "ZRANK")),
    **dict.fromkeys(_NUMBERS, 0),
    **{name: [] for name in _LISTS},
    "HGETALL": {},
    "SMEMBERS": set(),
    "HSCAN": (0, {}),
    "SSCAN": (0, []),
    "ZSCAN": (0, []),
}
_SHOWN = {"app", "target", "queue", "task", "corp", "number", "day", "dimension"}  # parts of names that logs may have
_FOR_EACH = ("HMGET", "ZMSCORE")  # whose answer has one for each name after the key


@contextlib.contextmanager
def left_out() -> Iterator[set[str]]:
    """Reads inside of it, in this thread, leave out what is of another type. → the names of those keys, as they come.

    One inside another one is the same one.
    """
    outer = _current.get()
    if outer is not None:
        yield outer
        return
    found: set[str] = set()
    token = _current.set(found)
    try:
        yield found
    finally:
        _current.reset(token)


def is_it(error: BaseException) -> bool:
    """Whether a key of another type is what an error is about."""
    return isinstance(error, redis.ResponseError) and "WRONGTYPE " in str(error)


def found() -> frozenset[str]:
    """The keys that were left out in this context so far."""
    return frozenset(_current.get() or ())


def answer_to(command: Sequence[Any], error: redis.ResponseError) -> Any:
    """What a read that failed gives. Raises the error where it is another one, no read's, or not within `left_out`."""
    found, name = _current.get(), str(command[0]).upper()
    if found is None or not is_it(error) or not (name in _NOTHING or name in _FOR_EACH):
        raise error
    key = shown(str(command[1]))
    found.add(key)
    if key not in _named and len(_named) < MOST:
        _named.add(key)
        log.error("the key %s is of another type than it should be, and is left out: what it held is gone", key)
    return [None] * (len(command) - 2) if name in _FOR_EACH else copy.copy(_NOTHING[name])


def shown(name: str) -> str:
    """A key's name for logs and pages; that of its kind where the name itself holds what is nobody's business."""
    kind = keys.find(name)
    return name if kind is None or set(re.findall(r"{(\w+)}", kind.name)) <= _SHOWN else kind.name
