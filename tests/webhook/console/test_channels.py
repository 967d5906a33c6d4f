"""Channels in the console: the list, making, changing and deleting one, its picture and sheet, WeCom's refusals."""

import base64
import json
import re
import time
from dataclasses import asdict
from importlib import import_module

import pytest

from tasks.channels import Channel, ChannelError, Channels
from tasks.ledger.claims import Settlement
from tasks.services import Services
from tasks.storage import keys
from tasks.wecom.errors import Failure, InvalidRequest, NoAnswer, NotSent, from_answer, from_status
from tests.simulator.client import StandIn
from tests.support.books import PNG, a_rule
from tests.support.console import Browser, text_of
from tests.support.ledger import settled
from webhook.console.channels import refusal

ADD = "externalcontact/add_contact_way"
NASTY = "<b>\u202e{{7*7}} %(n)s"
VIEWS = import_module("webhook.console.channels")


@pytest.fixture
def variables(at_wecom: dict[str, str], wecom: StandIn) -> dict[str, str]:
    wecom.people(members={"zhangsan": {"name": "张三"}, "lisi": {"name": "李四"}, "left": {"name": "x", "status": 5}})
    return at_wecom


@pytest.fixture
def store(services: Services) -> Channels:
    return services.app("default").channels


def typed(**different: object) -> dict[str, object]:
    return {"name": "Shop 1", "state": "shop-1", "chosen": ["zhangsan"], "further": "", "skip_verify": "y"} | different


def made(browse: Browser, **different: object) -> str:
    """The address of a channel that was made in the console."""
    browse.get("/channels/new")
    page = browse.post("/channels/new", typed(**different))
    assert page.status_code == 200
    return page.request.path.removeprefix("/console")


# --- the list


def test_without_channels_it_is_said_what_they_are_for(browse):
    assert "No channels yet" in text_of(browse.get("/channels"))


def test_each_has_its_state_members_rule_and_adds(browse, services, store):
    services.books.save("default", a_rule('{state: "douyin-*"}'))
    store.create("Douyin", "douyin-1", ("zhangsan",), (), True)
    store.create("Shop", "shop-1", ("lisi", "zhangsan"), (3,), True)
    for outcome in ("sent", "expired"):
        settled(services.ledger, Settlement(outcome), state="douyin-1")
    text = text_of(browse.get("/channels"))
    assert "Douyin douyin-1 zhangsan Rule first 2 " in text
    (shop,) = [one for one in store.all().values() if one.state == "shop-1"]
    assert "/welcomes/rules/new?state=shop-1" in browse.get(f"/channels/{shop.config_id}").text
    assert "Shop shop-1 lisi , zhangsan , department 3 No rule of its own: gets what everybody gets 0 " in text


def test_a_rule_that_is_never_reached_is_said(browse, services, store):
    book = (
        "version: 1\ntemplates: {default: {text: d}}\nrules:\n"
        "  - {name: all, use: default}\n  - {name: mine, when: {state: a}, use: default}\n"
    )
    services.books.save("default", book)
    store.create("Shop", "a", ("lisi",), (), True)
    assert "Never reached" in text_of(browse.get("/channels"))


def test_the_newest_stand_first_in_pages_and_can_be_searched(browse, services, store, monkeypatch):
    monkeypatch.setattr(VIEWS, "ROWS", 2)
    for number in range(5):
        channel = Channel(f"n{number}", f"s{number}", f"c{number}", 1, (f"m{number}",), at=1000 + number)
        services.redis.hset(keys.channels("default"), channel.name, _json(channel))
    page = browse.get("/channels")
    assert re.findall(r"/channels/(c\d)\"", page.text) == ["c4", "c3"]
    page = browse.get(_link(page, "next"))
    assert re.findall(r"/channels/(c\d)\"", page.text) == ["c2", "c1"]
    assert re.findall(r"/channels/(c\d)\"", browse.get("/channels?q=M3").text) == ["c3"]
    assert "No channel matches “nobody”" in text_of(browse.get("/channels?q=nobody"))


