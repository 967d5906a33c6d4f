"""Deliveries searched by their customer's name and remark: what is found, how far, and that no address has the name."""

import logging

import pytest

from tasks.ledger import by_name
from tasks.ledger.claims import FollowUpProgress, Settlement
from tasks.ledger.delivery import FollowUpStatus, Outcome
from tasks.services import Services
from tasks.state.erasure import forget
from tasks.storage import keys
from tests.support.console import Browser, text_of
from tests.support.ledger import settled
from tests.support.samples import NASTY
from webhook.console import name_search
from webhook.console.search import Search


def greeted(services: Services, name: str, **more: str) -> str:
    """A customer of this name, whose name stood in the welcome. → the row's id."""
    values = {"customer": name, "member": "张三"} if name else {"member": "张三"}
    return settled(services.ledger, Settlement(Outcome.SENT, template="default", values=values), **more).id


def found(services: Services, text: str, **wanted: str) -> list[str]:
    """The ids that a search brings."""
    return [row.id for row in services.ledger.page("default", **wanted, named=name_search.named(text)).rows]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("search", "name"),
    [
        ("张伟", "张伟"),
        ("伟", "张伟"),
        ("zw", "张伟"),
        ("zhangwei", "张伟"),
        ("ＺＷ", "张伟"),
        ("lv", "吕布"),
        ("vipzw", "VIP张伟"),
        ("vip", "ＶＩＰ张伟"),
        ("alice", "Alice"),
        ("jose", "José"),
        ("alice", "𝓐𝓵𝓲𝓬𝓮"),
        ('wang "x"', 'wang "x" \\'),
        ("伟 张", "🎉张伟🎉"),
        ("🎉", "🎉张伟🎉"),
        (NASTY[0][:32], NASTY[0][:32]),
    ],
)
def test_a_customer_is_found_by_the_name(services: Services, search: str, name: str) -> None:
    greeted(services, "王芳")
    wanted = greeted(services, name)
    assert found(services, search) == [wanted]


@pytest.mark.parametrize("search", ["zs", "张三", "default", "member", "customer", '"'])
def test_what_stands_beside_the_name_in_a_row_is_not_searched(services: Services, search: str) -> None:
    greeted(services, "王芳")
    greeted(services, "")
    assert found(services, search) == []


def test_a_missed_customer_is_found_by_the_name_that_wecom_gave(services: Services) -> None:
    row = settled(services.ledger, Settlement(Outcome.FAILED)).id
    services.app("default").work_list.name(row, "李雷")
    assert found(services, "ll") == [row]


def test_a_customer_is_found_by_the_remark(services: Services) -> None:
    row = settled(services.ledger, Settlement(Outcome.SENT, template="default"), follow_up=True).id
    (task,) = services.follow_ups.claim(1)
    services.follow_ups.record(task, FollowUpProgress(FollowUpStatus.DONE, remark="展会 韩梅梅"))
    assert found(services, "hmm") == [row]


def test_other_filters_hold_too(services: Services) -> None:
    mine = greeted(services, "张伟", user_id="lisi", state="a")
    greeted(services, "张伟", user_id="wangwu", state="a")
    assert found(services, "zw", user_id="lisi") == [mine]
    assert found(services, "zw", user_id="lisi", state="b") == []
    assert len(found(services, "zw", outcome=frozenset({"sent", "failed"}))) == 2  # type: ignore[arg-type]


def test_pages_go_on_where_the_last_one_ended(services: Services) -> None:
    ids = [greeted(services, f"张伟{number}") for number in range(7)]
    named, seen, before = name_search.named("zw"), [], None
    for _ in range(4):
        page = services.ledger.page("default", named=named, before=before, limit=2)
        seen += [row.id for row in page.rows]
        before = page.older
    assert seen == ids[::-1]
    assert before is None


def test_a_page_looks_at_so_many_rows_and_the_next_goes_on(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_name, "SLICE", 2)
    monkeypatch.setattr(by_name, "LOOKED", 4)
    oldest = greeted(services, "张伟")
    for number in range(9):
        greeted(services, f"王芳{number}")
    named = name_search.named("zw")
    pages = [services.ledger.page("default", named=named)]
    while pages[-1].older:
        pages.append(services.ledger.page("default", named=named, before=pages[-1].older))
    assert [[row.id for row in page.rows] for page in pages] == [*[[]] * (len(pages) - 1), [oldest]]
    assert [page.whole for page in pages] == [*[False] * (len(pages) - 1), True]
    assert 3 <= len(pages) <= 6


def test_rows_of_one_millisecond_are_all_looked_at_once(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_name, "SLICE", 2)
    ids = {greeted(services, f"张伟{number}") for number in range(7)}
    services.redis.zadd(keys.EVENTS, dict.fromkeys(ids, 1_764_000_000_000))
    seen = found(services, "zw")
    assert len(seen) == 7
    assert set(seen) == ids


