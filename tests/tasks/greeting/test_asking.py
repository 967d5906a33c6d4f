"""Asking: while WeCom tells nobody a name, greetings do not wait for one."""

import contextlib
from collections.abc import Callable

import pytest

from tasks.directory.lookup import NotAsked
from tasks.greeting.asking import SILENT, Asking
from tasks.greeting.slots import Slots
from tasks.wecom.errors import Failure, NoAnswer, NotSent, Unanswered, WeComError, from_answer
from tests.support.worker import Worker


def unanswered(kind: type[Unanswered] = NoAnswer) -> Unanswered:
    return kind("user/get", Failure.ANSWER_TIMEOUT)


def asked(asking: Callable[[], contextlib.AbstractContextManager[None]], error: WeComError | None = None) -> bool:
    """Whether it may be asked; the answer is this error."""
    called = False
    with contextlib.suppress(WeComError, NotAsked), asking():
        called = True
        if error is not None:
            raise error
    return called


def silent(count: int = SILENT) -> Asking:
    asking = Asking(Slots(4))
    for number in range(count):
        assert asked(asking, unanswered(NotSent if number % 2 else NoAnswer))
    return asking


def test_a_few_calls_without_an_answer_change_nothing() -> None:
    asking = silent(SILENT - 1)
    with asking():
        assert asked(asking)


def test_after_many_in_a_row_one_asks_at_a_time() -> None:
    asking = silent()
    with contextlib.suppress(Unanswered), asking():
        assert not asked(asking), "one is asking already"
        raise unanswered()
    assert asked(asking, unanswered())


@pytest.mark.parametrize("answer", [None, from_answer(60111, "userid not found", "user/get")])
def test_an_answer_whatever_it_says_ends_it(answer: WeComError | None) -> None:
    asking = silent()
    assert asked(asking, answer)
    with asking():
        assert asked(asking)


def test_answers_in_between_prevent_it() -> None:
    asking = Asking(Slots(4))
    for _ in range(3 * SILENT):
        assert asked(asking, unanswered())
        assert asked(asking)
    with asking():
        assert asked(asking)


def test_who_asks_has_no_slot_meanwhile() -> None:
    slots = Slots(1)
    slots.take()
    with Asking(slots)():
        assert slots.free == 1
    assert slots.free == 0


def test_customers_are_greeted_without_names_and_at_once_while_lookups_hang(here: Worker) -> None:
    here.publish('version: 1\ntemplates:\n  default: {text: "您好{customer|朋友}"}\nrules:\n  - use: default\n')
    here.wecom.faults(hang=1, hang_s=60, paths=("externalcontact/get",))
    records = [here.added()[0] for _ in range(60)]
    here.dispatcher(concurrency=4).run()
    texts = [(here.wecom.record(record).content or {})["text"] for record in records]
    assert texts == ["您好朋友"] * 60
    tried = here.wecom.summary().answers["externalcontact/get"]["hang"]
    assert SILENT <= tried < 30, "those that were under way, and then one at a time"
