"""When an event cannot be stored, WeCom is told so in time, and asked again it finds the door open."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.ailing import full, gone, hanging, read_only
from tests.support.builders import AES_KEY, ENVIRONMENT, some_settings
from tests.support.processes import RedisServer
from tests.support.pushes import TOKEN, a_push, a_verification
from tests.support.until import until
from tests.support.web import Web, WebProcess, stored

SOON = 4.0  # seconds in which the callback says that it cannot store: 1.5 are promised, WeCom waits 5
CALLERS = 40  # at once: more than the web process has threads


troubles = pytest.mark.parametrize("trouble", [gone, hanging, full, read_only])


def timed(call: Callable[[], int]) -> tuple[int, float]:
    started = time.monotonic()
    status = call()
    return status, time.monotonic() - started


@pytest.fixture
def server(hurt_server: RedisServer) -> RedisServer:
    with hurt_server.client() as client:
        client.flushall()
    return hurt_server


@pytest.fixture
def web(server: RedisServer) -> Web:
    web = Web(some_settings(REDIS_URL=server.url))
    assert web.post(a_push()).status_code == 200  # its connection is an old one
    web.services.redis.flushall()
    return web


@pytest.fixture(scope="module")
def web_process(hurt_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    with WebProcess(tmp_path_factory.mktemp("web"), hurt_server.url) as process:
        yield process


@troubles
def test_what_cannot_be_stored_is_503_in_time_and_stored_once_when_sent_again(web, server, trouble):
    push = a_push()
    with trouble(server):
        for _ in range(2):
            answer, seconds = timed(lambda: web.post(push))
            assert (answer.status_code, answer.data) == (503, b"not stored")
            assert seconds < SOON
    until(lambda: web.post(push).status_code == 200, every=0.1, what="a 200 after Redis' return")
    assert stored(web.services.redis) == (1, 1, 1)
    assert web.counted()["unavailable"] >= 2


@troubles
def test_the_secrets_stay_out_of_the_log_in_trouble_too(web, server, trouble, caplog):
    push = a_push()
    with trouble(server):
        web.post(push)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    for secret in (TOKEN, AES_KEY, ENVIRONMENT["WECOM_CORP_SECRET"], push.query["msg_signature"], server.url):
        assert secret not in caplog.text


@troubles
def test_a_load_balancer_is_told_not_to_send_events_here(web, server, trouble):
    with trouble(server):
        answer, seconds = timed(lambda: web.get("/readyz/intake"))
        assert answer.status_code == 503
        assert seconds < SOON
    until(lambda: web.get("/readyz/intake").status_code == 200, what="readiness")


def test_a_refusal_does_not_wait_for_redis(web_process, server):
    with hanging(server):
        status, seconds = timed(lambda: web_process.get("/callback"))
    assert status == 403
    assert seconds < SOON


def test_the_url_is_verified_within_wecoms_second_though_redis_hangs(web_process, server):
    with hanging(server):
        status, seconds = timed(lambda: web_process.get("/callback", a_verification(b"echo")))
    assert status == 200
    assert seconds < SOON


def test_forty_callers_at_once_are_all_told_in_time_while_redis_hangs(web_process, server):
    assert web_process.post(a_push()) == 200
    pushes = [a_push() for _ in range(CALLERS)]
    with ThreadPoolExecutor(CALLERS) as pool, hanging(server):
        for _ in range(2):
            answers = list(pool.map(lambda push: timed(lambda: web_process.post(push)), pushes))
            assert {status for status, _ in answers} == {503}
            assert max(seconds for _, seconds in answers) < SOON
        server.thaw()
        until(lambda: web_process.post(pushes[0]) == 200, what="a 200 after Redis' return")
        assert {status for status, _ in pool.map(lambda push: timed(lambda: web_process.post(push)), pushes)} == {200}


def test_a_web_process_that_starts_before_redis_takes_events_when_it_is_there(server, tmp_path):
    server.kill()
    with WebProcess(tmp_path, server.url) as process:
        status = process.post(a_push())
        server.start()
        assert status == 503
        until(lambda: process.post(a_push()) == 200, what="a 200 after Redis' return")
