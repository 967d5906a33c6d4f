"""Threads that come with the work and go without it: a burst has hundreds, a quiet hour has none.

A thread that waits costs the memory that it has touched, about 0.05 MB. Their stacks keep the system's size, of which
only what is touched counts: with 1 MB, a recursion that Python would have ended with an error ended the process.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue

log = logging.getLogger(__name__)

IDLE = 10.0  # seconds without work after which a thread ends

Work = Callable[[], object]


class ThreadPool:
    """At most `most` threads; work for which there is none waits. They do not hold up the process' end."""

    def __init__(self, name: str, most: int, idle: float = IDLE) -> None:
        self._name = name
        self._most = most
        self._idle = idle
        self._lock = threading.Lock()
        self._free: list[SimpleQueue[Work]] = []  # of threads without work; the one that worked last takes the next
        self._waiting: deque[Work] = deque()
        self._count = 0

    @property
    def size(self) -> int:
        """How many threads there are."""
        return self._count

    def submit(self, work: Work) -> None:
        """Have it done by a thread. An exception of its own is logged."""
        with self._lock:
            if self._free:
                self._free.pop().put(work)
                return
            self._waiting.append(work)
            if self._count >= self._most:
                return
            self._count += 1
        try:
            threading.Thread(target=self._serve, name=self._name, daemon=True).start()
        except RuntimeError:  # the system allows no more: those that there are will do it
            with self._lock:
                self._count -= 1
                alone = self._count == 0
            log.warning("no further thread could be started: %s", "the caller does the work" if alone else "work waits")
            if alone:
                self._serve_waiting()

    def _serve(self) -> None:
        own: SimpleQueue[Work] = SimpleQueue()
        while True:
            self._serve_waiting(own)
            try:
                work = own.get(timeout=self._idle)
            except Empty:
                with self._lock:
                    if own in self._free:
                        self._free.remove(own)
                        self._count -= 1
                        return
                work = own.get()  # it was given some at this moment
            _do(work)

    def _serve_waiting(self, own: "SimpleQueue[Work] | None" = None) -> None:
        """Do what waits; then `own` is free for more."""
        while True:
            with self._lock:
                if not self._waiting:
                    if own is not None:
                        self._free.append(own)
                    return
                work = self._waiting.popleft()
            _do(work)


def _do(work: Work) -> None:
    try:
        work()
    except Exception:  # the edge of a thread, which has more to do
        log.exception("a thread's work ended in an error")