# ------------------------------------------------------------------------------------------------ on the page


def test_no_address_and_no_log_has_the_name(
    browse: Browser, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    greeted(services, "王芳")
    wanted = greeted(services, "张伟")
    browse.get("/deliveries")
    answer = browse.post("/deliveries/search", {"text": "张伟", "outcome": "sent"}, follow_redirects=False)
    address = answer.headers["Location"]
    page = browse.get(address.removeprefix("/console"))
    assert f"/e/{wanted}" in page.text
    assert "王芳" not in page.text
    assert "outcome=sent" in address
    links = [part.split('"')[0] for part in page.text.split('href="')[1:]]
    for text in (address, caplog.text, *links):
        assert "张伟" not in text
        assert "%E5%BC%A0" not in text


def test_an_id_is_found_by_the_same_search(browse: Browser, services: Services) -> None:
    row = greeted(services, "张伟", external_user_id="wm-of-zhangwei")
    browse.get("/deliveries")
    assert browse.post("/deliveries/search", {"text": row}).request.path == f"/console/e/{row}"
    page = browse.post("/deliveries/search", {"text": " wm-of-zhangwei "})
    assert page.request.args["q"] == "wm-of-zhangwei"
    assert f"/e/{row}" in page.text


def test_a_search_that_has_ended_says_so_and_keeps_the_other_filters(browse: Browser, services: Services) -> None:
    greeted(services, "王芳")
    page = browse.get("/deliveries?name=0123456789abcdef&outcome=sent")
    assert "ends after 30 minutes" in text_of(page)
    assert page.request.args.to_dict() == {"outcome": "sent"}
    assert "ends after 30 minutes" in text_of(browse.get("/deliveries?name=../x"))


def test_an_empty_search_shows_the_list(browse: Browser, services: Services) -> None:
    greeted(services, "王芳")
    browse.get("/deliveries")
    assert "王芳" in browse.post("/deliveries/search", {"text": "  "}).text


def test_the_page_says_how_far_it_has_searched(
    browse: Browser, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_name, "SLICE", 2)
    monkeypatch.setattr(by_name, "LOOKED", 2)
    for _ in range(4):
        greeted(services, "王芳")
    browse.get("/deliveries")
    page = browse.post("/deliveries/search", {"text": "张伟"})
    assert "Searched back to" in text_of(page)
    assert "before=" in page.text


def test_a_file_is_not_made_of_a_search(browse: Browser, services: Services) -> None:
    browse.get("/deliveries")
    page = browse.post("/deliveries/search", {"text": "张伟"})
    assert "Download CSV" not in text_of(page)
    assert browse.get("/deliveries.csv?name=0123456789abcdef").status_code == 404


def test_hostile_searches_are_shown_as_text(browse: Browser, services: Services) -> None:
    for nasty in NASTY:
        greeted(services, nasty[:32])
        browse.get("/deliveries")
        page = browse.post("/deliveries/search", {"text": nasty})
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text


def test_forget_ends_the_searches_that_may_name_the_customer(services: Services) -> None:
    token = name_search.keep(services.redis, "张伟")
    assert name_search.kept(services.redis, token) == "张伟"
    assert 0 < services.redis.ttl(keys.name_search(token)) <= name_search.LIFE
    forget(services.redis, "wm1")
    assert name_search.kept(services.redis, token) is None


def test_a_hint_is_in_everything_that_a_search_finds() -> None:
    assert Search("zw 北京路").hint() == ("北京路", "")
    word, characters = Search("zw").hint()
    assert word == "zw"
    assert {"张", "z"} <= set(characters)
    assert "伟" not in characters
    assert Search("张w").hint() == ("张w", "张")


def test_the_missed_are_searched_too(browse: Browser, services: Services) -> None:
    work = services.app("default").work_list
    for name in ("李雷", "韩梅梅"):
        work.name(settled(services.ledger, Settlement(Outcome.FAILED)).id, name)
    browse.get("/missed")
    page = browse.post("/missed/search", {"text": "hmm", "tab": "todo"})
    assert "韩梅梅" in page.text
    assert "李雷" not in page.text
    assert set(page.request.args) == {"tab", "name"}
    assert "Nobody of this name" in text_of(browse.post("/missed/search", {"text": "张伟"}))
    assert "李雷" in browse.post("/missed/search", {"text": " "}).text
    assert "ends after 30 minutes" in text_of(browse.get("/missed?name=0123456789abcdef"))
    work.tick([row.id for row in work.page().rows], "李敏", services.ledger.now())
    assert "李雷" in browse.post("/missed/search", {"text": "ll", "tab": "done"}).text
