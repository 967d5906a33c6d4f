"""Moments of a row → bars."""

import pytest

from tasks.ledger.delivery import Attempt, WorkerRecord
from tests.support.builders import a_delivery, answered
from webhook.timeline import Bar, bars, bars_of_all, took

BUSY = Attempt(answered(-1, "system busy"))
TAKEN = Attempt()


def drawn(steps: dict[str, int], *tries: Attempt) -> list[tuple[str, int, int]]:
    return [(bar.kind, bar.start, bar.end) for bar in bars(a_delivery(steps=steps, tries=tries))]


def test_every_step_is_a_bar_that_begins_where_the_one_before_ended() -> None:
    steps = {"started": 29, "chosen": 30, "named": 123, "prepared": 125, "try_1": 126, "token": 140, "answer_1": 257}
    steps |= {"try_2": 1257, "answer_2": 1366}
    assert drawn(steps, BUSY, TAKEN) == [
        ("queue", 0, 29),
        ("choice", 29, 30),
        ("names", 30, 123),
        ("media", 123, 125),
        ("token", 126, 140),
        ("try", 140, 257),
        ("wait", 257, 1257),
        ("try", 1257, 1366),
    ]


def test_the_answer_of_a_try_stands_at_it_also_when_an_earlier_worker_had_the_first_ones() -> None:
    (_, retry) = bars(a_delivery(steps={"started": 4500, "try_3": 4501, "answer_3": 4600}, tries=(TAKEN,)))
    assert retry == Bar("try", 4501, 4600, 3, TAKEN)


def test_the_longest_of_several_is_the_slowest() -> None:
    found = bars(a_delivery(steps={"started": 3, "prepared": 400, "try_1": 401, "answer_1": 500}, tries=(TAKEN,)))
    assert [bar.slowest for bar in found] == [False, True, False]
    assert [bar.kind for bar in found] == ["queue", "preparation", "try"]
    assert not any(bar.slowest for bar in bars(a_delivery(steps={"started": 31000})))
    assert not any(bar.slowest for bar in bars(a_delivery(steps={"started": 0, "prepared": 0})))


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ({}, []),
        ({"claimed": 3, "answer_1": 250}, []),  # of a release of long ago
        ({"started": 20, "try_1": 10, "answer_1": 5}, [("queue", 0, 20)]),  # a clock that was put back
        ({"started": 20, "try_1": 25}, [("queue", 0, 20), ("redis", 20, 25)]),
    ],
)
def test_what_was_not_noted_makes_no_bar(steps: dict[str, int], expected: list[tuple[str, int, int]]) -> None:
    assert drawn(steps) == expected


def test_how_long_it_took_is_not_known_where_no_step_was_noted() -> None:
    assert took(a_delivery(steps={})) is None
    assert took(a_delivery(steps={"started": 3, "answer_1": 250})) == 250


SECOND = {"started": 4512, "prepared": 4520, "try_2": 4521, "answer_2": 4600}


def of_all(*others: WorkerRecord, worker: int = 2) -> list[tuple[int, str, int, int, int]]:
    found = bars_of_all(a_delivery(steps=SECOND, tries=(TAKEN,), worker=worker, others=others))
    return [(bar.worker, bar.kind, bar.start, bar.end, bar.number) for bar in found]


def test_each_worker_has_its_bars_and_from_where_it_fell_silent_the_next_one_is_awaited() -> None:
    assert of_all(WorkerRecord(1, {"started": 12}, begun=1)) == [
        (1, "queue", 0, 12, 0),
        (1, "taken over in a try", 12, 4512, 1),
        (2, "preparation", 4512, 4520, 0),
        (2, "try", 4521, 4600, 2),
    ]


def test_a_worker_that_was_between_two_tries_was_in_none() -> None:
    steps = {"started": 12, "try_1": 13, "answer_1": 300}
    found = of_all(WorkerRecord(1, steps, (BUSY,), begun=1))
    assert (1, "try", 13, 300, 1) in found
    assert (1, "taken over", 300, 4512, 0) in found


def test_who_gave_the_event_back_did_not_stop() -> None:
    assert (1, "given back", 12, 4512, 0) in of_all(WorkerRecord(1, {"started": 12}, given_back=True))


def test_workers_that_had_the_event_at_once_are_each_shown_in_full() -> None:
    slow = {"started": 4000, "try_1": 4001, "token": 4001, "answer_1": 9000}
    found = bars_of_all(
        a_delivery(steps=slow, tries=(TAKEN,), worker=1, others=(WorkerRecord(2, SECOND, (Attempt(answered(41050)),)),))
    )
    assert [(bar.worker, bar.kind) for bar in found] == [(1, "queue"), (1, "try"), (2, "preparation"), (2, "try")]


def test_where_one_worker_is_known_its_bars_are_all() -> None:
    one = a_delivery(steps=SECOND, tries=(TAKEN,))
    assert bars_of_all(one) == bars(one)
