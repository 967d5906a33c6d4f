"""Group welcomes in the console: what the book says, what WeCom has, and bringing them into step."""

import pytest

from tasks.services import Services
from tasks.storage import keys
from tasks.templates.edits import GROUP, DeleteNamed, Part
from tests.simulator.client import StandIn
from tests.support.console import Browser, text_of

BOOK = """\
version: 1
templates:
  default: {text: hello}
rules:
  - use: default
group_welcome:
  newcomers: {text: "欢迎 %NICKNAME% <b>"}
  sale: {text: "sale"}
"""


@pytest.fixture
def variables(at_wecom: dict[str, str]) -> dict[str, str]:
    return at_wecom


@pytest.fixture
def book() -> str:
    return BOOK


def test_what_differs_is_shown_and_brought_into_step(browse: Browser, services: Services) -> None:
    page = browse.get("/groups")
    assert "2 differ at WeCom" in text_of(page)
    assert text_of(page).count("To be added at WeCom") == 2
    assert "Sync these 2" in text_of(page)
    assert "<b>" not in page.text.partition("<main")[2].partition("</table>")[0].replace("<bdi", "")
    answer = browse.post("/groups/sync")
    assert "2 synced to WeCom" in text_of(answer)
    assert "WeCom has what is live" in text_of(answer)
    assert "Nothing to sync" in text_of(browse.post("/groups/sync", {"check": "1"}))


def test_a_draft_says_so(browse: Browser, services: Services) -> None:
    drafts = services.drafts
    was = drafts.working("default").content.digest(Part(GROUP, "sale"))
    drafts.change("default", DeleteNamed("group_welcome", "sale", was), "a")
    assert "Deleted in the draft" in text_of(browse.get("/groups"))


def test_two_at_once(browse: Browser, services: Services) -> None:
    browse.get("/groups")
    services.redis.set(keys.group_welcomes_lock("default"), "somebody")
    assert "Syncing already" in text_of(browse.post("/groups/sync"))


def test_what_wecom_refuses_is_said(browse: Browser, services: Services, wecom: StandIn) -> None:
    browse.get("/groups")
    wecom.faults(limited=1.0, paths=("externalcontact/group_welcome_template/add",))
    answer = browse.post("/groups/sync")
    wecom.faults()
    assert "WeCom did not accept it" in text_of(answer)
    assert "45009" in text_of(answer)
