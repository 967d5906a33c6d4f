"""Hand-overs that WeCom is asked about: who was not handed over is listed, and who is waiting is asked for again."""

import time
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tasks import upkeep
from tasks.changes.failed_transfers import LIMIT, REFUSED
from tasks.missed import transfer_results
from tasks.missed.transfer_pair import (
    DAY,
    DAYS,
    LATER,
    PAIRS,
    SOON,
    Answer,
    Reading,
    TransferPair,
    after_error,
    after_reading,
    failures,
    next_night,
    problem,
)
from tasks.missed.transfer_results import TooManyPairs, TransferResults
from tasks.missed.work_list import failed_for
from tasks.reasons import Reason
from tasks.storage import keys
from tasks.wecom.errors import Failure, NoAnswer, from_answer
from tests.support.worker import Worker

ZONE = ZoneInfo("Asia/Shanghai")
RESULT, RESIGNED = "externalcontact/transfer_result", "externalcontact/resigned/transfer_result"
NOW = int(datetime(2026, 11, 26, 15, 0, tzinfo=ZONE).timestamp())
NIGHT = int(datetime(2026, 11, 27, 3, 0, tzinfo=ZONE).timestamp())
PAIR = TransferPair("zhangsan", "lisi", by="李敏", since=NOW, next_at=NOW)
UNKNOWN_MEMBER = Reason.from_error(from_answer(60111, "userid not found", RESULT))


# ------------------------------------------------------------------------------------------------ decided


def test_customers_are_counted_by_their_status() -> None:
    first = Answer().and_of([1, 1, 2, 3])
    assert first.and_of([4, 5, 99, None, "3", []]) == Answer(done=2, waiting=1, refused=1, limit=1, unknown=5)


def test_who_was_not_handed_over_is_told_with_the_reason() -> None:
    page: list[dict[str, Any]] = [{"external_userid": f"wm{status}", "status": status} for status in range(1, 6)]
    strange: list[dict[str, Any]] = [{}, {"external_userid": 7, "status": 3}, {"status": 3}, {"external_userid": "wm9"}]
    strange += [{"external_userid": "wm9", "status": one} for one in ("3", [], None)]
    assert list(failures(page + strange)) == [("wm3", REFUSED), ("wm4", LIMIT)]


@pytest.mark.parametrize(
    ("answer", "since", "next_at"),
    [
        (Answer(done=3, refused=1), NOW, None),
        (Answer(waiting=1), NOW, NIGHT),
        (Answer(waiting=1), NOW - DAYS * DAY, None),
        (Answer(), NOW, None),
    ],
)
def test_a_pair_is_read_every_night_while_customers_wait(answer: Answer, since: int, next_at: int | None) -> None:
    read = after_reading(replace(PAIR, since=since, tries=3), Reading(2, "", answer), NOW, ZONE)
    assert (read.next_at, read.read_at, read.answer, read.failed, read.tries) == (next_at, NOW, answer, None, 0)


def test_what_one_call_refuses_counts_where_the_other_knows_nobody() -> None:
    refused = Reading().next_call(UNKNOWN_MEMBER).next_call(UNKNOWN_MEMBER)
    assert after_reading(PAIR, refused, NOW, ZONE).failed == UNKNOWN_MEMBER
    assert after_reading(PAIR, refused, NOW, ZONE).next_at is None
    assert after_reading(PAIR, replace(refused, refusals=1), NOW, ZONE).answer == Answer()  # the other call is certain
    forbidden = Reason.from_error(from_answer(48002, "api forbidden", RESULT))
    assert after_reading(PAIR, replace(refused, refused=forbidden, refusals=1), NOW, ZONE).next_at == NIGHT
    assert after_reading(PAIR, replace(refused, answer=Answer(done=1)), NOW, ZONE).failed is None


@pytest.mark.parametrize(
    ("error", "tries", "next_at"),
    [
        (from_answer(48002, "api forbidden", RESULT), 0, NIGHT),
        (from_answer(60111, "userid not found", RESULT), 0, None),
        (from_answer(99999, "of next year", RESULT), 0, NIGHT),
        (from_answer(45009, "api freq out of limit", RESULT), 0, NOW + LATER),
        (from_answer(-1, "system busy", RESULT), 0, NOW + SOON),
        (from_answer(50100, "invalid cursor", RESULT), 0, NOW + SOON),  # it begins anew
        (NoAnswer(RESULT, Failure.ANSWER_TIMEOUT), 2, NOW + 4 * SOON),
        (NoAnswer(RESULT, Failure.ANSWER_TIMEOUT), 500, NOW + LATER),
    ],
)
def test_an_error_postpones_it_unless_another_try_changes_nothing(
    error: Exception, tries: int, next_at: int | None
) -> None:
    pair = replace(PAIR, reading=Reading(1, "a cursor"), tries=tries)
    failed = after_error(pair, error, NOW, ZONE)
    assert (failed.next_at, failed.reading, failed.tries) == (next_at, None, tries + 1)
    assert after_error(replace(pair, since=NOW - DAYS * DAY), error, NOW, ZONE).next_at is None


