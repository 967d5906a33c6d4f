"""The processes of `up`: what counts as silence, and what is done about a server that says nothing."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.processes import RedisServer
from tests.support.until import until
from webhook.cli.children import AWAKE, Child, Silence
from webhook.cli.server_child import DEAD, SILENT, Ping, Remedy, remedy, state_of


def test_silence_counts_since_the_last_change() -> None:
    silence = Silence("a")
    for _ in range(4):
        silence.look("a", 0.5)
    assert (silence.seconds, silence.changed) == (2.0, False)
    silence.look("b", 0.5)
    assert (silence.seconds, silence.changed) == (0.0, True)


def test_a_supervisor_that_slept_itself_takes_nobodys_sleep_for_silence() -> None:
    silence = Silence("a")
    silence.look("a", 8 * 3600)  # the lid was closed over night
    assert silence.seconds == AWAKE


@pytest.mark.parametrize(
    ("silence", "state", "expected"),
    [
        (0, "S", Remedy.NONE),
        (SILENT, "T", Remedy.NONE),
        (SILENT + 1, "T", Remedy.CONTINUE),
        (DEAD + 1, "T", Remedy.CONTINUE),
        (SILENT + 1, "R", Remedy.NONE),
        (DEAD + 1, "R", Remedy.KILL),
        (DEAD + 1, "S", Remedy.KILL),
        (DEAD + 1, None, Remedy.KILL),  # outside Linux
        (DEAD + 1, "D", Remedy.NONE),  # it writes: what it has accepted would be lost
    ],
)
def test_what_is_done_about_a_server(silence: float, state: str | None, expected: Remedy) -> None:
    assert remedy(silence, state) == expected


def test_a_server_that_is_frozen_answers_no_more_and_nobody_waits_for_it(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        ping = Ping(server.socket)
        until(lambda: ping.ask() > 2, what="answers")
        server.freeze()
        until(lambda: state_of(server.pid) == "T", what="a stopped server")
        ping.ask()  # takes what it said before
        before, began = ping.ask(), time.monotonic()
        assert {ping.ask() for _ in range(100)} == {before}
        assert time.monotonic() - began < 5
        server.thaw()
        until(lambda: ping.ask() > before, what="answers again")
        server.kill()
        ping.ask()
        before = ping.ask()
        assert ping.ask() == before
        server.start()
        until(lambda: ping.ask() > before, what="answers of its successor")


def test_a_child_stamps_is_named_and_ends_with_its_exit_code() -> None:
    def work(stamp: int) -> None:
        os.utime(stamp, (1, 1))
        signal.pause()

    child = Child("welcome", "wecom-welcome role welcome", work, stage=1)
    child.start(time.monotonic())
    until(lambda: child.stamped_at() == 1_000_000_000, what="a stamp")
    assert child.pid is not None
    words = Path(f"/proc/{child.pid}/cmdline").read_bytes().replace(b"\0", b" ").split()
    assert words == [b"wecom-welcome", b"role", b"welcome"]
    assert os.getpgid(child.pid) == child.pid, "Ctrl-C reaches the supervisor alone"
    assert child.exit_code() is None
    child.terminate()
    assert child.wait(20)
    assert child.exit_code() == -signal.SIGTERM


def test_a_child_that_exits_says_how() -> None:
    child = Child("beat", "beat", lambda _: os._exit(3), stage=0)
    child.start(time.monotonic())
    assert child.wait(20)
    assert child.exit_code() == 3


def test_a_state_of_nobody_is_unknown() -> None:
    assert state_of(2**22 + 1) is None
