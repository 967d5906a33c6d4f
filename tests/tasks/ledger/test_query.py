"""Rows a page at a time: what was asked for, newest first, at a bounded cost, though others come meanwhile."""

import pytest

from tasks.ledger import query
from tasks.ledger.claims import SettledEvent, Settlement
from tasks.ledger.delivery import Outcome
from tasks.ledger.ledger import Ledger
from tasks.missed.work_list import WorkList
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.ledger import accepted, settled


def stored(ledger: Ledger, settlement: Settlement | None = None, **different: object) -> str:
    event = accepted(ledger, **different) if settlement is None else settled(ledger, settlement, **different)
    return event.id


def ids(page: query.Page) -> list[str]:
    return [row.id for row in page.rows]


@pytest.mark.parametrize(
    "asked",
    [
        {"outcome": frozenset({"sent"})},
        {"user_id": "lisi"},
        {"external_user_id": "wm1"},
        {"state": "douyin: 1|2"},
        {"state": "x" * 1000},
        {"template": "t"},
        {"outcome": frozenset({"sent", "failed"}), "user_id": "lisi", "template": "t"},
    ],
)
def test_a_filter_shows_these_and_no_others(ledger: Ledger, asked: dict[str, object]) -> None:
    sent = Settlement(Outcome.SENT, template="t")
    long = "x" * 1000 if asked.get("state") == "x" * 1000 else "douyin: 1|2"
    wanted = stored(ledger, sent, user_id="lisi", external_user_id="wm1", state=long)
    stored(ledger, Settlement(Outcome.NO_CODE), user_id="zhangsan", state="x" * 999 + "y")
    stored(ledger)
    stored(ledger, sent, app="sales", user_id="lisi", external_user_id="wm1", state=long)
    assert ids(ledger.page("default", **asked)) == [wanted]  # type: ignore[arg-type]


def test_those_without_an_outcome_without_a_channel_or_without_a_template(ledger: Ledger) -> None:
    waiting = stored(ledger, state="douyin")
    bare = stored(ledger, Settlement(Outcome.NO_CODE))
    assert ids(ledger.page("default", outcome=frozenset({""}))) == [waiting]
    assert ids(ledger.page("default", state="")) == [bare]
    assert ids(ledger.page("default", template="")) == [bare]


def test_pages_join_without_a_gap_in_both_directions(ledger: Ledger) -> None:
    for _ in range(7):
        stored(ledger, user_id="lisi")
    everything = [row.id for row in ledger.deliveries()]
    for asked in ({}, {"user_id": "lisi"}):
        first = ledger.page("default", limit=3, **asked)  # type: ignore[arg-type]
        assert (ids(first), first.newer) == (everything[:3], None)
        stored(ledger, user_id="lisi")  # somebody comes meanwhile
        second = ledger.page("default", limit=3, before=first.older, **asked)  # type: ignore[arg-type]
        third = ledger.page("default", limit=3, before=second.older, **asked)  # type: ignore[arg-type]
        assert ids(second) + ids(third) == everything[3:]
        assert third.older is None
        back = ledger.page("default", limit=3, after=third.newer, **asked)  # type: ignore[arg-type]
        assert ids(back) == ids(second)
        assert ids(ledger.page("default", limit=3, after=back.newer, **asked)) == everything[:3]  # type: ignore[arg-type]
        everything = [row.id for row in ledger.deliveries()]


def test_many_of_one_millisecond_are_all_shown_once(redis_client: Redis, ledger: Ledger) -> None:
    everything = {stored(ledger) for _ in range(450)}
    for identity in everything:
        redis_client.zadd(keys.EVENTS, {identity: 1000})
    seen: list[str] = []
    page = ledger.page("default", limit=60)
    seen += ids(page)
    while page.older:
        page = ledger.page("default", limit=60, before=page.older)
        seen += ids(page)
    assert len(seen) == 450
    assert set(seen) == everything
    back = ledger.page("default", limit=60, after=f"1000-{seen[60]}")
    assert ids(back) == seen[:60]


def test_a_time_is_kept_to(redis_client: Redis, ledger: Ledger) -> None:
    everything = [stored(ledger, user_id="lisi") for _ in range(4)]
    times = [int(redis_client.zscore(keys.EVENTS, identity)) for identity in everything]
    for asked in ({}, {"user_id": "lisi"}):
        page = ledger.page("default", since=times[1], until=times[2], **asked)  # type: ignore[arg-type]
        assert set(ids(page)) >= {everything[2], everything[1]}
        assert all(times[1] <= row.received_ms <= times[2] for row in page.rows)


