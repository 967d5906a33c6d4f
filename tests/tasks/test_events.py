"""An event's id tells two adds apart, and nothing else does."""

import re

import pytest

from tests.support.builders import a_contact

PLAIN = {"external_user_id": "wm1", "created_at": 1700000000, "welcome_code": "CODE"}


def test_an_id_is_32_hex_digits_and_always_the_same() -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", a_contact(**PLAIN).id)
    assert a_contact(**PLAIN).id == a_contact(**PLAIN).id


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("app", "service"),
        ("corp_id", "ww0"),
        ("change", "half_add"),
        ("user_id", "lisi"),
        ("external_user_id", "wm2"),
        ("created_at", 1700000001),
        ("welcome_code", "OTHER"),
    ],
)
def test_two_adds_that_differ_in_one_thing_are_two(field: str, value: object) -> None:
    assert a_contact(**PLAIN | {field: value}).id != a_contact(**PLAIN).id


def test_parts_do_not_run_into_each_other() -> None:
    assert a_contact(user_id="ab", external_user_id="c").id != a_contact(user_id="a", external_user_id="bc").id


def test_a_code_is_not_in_what_is_printed() -> None:
    assert "CODE" not in repr(a_contact(**PLAIN))
