"""The README's pictures: the product at work with the stand-in, photographed in both languages.

python -m tests.browser.pictures        writes deploy/pictures/NAME.LANGUAGE.png
"""

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import segno
from playwright.sync_api import Browser, Page, sync_playwright

from tests.simulator.client import StandIn
from tests.support.chromium import QUIET
from tests.support.console import PASSWORD
from tests.support.processes import ROOT, Product
from tests.support.until import until

FOLDER = ROOT / "deploy" / "pictures"
LANGUAGES = {"zh_Hans": "李敏", "en": "Li Min"}  # → who is signed in
SIZE = {"width": 1200, "height": 860}
PAGES = ("edit", "delivery", "missed", "queue")
MEMBERS = {"zhangwei": "张伟", "lina": "李娜", "wangqiang": "王强"}
FAMILY_NAMES = tuple("王李韩赵周吴郑孙钱冯")
GIVEN_NAMES = tuple("芳雷梅敏杰静浩丽进雪")
BOOK = """\
version: 1
templates:
  default:
    text: "您好{customer}，我是{member}，很高兴认识您！有任何问题随时找我。"
  产品手册:
    text: "{customer|朋友}，欢迎！我是{member}。\\n先送您一份产品手册，看完告诉我您最关心哪一款 😊"
    attachments:
      - image: {file: media/hello.png}
      - link: {title: 2026 产品手册, url: "https://example.com/book", desc: 全系列参数与价格}
    then: {tags: [来源/抖音], remark: "{customer}"}
rules:
  - {name: 夜间, when: {hours: "22:00-08:00"}, use: default}
  - {name: 抖音, when: {state: "douyin-*"}, use: {产品手册: 70, default: 30}}
  - {name: 小红书, when: {state: "xhs-*"}, use: 产品手册}
  - use: default
"""


def main() -> None:
    """Write all pictures anew."""
    FOLDER.mkdir(exist_ok=True)
    with installation() as (product, wecom), sync_playwright() as playwright:
        live(product, wecom)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", *QUIET])
        for language in LANGUAGES:
            photograph(browser, f"{product.url}/console", language)
        browser.close()


@contextmanager
def installation() -> Iterator[tuple[Product, StandIn]]:
    """The product with every role, a welcome book with a picture, and the stand-in."""
    with tempfile.TemporaryDirectory() as given, StandIn() as wecom:
        folder = Path(given)
        (folder / "media").mkdir()
        segno.make("https://example.com/book", error="h").save(str(folder / "media/hello.png"), scale=8, dark="#0b6b3a")
        with Product(folder, wecom, book=BOOK, CONSOLE_PASSWORD=PASSWORD, WECOM_AGENT_ID="1000002") as product:
            yield product, wecom


def live(product: Product, wecom: StandIn) -> None:
    """A morning's customers: most are greeted, one at the second try, some not at all."""
    chance = random.Random(7)
    wecom.people(members={user_id: {"name": name} for user_id, name in MEMBERS.items()})
    wecom.faults(latency_ms=150, jitter_ms=120)

    def add(number: int, **event: object) -> None:
        name = FAMILY_NAMES[number % 10] + GIVEN_NAMES[number * 7 // 10 % 10]
        customer = f"wm{number:06d}{name.encode().hex()}"
        wecom.people(customers={customer: {"name": name}})
        state = chance.choice(("douyin-0801", "douyin-0802", "xhs-11", ""))
        wecom.add(**{"user_id": chance.choice(list(MEMBERS)), "external_user_id": customer, "state": state, **event})

    for number in range(40):
        add(number)
    for number in (40, 41):
        add(number, welcome_code="", extra={"WelcomeCode": "of-another-app"})
    add(42, welcome_code="")
    settled(product, 43)
    wecom.faults(latency_ms=150, busy=1.0)
    add(43, state="douyin-0801", user_id="zhangwei")
    until(lambda: any(record.sends for record in wecom.records(44)), what="a first try")
    wecom.faults(latency_ms=150, jitter_ms=120)
    settled(product, 44)


def settled(product: Product, count: int) -> None:
    until(lambda: sum(bool(row["outcome"]) for row in product.rows()) == count, 40, every=0.2, what="their outcomes")


def photograph(browser: Browser, url: str, language: str) -> None:
    """One language's pictures."""
    context = browser.new_context(viewport=SIZE, timezone_id="Asia/Shanghai", locale=language.replace("_", "-"))
    context.add_cookies([{"name": "welcome-language", "value": language, "url": url}])
    page = context.new_page()
    page.goto(f"{url}/login")
    page.fill("input[name=name]", LANGUAGES[language])
    page.fill("input[name=password]", PASSWORD)
    page.click("main button")
    for name in PAGES:
        go(page, url, name)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=FOLDER / f"{name}.{language.replace('_', '-')}.png")
    context.close()


def go(page: Page, url: str, name: str) -> None:
    """To a page of PAGES."""
    if name == "delivery":  # the newest: it took two tries
        page.goto(f"{url}/deliveries")
        page.locator("main a[href*='/console/e/']").first.click()
        return
    page.goto(url + ("/welcomes/edit?name=产品手册" if name == "edit" else f"/{name}"))


if __name__ == "__main__":
    main()