def test_what_is_stored_and_cannot_be_read_is_a_panel_and_no_500(browse, services):
    services.redis.hset(keys.channels("default"), "broken", "{}")
    page = browse.get("/channels")
    assert page.status_code == 200
    assert "The channels cannot be read" in text_of(page)


# --- make


def test_a_channel_is_made_and_its_picture_is_served_by_us(browse, services, store):
    address = made(browse, further="lisi, lisi")
    (channel,) = store.all().values()
    assert (channel.name, channel.state, channel.members) == ("Shop 1", "shop-1", ("zhangsan", "lisi"))
    picture = browse.get(f"{address}/picture")
    assert picture.data.startswith(b"\x89PNG")
    assert picture.mimetype == "image/png"
    assert picture.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert "attachment" not in picture.headers.get("Content-Disposition", "")
    saved = browse.get(f"{address}/picture?download=").headers["Content-Disposition"]
    assert saved == 'attachment; filename="Shop 1.png"'


@pytest.mark.parametrize(
    ("name", "state"),
    [("抖音直播", "douyinzhibo"), ("VIP 张伟", "vip-zhangwei"), ("🎉", "ch-[0-9a-f]{8}"), ("taken", "taken-2")],
)
def test_a_state_that_can_be_read_and_that_nobody_has_is_made_of_the_name(browse, store, name, state):
    store.create("Other", "taken", ("lisi",), (), True)
    assert "Left empty, it is made from the name" in text_of(browse.get("/channels/new"))
    assert re.search(f"becomes {state}", text_of(browse.post("/channels/proposal", {"name": name})))
    made(browse, name=name, state="")
    assert re.fullmatch(state, store.get(name).state)


def test_members_can_be_chosen_by_name(browse, services):
    services.redis.set(keys.member("default", "zhangsan"), '{"answer": {"member": "张三"}, "until": 0}')
    assert re.search(r'value="zhangsan".*?张三', browse.get("/channels/new").text, re.DOTALL)


@pytest.mark.parametrize(
    ("different", "says"),
    [
        ({"name": " "}, "Enter a name"),
        ({"name": "n" * 31}, "The name has more than 30 characters"),
        ({"state": "s" * 31}, "The State has more than 30 characters"),
        ({"chosen": []}, "Choose at least one member, or a department"),
        ({"departments": "3 x"}, "Departments are numbers"),
        ({"departments": "²"}, "Departments are numbers"),
        ({"further": " ".join(f"m{number}" for number in range(100))}, "at most 100 members"),
    ],
)
def test_bad_input_is_kept_and_nothing_is_made(browse, store, different, says):
    browse.get("/channels/new")
    page = browse.post("/channels/new", typed(**different))
    assert page.status_code == 422
    assert text_of(page).count(says) == 2  # in the summary, and at the field
    assert 'value="Shop 1"' in page.text or 'value="shop-1"' in page.text
    assert store.all() == {}


def test_wecoms_refusal_is_said_in_words_and_what_was_typed_stays(browse, store):
    browse.get("/channels/new")
    page = browse.post("/channels/new", typed(chosen=[], further="left"))
    assert page.status_code == 422
    text = text_of(page)
    assert "Not created: WeCom did not accept it" in text
    assert "the member is not activated (41054)" in text
    assert "the member signs in to WeCom" in text
    assert 'value="left"' in page.text
    assert store.all() == {}


def test_what_cannot_be_seen_is_left_out(browse, store):
    made(browse, name="Shop\u202e 1\r\n", state="a\tb\x00")
    (channel,) = store.all().values()
    assert (channel.name, channel.state) == ("Shop 1", "ab")


def test_a_name_that_is_taken_is_said_at_the_field(browse, store):
    made(browse)
    browse.get("/channels/new")
    page = browse.post("/channels/new", typed(state="other"))
    assert page.status_code == 422
    assert text_of(page).count("There is another channel of this name") == 2
    assert len(store.all()) == 1


