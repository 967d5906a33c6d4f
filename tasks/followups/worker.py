"""The worker of the slow queue: claims what is due of one kind, and does it, a few at a time.

a message on the slow queue ──▶ DueWorker.run ──▶ FollowUpHandler.do    tasks.followups.handler
                                              └─▶ Tagger.do             tasks.followups.tagger
"""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Generic, Protocol, TypeVar

import redis

log = logging.getLogger(__name__)

AT_ONCE = 8  # tasks of a kind running in a process: few, since greetings share WeCom's rate limits


class Task(Protocol):
    """What is claimed: of one event."""

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Task)
T_co = TypeVar("T_co", bound=Task, covariant=True)


class Due(Protocol[T_co]):
    """Where tasks are claimed from: `FollowUps`, or the `Taggings` of tasks.followups.tagging."""

    def claim(self, most: int) -> Sequence[T_co]: ...


class DueWorker(Generic[T]):
    """Claims due tasks of one kind, and does them, at most AT_ONCE at a time."""

    def __init__(self, store: Due[T], do: Callable[[T], None]) -> None:
        self._store = store
        self._do = do
        self._running = threading.Lock()
        self._under_way: list[str] = []  # event ids
        self._stopping = threading.Event()

    def current_tasks(self) -> list[str]:
        """The ids of the events whose tasks are being done now."""
        return self._under_way

    def run(self) -> None:
        """Do all that are due. Returns at once if another thread of this process is running."""
        if not self._running.acquire(blocking=False):
            return
        try:
            with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="follow-up") as pool:
                while not self._stopping.is_set():
                    tasks = self._store.claim(AT_ONCE)
                    self._under_way = [task.id for task in tasks]
                    if not tasks:
                        return
                    wait([pool.submit(self._do, task) for task in tasks])
        except redis.RedisError as error:
            log.warning("cannot claim what is due on the slow queue: %s", type(error).__name__)
        finally:
            self._under_way = []
            self._running.release()

    def stop(self) -> None:
        """Claim nothing more; what is in progress is finished."""
        self._stopping.set()
