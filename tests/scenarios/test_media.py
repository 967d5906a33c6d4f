"""Media dies in the middle of a run, a book is rolled back under load, an upkeep worker is killed while it renews."""

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tasks.celery import make_app
from tasks.media_renewal import media_status
from tasks.storage import keys
from tests.simulator.client import StandIn
from tests.simulator.records import Record
from tests.support.books import FILES, a_template
from tests.support.judge import assert_all_greeted
from tests.support.processes import Product
from tests.support.until import PATIENCE, until

BOOK = a_template(
    "text: 一\nattachments:\n- image: {file: media/hello.png}\n- video: {file: media/intro.mp4}\n"
    "- file: {file: media/price.pdf}"
)
OTHER = a_template("text: 二\nattachments:\n- miniprogram: {title: t, appid: wx1, page: p, cover: media/cover.png}")
LIFE = 2  # seconds of an id that dies in the middle of a run
ALL = {"一": ["image", "video", "file"], "二": ["miniprogram"]}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, stand_in: StandIn) -> Iterator[Product]:
    with Product(tmp_path_factory.mktemp("media"), stand_in, start=["web", "welcome"]) as product:
        yield product


@pytest.fixture
def product(shared: Product, wecom: StandIn) -> Iterator[Product]:
    """Web side and welcome worker, as after an import of BOOK; each scenario starts the upkeep workers it is about."""
    shared.forget_tokens()
    with shared.redis.client() as client:
        for key in [keys.MEDIA_RENEWER, *client.scan_iter(keys.ready_media("*"))]:
            client.delete(key)
    shared.services().books.save("default", BOOK, FILES)
    yield shared
    shared.stop_all_but("web", "welcome")


def absent(product: Product) -> dict[str, str]:
    """What cannot be shown now."""
    installation = product.services()
    return dict(media_status(installation.books, installation.settings.apps["default"]).absent)


def until_ready(product: Product) -> None:
    until(lambda: not absent(product), every=0.1, what="media at WeCom")


def seen(record: Record) -> tuple[str, list[str]]:
    """(text, msgtypes)."""
    content: dict[str, Any] = record.content or {}
    return content["text"], [one["msgtype"] for one in content.get("attachments", [])]


def uploads(wecom: StandIn) -> int:
    return wecom.summary().answers.get("media/upload", {}).get("0", 0)


def test_media_that_expires_in_the_middle_of_a_run_costs_no_greeting_and_soon_no_attachment(
    product: Product, wecom: StandIn
) -> None:
    product.roles["upkeep"].start()
    until_ready(product)
    wecom.settings(media_life_s=LIFE)
    began = time.monotonic()
    wecom.load(120, rate=20)
    wecom.wait_until_pushed()
    found = assert_all_greeted(wecom, product)
    assert found.outcomes["sent"] == 120

    def whole() -> int:
        return sum(seen(record)[1] == ALL["一"] for record in wecom.records() if record.content)

    while whole() < 20 and time.monotonic() - began < PATIENCE:  # where renewals take longer than an id lives
        wecom.load(20, rate=20)
        wecom.wait_until_pushed()
    assert_all_greeted(wecom, product)
    greeted = [seen(record) for record in wecom.records()]
    assert all(text == "一" and "image" in types for text, types in greeted), "nothing but the dead media is left out"
    assert whole() >= 20, "an id that lives 2 s is renewed again and again"
    lives = (time.monotonic() - began) / LIFE
    assert uploads(wecom) <= 2 * (2 + lives), "one renewal of each, however many met the dead id"
    wecom.settings(media_life_s=3 * 86400)
    wecom.kill_media()

    def next_one() -> tuple[str, list[str]]:
        record = wecom.add()
        until(lambda: wecom.record(record).content, what="a greeting")
        return seen(wecom.record(record))

    until(lambda: next_one() == ("一", ALL["一"]), every=0.2, what="a greeting with media that was renewed")


def test_a_rollback_under_load_gives_everybody_one_whole_revision(product: Product, wecom: StandIn) -> None:
    product.roles["upkeep"].start()
    until_ready(product)
    books = product.services().books
    first = books.current("default")
    assert first is not None
    books.save("default", OTHER, FILES)
    until_ready(product)
    books.rollback("default", first)
    before = uploads(wecom)
    for goal, number in ((40, first + 1), (140, first), (240, first + 1)):
        wecom.load(100, rate=100)  # of its own: somebody surely comes after each rollback
        wecom.wait_until_greeted(goal)
        books.rollback("default", number, author="wang")
    wecom.wait_until_pushed()
    found = assert_all_greeted(wecom, product)
    assert found.outcomes["sent"] == 300
    greeted = [seen(record) for record in wecom.records()]
    assert {text for text, _ in greeted} == {"一", "二"}
    assert all(types == ALL[text] for text, types in greeted)
    assert uploads(wecom) == before, "what is at WeCom is not uploaded again"
    rows = {row["external_user_id"]: row for row in product.rows()}
    assert {rows[record.external_user_id]["outcome"] for record in wecom.records()} == {"sent"}


@pytest.mark.parametrize(("moment", "twice"), [("before", 0), ("after", 1)])
def test_when_a_worker_is_killed_while_it_renews_another_does_it_and_nobody_waits(
    product: Product, wecom: StandIn, moment: str, twice: int
) -> None:
    dying = product.role("upkeep", f"dying-{moment}", crash=f"tasks.wecom.media:Media.upload@{moment}").start()
    assert dying.wait() == -signal.SIGKILL
    product.roles["upkeep"].start()
    wecom.load(40, rate=20)
    until_ready(product)
    wecom.wait_until_pushed()
    found = assert_all_greeted(wecom, product)
    assert found.outcomes["sent"] == 40
    assert found.to_greeting.max is not None
    assert found.to_greeting.max < 15
    assert 2 <= uploads(wecom) <= 2 + 2 * twice
    last = wecom.add()
    wecom.wait_until_greeted(41)
    assert seen(wecom.record(last)) == ("一", ALL["一"])


def test_a_frozen_worker_is_replaced_and_does_no_harm_when_it_comes_back(product: Product, wecom: StandIn) -> None:
    frozen = product.roles["upkeep"].start()
    until_ready(product)
    frozen.freeze()
    wecom.kill_media()
    wecom.add()
    wecom.wait_until_greeted(1)
    dead = {"media/intro.mp4", "media/price.pdf"}
    until(lambda: set(absent(product)) == dead, every=0.1, what="what the greeting found to be dead")
    product.role("upkeep", "other").start()
    until_ready(product)
    frozen.thaw()
    last = wecom.add()
    wecom.wait_until_greeted(2)
    assert seen(wecom.record(last)) == ("一", ALL["一"])
    assert uploads(wecom) == 4


def test_the_group_welcomes_of_a_book_are_made_by_the_slow_queue(product: Product, wecom: StandIn) -> None:
    product.roles["upkeep"].start()
    books = product.services().books
    books.save("default", BOOK + "group_welcome:\n  film: {text: 看, video: {file: media/intro.mp4}}\n", FILES)
    until_ready(product)
    make_app(product.redis.url).send_task("tasks.upkeep.sync_group_welcomes")  # as the schedule does every minute
    with product.redis.client() as client:
        until(lambda: client.hget(keys.group_welcomes("default"), "film"), what="the id of a group welcome")
    assert wecom.summary().answers["externalcontact/group_welcome_template/add"] == {"0": 1}
