"""The wait that a signal ends: a second signal, in the middle of the first, must not make it wait for itself."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from webhook.cli.shutdown_signal import ShutdownSignal


@pytest.fixture
def ending() -> Iterator[ShutdownSignal]:
    before = signal.getsignal(signal.SIGUSR1)
    yield ShutdownSignal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


def test_it_waits_for_as_long_as_nobody_asks(ending: ShutdownSignal) -> None:
    started = time.monotonic()
    assert not ending.wait()
    assert not ending.wait(0.1)
    assert time.monotonic() - started >= 0.1


@pytest.mark.timeout(30)
def test_a_storm_of_signals_ends_it_once_and_for_all(ending: ShutdownSignal) -> None:
    def storm() -> None:
        for _ in range(100_000):  # more than its pipe holds
            os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=storm)
    thread.start()
    assert ending.wait(20)
    thread.join()
    assert ending.wait()


def test_a_signal_that_only_wakes_ends_one_wait_and_is_no_end() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)]
    try:
        ending = ShutdownSignal(signal.SIGUSR1, waking=(signal.SIGUSR2,))
        started = time.monotonic()
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR2)).start()
        assert not ending.wait(60)
        assert time.monotonic() - started < 30
        assert not ending.wait(0.1)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert ending.wait(20)
    finally:
        signal.signal(signal.SIGUSR1, before[0])
        signal.signal(signal.SIGUSR2, before[1])
