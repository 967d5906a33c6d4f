"""A rehearsal's six steps, from how the callback answered and the ledger's row."""

from typing import Any

import pytest

from tasks.ledger.delivery import Delivery
from tasks.storage import keys
from tests.support.builders import a_delivery
from webhook.console.rehearsal_steps import DONE, FAILED, STEPS, UNKNOWN, WAITING, KeptRehearsal, keep, last, steps

AT = 1_760_000_000.0
WINDOW = 20.0  # seconds
URL = "https://welcome.example.com/callback"


def sent(status: int | None = 200, reason: str = "") -> KeptRehearsal:
    return KeptRehearsal("3f9a", AT, URL, "zhangsan", "", "Li Min", status, reason)


def row(outcome: str | None = "rehearsed", **fields: Any) -> Delivery:
    values = {
        "claims": 1,
        "steps": {"started": 12, "prepared": 40},
        "created_at": int(AT),
        "received_ms": int(AT * 1000),
    }
    return a_delivery(outcome, **values | fields)


def statuses(kept: KeptRehearsal, row: Delivery | None, after: float = 1.0) -> list[str]:
    return [step.status for step in steps(kept, row, AT + after, WINDOW)]


def test_all_six_are_done():
    made = steps(sent(), row(), AT + 1, WINDOW)
    assert [step.name for step in made] == list(STEPS)
    assert {step.status for step in made} == {DONE}
    assert [step.ms for step in made] == [None, None, 0, 12, None, 40]


@pytest.mark.parametrize(
    ("kept", "there", "at", "says"),
    [
        (sent(None, "ConnectTimeout"), None, 0, f"{URL} does not answer from here (ConnectTimeout)"),
        (sent(403), None, 0, "does not know this Token or corp"),
        (sent(404), None, 0, f"no callback of ours at {URL}"),
        (sent(502), None, 0, f"{URL} answers HTTP 502"),
        (sent(301), None, 0, f"{URL} answers HTTP 301"),
        (sent(400), None, 1, "cannot read what it was sent"),
        (sent(503), None, 2, "does Redis take writes?"),
        (sent(), None, 2, "uses another one"),
        (sent(), row(claims=0, outcome=None), 3, "no worker has taken it for 9 s"),
        (sent(), row(outcome="no_template"), 4, "no rule applies"),
        (sent(), row(outcome="expired"), 4, "Not sent:"),
    ],
)
def test_the_step_that_failed_says_why_and_those_after_it_are_unknown(kept, there, at, says):
    made = steps(kept, there, AT + 9, WINDOW)
    assert [step.status for step in made] == [DONE] * at + [FAILED] + [UNKNOWN] * (5 - at)
    assert says in str(made[at].detail)


def test_what_takes_its_time_is_waited_for():
    assert statuses(sent(), row(claims=0, outcome=None)) == [DONE] * 3 + [WAITING] + [UNKNOWN] * 2
    assert statuses(sent(), row(outcome=None, steps={})) == [DONE] * 4 + [WAITING, UNKNOWN]


def test_the_last_one_is_kept_for_everybody_and_an_unreadable_one_is_none(redis_client):
    assert last(redis_client, "default") is None
    keep(redis_client, "default", sent())
    assert last(redis_client, "default") == sent()
    assert last(redis_client, "sales") is None
    redis_client.set(keys.rehearsal("default"), '{"of": "another release"}')
    assert last(redis_client, "default") is None
