"""What is stored in a form that this release does not know: it is left out, and the log says so once for each."""

import logging
from collections.abc import Callable
from typing import TypeVar

import redis

from tasks.storage import damage

log = logging.getLogger(__name__)

MOST = 1000  # that the log names
_named: set[str] = set()
T = TypeVar("T")
UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)  # what reading it may raise


def readable(what: str, read: Callable[[], T]) -> T | None:
    """What `read` makes of something stored; None where it cannot. what: names it in the log, and nobody's data."""
    try:
        return read()
    except (*UNREADABLE, redis.ResponseError) as error:
        if isinstance(error, redis.ResponseError) and not damage.is_it(error):
            raise
        if what not in _named and len(_named) < MOST:
            _named.add(what)
            log.error("%s cannot be read (%s) and is left out: of a later release?", what, type(error).__name__)
        return None
