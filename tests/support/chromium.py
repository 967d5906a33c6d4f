"""The system's Chromium, the type of what opens a page in it, and what arrives after the page itself."""

from collections.abc import Callable

from playwright.sync_api import Locator, Page

from tests.support.until import until

QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-gpu")
POLL = 5_000  # milliseconds between two updates of a page that updates by itself
Visit = Callable[..., Page]  # see the fixture `visit` in tests/browser


def loaded_width(image: Locator) -> int:
    """The width of a picture itself, once its file is there: a page is shown before its pictures are."""
    return until(lambda: int(image.evaluate("one => one.naturalWidth")), what="the picture")
