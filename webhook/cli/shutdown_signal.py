"""Waiting that a signal ends."""

import os
import select
import signal
from types import FrameType


class ShutdownSignal:
    """Waits until one of these signals comes, however many of them.

    Not an Event: a handler runs inside whatever the main thread does, so setting the Event that this thread waits for,
    or that a first handler is just setting, can wait for a lock which it holds itself.
    """

    def __init__(self, *signals: signal.Signals) -> None:
        self._asked, self._ask = os.pipe()
        os.set_blocking(self._ask, False)  # thousands of signals fill it
        for number in signals:
            signal.signal(number, self._note)

    def wait(self, seconds: float = 0.0) -> bool:
        """Wait for so long, or until a signal has come. → whether one has."""
        return bool(select.select([self._asked], [], [], seconds)[0])

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        try:
            os.write(self._ask, b".")
        except BlockingIOError:
            return
