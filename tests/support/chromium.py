"""The system's Chromium, and the type of what opens a page in it."""

from collections.abc import Callable

from playwright.sync_api import Page

QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-gpu")
Visit = Callable[..., Page]  # see the fixture `visit` in tests/browser
