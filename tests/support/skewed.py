"""A role whose clock is wrong, and may be set while it works: python -m tests.support.skewed FILE -- role welcome

FILE holds the seconds by which the clock is ahead, see `set_clock`. Monotonic clocks are right, as on a real machine.
"""

import datetime
import mmap
import struct
import sys
import time
from pathlib import Path
from typing import Any

_AHEAD = struct.Struct("d")


def set_clock(file: Path, ahead: float) -> None:
    """`ahead`: seconds; negative: behind."""
    with file.open("r+b" if file.exists() else "w+b") as opened:  # the same file: who runs has it mapped
        opened.write(_AHEAD.pack(ahead))


def skew(file: Path) -> None:
    """From now on this process' clock is as the file says."""
    right, right_ns, shown = time.time, time.time_ns, datetime.datetime
    with file.open("rb") as opened:
        mapped = mmap.mmap(opened.fileno(), _AHEAD.size, access=mmap.ACCESS_READ)

    def ahead() -> float:
        return float(_AHEAD.unpack_from(mapped)[0])

    class Skewed(shown):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return cls.fromtimestamp(time.time(), tz)

        @classmethod
        def utcnow(cls) -> Any:
            return cls.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)

    time.time = lambda: right() + ahead()
    time.time_ns = lambda: right_ns() + round(ahead() * 1e9)
    datetime.datetime = Skewed  # type: ignore[misc]


if __name__ == "__main__":
    skew(Path(sys.argv[1]))  # before the product is imported
    from webhook.cli.main import main

    sys.argv = ["wecom-welcome", *sys.argv[sys.argv.index("--") + 1 :]]
    main()
