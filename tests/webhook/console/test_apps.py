"""Several apps: a switcher on every page, one page of all of them, and a browser that knows where it was last."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.services import Services, build_services
from tasks.settings import read
from tasks.storage import keys
from tests.support.builders import BOOK, CORP, ENVIRONMENT
from tests.support.console import PASSWORD, Browser, text_of
from tests.support.ledger import accepted, settled

MANY = [f"store-{number:02}" if number else "sales" for number in range(60)]


@pytest.fixture
def names() -> list[str]:
    return ["sales", "service", "partners"]


@pytest.fixture
def services(redis_url: str, tmp_path: Path, names: list[str]) -> Iterator[Services]:
    key = ENVIRONMENT["WECOM_ENCODING_AES_KEY"]
    given = f'corp_id = "{CORP}"\nsecret = "s"\ntoken = "t"\nencoding_aes_key = "{key}"\n'
    (tmp_path / "apps.toml").write_text("".join(f"[apps.{json.dumps(name)}]\n{given}" for name in names), "utf-8")
    variables = {"WELCOME_CONFIG": "apps.toml", "REDIS_URL": redis_url, "CONSOLE_PASSWORD": PASSWORD}
    made = build_services(read(variables, tmp_path), timeout=5)
    yield made
    made.redis.close()


def rows(text: str, *names: str) -> dict[str, str]:
    """App → what stands in its row."""
    body = text.partition("Alerts ")[2].partition(" wecom-welcome")[0]
    starts = sorted((body.index(name), name) for name in names)
    ends = [at for at, _ in starts[1:]] + [len(body)]
    return {name: body[at + len(name) : end].strip() for (at, name), end in zip(starts, ends, strict=True)}


def test_one_page_says_how_each_app_is_doing(browse: Browser, services: Services) -> None:
    for name in ("sales", "service"):
        services.books.save(name, BOOK)
    for _ in range(3):
        settled(services.ledger, app="sales")
    accepted(services.ledger, app="sales")
    for _ in range(3):
        settled(services.ledger, Settlement(Outcome.FAILED), app="service")
    services.redis.hset(keys.ALERTS, "TokenRefused|sales", json.dumps({"since": 1.0, "told": True}))
    found = rows(text_of(browse.get("/apps")), "sales", "service", "partners")
    assert found == {
        "sales": "Alert 3 3 0 0 1 1",
        "service": "Trouble 3 0 3 3 0 0",
        "partners": "No welcome 0 0 0 0 0 0",
    }


def test_every_page_says_which_app_it_is_about_and_leads_to_the_others(browse: Browser) -> None:
    for path in ("/", "/deliveries", "/welcomes", "/queue", "/setup"):
        page = browse.get(path, {"app": "service"})
        assert "· service ·" in page.text.partition("</title>")[0], path
        assert 'href="/console/?app=sales"' in page.text
        assert 'href="/console/?app=partners"' in page.text


def test_the_address_alone_leads_to_where_a_browser_was_last(browse: Browser) -> None:
    assert browse.get("/").request.args.get("app") is None  # it was nowhere yet
    browse.get("/deliveries", {"app": "service"})
    assert browse.get("/").request.args["app"] == "service"
    browse.get("/", {"app": "sales"})  # the first one of all
    assert browse.get("/").request.args.get("app") is None
    assert "· sales ·" in browse.get("/deliveries").text


def test_what_is_remembered_is_no_app_of_ours_any_more(browse: Browser) -> None:
    browse.client.set_cookie("welcome-apps", "gone%7Cpartners", path="/")
    assert browse.get("/").request.args["app"] == "partners"
    browse.client.set_cookie("welcome-apps", "%F0%9F%98%80;<script>", path="/")
    assert browse.get("/").status_code == 200


@pytest.mark.parametrize("names", [MANY])
class TestOfMany:
    def test_the_switcher_offers_the_latest_and_the_rest_is_searched(self, browse: Browser) -> None:
        browse.get("/", {"app": "store-42"})
        browse.get("/", {"app": "store-07"})
        menu = browse.get("/deliveries", {"app": "store-07"}).text.partition('<details class="menu apps">')[2]
        menu = menu.partition("</details>")[0]
        assert menu.count('<a class="item"') == 8
        assert menu.index('title="store-07"') < menu.index('title="store-42"') < menu.index('title="sales"')
        assert "All apps" in menu
        assert browse.get("/apps", {"q": "store-42"}).request.args["app"] == "store-42"
        found = text_of(browse.get("/apps", {"q": "STORE-4"}))
        assert "store-40" in found
        assert "store-50" not in found
        assert "No app matches “nobody”" in text_of(browse.get("/apps", {"q": "nobody"}))

    def test_fifty_stand_on_a_page_which_is_read_in_a_few_exchanges(self, browse: Browser, services: Services) -> None:
        def commands() -> int:
            return int(services.redis.info("stats")["total_reads_processed"])

        browse.get("/apps")
        before = commands()
        page = browse.get("/apps")
        assert commands() - before < 40
        assert "store-49" in page.text
        assert 'title="store-50"' not in page.text
        assert 'title="store-50"' in browse.get("/apps", {"page": "2"}).text


def test_an_installation_of_one_app_has_no_switcher(redis_url: str, tmp_path: Path) -> None:
    alone = build_services(
        read(ENVIRONMENT | {"REDIS_URL": redis_url, "CONSOLE_PASSWORD": PASSWORD}, tmp_path), timeout=5
    )
    page = Browser(alone).signed_in().get("/deliveries")
    assert "menu apps" not in page.text
    assert "app=" not in page.text
    alone.redis.close()