def test_a_wecom_that_hangs_is_waited_for_a_moment_only(browse, wecom, monkeypatch):
    browse.get("/channels/new")
    monkeypatch.setattr(VIEWS, "PATIENCE", 0.4)
    wecom.faults(latency_ms=60_000, paths=(ADD, "gettoken", "externalcontact/get_follow_user_list"))
    began = time.monotonic()
    page = browse.post("/channels/new", typed())
    assert time.monotonic() - began < 8
    assert page.status_code == 422
    assert "WeCom" in text_of(page)
    assert 'value="Shop 1"' in page.text


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (NotSent(ADD, Failure.CONNECTION_REFUSED), "WeCom could not be reached, and nothing was changed"),
        (NoAnswer(ADD, Failure.HTTP_STATUS, "502"), "WeCom did not answer in time; it may have been done"),
        (from_status(404, ADD), "WeCom could not be reached, and nothing was changed"),
        (from_answer(41037, "invalid name", ADD), "no type was sent (41037; WeCom's own words: invalid name)"),
        (from_answer(41040, "invalid app", ADD), "the scene is not accepted (41040; WeCom's own words: invalid app)"),
        (from_answer(60111, "userid not found", ADD), "no such member (60111)"),
        (from_answer(99999, "new", ADD), "WeCom says “new” (99999)"),
        (InvalidRequest(ADD, "remark", "31 characters", "at most 30"), f"{ADD}: remark: 31 characters, at most 30"),
        (ChannelError("100 % broken"), "100 % broken"),
    ],
)
def test_every_refusal_has_words_and_a_cure(error, why):
    found = refusal(error)
    assert str(found.why) == why
    assert str(found.cure)


# --- change


def test_a_channel_is_changed_and_keeps_its_code(browse, store):
    address = made(browse, further="lisi")
    browse.get(f"{address}/edit")
    was = re.search(r'name="was"[^>]*value="(\w+)"', browse.get(f"{address}/edit").text)[1]
    page = browse.post(f"{address}/edit", typed(name="Shop 2", chosen=["lisi"], was=was))
    assert page.request.path == f"/console{address}"
    (channel,) = store.all().values()
    assert (channel.name, channel.members, channel.config_id) == ("Shop 2", ("lisi",), address.rpartition("/")[2])


def test_what_somebody_else_changed_meanwhile_is_shown_and_not_lost(browse, store):
    address = made(browse, further="lisi")
    was = re.search(r'name="was"[^>]*value="(\w+)"', browse.get(f"{address}/edit").text)[1]
    store.update("Shop 1", state="theirs")
    page = browse.post(f"{address}/edit", typed(state="mine", was=was))
    assert page.status_code == 409
    assert "somebody changed this channel meanwhile" in text_of(page)
    assert "theirs" in page.text
    assert 'value="mine"' in page.text
    assert store.get("Shop 1").state == "theirs"
    now = re.search(r'name="was"[^>]*value="(\w+)"', page.text)[1]
    browse.post(f"{address}/edit", typed(state="mine", chosen=["zhangsan", "lisi"], was=now))
    assert store.get("Shop 1").state == "mine"


def test_a_code_of_one_member_keeps_one(browse, store):
    address = made(browse)
    was = re.search(r'name="was"[^>]*value="(\w+)"', browse.get(f"{address}/edit").text)[1]
    page = browse.post(f"{address}/edit", typed(chosen=["zhangsan", "lisi"], was=was))
    assert page.status_code == 422
    assert "This code was made for one member" in text_of(page)


# --- delete


def test_deleting_asks_first_and_says_that_printed_codes_die(browse, store):
    address = made(browse)
    assert "Printed codes stop working" in text_of(browse.get(f"{address}/delete"))
    assert len(store.all()) == 1
    page = browse.post(f"{address}/delete", {"how": "wecom"})
    assert "“Shop 1” is deleted: its code no longer works" in text_of(page)
    assert store.all() == {}
    assert browse.get(address).status_code == 404


