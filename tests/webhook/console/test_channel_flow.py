"""A channel in one flow: its code, its rule and its welcome; what fails half-way loses nothing."""

import re

import pytest

from tasks.books.draft import Moved
from tasks.books.draft_store import Drafts
from tasks.channels import Channels
from tasks.services import Services
from tasks.templates.edits import AddRule, Content
from tests.simulator.client import StandIn
from tests.support.books import a_rule
from tests.support.console import Browser, text_of
from tests.support.samples import NASTY
from webhook.console.channel_welcome import edit

NEW = "/channels/new"


@pytest.fixture
def variables(at_wecom: dict[str, str], wecom: StandIn) -> dict[str, str]:
    wecom.people(members={"zhangsan": {"name": "张三"}, "left": {"name": "x", "status": 5}})
    return at_wecom


@pytest.fixture
def book() -> str:
    return a_rule('{state: "douyin-*"}')


@pytest.fixture
def store(services: Services) -> Channels:
    return services.app("default").channels


def typed(**different: object) -> dict[str, object]:
    new = {"welcome": "new", "text": "您好{customer|朋友}，\r\n欢迎！"}
    return {"name": "抖音直播", "state": "", "chosen": ["zhangsan"], "skip_verify": "y"} | new | different


def rules_of(drafts: Drafts) -> list[object]:
    return list(drafts.working("default").content.rules)


def test_code_rule_and_welcome_are_made_at_once_and_one_click_leads_to_publishing(
    browse: Browser, store: Channels, drafts: Drafts
) -> None:
    assert 'name="welcome"' in browse.get(NEW).text
    page = browse.post(NEW, typed())
    channel = store.get("抖音直播")
    assert channel.state == "douyinzhibo"
    content = drafts.working("default").content
    assert content.named("template")["抖音直播"] == {"text": "您好{customer|朋友}，\n欢迎！"}
    assert content.rules[1] == {"name": "抖音直播", "when": {"state": "douyinzhibo"}, "use": "抖音直播"}
    assert page.request.path == f"/console/channels/{channel.config_id}"
    assert "Its welcome is in the draft" in text_of(page)
    assert re.search(r'class="button primary" href="/console/welcomes/publish"', page.text)
    drafts.publish("default", drafts.working("default").version, "李敏")
    page = browse.get(f"/channels/{channel.config_id}")
    assert "Its welcome is in the draft" not in text_of(page)
    assert "Rule 抖音直播" in text_of(page)


def test_a_welcome_of_the_list_is_chosen(browse: Browser, store: Channels, drafts: Drafts) -> None:
    browse.get(NEW)
    browse.post(NEW, typed(welcome="known", template="two"))
    assert rules_of(drafts)[1] == {"name": "抖音直播", "when": {"state": "douyinzhibo"}, "use": "two"}


def test_the_same_as_everybody_changes_no_draft(browse: Browser, store: Channels, drafts: Drafts) -> None:
    browse.get(NEW)
    browse.post(NEW, typed(welcome="", text="left over"))
    assert len(store.all()) == 1
    assert drafts.get("default") is None


@pytest.mark.parametrize(
    ("different", "says"),
    [
        ({"text": " "}, "Write the welcome"),
        ({"text": "{nobody}"}, "nobody"),
        ({"text": "好" * 2000}, "4000"),
        ({"welcome": "known", "template": ""}, "Choose the welcome that is sent"),
        ({"welcome": "known", "template": "gone"}, "gone"),
        ({"chosen": [], "further": "left"}, "not activated"),  # WeCom refuses the code
        ({"name": " "}, "Enter a name"),
    ],
)
def test_what_cannot_be_made_makes_nothing_and_keeps_all_that_was_typed(
    browse: Browser, store: Channels, drafts: Drafts, different: dict[str, object], says: str
) -> None:
    browse.get(NEW)
    page = browse.post(NEW, typed(state="mine") | different)
    assert page.status_code == 422
    assert says in text_of(page)
    assert 'value="mine"' in page.text
    assert str(different.get("text", "您好")).strip()[:50] in page.text
    assert store.all() == {}
    assert drafts.get("default") is None


