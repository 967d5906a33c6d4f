"""Slots: how many greetings may be begun, while others wait for a name."""

from contextlib import ExitStack

import pytest

from tasks.greeting.slots import Slots


def taken(most: int, count: int) -> Slots:
    slots = Slots(most)
    for _ in range(count):
        slots.take()
    return slots


def test_a_slot_is_free_until_it_is_taken_and_again_when_it_is_given_back() -> None:
    slots = taken(3, 2)
    assert slots.free == 1
    slots.give_back()
    assert slots.free == 2


def test_a_slot_that_is_lent_is_free_meanwhile() -> None:
    slots = taken(2, 2)
    with slots.lent():
        assert slots.free == 1
    assert slots.free == 0


def test_as_many_are_lent_as_there_are_slots_and_no_more() -> None:
    slots = taken(2, 2)
    with ExitStack() as lookups:
        for _ in range(2):
            lookups.enter_context(slots.lent())
        assert slots.free == 2
        for _ in range(2):  # others come, and wait for a name too
            slots.take()
            lookups.enter_context(slots.lent())
        assert slots.free == 0
    assert slots.free == 0, "all four go on; nobody else begins"
    for free in (0, 0, 1, 2):
        slots.give_back()
        assert slots.free == free


def test_a_lookup_that_fails_takes_its_slot_back() -> None:
    slots = taken(1, 1)
    with pytest.raises(TimeoutError), slots.lent():
        raise TimeoutError
    assert slots.free == 0
    slots.give_back()
    assert slots.free == 1
