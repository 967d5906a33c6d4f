"""A backup is everything that is state and no secret; a restore puts it back."""

import json
import resource
import stat
import zipfile
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tasks.books.revisions import BookStore
from tasks.counters import count
from tasks.ledger import statistics
from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.ledger.ledger import Ledger
from tasks.missed.work_list import WorkList
from tasks.reasons import Kind, Reason
from tasks.state import backup
from tasks.storage import formats, keys
from tasks.storage.connections import Redis
from tests.support.books import FILES, a_template, the_example
from tests.support.ledger import accepted, settled

SECRET = "the-welcome-code"


@pytest.fixture
def books(redis_client: Redis) -> BookStore:
    return BookStore(redis_client)


def greeted(ledger: Ledger, **different: str) -> str:
    counts = {count("outcomes_total", app=different.get("app", "default"), outcome="sent"): 1}
    return settled(
        ledger, Settlement(Outcome.SENT, template="t"), counts, claimed=True, welcome_code=SECRET, **different
    ).id


def everything(client: Redis) -> dict[str, object]:
    """Key → value, of all that is state."""
    return {line["key"]: line["value"] for line in backup._lines(client)}


def test_everything_that_is_state_comes_back(
    redis_client: Redis, ledger: Ledger, books: BookStore, tmp_path: Path
) -> None:
    books.save("default", the_example(), FILES, author="wang", note="the first")
    books.save("default", a_template("text: t"))
    identity = greeted(ledger)
    redis_client.hset(keys.channels("default"), "douyin-1", "config-id")
    redis_client.hset(keys.group_welcomes("default"), "newcomers", "template-id")
    before = everything(redis_client)
    kept = backup.backup(redis_client, tmp_path / "a.zip")
    redis_client.flushall()
    assert backup.restore(redis_client, tmp_path / "a.zip") == kept == len(before)
    assert everything(redis_client) == before
    assert BookStore(redis_client).bundle("default", 1).files == FILES
    assert [one.author for one in BookStore(redis_client).history("default")] == ["", "wang"]
    row = ledger.fields(identity)
    assert row is not None
    assert row["outcome"] == "sent"
    assert 30 * 86400 < redis_client.ttl(keys.event(identity)) <= 31 * 86400
    assert [row.id for row in ledger.deliveries()] == [identity]


def test_no_secret_is_in_a_backup_and_only_its_owner_can_read_it(
    redis_client: Redis, ledger: Ledger, tmp_path: Path
) -> None:
    greeted(ledger)
    accepted(ledger, welcome_code=SECRET)
    redis_client.set("wecom:token:ww1", "the-token")
    redis_client.set(keys.SECRET_KEY, "the-key")
    redis_client.set(keys.session_ended("a-session"), "1")
    redis_client.set(keys.member("default", "zhangsan"), "a cache")
    backup.backup(redis_client, tmp_path / "a.zip")
    assert stat.S_IMODE((tmp_path / "a.zip").stat().st_mode) == 0o600
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        content = b"".join(archive.read(name) for name in archive.namelist()).decode()
    for secret in (SECRET, "the-token", "the-key", "a-session", "a cache"):
        assert secret not in content


def test_who_was_unfinished_is_not_open_for_ever(redis_client: Redis, ledger: Ledger, tmp_path: Path) -> None:
    event = accepted(ledger)
    backup.backup(redis_client, tmp_path / "a.zip")
    redis_client.flushall()
    backup.restore(redis_client, tmp_path / "a.zip")
    row = ledger.fields(event.id)
    assert row is not None
    assert (row["outcome"], row["reason"]) == ("expired", Reason.of(Kind.UNFINISHED_IN_BACKUP).to_json())
    assert ledger.claim(9) == []


