"""Waiting that a signal ends."""

import os
import select
import signal
from types import FrameType


class ShutdownSignal:
    """Waits until one of these signals comes, however many of them. One of `waking` ends a wait, and is no end.

    Not an Event: a handler runs inside whatever the main thread does, so setting the Event that this thread waits for,
    or that a first handler is just setting, can wait for a lock which it holds itself.
    """

    def __init__(self, *signals: signal.Signals, waking: tuple[signal.Signals, ...] = ()) -> None:
        self._asked, self._ask = _pipe()
        self._woken, self._wake = _pipe()
        self._waking = waking
        for number in (*signals, *waking):
            signal.signal(number, self._note)

    def wait(self, seconds: float = 0.0) -> bool:
        """Wait for so long, or until a signal has come. → whether one has that is an end."""
        ready, _, _ = select.select([self._asked, self._woken], [], [], seconds)
        if self._woken in ready:
            os.read(self._woken, 4096)
        return self._asked in ready

    def _note(self, number: int, _frame: FrameType | None) -> None:
        try:
            os.write(self._wake if number in self._waking else self._ask, b".")
        except BlockingIOError:
            return


def _pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)  # thousands of signals fill it
    return reading, writing
