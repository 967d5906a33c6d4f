"""The nightly comparison: whom WeCom never announced is found, and nobody else; limits and deaths are outlived."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tasks import upkeep
from tasks.ledger.delivery import Outcome
from tasks.ledger.ledger import Ledger
from tasks.missed import comparison
from tasks.missed.comparison import LATER, SOON, Announced, Comparison, ComparisonInProgress
from tasks.missed.comparison_run import (
    RECENT,
    ComparisonRun,
    ComparisonStatus,
    Unannounced,
    is_due,
    last_due,
    not_announced,
    period,
)
from tasks.state import erasure
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.simulator.records import Record
from tests.support.ledger import accepted
from tests.support.until import until
from tests.support.worker import Worker

SHANGHAI = ZoneInfo("Asia/Shanghai")
BATCH = ("externalcontact/batch/get_by_user",)
HOUR = 3600
RUN = ComparisonRun(since=1000, until=2000, started_at=3000)


# ------------------------------------------------------------------------------------------------ decided


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp()


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-11-22 03:00", "2026-11-22 03:00"),
        ("2026-11-22 23:59", "2026-11-22 03:00"),
        ("2026-11-22 02:59", "2026-11-21 03:00"),
    ],
)
def test_a_run_is_due_at_three_in_the_set_time_zone(now: str, due: str) -> None:
    assert last_due(at(now), SHANGHAI) == at(due)


def test_a_run_that_was_missed_is_made_up_for_and_none_begins_twice() -> None:
    now = at("2026-11-22 09:00")
    began = replace(RUN, started_at=int(at("2026-11-22 03:01")))
    old = replace(RUN, started_at=int(at("2026-11-21 03:01")))
    ancient = replace(RUN, started_at=int(at("2026-11-20 03:01")))
    assert is_due(ComparisonStatus(), now, SHANGHAI)
    assert is_due(ComparisonStatus(good=old), now, SHANGHAI)
    assert not is_due(ComparisonStatus(good=began), now, SHANGHAI)
    assert not is_due(ComparisonStatus(run=began, good=old), now, SHANGHAI)  # it goes on instead
    assert is_due(ComparisonStatus(run=ancient), now, SHANGHAI)


DAY = 86400
LIFE = 30 * DAY


@pytest.mark.parametrize(
    ("good_until", "begun_at", "life", "since"),
    [
        (None, 0, LIFE, 98 * DAY),
        (99 * DAY, 0, LIFE, 98 * DAY),
        (95 * DAY, 0, LIFE, 95 * DAY),  # nights were missed
        (10 * DAY, 0, LIFE, 86 * DAY),
        (None, 99 * DAY, LIFE, 99 * DAY),  # nobody was to be announced before
        (95 * DAY, 0, DAY, 99 * DAY + HOUR),  # the ledger's rows are gone
    ],
)
def test_the_period_is_two_days_or_back_to_the_last_good_run(
    good_until: int | None, begun_at: int, life: int, since: int
) -> None:
    good = None if good_until is None else replace(RUN, until=good_until)
    assert period(ComparisonStatus(good=good), 100 * DAY, begun_at, life) == (since, 100 * DAY - RECENT)


def entry(**different: Any) -> dict[str, Any]:
    follow = {"userid": "zhangsan", "createtime": 1500, "add_way": 1, "state": "xhs"}
    contact = {"external_userid": "wm1", "name": "王芳", "type": 1}
    return {
        "external_contact": {name: different.pop(name, value) for name, value in contact.items()},
        "follow_info": follow | different,
    }


@pytest.mark.parametrize(
    "different",
    [
        {"createtime": 999},
        {"createtime": 2001},
        {"createtime": "1500"},
        {"add_way": 202},  # taken over from a colleague
        {"add_way": 8},
        {"type": 2},  # a WeCom user: greeted by WeCom's own card
        {"userid": None},
        {"external_userid": ["wm1"]},
    ],
)
def test_who_was_not_to_be_greeted_is_left_out(different: dict[str, Any]) -> None:
    assert not_announced(entry(**different), RUN, lambda *_: False) == (False, None)


@pytest.mark.parametrize("add_way", [0, 1, 3, 16, 201, 99, None])
def test_customers_added_in_any_other_way_are_found(add_way: int | None) -> None:
    new, row = not_announced(entry(add_way=add_way), RUN, lambda *_: False)
    assert new
    assert row == Unannounced("zhangsan", "wm1", "xhs", 1500, "王芳")
    assert not_announced(entry(add_way=add_way), RUN, lambda *_: True) == (True, None)


def test_a_malformed_entry_is_ignored() -> None:
    assert not_announced({}, RUN, lambda *_: False) == (False, None)


# ------------------------------------------------------------------------------------------------ done


@pytest.fixture
def there(worker: Worker) -> Iterator[Worker]:
    """An installation that began three hours ago."""
    worker.services.redis.hset(keys.comparison("default"), "begun_at", int(time.time()) - 3 * HOUR)
    return worker


def comparing(worker: Worker) -> Comparison:
    return worker.services.app("default").comparison


def came(worker: Worker, ago: float = HOUR, announced: bool = False, **event: Any) -> Record:
    """A customer who added a member so many seconds ago."""
    record = worker.wecom.add(push=False, created_at=int(time.time() - ago), **event)
    if announced:
        about = {name: getattr(record, name) for name in ("user_id", "external_user_id", "created_at")}
        accepted(worker.ledger, **about)
    return record


def listed(worker: Worker) -> set[str]:
    return {row.external_user_id for row in worker.services.app("default").work_list.page().rows}


def test_who_was_never_announced_is_found_and_nobody_else(there: Worker) -> None:
    there.wecom.people(members={"lisi": {"name": "李四"}})
    there.wecom.people(customers={"wm-lost": {"name": "赵敏"}, "wm-colleague": {"type": 2}})
    lost = came(there, user_id="lisi", external_user_id="wm-lost", state="xhs-11")
    came(there, announced=True)
    came(there, ago=60)  # its event may still come
    came(there, ago=4 * HOUR)  # before the installation
    came(there, add_way=202)
    came(there, external_user_id="wm-colleague")
    run = comparing(there).advance()
    assert run is not None
    assert (run.members, run.customers, run.new, run.found, run.left_out) == (2, 6, 2, 1, 0)
    assert run.ended_at is not None
    (row,) = there.services.app("default").work_list.page().rows
    assert (row.external_user_id, row.user_id, row.customer_name, row.state) == ("wm-lost", "lisi", "赵敏", "xhs-11")
    assert (row.outcome, row.received_at) == (Outcome.UNANNOUNCED, lost.created_at)
    assert comparing(there).advance() is None  # once a night


def test_a_fresh_installation_accuses_nobody(worker: Worker) -> None:
    came(worker, ago=HOUR)
    run = comparing(worker).advance()
    assert run is not None
    assert (run.found, run.ended_at is not None) == (0, True)
    begun_at = comparing(worker).status().begun_at
    assert begun_at is not None
    assert abs(begun_at - time.time()) < 5


def test_an_installation_began_with_its_first_event(worker: Worker) -> None:
    first = came(worker, ago=3 * HOUR, announced=True)
    identity = worker.services.redis.zrange(keys.EVENTS, 0, 0)[0]
    worker.services.redis.zadd(keys.EVENTS, {identity: first.created_at * 1000})
    came(worker, ago=HOUR, external_user_id="wm-lost")
    came(worker, ago=4 * HOUR)
    assert comparing(worker).advance().found == 1  # type: ignore[union-attr]
    assert listed(worker) == {"wm-lost"}


def test_more_members_than_one_call_takes_and_more_customers_than_a_page_has(there: Worker) -> None:
    there.wecom.people(members={f"m{number:03}": {} for number in range(230)})
    for number in range(120):
        came(there, user_id="m007", external_user_id=f"wm{number:03}")
    came(there, user_id="m229", external_user_id="wm-last")
    run = comparing(there).advance()
    assert run is not None
    assert (run.members, run.customers, run.found) == (230, 121, 121)
    assert there.services.app("default").work_list.counts() == (121, 0)


def test_a_limit_is_waited_for_and_the_run_goes_on_where_it_stopped(there: Worker) -> None:
    there.wecom.people(members={f"m{number:03}": {} for number in range(150)})
    came(there, user_id="m001", external_user_id="wm-one")
    came(there, user_id="m149", external_user_id="wm-two")
    one = comparing(there)
    now = int(time.time())
    # as if the limit struck after the first batch
    there.wecom.faults(limited=1.0, paths=BATCH)
    stopped = one.advance()
    assert stopped is not None
    assert stopped.not_before >= now + LATER
    failed = one.status().failed
    assert failed is not None
    assert (failed.reason.errcode, failed.again_at) == (45009, stopped.not_before)
    assert one.advance() is None  # it waits
    there.wecom.faults()
    after = one.advance(now + LATER + 5)
    assert after is not None
    assert (after.found, after.started_at, after.members) == (2, stopped.started_at, 150)
    assert one.status().failed is None
    assert listed(there) == {"wm-one", "wm-two"}


def test_a_slice_that_ends_in_the_middle_loses_nothing(there: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    there.wecom.people(members={f"m{number:03}": {} for number in range(150)})
    for number in range(150):
        came(there, user_id="m001", external_user_id=f"wm{number:03}")
    came(there, user_id="m149", external_user_id="wm-two")
    turns = 0
    monkeypatch.setattr(comparison, "PATIENCE", 0.02)  # a page or so
    run = comparing(there).advance()
    while run is not None and run.ended_at is None:
        turns += 1
        assert turns < 50
        monkeypatch.setattr(comparison, "PATIENCE", 0.02 * turns)
        run = comparing(there).advance()
    assert run is not None
    assert (run.found, run.customers, run.members) == (151, 151, 150)


def test_no_answer_is_tried_again_soon(there: Worker) -> None:
    there.wecom.faults(http_5xx=1.0, paths=BATCH)
    came(there)
    now = int(time.time())
    run = comparing(there).advance()
    assert run is not None
    assert now + SOON <= run.not_before < now + LATER


def test_a_member_whom_wecom_does_not_tell_of_is_left_out_and_counted(there: Worker) -> None:
    there.wecom.people(members={f"m{number:02}": {} for number in range(20)})
    there.wecom.people(members={"m07": {"status": 5}, "m11": {"licensed": False}})
    came(there, user_id="m06", external_user_id="wm-six")
    came(there, user_id="m08", external_user_id="wm-eight")
    run = comparing(there).advance()
    assert run is not None
    assert listed(there) == {"wm-six", "wm-eight"}
    assert (run.left_out, run.ended_at is not None) == (2, True)


def test_where_nobody_has_a_licence_the_run_ends_and_says_so(there: Worker) -> None:
    there.wecom.people(members={"m1": {"licensed": False}, "m2": {"licensed": False}})
    run = comparing(there).advance()
    assert run is not None
    assert (run.members, run.left_out, run.ended_at is not None) == (0, 2, True)


def test_who_was_announced_after_all_is_taken_off_the_list(there: Worker) -> None:
    record = came(there, external_user_id="wm-late")
    comparing(there).advance()
    assert listed(there) == {"wm-late"}
    accepted(there.ledger, user_id=record.user_id, external_user_id="wm-late")
    assert comparing(there).request("李敏")
    run = comparing(there).advance()
    assert run is not None
    assert (run.by, run.found) == ("李敏", 0)
    assert listed(there) == set()


def test_a_row_is_not_found_twice(there: Worker) -> None:
    came(there, external_user_id="wm-lost")
    comparing(there).advance()
    comparing(there).request("a")
    run = comparing(there).advance()
    assert run is not None
    assert run.found == 0
    assert listed(there) == {"wm-lost"}


def test_who_was_forgotten_is_not_found_again(there: Worker) -> None:
    came(there, external_user_id="wm-gone")
    came(there, external_user_id="wm-gone-here")
    came(there, external_user_id="wm-there")
    erasure.forget(there.services.redis, "wm-gone")
    erasure.forget(there.services.redis, "wm-gone-here", "default")
    erasure.forget(there.services.redis, "wm-there", "another")
    comparing(there).advance()
    assert listed(there) == {"wm-there"}


def test_only_one_process_at_a_time_advances_a_run(there: Worker) -> None:
    there.services.redis.set(keys.comparison_lock("default"), "somebody", px=5000)
    with pytest.raises(ComparisonInProgress):
        comparing(there).advance()


def test_a_slice_that_has_lost_the_lock_writes_nothing_more(there: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    came(there, external_user_id="wm-lost")
    monkeypatch.setattr(comparison, "LEASE", 1.0)
    there.wecom.faults(latency_ms=1500, paths=BATCH)
    lease, redis = keys.comparison_lock("default"), there.services.redis
    takeover = there.aside(lambda: until(lambda: redis.exists(lease)) and redis.set(lease, "another"))
    with pytest.raises(ComparisonInProgress):
        comparing(there).advance()
    takeover.join()
    run = comparing(there).status().run
    assert run is not None
    assert run.customers == 0
    assert there.services.redis.get(lease) == "another"


def test_a_run_can_be_asked_for_once_and_waiting_is_cut_short(there: Worker) -> None:
    one = comparing(there)
    one.advance()
    assert one.request("李敏")
    assert not one.request("王五")
    there.wecom.faults(limited=1.0, paths=BATCH)
    came(there)
    one.advance()
    assert one.advance() is None
    assert one.request("王五")
    there.wecom.faults()
    run = one.advance()
    assert run is not None
    assert run.by == "李敏"
    assert run.ended_at is not None


def test_a_wrong_permission_is_told_with_its_code(there: Worker) -> None:
    there.wecom.register(replace(there.app, secret="another"))
    there.services.redis.delete(*there.services.redis.keys("*token*") or ["-"])
    assert comparing(there).advance() is not None
    failed = comparing(there).status().failed
    assert failed is not None
    assert failed.reason.errcode == 40001


def test_many_events_of_one_millisecond_are_all_read(redis_client: Redis) -> None:
    for number in range(25):
        row = {"app": "default", "user_id": "u", "external_user_id": f"wm{number}", "rehearsal": "0"}
        redis_client.hset(keys.event(str(number)), mapping=row)
        redis_client.zadd(keys.EVENTS, {str(number): 5000 if number < 20 else 6000})
    redis_client.hset(keys.event("r"), mapping={**row, "external_user_id": "wm-rehearsed", "rehearsal": "1"})
    redis_client.hset(keys.event("o"), mapping={**row, "external_user_id": "wm-other", "app": "other"})
    redis_client.zadd(keys.EVENTS, {"r": 5500, "o": 5500})
    announced = Announced.of(redis_client, "default", 5, batch=4)
    assert all(announced.has("u", f"wm{number}") for number in range(25))
    assert not announced.has("u", "wm-rehearsed")
    assert not announced.has("u", "wm-other")
    assert announced.first == 5


def test_the_schedule_advances_it_unless_another_process_holds_the_lock(there: Worker) -> None:
    came(there, external_user_id="wm-lost")
    there.services.redis.set(keys.comparison_lock("default"), "somebody", px=5000)
    upkeep.compare_customers(there.services)
    assert listed(there) == set()
    there.services.redis.delete(keys.comparison_lock("default"))
    upkeep.compare_customers(there.services)
    assert listed(there) == {"wm-lost"}
    assert there.services.redis.exists(keys.comparison_lock("default")) == 0


def test_a_member_who_appears_or_goes_between_two_slices_does_no_harm(there: Worker) -> None:
    there.wecom.people(members={"m1": {}, "m2": {}})
    came(there, user_id="m2", external_user_id="wm-two")
    run = ComparisonRun(0, 0, started_at=int(time.time()), batch=["m0-gone", "m1"], cursor="no cursor any more")
    began = replace(run, since=int(time.time()) - 3 * HOUR, until=int(time.time()) - RECENT)
    there.services.redis.hset(keys.comparison("default"), "run", json.dumps(asdict(began)))
    ended = comparing(there).advance()
    assert ended is not None
    assert ended.ended_at is not None
    assert listed(there) == {"wm-two"}
    assert ended.left_out == 1


def test_a_customer_announced_under_the_members_id_in_another_case_is_announced(redis_client: Any) -> None:
    ledger = Ledger(redis_client, 30, 20, ZoneInfo("Asia/Shanghai"))
    accepted(ledger, user_id="ZhangSan", external_user_id="wm1")
    announced = Announced.of(redis_client, "default", 0)
    assert [announced.has(member, "wm1") for member in ("zhangsan", "ZHANGSAN", "lisi")] == [True, True, False]
