"""The processes of `wecom-welcome up`: forked from it, so that they share what it has imported, and watched by it.

A role starts within moments, since nothing has to be imported again, and costs the memory that it alone writes to. The
supervisor must have no threads and no connections when it forks.
"""

import contextlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import IO

from setproctitle import setproctitle

from webhook.cli.parent_death import die_with

FORK = multiprocessing.get_context("fork")
_MEMORY = Path("/dev/shm")  # noqa: S108  where it is: renewing a stamp there writes to no disk
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)  # which the supervisor handles
AWAKE = 2.0  # seconds that count between two looks at a child; in what is more the supervisor was frozen too


@dataclass(slots=True)
class Silence:
    """For how long a mark has not changed, as far as somebody who was awake has looked. Pure.

    It knows no clock: a host's suspension and a set clock are no silence.
    """

    mark: object
    seconds: float = 0.0
    changed: bool = False  # whether it ever has

    def look(self, mark: object, elapsed: float) -> None:
        """`mark`: as it is now. `elapsed`: seconds since the last look."""
        if mark == self.mark:
            self.seconds += min(elapsed, AWAKE)
        else:
            self.mark, self.seconds, self.changed = mark, 0.0, True


def stamp_file() -> IO[bytes]:
    """A file without a name, whose time a child renews."""
    return tempfile.TemporaryFile(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None)


def _arguments_length() -> int:
    """Bytes of this process' arguments. A title that fills them is read back as words, and not as one with zeros."""
    with contextlib.suppress(OSError):
        return len(Path("/proc/self/cmdline").read_bytes())
    return 0


@dataclass(slots=True)
class Child:
    """One supervised process. `work` is what it does, with the descriptor of its stamp."""

    name: str
    title: str  # in the list of processes
    work: Callable[[int], object]
    stage: int  # lower stages are stopped first
    deaths: int = 0
    again_at: float = 0.0  # monotonic
    started_at: float = 0.0  # monotonic
    stamp: IO[bytes] = field(default_factory=stamp_file)
    silence: Silence = field(default_factory=lambda: Silence(None))
    process: ForkProcess | None = None

    def start(self, now: float) -> None:
        """Fork. The process gets SIGTERM if this one is killed: the next `up` finds port and files free."""
        self.process = FORK.Process(target=self._become, args=(os.getpid(),), name=self.name)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # this process' handlers are not the child's
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self.started_at = now
        self.silence = Silence(self.stamped_at())

    def stamped_at(self) -> int:
        """When it has renewed its stamp, in nanoseconds of whatever clock."""
        return os.fstat(self.stamp.fileno()).st_mtime_ns

    @property
    def pid(self) -> int | None:
        """None: it does not run."""
        return self.process.pid if self.process is not None else None

    def exit_code(self) -> int | None:
        """Negative: the signal that killed it; None: it runs, or has not been started."""
        return self.process.exitcode if self.process is not None else None

    def runs(self) -> bool:
        return self.process is not None and self.process.is_alive()

    def terminate(self) -> None:
        """Ask it to end: SIGTERM to the process alone."""
        if self.process is not None:
            self.process.terminate()

    def wait(self, seconds: float) -> bool:
        """Wait for its end. → whether it has ended."""
        by = time.monotonic() + seconds
        while self.runs():  # not `join`: it cannot see the end of what has become another program
            if time.monotonic() >= by:
                return False
            time.sleep(0.02)
        return True

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the process and to those that it has started."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended
                os.killpg(self.pid, number)

    def _become(self, parent: int) -> None:
        os.setsid()  # Ctrl-C reaches the supervisor alone
        die_with(parent, signal.SIGTERM)
        for number in _SIGNALS:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        setproctitle(self.title.ljust(_arguments_length()))
        self.work(self.stamp.fileno())
