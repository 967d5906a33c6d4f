"""The editor knows the placeholders of installed packages: chips, preview, what is wrong with a text."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.books.draft_store import Drafts
from tasks.books.files import Bundle
from tasks.services import Services
from tests.support.console import Browser, text_of
from tests.support.crm import installed_here
from tests.support.editor import BOOK, fields, value

TEXT = "您好{crm.level|会员}"


@pytest.fixture
def book() -> str:
    return BOOK


@pytest.fixture
def package(tmp_path: Path) -> Iterator[None]:
    with installed_here(tmp_path):
        yield


@pytest.mark.usefixtures("package")
def test_a_text_is_written_with_what_is_installed(browse: Browser, drafts: Drafts) -> None:
    page = browse.get("/welcomes/edit", {"name": "default"}).text
    assert 'data-insert="crm.level" data-long="Customer level" data-short="Customer level" data-can-miss' in page
    assert "<code>{crm.consultant}</code> Consultant" in page
    shown = browse.post("/welcomes/preview", fields(drafts, "default", text=TEXT))
    assert "您好金卡会员" in shown.text
    assert "您好会员" in shown.text, "of whom nothing is known"
    assert "30 of 4,000 bytes" in text_of(shown).replace("4000", "4,000")
    wrong = browse.post("/welcomes/edit?name=default", fields(drafts, "default", text="您好{crm.levl}"))
    assert wrong.status_code == 422
    assert "did you mean crm.level?" in text_of(wrong)
    browse.post("/welcomes/edit?name=default", fields(drafts, "default", text=TEXT))
    assert value(drafts, "default")["text"] == TEXT


def test_without_the_package_the_text_can_be_repaired_and_everything_else_changed(
    browse: Browser, services: Services, drafts: Drafts
) -> None:
    services.books.save("default", BOOK.replace("您好{customer}", TEXT))
    refused = browse.post("/welcomes/edit?name=default", fields(drafts, "default", text=TEXT + "！"))
    assert refused.status_code == 422
    assert "no installed package provides {crm.level}" in text_of(refused).replace("No installed", "no installed")
    browse.post("/welcomes/edit?name=brochure", fields(drafts, "brochure", text="您好！"))
    assert value(drafts, "brochure")["text"] == "您好！"
    services.drafts.publish("default", drafts.working("default").version, "李敏")
    assert services.books.book("default", 3).templates["default"].text == TEXT


def test_what_no_package_provides_goes_live_only_once_that_is_confirmed(
    browse: Browser, services: Services, drafts: Drafts
) -> None:
    draft = drafts.replace("default", Bundle(BOOK.replace("您好{customer}", TEXT), {}), "李敏", 0)
    assert "No package here provides {crm.level}: customers get the fallbacks" in text_of(
        browse.get("/welcomes/publish")
    )
    refused = browse.post("/welcomes/publish", {"version": draft.version})
    assert refused.status_code == 409
    assert "Customers would get fallbacks: confirm that" in text_of(refused)
    assert services.books.current("default") == 1
    browse.post("/welcomes/publish", {"version": draft.version, "without": "1"})
    assert services.books.current("default") == 2
    services.books.save("default", BOOK)
    assert 'name="without"' in browse.get("/welcomes/history/2").text
    browse.post("/welcomes/history/2/rollback", {"base": 3})
    assert services.books.current("default") == 3
    browse.post("/welcomes/history/2/rollback", {"base": 3, "without": "1"})
    assert services.books.current("default") == 4


def test_what_is_live_without_a_package_needs_no_word_again(browse: Browser, services: Services) -> None:
    services.books.save("default", BOOK.replace("您好{customer}", TEXT))
    changed = BOOK.replace("您好{customer}", TEXT + "！")
    draft = services.drafts.replace("default", Bundle(changed, {}), "李敏", 0)
    assert 'name="without"' not in browse.get("/welcomes/publish").text
    browse.post("/welcomes/publish", {"version": draft.version})
    assert services.books.current("default") == 3
