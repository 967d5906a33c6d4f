"""Tags for many customers: ticked in a list, chosen among the corp's tags, put on by the slow queue, told in rows."""

import json
import re
from urllib.parse import urlsplit

import pytest

from tasks.audit import Act
from tasks.followups.tagger import Tagger
from tasks.followups.tagging import MOST, MOST_TAGS
from tasks.followups.worker import DueWorker
from tasks.services import Services
from tasks.storage import keys
from tests.simulator.client import StandIn
from tests.support.console import NAME, Browser, text_of
from tests.support.ledger import missed
from webhook.console import tagging

GROUPS = {"等级": ["VIP", "普通"], "来源": ["新客户", "抖音直播"]}


@pytest.fixture
def variables(at_wecom: dict[str, str]) -> dict[str, str]:
    return at_wecom


@pytest.fixture
def corp_tags(services: Services) -> None:
    api = services.clients["default"].external_contact
    for group, names in GROUPS.items():
        api.add_corp_tag(tag=[{"name": name} for name in names], group_name=group)


def value(group: str, name: str) -> str:
    return json.dumps([group, name], ensure_ascii=False)


def real(services: Services, wecom: StandIn, name: str) -> str:
    """The id of a missed customer whom WeCom knows."""
    record = wecom.add(push=False)
    pair = {"user_id": record.user_id, "external_user_id": record.external_user_id}
    identity = missed(services.redis, corp_id=services.app("default").settings.corp_id, **pair)
    services.app("default").work_list.name(identity, name)
    return identity


def ticked(browse: Browser, ids: list[str], back: str = "/console/missed") -> str:
    """The page with the tags, once these are ticked."""
    page = browse.post("/tag", {"id": ids, "back": back})
    return urlsplit(page.request.url).path.removeprefix("/console")


def do(services: Services) -> None:
    tagger = Tagger(services.taggings, services.corp_tags, services.clients)
    DueWorker(services.taggings, tagger.do).run()


def test_what_is_ticked_on_the_missed_list_gets_the_tags_and_the_row_says_by_whom(
    browse: Browser, services: Services, wecom: StandIn, corp_tags: None
) -> None:
    ids = [real(services, wecom, "李雷"), real(services, wecom, "韩梅")]
    address = ticked(browse, ids)
    said = text_of(browse.get(address))
    assert "Tag 2 customers" in said
    assert "李雷" in said
    assert "来源 抖音直播 新客户 等级 VIP 普通" in said
    page = browse.post(address, {"do": "tag", "tag": [value("等级", "VIP"), value("来源", "新客户")]})
    assert urlsplit(page.request.url).path == "/console/missed"
    assert "2 customers are being tagged: 等级/VIP, 来源/新客户" in text_of(page)
    assert "Tagging…" in text_of(page)
    do(services)
    one = text_of(browse.get(f"/e/{ids[0]}"))
    assert re.search(f"Tags put on by {NAME} today [\\d:]+ done 等级/VIP 来源/新客户", one)
    assert "VIP" in text_of(browse.get("/missed"))
    assert "VIP" in text_of(browse.get("/deliveries"))
    entry = next(one for one in services.audit.entries() if one.act == Act.TAGGED)
    assert (entry.act, entry.target, entry.number) == (Act.TAGGED, "等级/VIP, 来源/新客户", 2)


def test_why_a_customer_could_not_be_tagged_stands_in_the_row_in_words(
    browse: Browser, services: Services, corp_tags: None
) -> None:
    identity = missed(services.redis)  # of whom WeCom knows nothing
    browse.post(ticked(browse, [identity]), {"do": "tag", "tag": value("等级", "VIP")})
    do(services)
    said = text_of(browse.get(f"/e/{identity}"))
    assert "failed: " in said
    assert "(84061)" in said
    assert "not external contact" not in said.partition("Raw data")[0], (
        "WeCom's own English is not what an operator reads"
    )
    assert "Not tagged" in text_of(browse.get("/missed"))


def test_tags_are_searched_in_pinyin_and_those_ticked_before_stay(
    browse: Browser, services: Services, corp_tags: None
) -> None:
    address = ticked(browse, [missed(services.redis)])
    page = browse.post(address, {"do": "find", "find": "dyzb", "tag": value("等级", "VIP")})
    said = text_of(page)
    assert "1 found" in said
    assert "抖音直播" in said
    assert "普通" not in said
    assert re.search(r'value="\[&#34;等级&#34;, &#34;VIP&#34;\]" checked', page.text)
    assert "No other tag matches" in text_of(browse.post(address, {"do": "find", "find": "zzz"}))


def test_nothing_ticked_and_too_much_ticked_are_said(browse: Browser, services: Services, corp_tags: None) -> None:
    assert "Tick at least one customer" in text_of(browse.post("/tag", {"back": "/console/missed"}))
    address = ticked(browse, [missed(services.redis)])
    bad = ["nonsense", "[1,2]", '"ab"', '["a"]', '["a", ""]', "[" * 5000, value("a", "b" * 31)]
    assert "Tick at least one tag" in text_of(browse.post(address, {"do": "tag", "tag": bad}))
    many = [value("a", str(number)) for number in range(MOST_TAGS + 1)]
    assert "At most 20 tags at once" in text_of(browse.post(address, {"do": "tag", "tag": many}))
    assert services.redis.zcard(keys.TAGGING) == 0


def test_a_selection_is_bounded_and_ends_and_is_one_apps(browse: Browser, services: Services) -> None:
    address = ticked(browse, [f"{number:032x}" for number in range(MOST + 50)])
    token = address.rpartition("/")[2]
    kept = json.loads(services.redis.get(keys.selection(token)) or "")
    assert len(kept["ids"]) == MOST
    assert 0 < services.redis.ttl(keys.selection(token)) <= tagging.LIFE
    gone = text_of(browse.post(address, {"do": "tag", "tag": value("a", "b")}))
    assert "200 were left out" in gone
    services.redis.set(keys.selection(token), json.dumps(kept | {"app": "other"}))
    assert "This selection ended" in text_of(browse.get(address))
    assert "This selection ended" in text_of(browse.get("/tag/nonsense"))


def test_a_way_back_leads_nowhere_else(browse: Browser, services: Services) -> None:
    page = browse.get(ticked(browse, [missed(services.redis)], "https://example.com/"))
    assert "example.com" not in page.text


def test_where_wecom_does_not_tell_the_tags_the_page_says_why(
    browse: Browser, services: Services, wecom: StandIn
) -> None:
    address = ticked(browse, [missed(services.redis)])
    assert "There are no tags in WeCom yet" in text_of(browse.get(address))
    wecom.faults(busy=1, paths=["externalcontact/get_corp_tag_list"])
    said = text_of(browse.get(address))
    assert "The tags cannot be read from WeCom now" in said
    assert "(-1)" in said
