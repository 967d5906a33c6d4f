"""Liveness: a process shows every second that it works, and ends by itself when one of its loops hangs.

    all of it is frozen (SIGSTOP, a lock held in C)    no stamp is renewed: whoever watches it kills it after SILENT
    one loop hangs, the others run                     it ends itself, with the stack of every thread in its log

A stamp goes to a file whose time is renewed (`wecom-welcome up` and probes look at it) and to systemd's watchdog. In
Redis the heartbeat stands for it (tasks.monitoring.heartbeat).

A loop that waits for Redis does not hang, however long Redis is away: only time counts in which Redis answered the
process' reaper.
"""

import contextlib
import logging
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

log = logging.getLogger(__name__)

EVERY = 1.0  # seconds between two stamps
SILENT = 6.0  # seconds without one after which a process counts as frozen
TO_COME_ROUND = 6.0  # seconds that a loop may take, while Redis answers
TO_START = 60.0  # seconds that it may take to come round for the first time
BETWEEN_ANSWERS = 2.5  # seconds between two answers of Redis; what is more was waiting for it
HUNG = os.EX_SOFTWARE  # the exit code of a process with a loop that hangs


class Loop:
    """One loop that has to come round. Used by its own thread and by the reaper's; a lost count does no harm."""

    def __init__(self, name: str, *, at_rest: bool = False) -> None:
        """`at_rest`: it does not run yet; `with loop:` begins."""
        self.name = name
        self._silence = TO_COME_ROUND - TO_START  # seconds
        self._at_rest = at_rest

    def came_round(self) -> None:
        self._silence = 0.0

    def count(self, seconds: float) -> None:
        """So long has Redis answered meanwhile."""
        self._silence += seconds

    @property
    def hangs(self) -> bool:
        return self._silence > TO_COME_ROUND and not self._at_rest

    def rest(self) -> None:
        """It has ended, or has good reasons not to come round."""
        self._at_rest = True

    def __enter__(self) -> "Loop":
        """Begin to run: from now on it has to come round."""
        self._silence, self._at_rest = 0.0, False
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self.rest()


class Stamp:
    """Where a process shows that it works: a file's time, and systemd's watchdog. Neither is needed."""

    def __init__(self, file: int | None = None, notify_socket: str | None = None) -> None:
        """`file`: a descriptor (`open_stamp`). `notify_socket`: systemd's NOTIFY_SOCKET, a path or an @abstract one."""
        self._file = file
        self._systemd: socket.socket | None = None
        if notify_socket is not None:
            with contextlib.suppress(OSError):
                self._systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._systemd.setblocking(False)
                self._systemd.connect(notify_socket.replace("@", "\0", 1) if notify_socket[0] == "@" else notify_socket)

    def renew(self) -> None:
        """Microseconds; never waits and never fails: a watcher that is gone is no reason to stop."""
        self._renew_file()
        with contextlib.suppress(OSError):
            if self._systemd is not None:
                self._systemd.send(b"READY=1\nWATCHDOG=1")

    def _renew_file(self) -> None:
        with contextlib.suppress(OSError):
            if self._file is not None:
                os.utime(self._file)

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """Renew the file inside of the `with` block, for TO_START at most: a slow machine takes its time to import.

        systemd waits by itself until it is told that the process is ready.
        """
        over = threading.Event()

        def renew() -> None:
            by = time.monotonic() + TO_START
            while not over.is_set() and time.monotonic() < by:
                self._renew_file()
                over.wait(EVERY)

        thread = threading.Thread(target=renew, name="starting", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()  # the process may be about to fork


def open_stamp(file: Path) -> int:
    """A descriptor of the file, which is made, or renewed as a predecessor left it. Raises OSError."""
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    os.utime(opened)
    return opened


class Watchdog(threading.Thread):
    """Renews the stamp every second, for as long as no loop hangs. Then it ends the process."""

    def __init__(self, stamp: Stamp, end: Callable[[int], object] = os._exit) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._stamp = stamp
        self._loops: tuple[Loop, ...] = ()
        self._end = end
        self._stopping = threading.Event()
        self._answered_at = time.monotonic()

    def watch(self, loop: Loop) -> Loop:
        """From now on this loop has to come round. → the loop."""
        self._loops += (loop,)
        return loop

    def redis_answered(self) -> None:
        """Called by the reaper whenever it has had an answer."""
        now = time.monotonic()
        since, self._answered_at = min(now - self._answered_at, BETWEEN_ANSWERS), now
        for loop in self._loops:
            loop.count(since)

    def drain(self) -> None:
        """The process is about to end: no loop has to come round any more."""
        for loop in self._loops:
            loop.rest()

    def run(self) -> None:
        while not any(loop.hangs for loop in self._loops):
            self._stamp.renew()
            if self._stopping.wait(EVERY):
                return
        names = ", ".join(loop.name for loop in self._loops if loop.hangs)
        log.critical("%s hangs; this process ends, to be started again\n%s", names, _stacks())
        self._end(HUNG)

    def stop(self) -> None:
        self._stopping.set()


def _stacks() -> str:
    """Where each thread is. It has no values, and so no secrets."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame)).rstrip()}"
        for ident, frame in sys._current_frames().items()
    )
