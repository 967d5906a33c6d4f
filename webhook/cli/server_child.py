"""The embedded server under `wecom-welcome up`: whether it answers, and what to do when it does not.

A server that somebody stopped (SIGSTOP) is continued, which loses nothing. One that says nothing for long is killed,
unless it waits for its disk: then a kill would lose what it has not written yet.
"""

import contextlib
import socket
from enum import Enum
from pathlib import Path

SILENT = 3.0  # seconds without an answer after which a server is looked at
DEAD = 20.0  # seconds without one after which it is killed


class Ping:
    """Asks a server on a unix socket, and never waits for its answer. Busy or loading, it answers too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self.answers = 0

    def ask(self) -> int:
        """Take the answer to the last question, if it is there, and ask again. → how many there have been."""
        if self._socket is None:
            self._connect()
        elif self._read():
            self.answers += 1
            self._say()
        return self.answers

    def _connect(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        try:
            self._socket.connect(str(self._path))
        except OSError:  # not there; or frozen, and many wait
            self._close()
        else:
            self._say()

    def _read(self) -> bool:
        assert self._socket is not None
        try:
            if self._socket.recv(512):
                return True
        except BlockingIOError:
            return False
        except OSError:
            pass
        self._close()
        return False

    def _say(self) -> None:
        assert self._socket is not None
        try:
            self._socket.send(b"PING\r\n")
        except OSError:
            self._close()

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None


class Remedy(Enum):
    """What to do about a server."""

    NONE = "none"
    CONTINUE = "continue"
    KILL = "kill"


def remedy(silence: float, state: str | None) -> Remedy:
    """For a server without an answer for `silence` seconds. `state`: the kernel's letter; None: not known. Pure."""
    if silence <= SILENT:
        return Remedy.NONE
    if state == "T":
        return Remedy.CONTINUE
    return Remedy.KILL if silence > DEAD and state != "D" else Remedy.NONE


def state_of(pid: int) -> str | None:
    """R: runs, S: sleeps, D: waits for a disk, T: is stopped … None: unknown, as outside Linux."""
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[0]
    return None
