"""Keys of another type than they should be, or with what nobody can read in them: all the rest is shown."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tasks.alerts.reading import read
from tasks.alerts.store import RedisStore
from tasks.services import Services
from tasks.storage import damage, keys
from tasks.storage.connections import Redis
from tests.support import samples
from tests.support.console import Browser, pages_of, text_of
from tests.support.forwarding import an_installation, given_up

NEEDED = (keys.SECRET_KEY, keys.SESSIONS, keys.FORMAT)  # without which nobody is signed in, or nothing starts
GARBAGE = "{no"
PARTS = {"app": "default", "queue": "welcome", "corp": "ww0123456789abcdef"}


@pytest.fixture
def book() -> str:
    return "version: 1\ntemplates:\n  default:\n    text: 您好\nrules:\n  - use: default\n"


@pytest.fixture
def lived_in(services: Services) -> tuple[Browser, dict[str, str]]:
    """Somebody who has signed in, and the pages of an installation that has lived."""
    samples.fill(services)
    browser = Browser(services).signed_in()
    return browser, pages_of(browser.console, samples.arguments(services))


def all_keys(client: Redis) -> dict[str, keys.Key]:
    """Every key there is, and one of each other kind that an app, a corp or a queue has."""
    named = {re.sub(r"{(\w+)}", lambda found: PARTS.get(found[1], found[0]), key.name): key for key in keys.TABLE}
    found = {name: keys.find(name) for name in client.scan_iter(match=keys.ALL)}
    both = {name: key for name, key in named.items() if "{" not in name} | found
    return {name: key for name, key in both.items() if key is not None and name not in NEEDED}


def damaged(client: Redis) -> None:
    """Each key is of another type."""
    for name, key in all_keys(client).items():
        client.delete(name)
        if key.type == keys.STRING:
            client.hset(name, "x", "y")
        else:
            client.set(name, "x")


def garbled(client: Redis) -> None:
    """Each value is garbage."""
    for name, key in all_keys(client).items():
        fields = client.hkeys(name) if key.type == keys.HASH else []
        client.delete(name)
        if key.type == keys.STRING:
            client.set(name, GARBAGE)
        elif key.type == keys.HASH:
            client.hset(name, mapping=dict.fromkeys(fields or ["x"], GARBAGE))
        elif key.type == keys.ZSET:
            client.zadd(name, {GARBAGE: 1})
        elif key.type == keys.LIST:
            client.rpush(name, GARBAGE)
        else:
            client.sadd(name, GARBAGE)


@pytest.mark.parametrize("hurt", [damaged, garbled])
def test_no_page_metric_or_alert_goes_with_keys_that_are_hurt(
    lived_in: tuple[Browser, dict[str, str]], hurt: Callable[[Redis], None]
) -> None:
    browser, pages = lived_in
    hurt(browser.services.redis)
    assert set(read(browser.services).apps) == {"default"}
    metrics = browser.client.get("/metrics")
    assert "wecom_welcome_redis_up 1.0" in metrics.text
    assert 'wecom_welcome_outcomes_total{app="default",outcome="sent"} ' in metrics.text
    assert browser.client.get("/readyz").json.keys() >= {"waiting", "remarks"}  # it could be judged
    statuses = {
        rule: browser.get(path, follow_redirects=False, buffered=True).status_code for rule, path in pages.items()
    }
    assert {rule: status for rule, status in statuses.items() if status >= 500} == {}


def test_a_page_says_what_it_does_without(lived_in: tuple[Browser, dict[str, str]]) -> None:
    browser, _ = lived_in
    assert "This page is not whole" not in text_of(browser.get("/deliveries"))
    browser.services.redis.delete(keys.EVENTS)
    browser.services.redis.set(keys.EVENTS, "x")
    shown = text_of(browser.get("/deliveries"))
    assert f"This page is not whole: keys in Redis are of another type than they should be · {keys.EVENTS}" in shown
    assert browser.client.get("/readyz").json["remarks"]
    assert "wecom_welcome_damaged_keys 0.0" in browser.client.get("/metrics").text  # it does not read that one
    browser.services.redis.delete(keys.CONSUMED)
    browser.services.redis.hset(keys.CONSUMED, "x", "y")
    assert "wecom_welcome_damaged_keys 1.0" in browser.client.get("/metrics").text


def test_what_decides_meets_the_error(services: Services) -> None:
    services.redis.set(keys.EVENTS, "x")
    with damage.left_out():
        assert services.redis.zcard(keys.EVENTS) == 0
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            services.redis.zadd(keys.EVENTS, {"x": 1})
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        services.redis.zcard(keys.EVENTS)


def test_a_name_that_holds_what_is_nobodys_business_is_not_told() -> None:
    assert damage.shown(keys.forward_due("sales", "0123")) == keys.forward_due("sales", "0123")
    assert damage.shown(keys.session("secret")) == keys.session("{session}")
    assert damage.shown(keys.index("sales", "external_user_id", "wm1")) == keys.index("{app}", "{kind}", "{value}")


def test_how_a_target_is_may_be_unreadable_and_its_events_are_counted(redis_url: str, tmp_path: Path) -> None:
    services = an_installation(redis_url, tmp_path, ("sales", "https://crm.example.com/x", ""))
    given_up(services)
    (target,) = services.forwards.status("sales")
    services.redis.hset(keys.forward_target("sales", target), mapping={"failures": GARBAGE, "delivered_at": GARBAGE})
    status = services.forwards.status("sales")[target]
    assert (status.parked, status.failures) == (1, 0)


def test_the_course_of_the_alerts_begins_anew_where_it_is_hurt(services: Services) -> None:
    services.redis.set(keys.ALERTS, "x")
    store = RedisStore(services.redis)
    assert store.load() == {}
    store.save({"a": "b"})
    assert store.load() == {"a": "b"}