def test_what_wecom_does_not_have_any_more_can_be_forgotten_here(browse, services, store):
    address = made(browse)
    services.clients["default"].external_contact.del_contact_way(address.rpartition("/")[2])
    browse.get(f"{address}/delete")
    page = browse.post(f"{address}/delete", {"how": "wecom"})
    assert page.status_code == 422
    assert "Not deleted" in text_of(page)
    assert len(store.all()) == 1
    browse.post(f"{address}/delete", {"how": "here"})
    assert store.all() == {}


# --- picture and sheet


def test_a_picture_that_cannot_be_had_is_no_500_and_holds_nobody(browse, services):
    channel = Channel("a", "s", "c1", 1, ("zhangsan",), qr_code="http://127.0.0.1:1/code")
    services.redis.hset(keys.channels("default"), "a", _json(channel))
    assert browse.get("/channels/c1/picture").status_code == 503
    assert browse.get("/channels/c1").status_code == 200


@pytest.mark.parametrize("part", ["", "/edit", "/delete", "/sheet", "/picture"])
def test_a_channel_that_is_not_there_is_404(browse, part):
    assert browse.get(f"/channels/nothing{part}").status_code == 404


def test_the_sheet_has_the_code_the_name_the_members_and_the_date(browse):
    address = made(browse)
    page = browse.get(f"{address}/sheet")
    assert f"{address}/picture" in page.text
    text = text_of(page)
    assert "Shop 1" in text
    assert "zhangsan" in text
    assert re.search(r"20\d\d-\d\d-\d\d · shop-1", text)


def test_hostile_names_and_states_stay_text(browse, services):
    channel = Channel(NASTY, NASTY, "c1", 2, (NASTY, "a" * 4000), qr_code="javascript:alert(1)", at=1)
    services.redis.hset(keys.channels("default"), NASTY, _json(channel))
    services.redis.set(keys.channel_picture("default", "c1"), base64.b64encode(PNG).decode())
    assert "alert(1)" not in browse.get("/channels/c1").text
    saved = browse.get("/channels/c1/picture?download=").headers["Content-Disposition"]
    assert saved.isascii()
    assert saved.startswith("attachment; ")
    for part in ("", "/c1", "/c1/edit", "/c1/delete", "/c1/sheet"):
        page = browse.get(f"/channels{part}")
        assert page.status_code == 200
        assert "<b>\u202e" not in page.text
        assert "49" not in text_of(page).replace("{{7*7}}", "")


# --- beside WeCom


def test_what_one_side_alone_has_is_listed(browse, services, store):
    address = made(browse)
    assert "Both sides have the same codes" in text_of(browse.get("/channels/compare"))
    calls = services.clients["default"].external_contact
    calls.del_contact_way(address.rpartition("/")[2])
    calls.add_contact_way(1, 2, remark="Another program", state="other", user=["lisi"])
    text = text_of(browse.get("/channels/compare"))
    assert "Here, and not at WeCom (1)" in text
    assert "At WeCom, and not here (1)" in text
    assert "Another program other" in text


def test_a_wecom_that_is_away_is_said_on_the_page(browse, wecom):
    wecom.faults(busy=1, paths=("externalcontact/list_contact_way", "externalcontact/customer_acquisition/list_link"))
    for path, says in (
        ("compare", "The codes cannot be read from WeCom"),
        ("links", "The links cannot be read from WeCom"),
    ):
        page = browse.get(f"/channels/{path}")
        assert page.status_code == 200
        assert says in text_of(page)


def test_acquisition_links_are_codes_with_the_state_in_them(browse, services):
    assert "This app has no acquisition links" in text_of(browse.get("/channels/links"))
    calls = services.clients["default"].external_contact
    calls.customer_acquisition_create_link("Website", {"user_list": ["lisi"]})
    page = browse.get("/channels/links?state=a%26b")
    assert "customer_channel=a%26b" in page.text
    assert "<svg" in page.text
    assert "style=" not in page.text.partition("<main")[2]


def _json(channel: Channel) -> str:
    return json.dumps(asdict(channel))


def _link(page, rel: str) -> str:
    found = re.search(rf'rel="{rel}" href="/console([^"]+)"', page.text)
    return found[1].replace("&amp;", "&")
