"""The cost of the console's pages over the large installation, with a short history and a long one: in this process, on
a Redis of its own.

Every page that a GET brings is measured, and the lists with what people ask of them: see tests.support.large.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from urllib.parse import urlencode

from tasks.services import Services, build_services
from tasks.storage.connections import Redis
from tests.bench.systems import SystemDidNotRun, redis_alone
from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support import large, samples
from tests.support.builders import some_settings
from tests.support.console import PASSWORD, Browser, pages_of
from tests.support.people import full_name
from webhook.console import name_search

LITTLE, MUCH = 1000, 100_000  # deliveries
TURNS = 7  # of each page; the median counts


@dataclass(frozen=True, slots=True)
class PageCost:
    """CPU seconds of one page, web and Redis together: with LITTLE and with MUCH deliveries."""

    title: str
    little: float
    much: float

    @property
    def ratio(self) -> float:
        return self.much / self.little


def lists(today: date) -> Mapping[str, str]:
    """Title → address, of what people ask of the lists and of the numbers."""
    month = {"since": (today - timedelta(large.DAYS)).isoformat(), "until": today.isoformat()}
    asked = {
        "of one outcome": {"outcome": "sent"},
        "of one welcome": {"outcome": "sent", "welcome": large.template_name(1)},
        "of one member": {"member": large.member(7)},
        "of one channel": {"channel": large.state(7)},
    }
    return {f"Deliveries {title}": "/deliveries?" + urlencode(query) for title, query in asked.items()} | {
        f"Numbers of {large.DAYS} days by {by}": "/numbers?" + urlencode(month | {"by": by})
        for by in ("day", "member", "channel", "welcome")
    }


def measure() -> list[PageCost]:
    """The cost of each page, in some two minutes. Raises SystemDidNotRun."""
    little, much = costs(LITTLE), costs(MUCH)
    return [PageCost(title, little[title], much[title]) for title in little]


def costs(rows: int) -> dict[str, float]:
    """Title of a page → CPU seconds, with so many deliveries. Raises SystemDidNotRun."""
    with redis_alone() as url, StandIn() as wecom:
        app = wecom.register(App.random())
        large.people(wecom)
        variables = app.environment(wecom.base_url) | {"REDIS_URL": url, "CONSOLE_PASSWORD": PASSWORD}
        services = build_services(some_settings(**variables), timeout=30)
        large.fill(services, large.Size(deliveries=rows))
        browser = Browser(services, language="zh_Hans").sign_in()
        return {title: _cost(services.redis, browser, path) for title, path in addresses(services, browser).items()}


def addresses(services: Services, browser: Browser) -> Mapping[str, str]:
    """Title → address of each page; that of a page without a query is its address without what it is about."""
    today = datetime.now(services.settings.timezone).date()
    pages = pages_of(browser.console, samples.arguments(services))
    name = urlencode({"name": large.template_name(1)})
    named = {page: f"{page}?{name}" for page in ("/welcomes/edit", "/welcomes/delete")}
    searched = {"name": full_name(7), "name in pinyin": "zzzz"}  # the latter: nobody, so a whole page of rows
    names = {
        f"Deliveries by a customer's {how}": f"/deliveries?name={name_search.keep(services.redis, text)}"
        for how, text in searched.items()
    }
    return {title: named.get(title, path) for title, path in pages.items()} | lists(today) | names


def _cost(client: Redis, browser: Browser, path: str) -> float:
    """CPU seconds of a page, the median of TURNS after a first one."""
    return statistics.median([_once(client, browser, path) for _ in range(TURNS + 1)][1:])


def _once(client: Redis, browser: Browser, path: str) -> float:
    before, began = _redis_seconds(client), time.process_time()
    answer = browser.get(path)
    spent = time.process_time() - began
    if answer.status_code != 200:
        raise SystemDidNotRun(f"{path} answered {answer.status}")
    return spent + _redis_seconds(client) - before


def _redis_seconds(client: Redis) -> float:
    cpu = client.info("cpu")
    return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])
