"""Forwarding on the page System: how each target is, what was given up, and another try."""

from pathlib import Path

import pytest

from tasks.audit import AuditTrail
from tasks.services import Services
from tasks.storage import keys
from tests.support.console import PASSWORD, Browser, text_of
from tests.support.forwarding import HOST, an_installation, failed, given_up


@pytest.fixture
def services(redis_url: str, tmp_path: Path) -> Services:
    more = {"CONSOLE_PASSWORD": PASSWORD}
    return an_installation(redis_url, tmp_path, ("sales", f"https://{HOST}/hook?token=SECRET-1", ""), **more)


def test_a_target_that_does_not_answer_is_shown_with_the_reason(browse: Browser, services: Services) -> None:
    failed(services)
    page = browse.get("/system")
    assert HOST in page.text
    assert "SECRET-1" not in page.text
    assert "the connection is refused" in text_of(page)
    assert "tried again" in text_of(page)


def test_what_was_given_up_is_tried_again_by_a_button(browse: Browser, services: Services) -> None:
    identity = given_up(services)
    assert "Try again" in text_of(browse.get("/system"))
    page = text_of(browse.post("/system/forwards/retry", {"id": identity}))
    assert "It is tried again now" in page
    assert [one.parked for one in services.forwards.status("sales").values()] == [0]
    assert "forward_retried" in [one.act for one in AuditTrail(services.redis).entries()]
    assert "being tried, or has arrived" in text_of(browse.post("/system/forwards/retry", {"id": identity}))


def test_what_waits_for_its_next_try_is_tried_now_by_a_button(browse: Browser, services: Services) -> None:
    identity = failed(services)
    (target,) = services.forwards.status("sales")
    due = keys.forward_due("sales", target)
    services.redis.zincrby(due, 3_600_000, services.redis.zrange(due, 0, -1)[0])  # it has failed some more times
    assert f'value="{identity}"' in browse.get("/system").text
    assert "It is tried again now" in text_of(browse.post("/system/forwards/retry", {"id": identity}))
    assert [one.id for one in services.forwards.claim("sales", target, 1)] == [identity]


def test_all_that_was_given_up_is_tried_again_by_one_button(browse: Browser, services: Services) -> None:
    given_up(services)
    assert "Try all" not in browse.get("/system").text  # one has a button of its own
    services.redis.delete(keys.forward_target("sales", next(iter(services.forwards.status("sales")))))
    given_up(services)
    assert "Try all 2 given-up events again" in text_of(browse.get("/system"))
    assert "2 events are tried again now" in text_of(browse.post("/system/forwards/retry", {"id": "all"}))
    assert [(one.waiting, one.parked) for one in services.forwards.status("sales").values()] == [(2, 0)]
