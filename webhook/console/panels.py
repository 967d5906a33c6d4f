"""Panels of a page that fail independently: what cannot be read is shown as unknown, never as zero."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import redis

from tasks.messages import Message
from tasks.storage import troubles
from tasks.storage.unreadable import UNREADABLE

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Panel(Generic[T]):
    """What a panel shows. `value` None: it could not be read, for the reason `why`."""

    value: T | None
    why: Message | None = None

    @property
    def known(self) -> bool:
        return self.why is None


class Panels:
    """Reads the panels of one request. After one time-out of Redis the others do not wait for it."""

    def __init__(self) -> None:
        self._away: Message | None = None

    def read(self, look: Callable[[], T]) -> Panel[T]:
        """What `look` returns, or why Redis could not be read."""
        if self._away is not None:
            return Panel(None, self._away)
        try:
            return Panel(look())
        except redis.RedisError as error:
            said = Message.of("Redis %(fault)s", fault=troubles.of(error).fault)
            log.warning("a page is shown without its data: Redis %s", troubles.line(error))
            if isinstance(error, redis.ConnectionError | redis.TimeoutError):
                self._away = said
            return Panel(None, said)
        except UNREADABLE:
            log.exception("a page is shown without a part that cannot be read")
            return Panel(None, Message.of("what is stored cannot be read, see the log"))
