"""The examples by trade: every one is a welcome that can be sent as it is, and promises nothing."""

import re
from datetime import UTC, datetime

import pytest

from tasks.services import Services
from tasks.templates.edits import TEMPLATE, Part, SetNamed
from tasks.templates.render import barest, fill, longest
from tasks.wecom.message_limits import TEXT
from tests.support.console import Browser, text_of
from webhook.console.welcomes import preview
from webhook.console.welcomes.examples import LANGUAGES, TRADES, Example, example, examples

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
ALL = [one for trades in examples().values() for welcomes in trades.values() for one in welcomes]
EVERY = pytest.mark.parametrize("one", ALL, ids=[one.key for one in ALL])
PROMISES = re.compile(
    "保证|一定|根治|治愈|无风险|零风险|最低价|最好|第一(?!次)|包过|提分|升值|稳赚|收益|回报|100|见效|不反弹|无副作用"
    r"|\b(guarantee|guaranteed|cures?|risk-free|no risk|best|cheapest|lowest|profits?|returns? of|always|never|safe)\b",
    re.IGNORECASE,
)
AWKWARD = re.compile(
    r"[，。！？；：,.!?;:][，。！？；：,.]|的[，。！]|是[，。]|\b(am|at|of|from|and)[,.;]|  | [,.;]|\A[，,。]"
)


@pytest.fixture
def book() -> str:
    return "version: 1\ntemplates: {default: {text: 您好}}\nrules: [{use: default}]\n"


def test_every_trade_has_as_many_in_each_language() -> None:
    counts = {language: {trade: len(of) for trade, of in trades.items()} for language, trades in examples().items()}
    assert counts.keys() == LANGUAGES.keys()
    assert all(of == dict.fromkeys(TRADES, 3) for of in counts.values())
    assert len({one.key for one in ALL}) == len({one.name for one in ALL}) == len(ALL)


@EVERY
def test_each_is_short_enough_and_reads_well_for_whoever_it_is(one: Example) -> None:
    assert longest(one.text) <= TEXT.most / 2
    for text in (barest(one.text), *(fill(one.text, who) for who in preview.samples(NOON).values())):
        assert not AWKWARD.search(text), text
        assert "{" not in text
    assert {"customer", "member"} <= set(re.findall(r"\{(\w+)", one.text))


@EVERY
def test_none_promises_what_nobody_can_hold(one: Example) -> None:
    assert not PROMISES.search(one.text)
    assert not re.search(r"\d", one.text)


def test_each_can_be_saved_as_it_is(services: Services) -> None:
    for one in ALL:
        services.drafts.change("default", SetNamed(TEMPLATE, one.name, {"text": one.text}), "a")
    draft = services.drafts.working("default")
    assert all(draft.content.part(Part(TEMPLATE, one.name)) == {"text": one.text} for one in ALL)
    assert len(draft.book().templates) == len(ALL) + 1


def test_a_new_welcome_starts_from_one(browse: Browser) -> None:
    assert "/welcomes/examples" in browse.get("/welcomes/new").text
    page = browse.get("/welcomes/examples?texts=zh")
    assert "王芳，谢谢光临！我是某某公司的张伟。" in text_of(page)
    assert page.text.count("example=") == 15
    start = browse.get("/welcomes/new?example=retail.shop.zh")
    found = example("retail.shop.zh")
    assert found is not None
    assert found.text in start.text
    assert 'value="到店顾客"' in start.text
    assert "Hello 王芳" in text_of(browse.get("/welcomes/examples"))  # in the reader's language, unless asked


@pytest.mark.parametrize("key", ["", "retail.shop", "retail.shop.fr", "<script>"])
def test_an_example_that_is_not_there_is_an_empty_form(browse: Browser, key: str) -> None:
    assert browse.get(f"/welcomes/new?example={key}").status_code == 200
