"""Parts of a page that fail each alone: what cannot be read is said to be unknown, and never shown as nothing."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import redis

from tasks.messages import Message

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Panel(Generic[T]):
    """What a part of a page shows. `value` None: it could not be read, and `why` says so."""

    value: T | None
    why: Message | None = None

    @property
    def known(self) -> bool:
        return self.why is None


class Panels:
    """Reads the panels of one request. Once Redis was silent nobody waits for it a second time."""

    def __init__(self) -> None:
        self._away: Message | None = None

    @property
    def away(self) -> bool:
        """Whether Redis did not answer at all."""
        return self._away is not None

    def read(self, look: Callable[[], T]) -> Panel[T]:
        """What `look` returns, or why Redis does not tell."""
        if self._away is not None:
            return Panel(None, self._away)
        try:
            return Panel(look())
        except (redis.ConnectionError, redis.TimeoutError) as error:
            self._away = Message.of("Redis does not answer")
            log.warning("a page is shown without its data: %s", type(error).__name__)
            return Panel(None, self._away)
        except redis.RedisError as error:
            log.error("a panel cannot be read: %s", error)
            return Panel(None, Message.of("Redis refuses to tell"))
