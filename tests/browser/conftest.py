"""A real browser on the console: headless Chromium of the system, the console served on loopback by this process.

`visit` opens pages as somebody who has signed in. What the browser complains about (errors, refused content) fails
the test.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect
from werkzeug.serving import make_server

from tasks.services import Services
from tests.support.builders import BOOK
from tests.support.chromium import QUIET, Visit
from tests.support.console import COOKIE, NAME, PASSWORD, signed_in
from webhook import create_app

expect.set_options(timeout=30_000)


@pytest.fixture(scope="session")
def chromium(require_tool: Callable[[str], str]) -> str:
    """Debian's: apt-get install chromium fonts-wqy-microhei fonts-noto-color-emoji."""
    return require_tool("chromium")


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any], chromium: str) -> dict[str, Any]:
    return {**browser_type_launch_args, "executable_path": chromium, "args": ["--no-sandbox", *QUIET]}


@pytest.fixture
def variables(at_wecom: dict[str, str]) -> dict[str, str]:
    """Of an app that the stand-in knows; its callback is `console_url`'s."""
    return at_wecom


@pytest.fixture
def book() -> str:
    return BOOK


@pytest.fixture
def application(services: Services) -> Flask:
    """The web application, callback and console."""
    return create_app(services)


@pytest.fixture
def console_url(services: Services, application: Flask) -> Iterator[str]:
    """Where the console is served, without a slash at its end."""
    url = services.settings.public_url or ""
    server = make_server("127.0.0.1", int(url.rpartition(":")[2]), application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"{url}/console"
    server.shutdown()
    thread.join()


@pytest.fixture
def visit(browser: Browser, application: Flask, console_url: str) -> Iterator[Visit]:
    """visit("/path", language="zh_Hans", width=1280, script=True) → that page, for somebody who has signed in.

    With `clock`, `page.clock.run_for(POLL)` brings what the page asks for every few seconds at once.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def complain(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "status of 4" not in message.text:  # a refused form is no fault
            complaints.append(f"{message.text} ({message.location.get('url')})")

    def open_(
        path: str = "/",
        language: str = "zh_Hans",
        width: int = 1280,
        script: bool = True,
        as_: str = NAME,
        clock: bool = False,
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            java_script_enabled=script,
            timezone_id="Asia/Shanghai",
            locale="zh-CN" if language == "zh_Hans" else "en-US",
        )
        contexts.append(context)
        cookie, _ = signed_in(application.extensions["console"], as_, PASSWORD)
        cookies = {"welcome-language": language, "welcome-operator": quote(as_), COOKIE: cookie}
        origin = console_url.removesuffix("/console")
        context.add_cookies([{"name": name, "value": value, "url": origin} for name, value in cookies.items()])
        context.set_default_timeout(30_000)
        page = context.new_page()
        page.on("console", complain)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if clock:
            page.clock.install()
        page.goto(console_url + path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not complaints
