"""Moments of a row → bars."""

import pytest

from tasks.ledger.delivery import Attempt
from tests.support.builders import a_delivery, answered
from webhook.timeline import Bar, bars, took

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
