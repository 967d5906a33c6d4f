"""Linux: a child process that gets a signal when its parent dies, however it dies. A program of its own as well.

    python parent_death.py PARENT SIGNAL COMMAND…      asks the kernel for SIGNAL, and becomes COMMAND

The child asks for itself, after `exec`. `preexec_fn` would do it before, where the child of a process with threads may
wait for ever for a lock that one of them held. The price is a start of Python without site-packages: 10 to 15 ms.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def dying_with_this_process(command: Sequence[str], number: int = signal.SIGTERM) -> list[str]:
    """`command` so that it gets this signal when the thread that starts it ends; outside Linux the command itself."""
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(number)), *command]


def die_with(parent: int, number: int = signal.SIGTERM) -> None:
    """In a child: ask for this signal when the thread that made this process ends. Ends it if that has happened.

    Outside Linux it does nothing.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit(128 + number)


def _become(parent: int, number: int, command: list[str]) -> None:
    die_with(parent, number)
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    _become(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
