"""A captured push that is sent again brings nobody back: 200, counted, ignored."""

import time

import pytest

from tasks.ledger.claims import SettledEvent, Settlement
from tasks.ledger.delivery import Outcome
from tasks.ledger.ledger import CLOCKS_APART
from tasks.missed.work_list import WorkList
from tasks.state import erasure
from tasks.storage import keys
from tests.support.builders import some_settings
from tests.support.ledger import settled
from tests.support.pushes import TOKEN, Push, a_push, an_event, xml
from tests.support.web import Web, stored
from webhook.callback.crypto import signature
from webhook.callback.parsing import parse, read_ciphertext

DAY = 86400
NOTHING = (0, 0, 0)


def signed_at(push: Push, at: float) -> Push:
    """The push with a timestamp of WeCom's of that time."""
    query = {"timestamp": str(int(at)), "nonce": "n"}
    query["msg_signature"] = signature(TOKEN, query["timestamp"], "n", read_ciphertext(push.body))
    return Push(query, push.body)


def pushed(days: float, created: float | None = None) -> Push:
    """A push of so many days ago, of an event of then, or of `created` days ago."""
    now = time.time()
    event = an_event(CreateTime=str(int(now - (days if created is None else created) * DAY)))
    return signed_at(a_push(xml(event)), now - days * DAY)


@pytest.mark.parametrize(
    ("push", "result"),
    [
        (lambda: pushed(3 * 365), "outdated"),
        (lambda: pushed(30), "outdated"),
        (lambda: pushed(0, created=3 * 365), "outdated"),  # of an event that is not remembered either
        (lambda: pushed(29.9), "stored"),  # still remembered: a first push, as far as is known
        (lambda: pushed(1), "stored"),
        (lambda: pushed(0, created=1), "stored"),  # WeCom is a day late
        (lambda: pushed(-400 / DAY), "stored"),  # our clock is slow
        (lambda: pushed(-400), "stored"),
    ],
)
def test_a_push_that_is_older_than_what_is_remembered_is_ignored(web, redis_client, push, result):
    answer = web.post(push())
    assert (answer.status_code, answer.data) == (200, b"success")
    assert web.counted() == {result: 1}
    assert stored(redis_client) == ((1, 1, 1) if result == "stored" else NOTHING)


def test_what_is_remembered_is_a_matter_of_keep_days(redis_url, redis_client):
    web = Web(some_settings(REDIS_URL=redis_url, WELCOME_KEEP_DAYS="2"))
    web.post(pushed(2))
    web.post(pushed((2 * DAY - CLOCKS_APART / 2) / DAY))  # its row may have been trimmed, if clocks differ
    assert stored(redis_client) == NOTHING
    web.post(pushed(1.9))
    assert stored(redis_client) == (1, 1, 1)


def test_a_replay_of_a_trimmed_row_enters_no_list(web, redis_client):
    """From the day on which its row goes, it is too old."""
    ledger = web.services.ledger
    settled(ledger, Settlement(Outcome.EXPIRED), ago=30 * DAY + 1)
    assert ledger.trim() == 1
    web.post(pushed(30 + 1 / DAY))
    assert stored(redis_client)[0] == 0
    assert WorkList(redis_client, "default").counts()[0] == 0


@pytest.mark.parametrize("app", [None, "default"])
@pytest.mark.parametrize("settle", [True, False])
def test_a_replay_does_not_bring_back_who_was_forgotten(web, redis_client, app, settle):
    event = an_event(ExternalUserID="wm-forgotten")
    message = xml(event)
    push = a_push(message)
    web.post(push)
    if settle:
        web.services.ledger.settle(SettledEvent(parse("default", message), Settlement(Outcome.EXPIRED)))
    assert erasure.forget(redis_client, "wm-forgotten", app) == 1
    redis_client.delete(keys.QUEUE)
    for again in (push, a_push(message), push):
        assert (web.post(again).status_code, stored(redis_client)) == (200, NOTHING)
    assert web.counted() == {"stored": 1, "forgotten": 3}
    assert WorkList(redis_client, "default").counts()[0] == 0
    for key in redis_client.keys("*"):
        assert "wm-forgotten" not in key


def test_who_was_forgotten_and_adds_the_member_again_is_greeted_like_anybody(web, redis_client):
    web.post(a_push(xml(an_event(ExternalUserID="wm-forgotten"))))
    erasure.forget(redis_client, "wm-forgotten")
    web.post(a_push(xml(an_event(ExternalUserID="wm-forgotten"))))  # in the same second, with a code of its own
    assert web.counted() == {"stored": 2}
    assert stored(redis_client)[0] == 1


def test_it_is_known_for_as_long_as_the_row_would_have_been(web, redis_client):
    web.post(a_push(xml(an_event(ExternalUserID="wm-forgotten"))))
    erasure.forget(redis_client, "wm-forgotten")
    (key,) = redis_client.keys(keys.forgotten_event("*"))
    assert 30 * DAY < redis_client.ttl(key) <= 31 * DAY


def test_a_replay_within_the_days_changes_nothing_of_its_row(web, redis_client):
    message = xml(an_event())
    event = parse("default", message)
    push = a_push(message)
    web.post(push)
    ledger = web.services.ledger
    ledger.settle(SettledEvent(event, Settlement(Outcome.EXPIRED)))
    redis_client.zrem(keys.missed("default"), event.id)  # somebody ticked it off
    before = redis_client.hgetall(keys.event(event.id))
    assert web.post(push).status_code == 200
    after = redis_client.hgetall(keys.event(event.id))
    assert after.pop("resent") == "1"
    assert after == before
    assert WorkList(redis_client, "default").counts()[0] == 0


def test_a_replay_clears_no_verdict(web):
    web.get("/callback")
    problem = web.verdict()
    assert problem is not None
    web.post(pushed(400))
    assert web.verdict() == problem
