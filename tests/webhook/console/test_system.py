"""The page System: processes, jobs, token, media; what cannot be read is unknown, and each panel for itself."""

from typing import NoReturn

import pytest
import redis

from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.monitoring import heartbeat, jobs
from tasks.monitoring.heartbeat import Heartbeat
from tasks.services import Services
from tasks.storage import keys
from tests.support.console import Browser, text_of
from tests.support.ledger import settled


def test_what_is_there_is_shown(browse: Browser, services: Services) -> None:
    event = settled(services.ledger, Settlement(Outcome.SENT, steps={"answer_1": 1300}))
    Heartbeat(services.redis, "welcome", lambda: [event.id]).beat()
    with jobs.recorded(services.redis, "tasks.upkeep.refresh_tokens"):
        pass
    text = text_of(browse.get("/system"))
    assert event.id[:8] in text
    assert "Renew access tokens" in text
    assert "None yet" in text  # a token


def test_a_process_that_says_nothing_is_called_silent(browse: Browser, services: Services) -> None:
    Heartbeat(services.redis, "beat").beat()
    ((field, note),) = services.redis.hgetall(keys.PROCESSES).items()
    at, _, about = note.partition("|")
    services.redis.hset(keys.PROCESSES, field, f"{int(at) - 45_000}|{about}")
    assert "Not responding for 45 s; it may have stopped" in text_of(browse.get("/system"))


def test_placeholders_of_packages_are_shown_by_process_and_only_if_there_are_any(
    browse: Browser, services: Services
) -> None:
    Heartbeat(services.redis, "web", hooks=dict).beat()
    assert "Placeholders of packages" not in text_of(browse.get("/system"))
    Heartbeat(services.redis, "welcome", hooks=lambda: {"crm": "silent", "erp": "a later release's"}).beat()
    page = text_of(browse.get("/system"))
    assert "{crm.…} Not installed web" in page
    assert "Fails or hangs welcome" in page
    assert "Cannot be loaded welcome" in page


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (redis.ResponseError("ERR"), "Redis answers with an error"),
        (ValueError("no number"), "what is stored cannot be read, see the log"),
    ],
)
def test_one_panel_fails_alone(browse: Browser, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str) -> None:
    def failing(_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(heartbeat, "read", failing)
    page = text_of(browse.get("/system"))
    assert said in page
    assert "Token and media" in page
    assert "Scheduled jobs" in page


def test_the_queue_and_the_system_lead_to_each_other(browse: Browser) -> None:
    assert 'href="/console/system"' in browse.get("/queue").text
    assert 'href="/console/queue">To the queue' in browse.get("/system").text
