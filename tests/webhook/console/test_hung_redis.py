"""Redis accepts connections and answers nothing: pages are there at once all the same, and say so."""

import signal
from collections.abc import Iterator

import pytest

from tasks.services import Services
from tests.support import samples
from tests.support.console import Browser, pages_of, text_of
from tests.support.processes import RedisServer

SAID = ("Redis does not answer in time", "Cannot read: Redis is not responding", "Cannot read")


@pytest.fixture
def book() -> str:
    return "version: 1\ntemplates:\n  default:\n    text: 您好\nrules:\n  - use: default\n"


@pytest.fixture
def redis_url(hurt_server: RedisServer) -> str:
    with hurt_server.client() as client:
        client.flushall()
    return hurt_server.url


@pytest.fixture
def hung(services: Services, hurt_server: RedisServer) -> Iterator[Browser]:
    """Somebody who has signed in, and in whose time the server is frozen. Nobody asks it again in this test."""
    samples.fill(services)
    browser = Browser(services).signed_in()
    browser.get("/")
    breaker = browser.console.extensions["breaker"]
    breaker.pause = 600.0
    hurt_server.signal(signal.SIGSTOP)
    yield browser
    hurt_server.signal(signal.SIGCONT)


def test_all_pages_together_wait_for_one_answer(hung: Browser, hurt_server: RedisServer, services: Services) -> None:
    hurt_server.signal(signal.SIGCONT)
    pages = pages_of(hung.console, samples.arguments(services))
    hurt_server.signal(signal.SIGSTOP)
    for rule, address in pages.items():
        page = hung.get(address)
        assert page.status_code in (200, 503), rule
        assert any(words in text_of(page) for words in SAID) or page.mimetype != "text/html", f"{rule}: {text_of(page)}"
    assert hung.console.extensions["breaker"].trips == 1


def test_what_was_typed_is_kept(hung: Browser) -> None:
    page = hung.post("/queue/lanes/welcome/pause")
    assert page.status_code == 503
    assert "Not saved: Redis does not answer in time. Your text is still here" in text_of(page)
    assert hung.console.extensions["breaker"].trips == 1


def test_redis_is_asked_again_after_a_moment(hung: Browser, hurt_server: RedisServer) -> None:
    assert "Cannot read" in text_of(hung.get("/queue"))
    hurt_server.signal(signal.SIGCONT)
    assert "Cannot read" in text_of(hung.get("/queue"))
    hung.console.extensions["breaker"].pause = 0.0
    assert "Cannot read" not in text_of(hung.get("/queue"))
