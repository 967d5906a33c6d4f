"""What WeCom, load balancers, Prometheus and operators are told while the web process greets by itself."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support.ailing import full, gone, hanging, read_only
from tests.support.builders import ENVIRONMENT, PLAIN_BOOK, some_settings
from tests.support.console import COOKIE, NAME, PASSWORD, signed_in
from tests.support.processes import RedisServer
from tests.support.pushes import a_push
from tests.support.until import until
from tests.support.web import Web

troubles = pytest.mark.parametrize("trouble", [gone, hanging, full, read_only])


@pytest.fixture
def web(hurt_server: RedisServer, wecom: StandIn, tmp_path: Path) -> Iterator[Web]:
    """It has a lifeboat that knows the book, without a thread."""
    with hurt_server.client() as client:
        client.flushall()
    wecom.register(App(corp_id=ENVIRONMENT["WECOM_CORP_ID"], secret=ENVIRONMENT["WECOM_CORP_SECRET"]))
    web = Web(
        some_settings(
            REDIS_URL=hurt_server.url,
            WECOM_API_BASE=wecom.base_url,
            WELCOME_DATA_DIR=str(tmp_path),
            CONSOLE_PASSWORD=PASSWORD,
        ),
        with_lifeboat=True,
    )
    web.services.books.import_first("default", PLAIN_BOOK)
    web.lifeboat.round()
    yield web
    web.lifeboat.stop()


def metrics(web: Web) -> dict[str, float]:
    answer = web.get("/metrics")
    assert answer.status_code == 200
    found: Counter[str] = Counter()  # the sum of all labels
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found[sample.name] += sample.value
    return found


@troubles
def test_what_redis_does_not_take_is_200_in_time_and_once(web, hurt_server, trouble):
    push = a_push()
    with trouble(hurt_server):
        for _ in range(2):
            began = time.monotonic()
            answer = web.post(push)
            assert (answer.status_code, answer.data) == (200, b"success")
            assert time.monotonic() - began < 4
        until(lambda: not web.lifeboat._greetings._in_flight, what="the result")
    until(lambda: web.get("/readyz/intake").status_code == 200, what="Redis")
    web.lifeboat.round()
    assert web.post(push).status_code == 200  # it is known here still
    assert web.services.ledger.count("default")[""] == 0
    assert sum(web.services.ledger.count("default").values()) == 1
    counted = web.counted()
    assert (counted["lifeboat"], counted["duplicate"], counted.get("unavailable", 0)) == (1, 2, 0)


@troubles
def test_a_load_balancer_goes_on_sending_events_here(web, hurt_server, trouble):
    with trouble(hurt_server):
        assert web.get("/readyz/intake").status_code == 200
        assert web.get("/readyz").status_code == 503  # people are to know


def test_readiness_and_metrics_say_that_it_is_in_use(web, hurt_server):
    assert "lifeboat" not in web.get("/readyz").json
    assert metrics(web)["wecom_welcome_lifeboat_in_use"] == 0
    with gone(hurt_server):
        web.post(a_push())
        until(lambda: not web.lifeboat._greetings._in_flight, what="the result")
        for path in ("/readyz", "/readyz/intake"):
            assert web.get(path).json["lifeboat"]["waiting"] == 1
        found = metrics(web)
    assert (found["wecom_welcome_redis_up"], found["wecom_welcome_lifeboat_ready"]) == (0, 1)
    assert found["wecom_welcome_build_info"] == 1
    assert found["wecom_welcome_lifeboat_in_use"] == 1
    assert found["wecom_welcome_lifeboat_waiting"] == 1
    web.lifeboat.round()
    found = metrics(web)
    assert found["wecom_welcome_lifeboat_waiting"] == 0
    assert found["wecom_welcome_lifeboat_total"] == 1


@pytest.mark.parametrize("trouble", [gone, full])
def test_every_page_of_the_console_says_that_it_is_in_use(web, hurt_server, trouble):
    client = web.application.test_client()
    cookie, _ = signed_in(web.application.extensions["console"], NAME, PASSWORD)
    client.set_cookie(COOKIE, cookie, path="/console")
    client.set_cookie("welcome-language", "en")
    assert "sends greetings itself" not in client.get("/console/").get_data(as_text=True)
    with trouble(hurt_server):
        web.post(a_push())
        until(lambda: not web.lifeboat._greetings._in_flight, what="the result")
        page = client.get("/console/").get_data(as_text=True)
        assert "this web process sends greetings itself" in page
        assert "1 event waits to be stored" in page
        client.set_cookie("welcome-language", "zh-Hans")
        assert "由网页进程直接发送欢迎语" in client.get("/console/").get_data(as_text=True)


def test_without_a_book_it_is_503_as_before(hurt_server, tmp_path):
    with hurt_server.client() as client:
        client.flushall()
    web = Web(some_settings(REDIS_URL=hurt_server.url, WELCOME_DATA_DIR=str(tmp_path)), with_lifeboat=True)
    web.lifeboat.round()
    with gone(hurt_server):
        assert web.post(a_push()).status_code == 503
        assert web.get("/readyz/intake").status_code == 503
    web.lifeboat.stop()
