"""The lifeboat greets without Redis, or refuses; the ledger has it afterwards, once, and as it was."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tasks.counters import count
from tasks.events import ContactAdded
from tasks.ledger import statistics
from tasks.ledger.delivery import Delivery
from tasks.ledger.pauses import WELCOME
from tasks.lifeboat import launch
from tasks.lifeboat import lifeboat as module
from tasks.lifeboat.greetings import MOST, fits
from tasks.lifeboat.journal import JournalError
from tasks.lifeboat.lifeboat import Lifeboat
from tasks.reasons import Kind
from tasks.state.erasure import forget
from tasks.storage import keys
from tests.simulator.records import Record
from tests.support.ailing import Trouble, full, gone, read_only
from tests.support.books import a_template
from tests.support.builders import BOOK
from tests.support.processes import RedisServer
from tests.support.until import until
from tests.support.worker import Worker

NAMING = BOOK.replace("您好{customer}，我是{member}", "您好{customer|朋友}，我是{member|您的顾问}")


def added(worker: Worker, **different: Any) -> tuple[Record, ContactAdded]:
    """A customer known to WeCom, and the event, which nobody has stored."""
    record = worker.wecom.add(push=False)
    about = {name: getattr(record, name) for name in ("user_id", "external_user_id", "welcome_code")}
    values: dict[str, Any] = {"app": "default", "corp_id": worker.app.corp_id, "change": "add"}
    return record, ContactAdded(**values | {"created_at": int(time.time())} | about | different)


def finished(boat: Lifeboat) -> None:
    """Every event that it took has its result in the journal."""
    until(lambda: not boat._greetings._in_flight, what="a result for every event")


def row(worker: Worker, event: ContactAdded) -> Delivery:
    found = worker.ledger.delivery(event.id)
    assert found is not None, "no row"
    return found


def greeted_without_redis(boat: Lifeboat, server: RedisServer, event: ContactAdded, **how: Any) -> None:
    with gone(server):
        assert boat.take(event, **how)
        finished(boat)
    boat.round()


# ------------------------------------------------------------------------------------------------ a greeting


@pytest.mark.parametrize("trouble", [gone, full, read_only])
def test_without_redis_a_customer_is_greeted_and_afterwards_the_ledger_has_it_as_it_was(
    onboard: Worker, boat: Lifeboat, server: RedisServer, trouble: Trouble
) -> None:
    record, event = added(onboard, state="douyin-1")
    with trouble(server):
        taken_at = time.time()
        assert boat.take(event)
        taken_by = time.time()
        onboard.wecom.wait_until_greeted(1)
        finished(boat)
        boat.round()
        assert boat.status() == module.Status(in_use=True, waiting=1, greeted=1, ready=True)
        time.sleep(0.3)
    boat.round()
    found = row(onboard, event)
    assert (found.outcome, found.lifeboat, found.attempts, found.answers) == ("sent", True, 1, 0)
    assert (found.template, found.rule, found.revision, found.state) == ("default", "1", 1, "douyin-1")
    assert taken_at - 0.2 < found.received_at < taken_by + 0.2
    assert found.steps["answer_1"] < 20_000
    assert onboard.results(record) == [0]
    assert boat.status().waiting == 0
    assert boat._own.journal.size == 0


def test_what_is_taken_in_is_listed_and_counted_like_any_other(
    onboard: Worker, boat: Lifeboat, server: RedisServer
) -> None:
    _, event = added(onboard, state="douyin-1")
    greeted_without_redis(boat, server, event)
    ledger, client = onboard.ledger, onboard.services.redis
    for asked in ({"user_id": event.user_id}, {"state": "douyin-1"}, {"outcome": frozenset({"sent"})}):
        assert [one.id for one in ledger.page("default", **asked).rows] == [event.id]
    counted = client.hgetall(keys.COUNTERS)
    assert counted[count("outcomes_total", app="default", outcome="sent")] == "1"
    assert counted[count("lifeboat_total", app="default", outcome="sent")] == "1"
    day = datetime.now(onboard.services.settings.timezone).date()
    tallies = statistics.read_sum(client, "default", [day], ["member"])
    assert tallies[("member", event.user_id, "sent")] == 1
    assert client.zcard(keys.DUE) == 0
    assert "welcome_code" not in client.hgetall(keys.event(event.id))


def test_the_journal_is_taken_in_once_however_often_it_is_found(
    onboard: Worker, boat: Lifeboat, server: RedisServer, make_boat: Callable[[], Lifeboat]
) -> None:
    _, event = added(onboard)
    with gone(server):
        assert boat.take(event)
        finished(boat)
        copy = boat._own.journal.path.read_bytes()
    boat.round()
    before = onboard.services.redis.hgetall(keys.COUNTERS), row(onboard, event)
    (boat._own.journal.path.parent / "1-copy.journal").write_bytes(copy)
    boat.round()
    assert not (boat._own.journal.path.parent / "1-copy.journal").exists()
    assert (onboard.services.redis.hgetall(keys.COUNTERS), row(onboard, event)) == before


def test_an_event_that_wecom_sends_again_is_known_and_greeted_once(
    onboard: Worker, boat: Lifeboat, server: RedisServer
) -> None:
    record, event = added(onboard)
    with gone(server):
        assert not boat.took(event)
        assert boat.take(event)
        assert boat.took(event)
        assert boat.take(event)  # a second push that came at the same moment
        finished(boat)
        assert boat.took(event)
    boat.round()
    assert boat.took(event)
    assert onboard.results(record) == [0]


def test_a_rehearsal_sends_nothing_and_is_not_counted(onboard: Worker, boat: Lifeboat, server: RedisServer) -> None:
    record, event = added(onboard, rehearsal=True)
    greeted_without_redis(boat, server, event)
    assert row(onboard, event).outcome == "rehearsed"
    assert onboard.results(record) == []
    assert not any("rehearsed" in field for field in onboard.services.redis.hgetall(keys.COUNTERS))


def test_a_token_that_wecom_takes_no_longer_is_renewed_without_redis(
    onboard: Worker, boat: Lifeboat, server: RedisServer
) -> None:
    onboard.services.clients["default"].tokens.get(time.monotonic() + 5)
    boat._refreshed = boat._refreshed_all = None
    boat.round()  # it has adopted the token
    onboard.wecom.revoke_tokens()
    record, event = added(onboard)
    greeted_without_redis(boat, server, event)
    assert row(onboard, event).outcome == "sent"
    assert onboard.results(record) == [40014, 0]


def test_follow_ups_happen_afterwards(onboard: Worker, boat: Lifeboat, server: RedisServer) -> None:
    onboard.publish(a_template("text: 您好\nthen:\n  tags: [来源/新客户]\n"))
    boat.round()
    boat._known.refresh_all()
    _, event = added(onboard)
    greeted_without_redis(boat, server, event)
    assert onboard.services.redis.zscore(keys.FOLLOWUP_DUE, event.id) is not None


# ------------------------------------------------------------------------------------------------ what was last known


def test_names_that_were_in_the_cache_are_in_the_text_and_nobody_is_asked_for_others(
    onboard: Worker, boat: Lifeboat, server: RedisServer
) -> None:
    onboard.publish(NAMING)
    record, event = added(onboard)
    member = {"member": "李敏", "alias": "", "position": "", "departments": [1], "department": 1}
    onboard.services.redis.set(keys.member("default", event.user_id), json.dumps({"answer": member, "until": 0}))
    boat._known.saw(event)
    boat._known.refresh_all()
    greeted_without_redis(boat, server, event)
    assert onboard.wecom.record(record).content["text"] == "您好朋友，我是李敏，很高兴认识您！"


def test_media_that_were_ready_are_sent(onboard: Worker, boat: Lifeboat, server: RedisServer) -> None:
    onboard.publish(a_template("text: 您好\nattachments:\n- file: {file: media/price.pdf}\n"))
    boat._known.refresh_all()
    record, event = added(onboard)
    greeted_without_redis(boat, server, event)
    assert [one["msgtype"] for one in onboard.wecom.record(record).content["attachments"]] == ["file"]


def test_a_process_that_starts_without_redis_greets_with_what_another_left_on_the_disk(
    onboard: Worker, boat: Lifeboat, server: RedisServer, make_boat: Callable[[], Lifeboat]
) -> None:
    onboard.publish(a_template("text: 您好\nattachments:\n- file: {file: media/price.pdf}\n"))
    boat._known.refresh_all()
    record, event = added(onboard)
    with gone(server):
        other = make_boat()
        other._known.read_file()
        assert other.take(event)
        finished(other)
    assert [one["msgtype"] for one in onboard.wecom.record(record).content["attachments"]] == ["file"]


def test_neither_a_token_nor_a_name_is_on_the_disk(onboard: Worker, boat: Lifeboat, server: RedisServer) -> None:
    token = onboard.services.clients["default"].tokens.get(time.monotonic() + 5)
    _, event = added(onboard)
    onboard.services.redis.set(keys.member("default", event.user_id), json.dumps({"answer": {"member": "李敏"}}))
    boat._known.saw(event)
    boat._known.refresh_all()
    boat._adopt_tokens()
    greeted_without_redis(boat, server, event)
    files = list(boat._folder.iterdir())
    for file in files:
        content = file.read_text("utf-8")
        assert token not in content
        assert onboard.app.secret not in content
        assert "李敏" not in content
        assert file.stat().st_mode & 0o077 == 0
    assert len(files) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"apps": {"default": {}}}', '{"apps": {}, "pause": {"by": 1}}'])
def test_a_file_that_is_unfit_is_not_used(boat: Lifeboat, make_boat: Callable[[], Lifeboat], content: str) -> None:
    (boat._folder / "last-known.json").write_text(content)
    other = make_boat()
    other._known.read_file()
    assert not other.can_take()


# ------------------------------------------------------------------------------------------------ what it refuses


def test_without_a_known_book_wecom_is_to_send_it_again(onboard: Worker, make_boat: Callable[[], Lifeboat]) -> None:
    boat = make_boat()
    assert not boat.can_take()
    assert not boat.take(added(onboard)[1])


def test_while_the_queue_is_paused_nobody_is_greeted(onboard: Worker, boat: Lifeboat) -> None:
    onboard.services.queue_pauses.pause(WELCOME, "李敏")
    boat._known.refresh_all()
    assert not boat.can_take()
    assert not boat.take(added(onboard)[1])


def test_a_disk_that_is_full_refuses(onboard: Worker, boat: Lifeboat, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise JournalError("No space left on device")

    record, event = added(onboard)
    assert boat.can_take()
    with monkeypatch.context() as full:
        full.setattr(boat._own.journal, "append", refuse)
        assert not boat.take(event)
    assert not boat.took(event)
    assert onboard.results(record) == []
    assert not boat.can_take(), "nor would it take the next one, which load balancers and alerts are told"
    assert not boat.status().ready
    assert boat.take(added(onboard)[1])
    assert boat.can_take(), "there is room again"
    finished(boat)


def test_after_a_while_it_is_tried_whether_the_disk_is_still_full(boat: Lifeboat) -> None:
    boat._full_at = time.monotonic() - module.FULL / 2
    assert not boat.can_take()
    boat._full_at = time.monotonic() - module.FULL - 1
    assert boat.can_take()


def test_what_takes_long_now_counts_as_what_took_long(
    onboard: Worker, boat: Lifeboat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boat._greetings, "_threads", 1)
    monkeypatch.setitem(boat._greetings._in_flight, "other", None)
    assert boat._greetings.has_room()
    monkeypatch.setitem(boat._greetings._running, "other", time.monotonic() - 15)
    assert not boat.take(added(onboard)[1])  # it would begin when most of its window is over


@pytest.mark.parametrize(
    ("waiting", "seconds", "threads", "room"),
    [
        (0, 5.0, 1, True),
        (63, 1.0, 64, True),
        (639, 1.0, 64, True),
        (640, 1.0, 64, False),  # it would begin after ten of its 20 seconds
        (2, 5.0, 1, False),
        (MOST - 1, 0.08, 64, True),
        (MOST, 0.08, 64, False),
    ],
)
def test_there_is_room_as_long_as_it_begins_in_the_first_half_of_the_window(
    waiting: int, seconds: float, threads: int, room: bool
) -> None:
    assert fits(waiting, seconds, threads, 20.0) is room


# ------------------------------------------------------------------------------------------------ others greet too


def test_what_was_handed_over_and_not_greeted_when_redis_went_is_greeted_here(
    onboard: Worker, boat: Lifeboat, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    record, event = added(onboard)
    assert onboard.ledger.accept(event)
    boat.handed_over(event)
    boat._look_after_handed_over()
    with gone(server):
        assert onboard.results(record) == []
        boat._look_after_handed_over()
        finished(boat)
    assert onboard.results(record) == [0]
    boat.round()
    assert row(onboard, event).outcome == "sent"
    assert boat._handed_over == {}


def test_what_was_handed_over_and_is_settled_is_forgotten(onboard: Worker, boat: Lifeboat) -> None:
    _, claim = onboard.claimed()
    boat.handed_over(claim.event)
    boat._look_after_handed_over()
    assert list(boat._handed_over) == [claim.id]
    onboard.greet(claim)
    boat._look_after_handed_over()
    assert boat._handed_over == {}


@pytest.mark.parametrize(("in_doubt", "outcome"), [(True, "unconfirmed"), (False, "lost")])
def test_a_code_that_somebody_else_used_makes_no_missed_customer(
    onboard: Worker, boat: Lifeboat, server: RedisServer, in_doubt: bool, outcome: str
) -> None:
    record, claim = onboard.claimed()
    onboard.greet(claim)
    event = claim.event
    forget(onboard.services.redis, "nobody")
    onboard.services.redis.delete(keys.event(event.id))
    greeted_without_redis(boat, server, event, in_doubt=in_doubt)
    assert onboard.results(record) == [0, 41050]
    found = row(onboard, event)
    assert found.outcome == outcome
    if not in_doubt:
        assert found.reason is not None
        assert found.reason.kind is Kind.CODE_USED_ELSEWHERE
    assert onboard.services.redis.zcard(keys.missed("default")) == 0


def test_a_workers_greeting_stays_where_the_lifeboat_found_the_code_used(
    onboard: Worker, boat: Lifeboat, server: RedisServer
) -> None:
    record, claim = onboard.claimed()
    onboard.greet(claim)
    greeted_without_redis(boat, server, claim.event)
    assert onboard.results(record) == [0, 41050]
    assert (row(onboard, claim.event).outcome, row(onboard, claim.event).lifeboat) == ("sent", False)


def test_the_lifeboats_greeting_replaces_a_refusal_that_a_worker_met_because_of_it(
    onboard: Worker, boat: Lifeboat, server: RedisServer
) -> None:
    record, claim = onboard.claimed()  # Redis had stored it, and its answer was lost
    with gone(server):
        assert boat.take(claim.event)
        finished(boat)
    onboard.greet(claim)
    assert onboard.services.redis.zcard(keys.missed("default")) == 1
    boat.round()
    assert onboard.results(record) == [0, 41050]
    assert (row(onboard, claim.event).outcome, row(onboard, claim.event).lifeboat) == ("sent", True)
    assert onboard.services.redis.zcard(keys.missed("default")) == 0


def test_of_two_events_with_one_code_the_second_names_the_first(
    onboard: Worker, boat: Lifeboat, server: RedisServer
) -> None:
    record, half = added(onboard, change="half_add")
    full_add = ContactAdded(
        **{name: getattr(half, name) for name in ("app", "corp_id", "user_id", "external_user_id", "created_at")},
        change="add",
        welcome_code=half.welcome_code,
    )
    with gone(server):
        for event in (half, full_add):
            assert boat.take(event)
            finished(boat)
    boat.round()
    assert row(onboard, half).outcome == "sent"
    found = row(onboard, full_add)
    assert found.outcome == "lost"
    assert found.reason is not None
    assert (found.reason.kind, found.reason.params["event"]) == (Kind.SAME_CODE, half.id)
    assert onboard.results(record) == [0, 41050]


def test_a_customer_who_was_forgotten_meanwhile_is_left_out(
    onboard: Worker, boat: Lifeboat, server: RedisServer
) -> None:
    _, event = added(onboard)
    _, other = added(onboard)
    with gone(server):
        assert boat.take(event)
        assert boat.take(other)
        finished(boat)
    forget(onboard.services.redis, event.external_user_id)
    boat.round()
    assert onboard.ledger.delivery(event.id) is None
    assert row(onboard, other).outcome == "sent"
    assert boat._own.journal.size == 0


def test_a_folder_that_cannot_be_written_is_no_lifeboat(onboard: Worker, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for settings in (
        replace(onboard.services.settings, data_dir=tmp_path / "file"),
        replace(onboard.services.settings, lifeboat=False),
    ):
        assert launch(replace(onboard.services, settings=settings)) is None
