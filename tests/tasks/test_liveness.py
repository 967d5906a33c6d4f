"""A process shows that it works, for as long as its loops come round; while it waits for Redis nothing hangs."""

import logging
import os
import socket
import tempfile
import threading
from pathlib import Path

import pytest

from tasks import liveness
from tasks.liveness import HUNG, TO_COME_ROUND, TO_START, Loop, Stamp, Watchdog, open_stamp
from tests.support.until import until


def test_a_loop_that_does_not_come_round_hangs_after_six_seconds_in_which_redis_answers() -> None:
    loop = Loop("it")
    loop.came_round()
    loop.count(TO_COME_ROUND)
    assert not loop.hangs
    loop.count(0.1)
    assert loop.hangs
    loop.came_round()
    assert not loop.hangs


def test_a_loop_has_longer_to_come_round_for_the_first_time() -> None:
    loop = Loop("it")
    loop.count(TO_START)
    assert not loop.hangs
    loop.count(0.1)
    assert loop.hangs


def test_a_loop_at_rest_need_not_come_round_and_one_that_begins_again_starts_afresh() -> None:
    loop = Loop("it", at_rest=True)
    loop.count(1000)
    assert not loop.hangs
    with loop:
        assert not loop.hangs
        loop.count(TO_COME_ROUND + 1)
        assert loop.hangs
    assert not loop.hangs


def test_a_time_without_an_answer_of_redis_counts_for_moments_only(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(liveness.time, "monotonic", lambda: now[0])
    watchdog = Watchdog(Stamp())
    loop = watchdog.watch(Loop("it"))
    loop.came_round()
    for away in (600.0, 0.5, 0.5, 0.5):  # ten minutes of outage, then answers again
        now[0] += away
        watchdog.redis_answered()
    assert not loop.hangs
    for _ in range(5):
        now[0] += 0.5
        watchdog.redis_answered()
    assert loop.hangs


def test_a_stamp_renews_a_files_time(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    stamp = Stamp(open_stamp(file))
    os.utime(file, (0, 0))
    stamp.renew()
    assert file.stat().st_mtime > 1_600_000_000


def test_a_stamp_is_renewed_while_a_process_starts_however_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role that imports for six seconds, as four do at once on a slow core, would be killed again and again."""
    monkeypatch.setattr(liveness, "EVERY", 0.01)
    file = tmp_path / "alive"
    with Stamp(open_stamp(file)).starting():
        for _ in range(2):
            os.utime(file, (0, 0))
            until(lambda: file.stat().st_mtime > 0, what="a renewed stamp")
    os.utime(file, (0, 0))
    assert "starting" not in {thread.name for thread in threading.enumerate()}, "the process may fork now"
    assert file.stat().st_mtime == 0, "nobody renews it any more"


def test_systemd_is_not_told_that_a_process_is_ready_which_only_starts(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"{short}/notify")
        systemd.setblocking(False)
        file = tmp_path / "alive"
        with Stamp(open_stamp(file), f"{short}/notify").starting():
            os.utime(file, (0, 0))
            until(lambda: file.stat().st_mtime > 0)
        with pytest.raises(BlockingIOError):
            systemd.recv(100)


def test_a_stamp_that_a_predecessor_has_left_is_fresh_from_the_start(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    file.touch()
    os.utime(file, (0, 0))
    open_stamp(file)
    assert file.stat().st_mtime > 1_600_000_000


def test_a_stamp_does_not_follow_a_link_of_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "alive").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match=r"."):
        open_stamp(tmp_path / "alive")
    assert not (tmp_path / "precious").exists()


@pytest.mark.parametrize("abstract", [False, True])
def test_a_stamp_tells_systemd_in_its_protocol(abstract: bool) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        name = f"@wecom-welcome-{os.getpid()}" if abstract else f"{short}/notify"
        systemd.bind(name.replace("@", "\0", 1))
        systemd.settimeout(10)
        Stamp(notify_socket=name).renew()
        assert systemd.recv(100).split(b"\n") == [b"READY=1", b"WATCHDOG=1"]


def test_a_stamp_outlives_whoever_looked_at_it(tmp_path: Path) -> None:
    Stamp(notify_socket=str(tmp_path / "gone")).renew()
    opened = open_stamp(tmp_path / "alive")
    os.close(opened)
    Stamp(opened).renew()


def test_a_process_with_a_loop_that_hangs_ends_and_says_where_every_thread_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "EVERY", 0.01)
    ended: list[int] = []
    file, held = tmp_path / "alive", threading.Event()
    watchdog = Watchdog(Stamp(open_stamp(file)), ended.append)
    loop = watchdog.watch(Loop("the consumer"))
    loop.came_round()
    stuck = threading.Thread(target=held.wait, name="stuck", daemon=True)
    stuck.start()
    watchdog.start()
    os.utime(file, (0, 0))
    until(lambda: file.stat().st_mtime > 0, what="a renewed stamp")
    with caplog.at_level(logging.CRITICAL):
        loop.count(TO_COME_ROUND + 1)
        watchdog.join(20)
    held.set()
    assert ended == [HUNG]
    assert "the consumer hangs" in caplog.text
    assert "thread stuck:" in caplog.text
    os.utime(file, (0, 0))
    assert file.stat().st_mtime == 0, "nobody renews it any more"


def test_a_process_that_drains_does_not_hang() -> None:
    watchdog = Watchdog(Stamp())
    loop = watchdog.watch(Loop("the consumer"))
    watchdog.drain()
    loop.count(1000)
    assert not loop.hangs
