"""A journal: records, appended to a file of this process' own, on the disk when `append` returns. Knows none of them.

    lifeboat/NAME.journal      a line for each record: CRC-32 of its JSON in hex, a blank, the JSON
                               the first one, {"format": 1}, comes with the first record, and is none of them
                               mode 0600; locked (flock) by the process that writes it, for as long as that lives

A line that was cut off, or does not fit its CRC, is passed over: what a killed process or a full disk leaves behind
costs one record at the most. The lock says whose a file is: who gets the lock of another's journal may take it over.
"""

import contextlib
import fcntl
import json
import logging
import os
import secrets
import threading
import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

log = logging.getLogger(__name__)

FORMAT = 1  # of a journal, and of the records in it; without one it is of before 1.0, and reads as 1
SUFFIX = ".journal"
LIMIT = 256 << 20  # bytes of one journal: about 200,000 events
RESERVE = 16 << 20  # bytes beyond it, for what becomes of the events that are in it


class JournalError(Exception):
    """A record could not be stored: the disk is full or broken, or the journal has reached LIMIT."""


class Journal:
    """A journal that this process holds. Thread-safe. Several threads that append share one sync of the disk."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._cut_off = self._size > 0  # whether the last line may have no end
        self._writing = threading.Lock()
        self._syncing = threading.Lock()
        self._written = self._synced = 0  # records

    @classmethod
    def create(cls, folder: Path) -> Self:
        """A new journal, in a folder that is made if need be. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        making = folder / f"{name}.new"  # nobody takes it over before it is locked
        descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        making.rename(folder / f"{name}{SUFFIX}")
        listing = os.open(folder, os.O_RDONLY)
        os.fsync(listing)
        os.close(listing)
        return cls(folder / f"{name}{SUFFIX}", descriptor)

    @classmethod
    def take_over(cls, path: Path) -> Self | None:
        """The journal of a process that has ended; None if that lives, or another process was faster.

        One of a later format is left for the release that wrote it, and for those after it.
        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            same = os.stat(path).st_ino == os.fstat(descriptor).st_ino  # else it was removed meanwhile
            if same and not _is_left(path.name, _format_of(path)):
                return cls(path, descriptor)
        except OSError:
            pass
        os.close(descriptor)
        return None

    @property
    def size(self) -> int:
        return self._size

    def append(self, record: Mapping[str, Any], *, sync: bool = True) -> None:
        """Store a record; with `sync`, it is on the disk when this returns. Raises JournalError.

        Without, it survives this process, and from the next sync on the machine; and it may use the RESERVE.
        """
        line = _line(record)
        with self._writing:
            if self._size == 0:
                line = _line({"format": FORMAT}) + line
            self._write(b"\n" + line if self._cut_off else line, LIMIT if sync else LIMIT + RESERVE)
            self._written = number = self._written + 1
        if sync:
            self._sync(number)

    def sync(self) -> None:
        """Have all that was appended on the disk. Raises JournalError."""
        if self._synced < self._written:
            self._sync(self._written)

    def records(self, since: int = 0) -> Iterator[tuple[int, dict[str, Any] | None]]:
        """(where it ends, record) of those from byte `since` on; None for a damaged one. Raises OSError."""
        with self.path.open("rb") as file:
            file.seek(since)
            end = since
            for line in file:
                if not line.endswith(b"\n"):  # cut off, or being written just now
                    return
                end += len(line)
                record = _read(line)
                if record is None or record.keys() != {"format"}:
                    yield end, record

    def clear(self, end: int) -> bool:
        """Erase all records, if nothing has come after byte `end`. → whether it did. Raises OSError."""
        with self._writing:
            if self._size > end and not self._cut_off:
                return False
            os.ftruncate(self._descriptor, 0)
            self._size, self._cut_off = 0, False
        return True

    def remove(self) -> None:
        """Give the journal up, with its file."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Give the journal up. Its file stays, for whoever takes it over."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _write(self, line: bytes, limit: int) -> None:
        if self._size + len(line) > limit:
            raise JournalError(f"{self.path.name} has reached its limit")
        done = 0
        try:
            while done < len(line):
                done += os.write(self._descriptor, line[done:])
        except OSError as error:
            self._cut_off = True
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
                self._cut_off = False
            raise JournalError(error.strerror) from None
        self._size, self._cut_off = self._size + done, False

    def _sync(self, number: int) -> None:
        with self._syncing:  # whoever comes first syncs for all that wait here
            if self._synced >= number:
                return
            written = self._written
            try:
                os.fdatasync(self._descriptor)
            except OSError as error:
                raise JournalError(error.strerror) from None
            self._synced = written


def left_behind(folder: Path) -> list[Path]:
    """The journals in a folder, oldest first; of living processes too: see `Journal.take_over`."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        found = [(entry.stat().st_mtime, entry.path) for entry in entries if entry.name.endswith(SUFFIX)]
        return [Path(path) for _, path in sorted(found)]
    return []


def has_events(folder: Path) -> bool:
    """Whether a journal in a folder, of this process or another, has events that are not in the ledger yet."""
    with contextlib.suppress(OSError):
        return any(path.stat().st_size for path in left_behind(folder))
    return False


def _format_of(path: Path) -> int:
    """The format of the journal in a file. Raises OSError."""
    with path.open("rb") as file:
        first = _read(file.readline(100)) or {}
    return found if type(found := first.get("format")) is int else FORMAT


@lru_cache(maxsize=1000)  # so that it is said once
def _is_left(name: str, number: int) -> bool:
    if number > FORMAT:
        log.error(
            "%s has format %s, and this release reads %s: it waits for the one that wrote it", name, number, FORMAT
        )
    return number > FORMAT


def _line(record: Mapping[str, Any]) -> bytes:
    content = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return b"%08x %b\n" % (zlib.crc32(content), content)


def _read(line: bytes) -> dict[str, Any] | None:
    crc, _, content = line.rstrip(b"\n").partition(b" ")
    try:
        if int(crc, 16) != zlib.crc32(content):
            return None
        record = json.loads(content)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
