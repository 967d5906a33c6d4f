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
AXE = Axe()
RUN_AXE = "axe.run({resultTypes: ['violations'], preload: false, selectors: false}).then(found => found.violations)"
STANDS_STILL = "addEventListener('htmx:before:request', (event) => event.preventDefault(), true)"
HTML: set[str] = set()  # addresses of pages, not of files: each is asked once what it is
MEASURE = (Path(__file__).parent / "measure.js").read_text("utf-8")


APP_KEYS = ("CORP_ID", "CORP_SECRET", "TOKEN", "ENCODING_AES_KEY", "AGENT_ID")


@pytest.fixture
def apps() -> int:
    return 1


@pytest.fixture
def variables(at_wecom: dict[str, str], tmp_path: Path, apps: int) -> dict[str, str]:
    """Of so many apps; the first is the one that the stand-in knows. One has the longest name."""
    if apps == 1:
        return at_wecom
    given = "".join(f'{key.lower().replace("corp_s", "s")} = "{at_wecom[f"WECOM_{key}"]}"\n' for key in APP_KEYS)
    names = ["default", "w" * 32, *(f"store-{number}" for number in range(2, apps))]
    (tmp_path / "apps.toml").write_text("".join(f"[apps.{name}]\n{given}" for name in names), "utf-8")
    return at_wecom | dict.fromkeys((f"WECOM_{key}" for key in APP_KEYS), "") | {"WELCOME_CONFIG": "apps.toml"}


def addresses(services: Services) -> list[str]:
    """Every page that a GET brings, with sample arguments."""
    pages = pages_of(create_app(services).extensions["console"], arguments(services))
    return [*sorted(pages.values()), *QUERIES]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("language", "width", "script", "scheme", "axe", "apps"),
    [
        ("zh_Hans", 1280, True, "light", True, 1),
        ("en", 1280, True, "dark", False, 1),
        ("zh_Hans", 390, True, "light", False, 1),
        ("en", 320, True, "dark", True, 3),  # with the switcher of apps
        ("zh_Hans", 320, False, "dark", False, 1),
        ("en", 390, False, "light", False, 1),
    ],
)
def test_every_page(
    services: Services, visit: Visit, language: str, width: int, script: bool, scheme: Scheme, axe: bool, apps: int
) -> None:
    fill(services)
    page = visit("/", language, width, script)
    assert page.locator("details.menu.apps").count() == (apps > 1)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # a colour on its way is no colour
    page.add_init_script(STANDS_STILL)  # what updates by itself is not replaced while it is measured
    base = page.url.rstrip("/")
    foreign: list[str] = []
    page.on(
        "request",
        lambda request: foreign.append(request.url) if not request.url.startswith(("data:", "blob:", base)) else None,
    )
    faults = []
    for path in addresses(services):
        if path not in HTML:  # as far as is known
            told = page.request.get(base + path)
            assert told.status == 200, path
            if not told.headers["content-type"].startswith("text/html"):
                continue  # a file
            HTML.add(path)
        answer = page.goto(base + path, wait_until="load")
        assert answer is not None
        assert answer.status == 200, path
        faults += [f"{path}: {fault}" for fault in measured(page, axe)]
    assert not faults, "\n".join(faults)
    assert not foreign


def measured(page: Page, axe: bool) -> list[str]:
    """What is wrong with a page as it is shown."""
    faults = list(page.evaluate(MEASURE))
    if axe:
        page.evaluate(AXE.axe_script)
        for violation in page.evaluate(RUN_AXE):
            nodes = "; ".join(node["html"][:120] for node in violation["nodes"][:3])
            faults.append(f"axe {violation['id']}: {violation['help']}: {nodes}")
    return faults