def test_a_draft_that_cannot_be_saved_after_the_code_was_made_loses_nothing(
    browse: Browser, store: Channels, drafts: Drafts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def moved(*_: object) -> None:
        raise Moved(None)

    browse.get(NEW)
    with monkeypatch.context() as patch:
        patch.setattr(Drafts, "change", moved)
        page = browse.post(NEW, typed())
    channel = store.get("抖音直播")
    assert page.status_code == 409
    assert "The channel is created, but its welcome is not saved yet" in text_of(page)
    assert "您好{customer|朋友}" in page.text
    address = f"/channels/{channel.config_id}/welcome"
    assert f'action="/console{address}"' in page.text
    page = browse.post(address, {"welcome": "new", "text": "您好{customer|朋友}"})
    assert page.request.path == f"/console/channels/{channel.config_id}"
    assert drafts.working("default").content.named("template")["抖音直播"] == {"text": "您好{customer|朋友}"}
    assert len(store.all()) == 1


def test_a_channel_without_a_rule_gets_its_welcome_later(browse: Browser, store: Channels, drafts: Drafts) -> None:
    channel = store.create("Shop", "shop", ("zhangsan",), (), True)
    address = f"/channels/{channel.config_id}/welcome"
    assert address in browse.get(f"/channels/{channel.config_id}").text
    assert browse.get(address).status_code == 200
    wrong = browse.post(address, {"welcome": "known", "template": ""})
    assert wrong.status_code == 422
    browse.post(address, {"welcome": "known", "template": "one"})
    assert {"name": "Shop", "when": {"state": "shop"}, "use": "one"} in rules_of(drafts)


def test_a_search_for_members_keeps_the_welcome(browse: Browser, store: Channels) -> None:
    browse.get(NEW)
    page = browse.post(NEW, typed(do="pick:people:find") | {"find-people": "zs"})
    assert "您好{customer|朋友}" in page.text
    assert 'value="抖音直播"' in page.text
    assert store.all() == {}


def test_channels_are_found_by_pinyin_and_sorted(browse: Browser, store: Channels) -> None:
    store.create("抖音直播", "b", ("zhangsan",), (), True)
    store.create("展会", "a", ("zhangsan",), (), True)
    assert "展会" not in text_of(browse.get("/channels?q=dyzb"))
    names = re.findall(r"抖音直播</bdi>|展会</bdi>", browse.get("/channels?sort=name").text)
    assert [name[:2] for name in names] == ["展会", "抖音"]
    assert browse.get("/channels?sort=<x>").status_code == 200


def test_one_button_makes_the_first_channel(browse: Browser, store: Channels) -> None:
    assert browse.get("/channels").text.count('class="button primary"') == 1
    store.create("展会", "a", ("zhangsan",), (), True)
    assert browse.get("/channels").text.count('class="button primary"') == 1


@pytest.mark.parametrize("name", NASTY)
def test_hostile_names_make_a_channel_or_say_why_not(browse: Browser, store: Channels, name: str) -> None:
    browse.get(NEW)
    page = browse.post(NEW, typed(name=name, text=name))
    assert page.status_code in (200, 422)
    assert "<script>alert" not in page.text
    assert "<img src=x" not in page.text


# ------------------------------------------------------------------------------------------------ the edit


class Form:
    """What is chosen, as the form has it."""

    def __init__(self, welcome: str, template: str = "", text: str = "") -> None:
        for name, value in {"welcome": welcome, "template": template, "text": text}.items():
            setattr(self, name, type("Field", (), {"data": value}))


def test_the_rule_stands_before_the_one_that_would_hide_it() -> None:
    content = Content(
        {
            "templates": {"default": {"text": "d"}, "抖音": {"text": "d"}},
            "rules": [
                {"name": "a", "when": {"hours": "21:00-08:30"}, "use": "default"},
                {"name": "抖音", "when": {"state": ["x", "dou*"]}, "use": "default"},
                {"use": "default"},
            ],
        }
    )
    made = edit(Form("known", "default"), "抖音", "douyin-1", content)  # type: ignore[arg-type]
    assert made == AddRule({"name": "抖音 2", "when": {"state": "douyin-1"}, "use": "default"}, 1)
    other = edit(Form("known", "default"), "展会", "[a]*?", content)  # type: ignore[arg-type]
    assert other == AddRule({"name": "展会", "when": {"state": "[[]a][*][?]"}, "use": "default"}, None)
    store = {"name": "门店", "when": {"department": 2}, "use": "default"}
    with_store = Content({"templates": {"default": {"text": "d"}}, "rules": [content.rules[0], store]})
    of_members = edit(Form("known", "default"), "展会", "a", with_store)  # type: ignore[arg-type]
    assert of_members == AddRule({"name": "展会", "when": {"state": "a"}, "use": "default"}, 1)
    assert edit(Form(""), "展会", "a", content) is None  # type: ignore[arg-type]
    new = edit(Form("new", text="您好"), "抖音", "a", content)  # type: ignore[arg-type]
    assert new is not None
    assert new.part.name == "抖音 2"
