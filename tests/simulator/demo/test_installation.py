"""An installation with the company's past: what its pages show, and that it is lived through once."""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tasks.changes import losses
from tasks.ledger import samples, statistics
from tasks.ledger.delivery import Outcome
from tasks.missed.comparison import comparison_status
from tasks.services import Services, build_services
from tasks.settings import read
from tasks.storage import connections
from tests.simulator.client import StandIn
from tests.simulator.demo.company import CHANNELS, SUCCESSOR
from tests.simulator.demo.history import DAYS, down
from tests.simulator.demo.installation import live_through
from tests.simulator.world import App
from tests.support.console import PASSWORD, Browser, text_of
from tests.support.processes import RedisServer


@pytest.fixture(scope="module")
def installed(
    redis_server: RedisServer, stand_in: StandIn, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    """Lived through once for all of these tests, which change nothing. It is nine in the evening of yesterday."""
    stand_in.pristine()
    with connections.connect(redis_server.url, timeout=5) as client:
        client.flushall()
    app = stand_in.register(App.random())
    variables = app.environment(stand_in.base_url) | {
        "REDIS_URL": redis_server.url,
        "CONSOLE_PASSWORD": PASSWORD,
        "WELCOME_KEEP_DAYS": "35",
    }
    services = build_services(read(variables, Path(tmp_path_factory.mktemp("demo"))), timeout=30)
    live_through(services, stand_in, evening(services))
    yield services
    for client in services.clients.values():
        client.close()
    services.redis.close()
    stand_in.pristine()


def evening(services: Services) -> float:
    now = datetime.fromtimestamp(time.time(), services.settings.timezone) - timedelta(1)
    return now.replace(hour=21, minute=0, second=0, microsecond=0).timestamp()


def totals(services: Services) -> dict[str, int]:
    today = datetime.fromtimestamp(evening(services), services.settings.timezone).date()
    days = [today - timedelta(n) for n in range(-1, DAYS)]
    found = statistics.added(statistics.read(services.redis, "default", days, ["total"]).values())
    return {outcome: count for (_, _, outcome), count in found.items()}


def test_the_totals_are_those_of_the_rows_day_by_day(installed: Services) -> None:
    zone = installed.settings.timezone
    rows = list(installed.ledger.deliveries())
    assert totals(installed) == Counter(str(row.outcome) for row in rows)
    by_day = Counter(datetime.fromtimestamp(row.received_at, zone).date() for row in rows)
    counted = statistics.read(installed.redis, "default", list(by_day), ["total"])
    assert {day: sum(one.values()) for day, one in counted.items()} == by_day
    assert len(by_day) == DAYS


def test_some_have_left_again_and_more_of_one_variant_than_of_the_other(installed: Services) -> None:
    today = datetime.fromtimestamp(evening(installed), installed.settings.timezone).date()
    days = [today - timedelta(n) for n in range(DAYS)]
    found = losses.read(installed.redis, "default", days).values()
    left = Counter({kind: sum(sum(one.get(kind, {}).values()) for one in found) for kind in set().union(*found)})
    assert 0.02 < left["total", ""] / totals(installed)["sent"] < 0.1
    assert left["variant", ("抖音", "抖音新人礼")] > left["variant", ("抖音", "抖音一对一")] > 0


def test_the_last_hour_of_the_queue_adds_up(installed: Services) -> None:
    hour = samples.read(installed.redis)
    rows = installed.ledger.deliveries(since=round(hour[0].at * 1000) + 1, until=round(hour[-1].at * 1000))
    outcomes = [row.outcome for row in rows]
    assert sum(one.added or 0 for one in hour) == len(outcomes) > 0
    assert sum(one.greeted or 0 for one in hour) == outcomes.count(Outcome.SENT)


def test_a_second_start_adds_nothing(installed: Services, stand_in: StandIn) -> None:
    before, missed = totals(installed), installed.app("default").work_list.counts()
    live_through(installed, stand_in, evening(installed))
    assert (totals(installed), installed.app("default").work_list.counts()) == (before, missed)
    assert list(installed.app("default").channels.all()) == sorted(CHANNELS)


def test_customers_were_missed_for_different_reasons_and_those_of_earlier_days_are_dealt_with(
    installed: Services,
) -> None:
    rows = list(installed.app("default").work_list.since(0))
    assert {row.outcome for row in rows} >= {Outcome.REFUSED, Outcome.EXPIRED, Outcome.FAILED, Outcome.UNANNOUNCED}
    assert [row.user_id for row in rows if row.outcome is Outcome.NOT_TRANSFERRED] == [SUCCESSOR]
    assert len(rows) < 25
    assert installed.app("default").work_list.counts()[1] > 40
    good = comparison_status(installed.redis, "default").good
    assert good is not None
    assert (good.found, good.left_out) == (1, 1)


def test_the_bad_day_can_be_understood(installed: Services) -> None:
    """Whoever looks at one who was missed then is told from when to when nobody worked."""
    since, until = down(datetime.fromtimestamp(evening(installed), installed.settings.timezone))[0]
    page = installed.ledger.page("default", outcome=frozenset({"expired"}), until=round(until.timestamp() * 1000))
    shown = text_of(Browser(installed, language="zh_Hans").signed_in().get(f"/e/{page.rows[0].id}"))
    assert (page.rows[0].received_at > since.timestamp(), "20:02" in shown, "20:41" in shown) == (True, True, True)


def test_one_follow_up_was_given_up(installed: Services) -> None:
    summary = installed.follow_ups.summary("default")
    assert (summary.failures, [one.follow_up.attempts for one in summary.failed if one.follow_up]) == (1, [7])
    assert (summary.waiting, summary.retried) == (0, [])


def test_what_was_done_was_done_at_its_time(installed: Services) -> None:
    changed = installed.books.changed("default")
    assert changed["门店到访"] > changed["default"]
    assert changed["门店到访"] / 1000 < evening(installed) - 5 * 86_400
    times = [entry.at for entry in installed.audit.entries()]
    assert len(times) == len(set(times)) < 40


def test_each_page_shows_something_worth_showing(installed: Services) -> None:
    browser = Browser(installed, language="zh_Hans").signed_in()
    words = {
        "/": ["未送达"],
        "/welcomes": ["抖音一对一", "夜间客服", "门店台卡"],
        "/deliveries": ["张伟", "抖音新人礼"],
        "/missed": ["701008", "朱", "未能接替", "刘洋"],
        "/numbers?by=variant": ["抖音新人礼", "抖音一对一"],
        "/channels": list(CHANNELS),
        "/groups": ["会员群"],
        "/media": ["gift.png", "store.mp4", "cover.png"],
        "/welcomes/history": ["门店欢迎语加探店视频", "抖音试两种开场"],
        "/audit": ["陈静", "张伟"],
        "/people": ["陈静", "设计部"],
    }
    for path, wanted in words.items():
        shown = text_of(browser.get(path))
        assert [word for word in wanted if word not in shown] == [], path
