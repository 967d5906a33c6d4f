"""The version of what is stored in Redis: MAJOR.MINOR in one key. deploy/UPGRADING.md says what each release changed.

A minor version adds what the release before leaves alone: a key, a field, a kind. Both work beside each other, and
either may follow the other. A major one is what an earlier release would misread, so that refuses to start. What a
later one finds of an earlier one it reads, or moves when it settles. What has no version is of before 1.0, and reads
as 1.0.
"""

import logging
import os
import re
import time
from collections.abc import Callable
from typing import NamedTuple

import redis

from tasks.storage import keys, replies
from tasks.storage.connections import Redis

log = logging.getLogger(__name__)

REFUSED = 3  # exit code of a process that finds out late; gunicorn starts no other after it


class Format(NamedTuple):
    """A version. They compare as they follow each other."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


STATE = Format(1, 1)  # what this release writes


class FormatRefused(Exception):
    """What is stored is not for this release. Nothing was changed; the message says what to do."""


def parse(text: str) -> Format:
    """`1.0` as a value. Raises FormatRefused for what is no version."""
    found = re.fullmatch(r"(\d{1,4})\.(\d{1,4})", text, re.ASCII)
    if found is None:
        raise FormatRefused(f"the version of the stored state is {text[:40]!r}, which no release writes")
    return Format(int(found[1]), int(found[2]))


def check(stored: str | None, what: str = "the state in Redis") -> None:
    """Raises FormatRefused if it is of a later major version than this release knows. None: of before 1.0."""
    if stored is not None and parse(stored).major > STATE.major:
        raise FormatRefused(
            f"{what} has format {stored}, and this release knows {STATE.major}.x: install the release that wrote it, "
            'or a later one (deploy/UPGRADING.md, "Rolling back")'
        )


def refuse_later(client: Redis) -> None:
    """As `check`, of what is stored. Raises FormatRefused or redis.RedisError."""
    check(replies.text_or_none(client.get(keys.FORMAT)))


def settle(client: Redis) -> None:
    """As `refuse_later`; then the stored version becomes this release's, unless a later one works beside it."""
    with client.pipeline() as pipe:
        while True:
            pipe.watch(keys.FORMAT)
            stored = replies.text_or_none(pipe.get(keys.FORMAT))
            check(stored)
            if stored is not None and parse(stored) >= STATE:
                return
            pipe.multi()
            pipe.set(keys.FORMAT, str(STATE))
            try:
                pipe.execute()
                return
            except redis.WatchError:  # another process settles just now
                time.sleep(0.01)


class Settling:
    """For a process that may have started while Redis was away: settles as soon as Redis answers, or ends."""

    def __init__(self, client: Redis, end: Callable[[int], object] = os._exit) -> None:
        self._client = client
        self._end = end
        self._settled = False

    def look(self) -> None:
        """To be called now and then. At once where it is settled."""
        if self._settled:
            return
        try:
            settle(self._client)
        except redis.RedisError:  # away, or full
            return
        except FormatRefused as error:
            log.critical("%s", error)
            self._end(REFUSED)
        self._settled = True
