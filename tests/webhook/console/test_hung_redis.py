"""Redis accepts connections and answers nothing: pages are there at once all the same, and say so."""

import signal
from collections.abc import Iterator

import pytest

from tasks.services import Services, build_services
from tasks.storage import circuit_breaker
from tests.support import samples
from tests.support.console import Browser, pages_of, text_of
from tests.support.processes import RedisServer
from tests.support.until import until

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
    """Somebody who has signed in, and in whose time the server is frozen."""
    samples.fill(services)
    impatient = build_services(services.settings, timeout=0.1)  # so that all pages together take seconds
    browser = Browser(impatient).signed_in()
    until(lambda: browser.get("/").status_code == 200, what="a page")
    hurt_server.signal(signal.SIGSTOP)
    yield browser
    hurt_server.signal(signal.SIGCONT)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> dict[int, Exception]:
    """The answers that did not come in time, each once: one that is awaited while connecting is told of twice."""
    found: dict[int, Exception] = {}
    note = circuit_breaker.note
    monkeypatch.setattr(circuit_breaker, "note", lambda error: (found.setdefault(id(error), error), note(error)))
    return found


def test_each_page_waits_for_one_answer(
    hung: Browser, hurt_server: RedisServer, services: Services, waits: dict[int, Exception]
) -> None:
    hurt_server.signal(signal.SIGCONT)
    pages = pages_of(hung.console, samples.arguments(services))
    hurt_server.signal(signal.SIGSTOP)
    for rule, address in pages.items():
        waits.clear()
        page = hung.get(address)
        assert page.status_code in (200, 503), rule
        assert any(words in text_of(page) for words in SAID) or page.mimetype != "text/html", f"{rule}: {text_of(page)}"
        assert len(waits) <= 1 + len(page.history), rule


def test_what_was_typed_is_kept(hung: Browser, waits: dict[int, Exception]) -> None:
    page = hung.post("/queue/lanes/welcome/pause")
    assert page.status_code == 503
    assert "Not saved: Redis does not answer in time. Your text is still here" in text_of(page)
    assert len(waits) == 1


def test_the_next_request_asks_again(hung: Browser, hurt_server: RedisServer) -> None:
    assert "Cannot read" in text_of(hung.get("/queue"))
    hurt_server.signal(signal.SIGCONT)
    until(lambda: "Cannot read" not in text_of(hung.get("/queue")), what="the queue")
