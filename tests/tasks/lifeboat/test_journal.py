"""The journal: what is in it after a crash, on a full disk, and between processes."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.lifeboat import journal as module
from tasks.lifeboat.journal import Journal, JournalError, left_behind


def read(journal: Journal) -> list[object]:
    return [record for _, record in journal.records()]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.create(tmp_path / "lifeboat")


def abandoned(journal: Journal) -> Path:
    """Its process has ended."""
    journal.close()
    return journal.path


def test_what_was_appended_is_read_again_in_its_order(journal: Journal) -> None:
    records = [{"n": n, "text": "李敏\ud83d"} for n in range(3)]  # half an emoji, left of a cut name
    for record in records:
        journal.append(record)
    assert read(journal) == records


def test_only_its_owner_can_read_it(journal: Journal) -> None:
    assert journal.path.stat().st_mode & 0o777 == 0o600
    assert journal.path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("cut", range(2, 17))
def test_a_record_that_was_cut_off_costs_no_other(journal: Journal, cut: int) -> None:
    journal.append({"n": 1})
    journal.append({"n": 2})
    whole = journal.path.read_bytes()
    abandoned(journal).write_bytes(whole[:-cut])
    found = Journal.take_over(journal.path)
    assert found is not None
    assert [one for one in read(found) if one is not None] == [{"n": 1}]
    found.append({"n": 3})
    assert [one for one in read(found) if one is not None] == [{"n": 1}, {"n": 3}]


@pytest.mark.parametrize("damage", [b"x", b"\0", b"\n", b"\xff"])
def test_a_damaged_record_is_passed_over(journal: Journal, damage: bytes) -> None:
    for n in range(3):
        journal.append({"n": n})
    lines = journal.path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:12] + damage + lines[2][13:]  # after the format and one record
    abandoned(journal).write_bytes(b"".join(lines))
    found = Journal.take_over(journal.path)
    assert found is not None
    assert [one for one in read(found) if one is not None] == [{"n": 0}, {"n": 2}]
    assert None in read(found)


def test_threads_that_append_together_share_the_syncs_and_lose_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs, sync = [], os.fdatasync
    slowly = threading.Event()

    def counted(descriptor: int) -> None:
        syncs.append(descriptor)
        slowly.wait(0.02)
        sync(descriptor)

    monkeypatch.setattr(module.os, "fdatasync", counted)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: journal.append({"n": n}), range(160)))
    assert sorted(one["n"] for one in read(journal)) == list(range(160))
    assert len(syncs) < 80


def test_a_record_is_on_the_disk_before_append_returns(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    on_disk: list[bytes] = []
    monkeypatch.setattr(module.os, "fdatasync", lambda _: on_disk.append(journal.path.read_bytes()))
    journal.append({"n": 1})
    assert on_disk == [journal.path.read_bytes()]
    journal.append({"n": 2}, sync=False)
    assert len(on_disk) == 1
    journal.sync()
    journal.sync()  # nothing is new
    assert on_disk[1:] == [journal.path.read_bytes()]


def test_a_disk_that_refuses_is_an_error_and_leaves_nothing_behind(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append({"n": 1})
    write = os.write

    def half(descriptor: int, content: bytes) -> int:
        if len(content) <= 6:
            raise OSError(28, "No space left on device")
        return write(descriptor, content[:6])

    monkeypatch.setattr(module.os, "write", half)
    with pytest.raises(JournalError, match="No space left"):
        journal.append({"n": 2})
    monkeypatch.undo()
    assert read(journal) == [{"n": 1}]
    journal.append({"n": 3})
    assert read(journal) == [{"n": 1}, {"n": 3}]


def test_a_device_that_is_full_is_an_error() -> None:
    journal = Journal(Path("/dev/full"), os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(JournalError, match="No space left"):
        journal.append({"n": 1})


def test_a_sync_that_fails_is_an_error(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(module.os, "fdatasync", broken)
    with pytest.raises(JournalError, match="Input/output"):
        journal.append({"n": 1})


def test_beyond_its_limit_it_takes_results_but_no_events(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 62)
    journal.append({"event": 1})
    with pytest.raises(JournalError, match="limit"):
        journal.append({"event": 2})
    journal.append({"result": 1}, sync=False)
    assert read(journal) == [{"event": 1}, {"result": 1}]


def test_it_is_cleared_unless_something_has_come_meanwhile(journal: Journal) -> None:
    journal.append({"n": 1})
    ((end, _),) = journal.records()
    journal.append({"n": 2})
    assert not journal.clear(end)
    *_, (end, _) = journal.records()
    assert journal.clear(end)
    assert journal.path.stat().st_size == 0
    journal.append({"n": 3})
    assert read(journal) == [{"n": 3}]


def test_a_journal_names_its_format_and_one_without_any_is_read_as_the_first(journal: Journal) -> None:
    journal.append({"n": 1})
    named, record = journal.path.read_bytes().splitlines(keepends=True)
    assert b' {"format":1}' in named
    abandoned(journal).write_bytes(record)
    found = Journal.take_over(journal.path)
    assert found is not None
    assert read(found) == [{"n": 1}]


def test_a_journal_of_a_later_release_stays_for_that(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "FORMAT", 2)
    journal.append({"n": 1})
    abandoned(journal)
    monkeypatch.undo()
    before = journal.path.read_bytes()
    assert [Journal.take_over(journal.path) for _ in range(3)] == [None] * 3
    assert journal.path.read_bytes() == before
    assert [one.getMessage() for one in caplog.records] == [
        f"{journal.path.name} has format 2, and this release reads 1: it waits for the one that wrote it"
    ]


def test_nobody_takes_over_the_journal_of_a_process_that_lives(journal: Journal) -> None:
    assert left_behind(journal.path.parent) == [journal.path]
    assert Journal.take_over(journal.path) is None


def test_one_of_many_takes_over_the_journal_of_a_process_that_was_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tasks.lifeboat.journal import Journal\n"
        "Journal.create(Path(sys.argv[1])).append({'n': 1}); print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    (path,) = left_behind(tmp_path)
    assert Journal.take_over(path) is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    with ThreadPoolExecutor(8) as pool:
        found = [one for one in pool.map(lambda _: Journal.take_over(path), range(8)) if one is not None]
    assert [read(one) for one in found] == [[{"n": 1}]]
    found[0].remove()
    assert left_behind(tmp_path) == []
    assert Journal.take_over(path) is None


def test_a_folder_that_is_not_there_holds_none(tmp_path: Path) -> None:
    assert left_behind(tmp_path / "nothing") == []
