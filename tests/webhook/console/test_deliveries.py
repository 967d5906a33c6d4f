"""Deliveries: the list, its filters and table, and one of them in full."""

from typing import Any

import pytest

from tasks.assembly import Parts
from tasks.events import ContactAdded
from tasks.ledger import Settlement
from tests.builders import BOOK, a_contact
from tests.webhook.console.conftest import Browser, text_of

STEPS = {"started": 29, "chosen": 30, "named": 93, "prepared": 95, "try_1": 96, "token": 97, "answer_1": 227}
NASTY = "<script>alert(1)</script>\u202e"


@pytest.fixture
def book(parts: Parts) -> int:
    return parts.books.save("default", BOOK)


def greeted(parts: Parts, outcome: str | None = "sent", **different: Any) -> ContactAdded:
    """A customer of whom this became. `different`: of the event; of the settlement where its name ends with `_`."""
    settled = {name[:-1]: different.pop(name) for name in list(different) if name.endswith("_")}
    event = a_contact(**different)
    assert parts.ledger.accept(event)
    if outcome is not None:
        values = {"template": "default", "rule": "1", "revision": 1, "attempts": 1, "steps": STEPS, "tries": [(0, "")]}
        assert parts.ledger.settle(event, Settlement(outcome, **values | settled))
    return event


def test_rows_are_shown_newest_first_with_who_what_and_how_long(browse: Browser, parts: Parts) -> None:
    greeted(parts, values_={"customer": "韩梅", "member": "张伟"}, state="xhs-11")
    greeted(parts, "expired", steps_={"started": 31000}, template_="", rule_="", tries_=())
    page = browse.get("/deliveries")
    said = text_of(page)
    assert page.status_code == 200
    assert said.index("Too late In the queue 31 s") < said.index("韩梅 → 张伟 xhs-11 Sent 0.2 s default")
