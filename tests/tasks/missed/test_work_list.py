"""The work list: who was not greeted, ticked off and taken back, page by page, forgotten with the customer."""

from pathlib import Path

import pytest

from tasks.ledger.delivery import Outcome, Tick
from tasks.ledger.rows import index
from tasks.missed.work_list import MissedCause, UsedUpBy, WorkList, by_cause, cause_of, customer_name
from tasks.state import backup, erasure
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.builders import a_delivery, answered
from tests.support.ledger import missed, unannounced


@pytest.fixture
def work(redis_client: Redis) -> WorkList:
    return WorkList(redis_client, "default")


def ids(page_rows: object) -> list[str]:
    return [row.id for row in page_rows]  # type: ignore[attr-defined]


def test_a_missed_customer_is_shown_with_the_cause_and_nothing_done(redis_client: Redis, work: WorkList) -> None:
    identity = missed(redis_client, "refused", 40058, user_id="lisi", state="xhs")
    (row,) = work.page().rows
    assert (row.id, row.user_id, row.state) == (identity, "lisi", "xhs")
    assert cause_of(row) == MissedCause(Outcome.REFUSED, 40058)
    assert (row.reason, row.reminder, row.tick) == (answered(40058), None, None)
    assert work.counts() == (1, 0)


def test_a_tick_names_who_and_when_and_can_be_taken_back(redis_client: Redis, work: WorkList) -> None:
    one, two = missed(redis_client), missed(redis_client)
    assert work.tick([one, two], "李敏", 5000) == [one, two]
    assert work.counts() == (0, 2)
    assert {row.tick for row in work.page(done=True).rows} == {Tick("李敏", 5.0)}
    assert sorted(work.ticked_at(5000)) == sorted([one, two])
    assert work.untick([one]) == [one]
    assert ids(work.page().rows) == [one]
    assert work.page().rows[0].tick is None


def test_only_what_is_on_the_list_can_be_ticked(redis_client: Redis, work: WorkList) -> None:
    here, elsewhere = missed(redis_client), missed(redis_client, app="sales")
    gone = missed(redis_client)
    redis_client.zrem(keys.missed("default"), gone)
    assert work.tick([here, here, elsewhere, gone, "no such id"], "a", 1) == [here]
    assert work.untick([elsewhere, gone]) == []
    assert redis_client.exists(keys.event("no such id")) == 0


def test_who_was_greeted_meanwhile_does_not_come_back(redis_client: Redis, work: WorkList) -> None:
    sent, later = missed(redis_client), missed(redis_client)
    work.tick([sent, later], "a", 1)
    redis_client.hset(keys.event(sent), "outcome", "sent")
    redis_client.hset(keys.event(later), "greeted_later", "another")
    assert work.untick([sent, later]) == []
    assert work.counts() == (0, 0)


def test_who_was_greeted_by_a_later_event_leaves_by_itself_ticked_or_not(redis_client: Redis, work: WorkList) -> None:
    pair = {"user_id": "zhangsan", "external_user_id": "wm9"}
    ticked, open_ = missed(redis_client, **pair), missed(redis_client, **pair)
    work.add_unannounced([unannounced("a" * 32)], 1000)
    work.tick([ticked], "a", 1)
    missed(redis_client, "sent", **pair)
    assert work.page().rows == []
    assert redis_client.hget(keys.event(open_), "greeted_later")
    assert work.untick([ticked]) == []
    assert redis_client.hget(keys.event(ticked), "greeted_later")


def test_pages_follow_each_other_without_gap_or_repetition(redis_client: Redis, work: WorkList) -> None:
    for number in range(23):
        work.add_unannounced([unannounced(f"{number:032x}", received_ms=1000 * (number // 9))], 1000)
    seen: list[str] = []
    cursor = None
    for _ in range(9):
        page = work.page(before=cursor, limit=5)
        seen += ids(page.rows)
        cursor = page.older
        if cursor is None:
            break
        work.tick(ids(page.rows), "a", 1)  # what was shown leaves, and the next page is still the next
    assert len(seen) == len(set(seen)) == 23
    assert seen[0] == f"{22:032x}"
    with pytest.raises(ValueError, match="invalid literal"):
        work.page(before="nonsense")


def test_one_cure_stands_over_each_cause(redis_client: Redis, work: WorkList) -> None:
    made = (("1", 0, ""), ("1", 3, ""), ("2", 0, "paused"), ("3", 0, "overloaded"), ("4", 2, "limited"))
    rows = [a_delivery("expired", id=identity, attempts=attempts, cause=cause) for identity, attempts, cause in made]
    assert {cause: ids(group) for cause, group in by_cause(rows).items()} == {
        MissedCause(Outcome.EXPIRED, None, UsedUpBy.QUEUE): ["1", "2"],
        MissedCause(Outcome.EXPIRED, None, UsedUpBy.TRIES): ["1"],
        MissedCause(Outcome.EXPIRED, None, UsedUpBy.OTHERS): ["3"],
        MissedCause(Outcome.EXPIRED, None, UsedUpBy.LIMITS): ["4"],
    }


def test_rows_are_trimmed_with_their_life(redis_client: Redis, work: WorkList) -> None:
    missed(redis_client)
    work.add_unannounced([unannounced("a" * 32), unannounced("b" * 32)], 1000)
    work.tick(["b" * 32], "a", 2000)
    assert work.trim(5_000_000) == 2
    assert work.counts() == (1, 0)
    gone = [keys.event("a" * 32), keys.event("b" * 32), index("default", "external_user_id", "wm9")]
    assert redis_client.exists(*gone) == 0


def test_a_row_is_added_once_and_a_tick_outlasts_the_next_night(redis_client: Redis, work: WorkList) -> None:
    assert work.add_unannounced([unannounced("a" * 32)], 1000) == 1
    work.tick(["a" * 32], "a", 2000)
    assert work.add_unannounced([unannounced("a" * 32)], 1000) == 0
    assert work.counts() == (0, 1)


def test_a_name_is_recorded_only_in_an_existing_row(redis_client: Redis, work: WorkList) -> None:
    identity = missed(redis_client)
    work.name(identity, "李雷")
    work.name("gone", "韩梅")
    assert customer_name(work.page().rows[0]) == "李雷"
    assert redis_client.exists(keys.event("gone")) == 0


def test_the_list_is_backed_up_and_who_is_forgotten_leaves_it(
    redis_client: Redis, work: WorkList, tmp_path: Path
) -> None:
    known = missed(redis_client, external_user_id="wm1")
    work.add_unannounced([unannounced("a" * 32), unannounced("b" * 32)], 1000)
    work.tick(["b" * 32], "李敏", 2_000_000)
    redis_client.hset(keys.comparison("default"), "begun_at", 1)
    backup.backup(redis_client, tmp_path / "a.zip")
    redis_client.flushall()
    backup.restore(redis_client, tmp_path / "a.zip")
    assert set(ids(work.page().rows)) == {known, "a" * 32}
    assert work.page(done=True).rows[0].tick == Tick("李敏", 2_000.0)
    assert erasure.forget(redis_client, "wm9", "sales") == 0
    assert erasure.forget(redis_client, "wm9") == 2
    assert erasure.forget(redis_client, "wm1", "default") == 1
    assert work.counts() == (0, 0)
    everywhere = str([redis_client.dump(key) for key in redis_client.keys("*")])
    assert "wm9" not in everywhere
    assert "wm1" not in everywhere