def test_a_search_that_takes_long_says_where_to_go_on(
    redis_client: Redis, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "LOOKED", 3)
    wanted = stored(ledger)
    redis_client.zincrby(keys.EVENTS, -1000, wanted)
    for _ in range(7):
        stored(ledger, app="sales")
    page = ledger.page("default")
    assert (page.rows, page.whole) == ([], False)
    page = ledger.page("default", before=page.older)
    assert (page.rows, page.whole) == ([], False)
    page = ledger.page("default", before=page.older)
    assert (ids(page), page.older, page.whole) == ([wanted], None, True)


def test_rows_from_before_there_were_index_sets_are_listed(redis_client: Redis, ledger: Ledger) -> None:
    old = stored(ledger, Settlement(Outcome.SENT))
    redis_client.delete(*redis_client.keys(keys.index("*", "*", "*")))
    assert ids(ledger.page("default")) == [old]


def test_a_row_that_is_gone_is_not_shown(redis_client: Redis, ledger: Ledger) -> None:
    gone, there = (stored(ledger, user_id="lisi") for _ in range(2))
    redis_client.delete(keys.event(gone))
    assert ids(ledger.page("default", user_id="lisi")) == [there]


def test_no_page_shows_a_code(ledger: Ledger) -> None:
    event = accepted(ledger)
    assert event.welcome_code not in str(ledger.page("default"))


@pytest.mark.parametrize("cursor", ["", "x", "-", "1", "x-1", "-1-a", "１-a", "1" * 30 + "-a"])
def test_what_is_no_cursor_is_refused(ledger: Ledger, cursor: str) -> None:
    for direction in ("before", "after"):
        with pytest.raises(ValueError, match="cursor"):
            ledger.page("default", **{direction: cursor})  # type: ignore[arg-type]


def test_who_was_missed_is_listed_until_greeted(ledger: Ledger, redis_client: Redis) -> None:
    work_list = WorkList(redis_client, "default")
    pair = {"user_id": "lisi", "external_user_id": "wm1"}
    first = stored(ledger, Settlement(Outcome.EXPIRED), **pair)
    stored(ledger, Settlement(Outcome.NO_CODE), **pair)
    other = stored(ledger, Settlement(Outcome.FAILED), user_id="zhangsan", external_user_id="wm1")
    stored(ledger, Settlement(Outcome.EXPIRED), rehearsal=True)
    assert ids(work_list.page()) == [other, first]
    assert work_list.counts()[0] == 2
    later = stored(ledger, Settlement(Outcome.UNCONFIRMED), **pair)
    assert ids(work_list.page()) == [other]
    row = ledger.fields(first)
    assert row is not None
    assert row["greeted_later"] == later
    assert WorkList(redis_client, "sales").page().rows == []


def test_who_was_greeted_before_the_outcome_of_an_earlier_event_is_not_missed(
    ledger: Ledger, redis_client: Redis
) -> None:
    pair = {"user_id": "lisi", "external_user_id": "wm1"}
    early = accepted(ledger, **pair)
    later = stored(ledger, Settlement(Outcome.SENT), **pair)
    ledger.settle(SettledEvent(early, Settlement(Outcome.FAILED)))
    assert WorkList(redis_client, "default").page().rows == []
    row = ledger.fields(early.id)
    assert row is not None
    assert row["greeted_later"] == later


def test_outcomes_are_counted_for_a_time(redis_client: Redis, ledger: Ledger) -> None:
    stored(ledger, Settlement(Outcome.SENT))
    stored(ledger, Settlement(Outcome.REHEARSED), rehearsal=True)
    stored(ledger)
    counts = ledger.count("default")
    assert {outcome: count for outcome, count in counts.items() if count} == {"sent": 1, "rehearsed": 1, "": 1}
    assert sum(ledger.count("default", until=0).values()) == 0


def test_a_row_of_a_later_release_that_cannot_be_read_hides_no_other(redis_client: Redis, ledger: Ledger) -> None:
    first, later, last = (settled(ledger) for _ in range(3))
    redis_client.hset(keys.event(later.id), "left_out", '[{"number": 1, "because": "moon"}]')
    assert {one.id for one in ledger.page("default").rows} == {first.id, last.id}
