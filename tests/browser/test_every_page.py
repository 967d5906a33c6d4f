"""Every page of the console, in both languages and colour schemes, wide and narrow, with and without JavaScript."""

from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tasks.services import Services
from tests.support.chromium import Visit
from tests.support.console import pages_of
from tests.support.samples import QUERIES, arguments, fill
from webhook import create_app

Scheme = Literal["light", "dark"]
MEASURE = (Path(__file__).parent / "measure.js").read_text("utf-8")


def addresses(services: Services) -> list[str]:
    """Every page that a GET brings, with sample arguments."""
    pages = pages_of(create_app(services).extensions["console"], arguments(services))
    return [*sorted(pages.values()), *QUERIES]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("language", "width", "script", "scheme", "axe"),
    [
        ("zh_Hans", 1280, True, "light", True),
        ("en", 1280, True, "dark", False),
        ("zh_Hans", 390, True, "light", False),
        ("en", 320, True, "dark", True),
        ("zh_Hans", 320, False, "dark", False),
        ("en", 390, False, "light", False),
    ],
)
def test_every_page(
    services: Services, visit: Visit, language: str, width: int, script: bool, scheme: Scheme, axe: bool
) -> None:
    fill(services)
    page = visit("/", language, width, script)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # a colour on its way is no colour
    base = page.url.rstrip("/")
    foreign: list[str] = []
    page.on(
        "request",
        lambda request: foreign.append(request.url) if not request.url.startswith(("data:", "blob:", base)) else None,
    )
    faults = []
    for path in addresses(services):
        answer = page.request.get(base + path)
        assert answer.status == 200, path
        if answer.headers["content-type"].startswith("text/html"):  # else a file
            page.goto(base + path, wait_until="load")
            faults += [f"{path}: {fault}" for fault in measured(page, axe)]
    assert not faults, "\n".join(faults)
    assert not foreign


def measured(page: Page, axe: bool) -> list[str]:
    """What is wrong with a page as it is shown."""
    faults = list(page.evaluate(MEASURE))
    if axe:
        for violation in Axe().run(page).response["violations"]:
            nodes = "; ".join(node["html"][:120] for node in violation["nodes"][:3])
            faults.append(f"axe {violation['id']}: {violation['help']}: {nodes}")
    return faults
