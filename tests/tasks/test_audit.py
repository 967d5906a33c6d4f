"""The audit trail keeps who did what, for its own time, in order, and nothing that could forge or tell."""

import json
import logging
import time
from pathlib import Path

import pytest

from tasks.audit import LIFE, PAGE, Act, AuditTrail, Entry, Via
from tasks.state import backup
from tasks.storage import connections, keys
from tasks.storage.connections import Redis
from tests.support.processes import free_port


@pytest.fixture
def trail(redis_client: Redis) -> AuditTrail:
    return AuditTrail(redis_client)


def test_an_act_is_kept_with_all_that_is_known_of_it(trail: AuditTrail) -> None:
    before = time.time()
    trail.record(Act.CHANNEL_DELETED, "李敏", Via.CONSOLE, "sales", "抖音", 3, "203.0.113.9")
    (entry,) = trail.entries()
    assert before - 0.01 <= entry.at <= time.time()
    assert entry == Entry(entry.at, entry.id, "李敏", "channel_deleted", "console", "sales", "抖音", 3, "203.0.113.9")


def test_what_is_not_known_is_not_made_up(trail: AuditTrail) -> None:
    trail.record(Act.BACKED_UP, "root", Via.COMMAND, number=0)
    (entry,) = trail.entries()
    assert (entry.app, entry.target, entry.number, entry.address) == ("", "", 0, "")


def test_pages_follow_each_other_also_within_one_millisecond(
    trail: AuditTrail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_795_000_000_123_456_789)
    for number in range(2 * PAGE + 5):
        trail.record(Act.PUBLISHED, "a", Via.CONSOLE, number=number)
    everything = list(trail.entries())
    assert len({one.id for one in everything}) == 2 * PAGE + 5
    place = everything[PAGE - 1].cursor
    assert list(trail.entries(place)) == everything[PAGE:]
    assert list(trail.entries(since=1_795_000_000_124)) == []


@pytest.mark.parametrize("cursor", ["", "x", "1", "-1-a", "1e3-a", "٣-a", "9" * 16 + "-a"])
def test_what_is_no_cursor_is_refused(trail: AuditTrail, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        trail.entries(cursor)


def test_it_has_a_life_and_a_size_of_its_own(
    trail: AuditTrail, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.audit.MOST", 3)
    long_ago = int((time.time() - LIFE - 60) * 1000)
    redis_client.zadd(keys.AUDIT, {'{"id": "1", "act": "published", "via": "console"}': long_ago})
    for number in range(5):
        trail.record(Act.PUBLISHED, "a", Via.CONSOLE, number=number)
    assert sorted(one.number or 0 for one in trail.entries()) == [2, 3, 4]
    assert LIFE - 5 <= redis_client.ttl(keys.AUDIT) <= LIFE


@pytest.mark.parametrize("nasty", ["a\nroot: all is well", "\x1b[2J", "\u202egnp", "\x9b31m", "x" * 5000, "\ud800"])
def test_no_name_forges_a_line_of_a_log_or_a_terminal(
    trail: AuditTrail, caplog: pytest.LogCaptureFixture, nasty: str
) -> None:
    caplog.set_level(logging.INFO)
    trail.record(Act.CHANNEL_CREATED, nasty, Via.CONSOLE, "default", nasty, address=nasty)
    (entry,) = trail.entries()
    for text in (entry.who, entry.target, entry.address, caplog.records[-1].getMessage()):
        assert text.isprintable()
        assert len(text) < 800


def test_an_act_is_a_log_line_with_its_fields(trail: AuditTrail, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    trail.record(Act.PAUSED, "wang", Via.CONSOLE, target="welcome", address="10.0.0.1")
    (record,) = [one for one in caplog.records if one.name == "tasks.audit"]
    assert record.getMessage() == "audit: paused by wang (console) target=welcome address=10.0.0.1"
    fields = vars(record)
    assert (fields["act"], fields["who"], fields["via"]) == ("paused", "wang", "console")


def test_what_commands_did_is_logged_once_by_the_schedule(
    trail: AuditTrail, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.audit.LATE", -0.1)
    trail.record(Act.FORGOT, "root", Via.COMMAND, number=1)
    trail.log_commands()  # what was before the first look is history
    time.sleep(0.2)
    trail.record(Act.BACKED_UP, "root", Via.COMMAND, target="a.zip")
    trail.record(Act.PAUSED, "wang", Via.CONSOLE)
    caplog.clear()
    caplog.set_level(logging.INFO)
    trail.log_commands()
    time.sleep(0.2)
    trail.log_commands()
    assert [one.getMessage() for one in caplog.records] == ["audit: backed_up by root (command) target=a.zip"]


def test_without_redis_the_act_stands_and_the_log_says_what_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    away = AuditTrail(connections.connect(f"redis://127.0.0.1:{free_port()}/0", timeout=0.2))
    away.record(Act.RESUMED, "wang", Via.CONSOLE)
    said = [one.getMessage() for one in caplog.records if one.name == "tasks.audit"]
    assert said[0].startswith("audit: resumed by wang")
    assert said[1] == "resumed by wang is not in the audit trail: ConnectionError"


@pytest.mark.parametrize(
    "stored", ["", "null", "[]", "1", '{"act": "x"}', '{"act": "x", "via": "y", "number": "many"}', "{"]
)
def test_what_is_no_entry_is_passed_over(trail: AuditTrail, redis_client: Redis, stored: str) -> None:
    redis_client.zadd(keys.AUDIT, {stored: 5})
    trail.record(Act.PAUSED, "wang", Via.CONSOLE)
    assert [one.act for one in trail.entries()] == ["paused"]


def test_an_act_of_a_later_release_is_shown_by_its_name(trail: AuditTrail, redis_client: Redis) -> None:
    redis_client.zadd(keys.AUDIT, {json.dumps({"id": "1", "act": "flew", "via": "wings", "more": 1}): 5})
    (entry,) = trail.entries()
    assert (entry.act, entry.via) == ("flew", "wings")


def test_a_restore_adds_to_the_trail_and_a_trail_alone_is_no_state(
    trail: AuditTrail, redis_client: Redis, tmp_path: Path
) -> None:
    redis_client.hset(keys.channels("default"), "douyin-1", "config-id")
    trail.record(Act.CHANNEL_CREATED, "wang", Via.CONSOLE)
    backup.backup(redis_client, tmp_path / "a.zip")
    redis_client.flushall()
    trail.record(Act.SIGNED_IN, "li", Via.CONSOLE)
    backup.restore(redis_client, tmp_path / "a.zip")  # no --force: whoever signed in has made no state
    assert [one.act for one in trail.entries()] == ["signed_in", "channel_created"]
    trail.record(Act.CHANNEL_DELETED, "li", Via.CONSOLE)
    backup.restore(redis_client, tmp_path / "a.zip", force=True)
    assert [one.act for one in trail.entries()] == ["channel_deleted", "signed_in", "channel_created"]