def test_a_restore_over_state_is_refused_unless_forced(
    redis_client: Redis, ledger: Ledger, books: BookStore, tmp_path: Path
) -> None:
    books.save("default", a_template("text: a"))
    backup.backup(redis_client, tmp_path / "a.zip")
    books.save("default", a_template("text: b"))
    gone = greeted(ledger)
    waiting = accepted(ledger)
    with pytest.raises(backup.BackupError, match="there is state here already"):
        backup.restore(redis_client, tmp_path / "a.zip")
    assert books.book("default", 2).templates["default"].text == "b"
    backup.restore(redis_client, tmp_path / "a.zip", force=True)
    assert ledger.fields(gone) is None
    assert [claim.event.id for claim in ledger.claim(9)] == [waiting.id]  # whoever waits is greeted all the same
    number = books.current("default")
    assert number == 3  # workers have read 1 and 2
    assert books.book("default", number).templates["default"].text == "a"
    assert [revision.number for revision in books.history("default")] == [3, 1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"manifest.json": b"{}"}, "is not a backup of wecom-welcome"),
        ({"manifest.json": json.dumps({"format": backup.FORMAT, "version": 9, "keys": 1}).encode()}, "of version 9"),
        (
            {"manifest.json": json.dumps({"format": backup.FORMAT, "version": 1, "state": "2.0", "keys": 1}).encode()},
            "the state in the backup has format 2.0, and this release knows 1.x",
        ),
        ({"state.jsonl": b"{}\n"}, "line 1 of the backup's state is damaged"),
        ({"state.jsonl": b""}, "is damaged; use another backup"),
        (
            {"state.jsonl": b'{"key": "welcome", "type": "string", "value": "a", "life": null}\n'},
            "line 1 of the backup's state is damaged",  # a key that is no state, such as a queue
        ),
    ],
)
def test_what_is_no_whole_backup_changes_nothing(
    redis_client: Redis, books: BookStore, tmp_path: Path, change: dict[str, bytes], says: str
) -> None:
    books.save("default", a_template("text: a"))
    backup.backup(redis_client, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()} | change
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    before = everything(redis_client)
    with pytest.raises(backup.BackupError, match=says):
        backup.restore(redis_client, tmp_path / "b.zip", force=True)
    assert everything(redis_client) == before


