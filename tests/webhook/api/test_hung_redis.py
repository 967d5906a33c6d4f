"""Redis accepts connections and answers nothing: the API says so at once, and works again with it."""

import signal

import pytest

from tasks.services import Services, build_services
from tests.support.api import Program
from tests.support.processes import RedisServer
from tests.support.until import until


@pytest.fixture
def redis_url(hurt_server: RedisServer) -> str:
    with hurt_server.client() as client:
        client.flushall()
    return hurt_server.url


def test_a_silent_redis_is_a_503_until_it_answers(services: Services, hurt_server: RedisServer) -> None:
    ask = Program(build_services(services.settings, timeout=0.5))
    until(lambda: ask.get("/apps").status_code == 200, what="an answer")
    hurt_server.signal(signal.SIGSTOP)
    try:
        answer = ask.get("/apps")
    finally:
        hurt_server.signal(signal.SIGCONT)
    assert (answer.status_code, answer.json["code"]) == (503, "redis_away")
    assert answer.headers["Retry-After"] == "1"
    until(lambda: ask.get("/apps").status_code == 200, what="an answer")
