"""The pictures of the console that documents show: the demo, photographed in both languages, in few colours.

python -m tests.browser.pictures               deploy/pictures/NAME.LANGUAGE.png that a README shows, and after.png
python -m tests.browser.pictures today edit    these pages, whether shown or not

after.png is a sheet of four pages, wide and on a phone; before.png is the same sheet of the console as it was before.
"""

import argparse
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.simulator.demo.live import MISHAPS
from tests.support.chromium import QUIET
from tests.support.processes import ROOT, free_port
from tests.support.until import until

FOLDER = ROOT / "deploy" / "pictures"
READMES = ("README.md", "README.zh-CN.md")
SHOWN = re.compile(r"deploy/pictures/([a-z]+)\.(?:en|zh-Hans)\.png")
LANGUAGES = {"zh_Hans": "李敏", "en": "Li Min"}  # → who is signed in
WIDE, PHONE = (1280, 860), (390, 844)
COLOURS, SHEET_COLOURS = 128, 96
MOST = 120_000  # bytes of a picture
GAP = 16  # pixels between the parts of a sheet
PAGES = {
    "today": "/",
    "welcomes": "/welcomes",
    "edit": "/welcomes/edit?" + urlencode({"name": "抖音新人礼"}),
    "deliveries": "/deliveries",
    "delivery": "/deliveries?outcome=unconfirmed",  # and there the first one: it took two tries
    "missed": "/missed",
    "queue": "/queue",
    "numbers": "/numbers?since={month_ago}&until={today}",
    "channels": "/channels",
}
OF_SHEET = ("today", "welcomes", "numbers", "queue")


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo: the console's URL, and its password."""

    url: str
    password: str


def main() -> None:
    """Write the pictures anew."""
    wanted = _arguments()
    with demo() as running, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", *QUIET])
        for language in LANGUAGES:
            context = signed_in(browser, running, language)
            for name in wanted or shown():
                write(photograph(context, running, name), FOLDER / f"{name}.{language.replace('_', '-')}.png", COLOURS)
            context.close()
        if not wanted:
            write(sheet(*taken(browser, running)), FOLDER / "after.png", SHEET_COLOURS)
        browser.close()


def _arguments() -> list[str]:
    parser = argparse.ArgumentParser(
        prog="python -m tests.browser.pictures", description="Takes the READMEs' pictures."
    )
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"instead of those that they show: {', '.join(PAGES)}")
    pages: list[str] = parser.parse_args().pages
    if unknown := [one for one in pages if one not in PAGES]:
        parser.error(f"no such page: {', '.join(unknown)}; there are {', '.join(PAGES)}")
    return pages


def shown() -> list[str]:
    """The pages that the READMEs show, by name."""
    names = {name for readme in READMES for name in SHOWN.findall((ROOT / readme).read_text("utf-8"))}
    return [name for name in PAGES if name in names]


@contextmanager
def demo() -> Iterator[Demo]:
    """`make run`, until all has happened that goes wrong in it."""
    port = free_port()
    with TemporaryDirectory() as folder:
        told = Path(folder) / "told"
        with told.open("w") as out:
            command = [sys.executable, "-m", "tests.simulator.run", "--port", str(port)]
            process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
        try:
            until(
                lambda: told.read_text().count("MISSED") >= len(MISHAPS) - 1, 180, every=0.5, what="the demo's mishaps"
            )
            password = re.search(r"/console/\s+password (\S+)", told.read_text())
            assert password is not None, told.read_text()
            yield Demo(f"http://127.0.0.1:{port}/console", password[1])
        finally:
            process.terminate()
            process.wait(60)


def signed_in(browser: Browser, running: Demo, language: str, size: tuple[int, int] = WIDE) -> BrowserContext:
    """A browser's context of somebody who has signed in."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        timezone_id="Asia/Shanghai",
        locale="zh-CN" if language == "zh_Hans" else "en-US",
    )
    context.add_cookies([{"name": "welcome-language", "value": language, "url": running.url}])
    page = context.new_page()
    page.goto(f"{running.url}/login")
    page.fill("input[name=name]", LANGUAGES[language])
    page.fill("input[name=password]", running.password)
    page.locator("main form button").first.click()
    page.wait_for_url(lambda url: "/login" not in url)
    page.close()
    return context


def photograph(context: BrowserContext, running: Demo, name: str) -> Image.Image:
    """A page of PAGES as it is first seen."""
    page: Page = context.new_page()
    today = datetime.now(ZoneInfo("Asia/Shanghai")).date()  # the demo's zone, unless it is told another
    page.goto(running.url + PAGES[name].format(today=today, month_ago=today - timedelta(days=29)))
    if name == "delivery":
        page.locator("main a[href*='/console/e/']").first.click()
    page.wait_for_load_state("networkidle")
    found = Image.open(io.BytesIO(page.screenshot()))
    page.close()
    return found.convert("RGB")


def write(picture: Image.Image, file: Path, colours: int) -> None:
    """Write it in so many colours, or in as few as it takes to be small."""
    while True:
        content = io.BytesIO()
        in_colours(picture, colours).save(content, "PNG", optimize=True)
        if content.tell() <= MOST or colours <= 16:
            break
        colours = colours * 3 // 4
    file.write_bytes(content.getvalue())
    print(f"{file.relative_to(ROOT)}: {content.tell() // 1000} kB in {colours} colours")


def in_colours(picture: Image.Image, number: int) -> Image.Image:
    """The picture in so many colours: half of them those that it has most of, unchanged, and half across the others."""
    counted = picture.getcolors(picture.width * picture.height) or []
    most = [colour for _, colour in sorted(counted, reverse=True)[: number // 2]]
    across = picture.quantize(number - len(most), method=Image.Quantize.MAXCOVERAGE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for colour in most for part in colour] + across[: 3 * (number - len(most))])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def taken(browser: Browser, running: Demo) -> tuple[list[Image.Image], list[Image.Image]]:
    """The pages of a sheet, in Chinese: wide, and on a phone."""
    found = []
    for size in (WIDE, PHONE):
        context = signed_in(browser, running, "zh_Hans", size)
        found.append([photograph(context, running, name) for name in OF_SHEET])
        context.close()
    return found[0], found[1]


def sheet(wide: Sequence[Image.Image], phone: Sequence[Image.Image]) -> Image.Image:
    """Four wide pages, two by two, and the four on a phone beside them; at half their size."""
    half = [one.resize((one.width // 2, one.height // 2), Image.Resampling.LANCZOS) for one in (*wide, *phone)]
    (width, height), (narrow, tall) = half[0].size, half[4].size
    whole = Image.new("RGB", (2 * width + 2 * narrow + 5 * GAP, 2 * max(height, tall) + 3 * GAP), "#8a93a0")
    for number, one in enumerate(half):
        column, row = number % 2, number // 2 % 2
        left = GAP + column * (width + GAP) if number < 4 else 3 * GAP + 2 * width + column * (narrow + GAP)
        whole.paste(one, (left, GAP + row * (max(height, tall) + GAP)))
    return whole


if __name__ == "__main__":
    main()