def test_a_backup_of_before_the_formats_had_a_version_is_read(
    redis_client: Redis, books: BookStore, tmp_path: Path
) -> None:
    books.save("default", a_template("text: a"))
    backup.backup(redis_client, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, zipfile.ZipFile(tmp_path / "old.zip", "w") as old:
        manifest = json.loads(archive.read("manifest.json"))
        assert manifest.pop("state") == str(formats.STATE)
        old.writestr("manifest.json", json.dumps(manifest))
        old.writestr("state.jsonl", archive.read("state.jsonl"))
    redis_client.flushall()
    assert backup.restore(redis_client, tmp_path / "old.zip") == manifest["keys"]


def test_a_backup_that_fails_leaves_no_file_behind(redis_client: Redis, books: BookStore, tmp_path: Path) -> None:
    (tmp_path / "a.zip").mkdir()
    with pytest.raises(OSError, match="directory"):
        backup.backup(redis_client, tmp_path / "a.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_backup_is_never_replaced_unless_that_is_asked_for(
    redis_client: Redis, books: BookStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.save("default", a_template("text: t"))
    file = tmp_path / "a.zip"
    file.write_text("another's")
    with pytest.raises(FileExistsError):
        backup.backup(redis_client, file)
    monkeypatch.setattr(Path, "exists", lambda _: False)  # somebody makes it while the backup is written
    with pytest.raises(FileExistsError):
        backup.backup(redis_client, file)
    monkeypatch.undo()
    assert file.read_text() == "another's"
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    backup.backup(redis_client, file, force=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert zipfile.ZipFile(file).testzip() is None
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_full_disk_leaves_neither_a_half_backup_nor_the_old_one_broken(
    redis_client: Redis, books: BookStore, tmp_path: Path
) -> None:
    books.save("default", the_example(), FILES)
    backup.backup(redis_client, tmp_path / "a.zip")
    whole = (tmp_path / "a.zip").read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) // 2, before[1]))
    try:
        for force, name in ((False, "b.zip"), (True, "a.zip")):
            with pytest.raises(OSError, match="too large"):
                backup.backup(redis_client, tmp_path / name, force)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    assert (tmp_path / "a.zip").read_bytes() == whole


def test_progress_is_told_and_comes_to_its_end(redis_client: Redis, books: BookStore, tmp_path: Path) -> None:
    books.save("default", the_example(), FILES)
    out: list[tuple[int, int]] = []
    back: list[tuple[int, int]] = []
    backup.backup(redis_client, tmp_path / "a.zip", progress=lambda *far: out.append(far))
    redis_client.flushall()
    backup.restore(redis_client, tmp_path / "a.zip", progress=lambda *far: back.append(far))
    assert out == sorted(out)
    assert len({total for _, total in out}) == 1
    assert back[-1][0] == back[-1][1]


def test_the_console_finds_after_a_restore_what_it_found_before(
    redis_client: Redis, ledger: Ledger, tmp_path: Path
) -> None:
    greeted(ledger, user_id="lisi")
    missed = settled(ledger, Settlement(Outcome.EXPIRED), user_id="lisi")
    open_ = accepted(ledger, user_id="lisi")
    today = datetime.now(ZoneInfo("Asia/Shanghai")).date()
    before = statistics.read(redis_client, "default", [today])
    backup.backup(redis_client, tmp_path / "a.zip")
    redis_client.flushall()
    backup.restore(redis_client, tmp_path / "a.zip")
    assert statistics.read(redis_client, "default", [today]) == before
    assert len(ledger.page("default", user_id="lisi").rows) == 3
    expired = ledger.page("default", outcome=frozenset({"expired"}))
    assert {row.id for row in expired.rows} == {missed.id, open_.id}
    assert {row.id for row in WorkList(redis_client, "default").page().rows} == {
        missed.id,
        open_.id,
    }  # nobody knows better
    assert ledger.page("default", outcome=frozenset({""})).rows == []


def test_who_is_worked_on_stays_in_the_lists_through_a_restore(
    redis_client: Redis, ledger: Ledger, tmp_path: Path
) -> None:
    backup.backup(redis_client, tmp_path / "a.zip")
    greeted(ledger, user_id="lisi")
    waiting = accepted(ledger, user_id="lisi")
    backup.restore(redis_client, tmp_path / "a.zip", force=True)
    for asked in ({"user_id": "lisi"}, {"outcome": frozenset({""})}):
        assert [row.id for row in ledger.page("default", **asked).rows] == [waiting.id]


ROW = {
    "app": "default",
    "user_id": "z",
    "external_user_id": "wm",
    "created_at": "1",
    "received_at": "1",
    "outcome": "sent",
}


@pytest.mark.parametrize(
    "line",
    [
        {"key": keys.channels("default"), "type": "hash", "value": {"a": None}, "life": None},
        {"key": keys.channels("default"), "type": "hash", "value": {"a": {}}, "life": None},
        {"key": keys.channels("default"), "type": "hash", "value": {"a": 1}, "life": None},
        {"key": keys.channels("default"), "type": "hash", "value": {}, "life": None},
        {"key": keys.channels("default"), "type": "string", "value": "a", "life": None},
        {"key": keys.channels("default"), "type": "hash", "value": {"a": "\ud800"}, "life": None},
        {"key": keys.EVENTS, "type": "zset", "value": {"a": "x"}, "life": None},
        {"key": keys.EVENTS, "type": "zset", "value": {"a": None}, "life": None},
        {"key": keys.EVENTS, "type": "zset", "value": {"a": True}, "life": None},
        {"key": keys.EVENTS, "type": "zset", "value": {"a": float("nan")}, "life": None},
        {"key": keys.EVENTS, "type": "zset", "value": {"a": 10**400}, "life": None},
        {"key": keys.EVENTS, "type": "zset", "value": [["a", 1]], "life": None},
        {"key": keys.EVENTS, "type": "zset", "value": {"a": 1}, "life": -1},
        {"key": keys.EVENTS, "type": "zset", "value": {"a": 1}, "life": 1.5},
        {"key": keys.EVENTS, "type": "zset", "value": {"a": 1}},
        {"key": keys.event("1"), "type": "hash", "value": ROW | {"created_at": "soon"}, "life": None},
        {"key": keys.event("1"), "type": "hash", "value": {"app": "default"}, "life": None},
        {"key": keys.event("1"), "type": "hash", "value": ROW | {"steps": "{"}, "life": None},
        {"key": keys.book("default"), "type": "string", "value": "one", "life": None},
        {"key": keys.revision_about("default", 1), "type": "string", "value": "[]", "life": None},
        {"key": keys.SECRET_KEY, "type": "string", "value": "planted", "life": None},
        {"key": "another", "type": "string", "value": "a", "life": None},
        {"key": None, "type": "string", "value": "a", "life": None},
        [],
        None,
    ],
)
def test_a_value_that_cannot_be_put_in_place_is_found_before_anything_goes(
    redis_client: Redis, tmp_path: Path, line: object
) -> None:
    redis_client.hset(keys.channels("default"), "here", "before")
    fine = {"key": keys.COUNTERS, "type": "hash", "value": {"a": "1"}, "life": None}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("state.jsonl", "".join(json.dumps(one) + "\n" for one in (fine, line)))
        manifest = {"format": backup.FORMAT, "version": backup.VERSION, "at": 1, "keys": 2}
        archive.writestr("manifest.json", json.dumps(manifest))
    before = everything(redis_client)
    with pytest.raises(backup.BackupError, match="line 2 of the backup's state is damaged"):
        backup.restore(redis_client, tmp_path / "a.zip", force=True)
    assert everything(redis_client) == before