def test_the_next_night_is_the_next_comparisons() -> None:
    assert (next_night(NOW, ZONE), next_night(NIGHT, ZONE)) == (NIGHT, NIGHT + DAY)


@pytest.mark.parametrize(
    ("handover", "takeover", "found"),
    [
        ("zhangsan", "lisi", ""),
        ("", "lisi", "empty"),
        ("zhangsan", "", "empty"),
        ("zhangsan", "ZhangSan", "same"),
        ("x" * 65, "lisi", "long"),
        ("a|b", "lisi", "long"),
        ("zhangsan", "li\nsi", "long"),
    ],
)
def test_what_is_wrong_with_a_pair_is_said(handover: str, takeover: str, found: str) -> None:
    assert problem(handover, takeover) == found


@pytest.mark.parametrize(
    "pair",
    [
        PAIR,
        replace(PAIR, answer=Answer(1, 2, 3, 4, 5), read_at=NOW, failed=UNKNOWN_MEMBER, next_at=None),
        replace(PAIR, reading=Reading(1, "cursor", Answer(done=1), UNKNOWN_MEMBER)),
    ],
)
def test_a_pair_is_as_it_was_stored(pair: TransferPair) -> None:
    assert TransferPair.from_json(pair.to_json()) == pair


# ------------------------------------------------------------------------------------------------ done


@pytest.fixture
def there(worker: Worker) -> Worker:
    """Four customers of zhangsan's, whom lisi is to take over: one refuses, one finds no room."""
    worker.wecom.people(members={"zhangsan": {}, "lisi": {}})
    worker.wecom.people(customers={"wm1": {"transfer": 3}, "wm2": {"transfer": 4}, "wm3": {"transfer": 1}})
    for number in range(1, 5):
        worker.wecom.add(user_id="zhangsan", external_user_id=f"wm{number}", push=False)
    return worker


def handed_over(worker: Worker, *customers: str) -> None:
    contact = worker.services.clients["default"].external_contact
    contact.transfer_customer("zhangsan", "lisi", customers or ("wm1", "wm2", "wm3", "wm4"))


def results(worker: Worker) -> TransferResults:
    return worker.services.app("default").transfer_results


def stored(worker: Worker, pair: TransferPair) -> TransferPair:
    worker.services.redis.hset(keys.transfers("default"), f"{pair.handover}|{pair.takeover}", pair.to_json())
    return pair


def asked(worker: Worker, takeover: str = "lisi") -> TransferPair:
    """The pair after it was asked for, and read by the schedule."""
    one = results(worker)
    one.ask("zhangsan", takeover, "李敏")
    upkeep.compare_customers(worker.services)
    return one.pairs()[0]


def listed(worker: Worker) -> set[tuple[str, str, str]]:
    rows = worker.services.app("default").work_list.page().rows
    return {(row.user_id, row.external_user_id, failed_for(row)) for row in rows}


FAILED = {("lisi", "wm1", REFUSED), ("lisi", "wm2", LIMIT)}


def test_who_was_not_handed_over_is_listed_once_and_who_waits_is_asked_for_at_night(there: Worker) -> None:
    handed_over(there)
    pair = asked(there)
    assert pair.answer == Answer(done=1, waiting=1, refused=1, limit=1)
    assert pair.next_at == next_night(int(time.time()), ZONE)
    assert listed(there) == FAILED
    there.wecom.people(customers={"wm4": {"transfer": 1}})
    assert results(there).advance() == 0  # not before the night
    results(there)._save(replace(pair, next_at=1))
    assert results(there).advance() == 1
    (pair,) = results(there).pairs()
    assert (pair.answer, pair.next_at) == (Answer(done=2, refused=1, limit=1), None)
    assert listed(there) == FAILED


@pytest.mark.parametrize("refused", [0, 40097, 60011, 99999])
def test_customers_of_a_member_who_left_are_found_by_the_same_question(there: Worker, refused: int) -> None:
    """Whatever the call for members of the corp says of one who left: WeCom's pages do not tell."""
    there.wecom.people(members={"zhangsan": {"status": 5, "transfers_of_staff": refused}})
    contact = there.services.clients["default"].external_contact
    contact.resigned_transfer_customer("zhangsan", "lisi", ["wm1", "wm3"])
    assert asked(there).answer == Answer(done=1, refused=1)
    assert listed(there) == {("lisi", "wm1", REFUSED)}


