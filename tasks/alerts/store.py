"""Where the course of the alerts is kept, so that a restart tells nobody twice; and which process follows it.

    RedisStore   for all processes of an installation: the hash `welcome:alerts`, and a lease
    FileStore    for the web processes of one host, without Redis: a file in the lifeboat's folder, and a lock on it
    Memory       for one process that has no folder either

A record is a text under a name; `tasks.alerts.records` says what they mean.
"""

import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import redis
from redis.exceptions import LockError
from redis.lock import Lock
from redis.typing import EncodableT, FieldT

from tasks.storage import damage, keys, replies
from tasks.storage.connections import Redis

log = logging.getLogger(__name__)

LEASE = 15.0  # seconds after which another process takes over from one that does not renew its lease

Records = Mapping[str, str]


class Store(Protocol):
    def hold(self, seconds: float = LEASE) -> bool:
        """Whether this process is the one that follows the alerts now, and for so many seconds."""

    def load(self) -> dict[str, str]:
        """All records."""

    def save(self, changes: Mapping[str, str | None]) -> None:
        """Write records; None removes one."""

    def release(self) -> None:
        """Let another process follow them."""


class RedisStore:
    """Its methods but `release` raise redis.RedisError."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._lease = Lock(client, keys.ALERTS_LEASE, timeout=LEASE, blocking=False, thread_local=False)

    def hold(self, seconds: float = LEASE) -> bool:
        self._lease.timeout = seconds
        try:
            if self._lease.owned():
                return bool(self._lease.reacquire())
        except LockError:  # it has just expired
            pass
        return bool(self._lease.acquire())

    def load(self) -> dict[str, str]:
        """Of another type they are nothing: no alert is to be silent for that."""
        try:
            return replies.fields(self._redis.hgetall(keys.ALERTS))
        except redis.ResponseError as error:
            if not damage.is_it(error):
                raise
            log.error("the course of the alerts cannot be read, and begins anew")
            self._redis.delete(keys.ALERTS)
            return {}

    def save(self, changes: Mapping[str, str | None]) -> None:
        kept: dict[FieldT, EncodableT] = {name: text for name, text in changes.items() if text is not None}
        gone = [name for name, text in changes.items() if text is None]
        with self._redis.pipeline() as pipe:
            if kept:
                pipe.hset(keys.ALERTS, mapping=kept)
            if gone:
                pipe.hdel(keys.ALERTS, *gone)
            pipe.execute()

    def release(self) -> None:
        with contextlib.suppress(redis.RedisError):  # another process has it, or it expires by itself
            self._lease.release()


class FileStore:
    """`load` of a file that cannot be read is empty.

    Where the disk takes nothing, this process keeps the records, and each process of the host may hold them: a full
    disk keeps the lifeboat from taking customers, and people must hear of that.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "alerts.json"
        self._lock_file = folder / "alerts.lock"
        self._lock: int | None = None
        self._unwritten: dict[str, str] | None = None  # the records that the disk did not take

    def hold(self, seconds: float = LEASE) -> bool:
        if self._lock is not None:
            return True
        try:
            opened = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return True
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(opened)
            return False
        self._lock = opened
        return True

    def load(self) -> dict[str, str]:
        if self._unwritten is not None:
            return dict(self._unwritten)
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self._file.read_text("utf-8"))
            if isinstance(found, dict):
                return {str(name): str(text) for name, text in found.items()}
        return {}

    def save(self, changes: Mapping[str, str | None]) -> None:
        records = {name: text for name, text in {**self.load(), **changes}.items() if text is not None}
        beside = self._file.with_suffix(".new")
        try:
            beside.write_text(json.dumps(records), "utf-8")
            beside.replace(self._file)
        except OSError as error:
            if self._unwritten is None:
                log.warning("the course of the alerts cannot be written: %s", error.strerror)
            self._unwritten = records
        else:
            self._unwritten = None

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class Memory:
    def __init__(self) -> None:
        self._records: dict[str, str] = {}

    def hold(self, seconds: float = LEASE) -> bool:
        return True

    def load(self) -> dict[str, str]:
        return dict(self._records)

    def save(self, changes: Mapping[str, str | None]) -> None:
        self._records = {name: text for name, text in {**self._records, **changes}.items() if text is not None}

    def release(self) -> None:
        """Nobody else has it."""
