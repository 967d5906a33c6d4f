"""The services of a process: made once, each for its app."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.services import Services, build_services
from tasks.settings import read
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.builders import AES_KEY, some_settings
from tests.support.servers import Server, answering, whole
from tests.support.until import until

APP = '[apps.{name}]\ncorp_id = "{corp_id}"\nsecret = "s"\ntoken = "t"\nencoding_aes_key = "' + AES_KEY + '"\n'


@pytest.fixture
def services(redis_url: str, tmp_path: Path) -> Services:
    """Of two apps."""
    apps = APP.format(name="sales", corp_id="ww0001") + APP.format(name="support", corp_id="ww0002")
    (tmp_path / "apps.toml").write_text(apps)
    return build_services(read({"WELCOME_CONFIG": "apps.toml", "REDIS_URL": redis_url}, tmp_path))


def test_what_belongs_to_an_app_is_made_once(services: Services) -> None:
    sales, support = services.app("sales"), services.app("support")
    for name in ("wecom", "channels", "group_sync", "work_list", "comparison", "reminders"):
        assert getattr(sales, name) is getattr(services.app("sales"), name), name
        assert getattr(sales, name) is not getattr(support, name), name
    assert [one.settings.corp_id for one in (sales, support)] == ["ww0001", "ww0002"]
    assert sales.wecom is services.clients["sales"]


def test_what_all_apps_share_is_made_once(services: Services) -> None:
    for name in ("queue_pauses", "follow_ups", "lookups", "corp_tags", "drafts"):
        assert getattr(services, name) is getattr(services, name), name


def test_other_settings_have_services_of_their_own(services: Services) -> None:
    _ = services.app("sales").comparison
    apps = {"sales": replace(services.settings.apps["sales"], agent_id="1000002")}
    other = replace(services, settings=replace(services.settings, apps=apps))
    assert [one.app("sales").reminders.possible for one in (services, other)] == [False, True]


def test_an_app_that_is_not_configured_has_none(services: Services) -> None:
    with pytest.raises(KeyError):
        services.app("nobody")


def test_regularly_counts_are_written_and_connections_that_nobody_needs_any_more_closed(
    redis_url: str, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(answering(whole())) as wecom:
        services = build_services(some_settings(REDIS_URL=redis_url, WECOM_API_BASE=wecom.url))
        transport = services.clients["default"]._transport
        transport.request("GET", "any", by=time.monotonic() + 20)
        services.counters.add("a")
        services.regularly()
        assert (redis_client.hget(keys.COUNTERS, "a"), wecom.closed) == ("1", 0)
        monkeypatch.setattr("tasks.wecom.transport.IDLE", 0.0)
        services.regularly()
        until(lambda: wecom.closed == 1)