def test_it_is_read_page_by_page_and_goes_on_where_time_ran_out(there: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    customers = [f"wm-many-{number}" for number in range(1100)]
    there.wecom.acquaint([{"user_id": "zhangsan", "external_user_id": one, "created_at": 1} for one in customers])
    for first in range(0, 1100, 100):
        handed_over(there, *customers[first : first + 100])
    pair, turns = results(there).ask("zhangsan", "lisi", "李敏"), 0
    clock = iter(range(10_000))
    monkeypatch.setattr(transfer_results, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    monkeypatch.setattr(there.services.clients["default"], "with_deadline", lambda _: there.services.clients["default"])
    while pair.answer is None:
        pair, turns = results(there).read(pair, by=next(clock) + 2), turns + 1  # a page, and it is over
        assert turns < 9
    assert (pair.answer.waiting, turns) == (1100, 3)


@pytest.mark.parametrize(("errcode", "ended"), [(48002, False), (60111, True)])
def test_wecoms_refusal_is_kept_with_its_code(there: Worker, errcode: int, ended: bool) -> None:
    there.wecom.people(members={"zhangsan": {"transfers": errcode}})
    pair = asked(there)
    assert pair.failed is not None
    assert (pair.failed.errcode, pair.next_at is None, pair.answer) == (errcode, ended, None)


def test_a_member_whom_wecom_does_not_know_ends_it(there: Worker) -> None:
    pair = asked(there, takeover="nobody")
    assert pair.failed is not None
    assert (pair.failed.errcode, pair.next_at) == (60111, None)


@pytest.mark.parametrize(("fault", "wait"), [("limited", LATER), ("http_5xx", SOON)])
def test_what_may_pass_is_tried_again_later(there: Worker, fault: str, wait: int) -> None:
    handed_over(there, "wm1")
    there.wecom.faults(**{fault: 1.0, "paths": (RESIGNED,)})
    before = int(time.time())
    pair = asked(there)
    assert pair.next_at is not None
    assert before + wait <= pair.next_at <= before + wait + 60
    assert (pair.answer, pair.tries) == (None, 1)
    assert listed(there) == {("lisi", "wm1", REFUSED)}  # what was read before is kept
    there.wecom.faults()
    pair = asked(there)
    assert (pair.answer, pair.failed) == (Answer(refused=1), None)


def test_nobody_was_handed_over_is_an_answer_too(there: Worker) -> None:
    pair = asked(there)
    assert (pair.answer, pair.failed, pair.next_at) == (Answer(), None, None)


def test_pairs_are_bounded_in_number_and_time(there: Worker) -> None:
    one, now = results(there), int(time.time())
    for number in range(PAIRS - 1):
        stored(there, TransferPair("zhangsan", f"m{number}", since=now, next_at=now + 999))
    one.ask("zhangsan", "lisi", "李敏")
    one.ask("ZhangSan", "lisi", "王五")  # the same pair anew
    assert len(one.pairs()) == PAIRS
    with pytest.raises(TooManyPairs):
        one.ask("zhangsan", "wangwu", "李敏")
    stored(there, TransferPair("zhangsan", "m7", since=now - 8 * DAY, next_at=None))
    one.ask("zhangsan", "wangwu", "李敏")  # in place of one that has ended
    assert "m7" not in {pair.takeover for pair in one.pairs()}
    stored(there, TransferPair("zhangsan", "m8", since=now - 8 * DAY, next_at=None))
    one.advance()
    assert "m8" not in {pair.takeover for pair in one.pairs()}  # nobody has to look at it for ever


def test_what_is_asked_for_anew_while_it_is_read_stays_so(there: Worker) -> None:
    handed_over(there)
    one = results(there)
    read = stored(there, TransferPair("zhangsan", "lisi", by="李敏", since=NOW, next_at=NOW))
    anew = one.ask("zhangsan", "lisi", "王五")
    one.read(read, by=time.monotonic() + 60)  # by a process that had looked before
    assert one.pairs() == [anew]
    assert listed(there) == FAILED


def test_a_pair_of_another_release_stops_none_beside_it(there: Worker) -> None:
    key = keys.transfers("default")
    there.services.redis.hset(key, mapping={"a|b": "{", "c|d": '{"of": "later"}', "e|f": "[]"})
    assert asked(there).takeover == "lisi"
    assert len(results(there).pairs()) == 1
