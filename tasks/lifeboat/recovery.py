"""Takes journals into the ledger when Redis takes writes again. Doing it twice changes nothing: see `Ledger.take_in`.

    take_in(journal, …)   the results of a journal, from a place on
    Recovery              a thread of the roles that greet nobody by themselves: what dead web processes left behind

A customer who was forgotten after the receipt is left out: the check and the write are one step (WATCH).
"""

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import redis

from tasks.ledger.ledger import Ledger
from tasks.ledger.recorded import Recorded
from tasks.lifeboat import entries
from tasks.lifeboat.journal import Journal, left_behind
from tasks.state.erasure import forgotten_since
from tasks.storage import keys
from tasks.storage.connections import Redis

log = logging.getLogger(__name__)

INTERVAL = 2.0  # seconds between two looks for journals
BATCH = 100  # records in one step; a third of them are results
PAUSE = 0.01  # seconds between two steps: what comes in now goes first

T = TypeVar("T")


def take_in(journal: Journal, client: Redis, ledger: Ledger, since: int = 0) -> Iterator[tuple[int, int]]:
    """Take in the results from byte `since` on. → after each step: (the byte where to go on, how many events).

    Raises redis.RedisError; the steps before it are done.
    """
    pause = threading.Event()
    for batch in _batches(journal.records(since), BATCH):
        results = [one for _, record in batch if (one := entries.finished(record)) is not None]
        store(results, client, ledger)
        yield batch[-1][0], len(results)
        pause.wait(PAUSE)


def take_in_all(journal: Journal, client: Redis, ledger: Ledger) -> int:
    """Take in a whole journal, whose process has ended, and remove it. → how many events. Raises redis.RedisError."""
    waiting = list(entries.unfinished(record for _, record in journal.records()).values())
    for batch in _batches(waiting, BATCH):  # first: some have time left
        store(batch, client, ledger)
    count = len(waiting) + sum(number for _, number in take_in(journal, client, ledger))
    journal.remove()
    return count


def store(recorded: Sequence[Recorded], client: Redis, ledger: Ledger) -> None:
    """Store events in one step, without those of customers who were forgotten since. Raises redis.RedisError."""
    while recorded:
        with client.pipeline() as pipe:
            pipe.watch(keys.FORGOTTEN)
            kept = [one for one in recorded if not forgotten_since(client, one.event, one.received_at)]
            pipe.multi()
            ledger.take_in(kept, pipe)
            try:
                pipe.execute()
                return
            except redis.WatchError:  # somebody was forgotten just now
                continue


class Recovery(threading.Thread):
    """Runs until the process ends, or `stop`."""

    def __init__(self, folder: Path, client: Redis, ledger: Ledger) -> None:
        super().__init__(name="lifeboat", daemon=True)
        self._folder = folder
        self._redis = client
        self._ledger = ledger
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(INTERVAL):
            try:
                self.look()
            except redis.RedisError as error:  # not back yet
                log.debug("a journal of the lifeboat waits: %s", error)
            except Exception:
                log.exception("a journal of the lifeboat cannot be taken into the ledger")

    def look(self) -> None:
        """Take in what dead processes left behind. Raises redis.RedisError."""
        for path in left_behind(self._folder):
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                if path.stat().st_size:  # the others are those of living processes, mostly
                    self._redis.set(keys.PROBE, 1, ex=60)  # before the lock: without Redis, a web process wants that
                recover(path, self._redis, self._ledger)

    def stop(self) -> None:
        self._stopping.set()


def recover(path: Path, client: Redis, ledger: Ledger) -> None:
    """Take a journal into the ledger, unless its process lives. Raises redis.RedisError; then it is left as it was."""
    journal = Journal.take_over(path)
    if journal is None:
        return
    try:
        count = take_in_all(journal, client, ledger)
    except BaseException:
        journal.close()
        raise
    if count:
        log.warning("%s events of the lifeboat of a web process that has ended are in the ledger", count)


def _batches(many: Iterable[T], size: int) -> Iterator[list[T]]:
    source = iter(many)
    while batch := list(islice(source, size)):
        yield batch
