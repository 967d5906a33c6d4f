"""What a search finds: by parts of words, regardless of case and width, and by pinyin."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import pinyin_table
from webhook.console.search import NAME, Search, folded, matches

FOUND = [
    ("zw", "张伟"),
    ("ZW", "张伟"),
    ("ｚｗ", "张伟"),
    ("zhangwei", "张伟"),
    ("zhang w", "张伟"),
    ("zhangw", "张伟"),
    ("zhwei", "张伟"),
    ("wei", "张伟"),
    ("zhāng", "张伟"),
    ("伟", "张伟"),
    ("張", "張偉"),
    ("zw", "張偉"),
    ("lv", "吕布"),
    ("lvb", "吕布"),
    ("lü", "吕布"),
    ("lyu", "吕布"),
    ("lub", "吕布"),
    ("xi'an", "西安门店"),
    ("xamd", "西安门店"),
    ("vipzw", "VIP张伟"),
    ("vip张w", "ＶＩＰ张伟"),
    ("张w", "张伟"),
    ("east", "North-EAST"),
    ("jose", "José"),
    ("华东", "华东区（上海）"),
    ("hdsh", "华东（上海）"),
    ("zw 北京", "北京 张伟"),
    ("", "张伟"),
    ("  ", "张伟"),
    ("。", "您好。"),
]
NOT_FOUND = [
    ("zx", "张伟"),
    ("wz", "张伟"),
    ("zhangweix", "张伟"),
    ("hang", "张伟"),  # a syllable is found by its beginning
    ("zw 上海", "北京 张伟"),
    ("李", "张伟"),
    ("z", "🎉"),
    ("z", ""),
]
SURNAMES = dict(  # read otherwise than in most words
    zip(
        "曾单解仇区查盖朴覃乐翟任宁缪种秘冼折牟那万黑燕尉长柏薄郗费繁葛纪",
        [
            "zeng",
            "shan",
            "xie",
            "qiu",
            "ou",
            "zha",
            "ge",
            "piao",
            "qin",
            "yue",
            "zhai",
            "ren",
            "ning",
            "miao",
            "chong",
            "bi",
            "xian",
            "she",
            "mou",
            "na",
            "wan",
            "he",
            "yan",
            "yu",
            "zhang",
            "bai",
            "bo",
            "xi",
            "fei",
            "po",
            "ge",
            "ji",
        ],
        strict=True,
    )
)


@pytest.mark.parametrize(("search", "name"), FOUND)
def test_it_is_found(search: str, name: str) -> None:
    assert matches(search, name)


@pytest.mark.parametrize(("search", "name"), NOT_FOUND)
def test_it_is_not_found(search: str, name: str) -> None:
    assert not matches(search, name)


@pytest.mark.parametrize("name", SURNAMES)
def test_a_surname_is_found_as_it_is_read_in_names(name: str) -> None:
    assert matches(SURNAMES[name], f"{name}明")
    assert matches(f"{SURNAMES[name]}m", f"{name}明")


def test_each_word_may_be_found_in_another_text() -> None:
    assert matches("zw sales", "张伟", "zhangwei", "Sales department")
    assert not matches("zw sales", "张伟", "zhangwei")


def test_an_empty_search_is_false_and_finds_everything() -> None:
    assert not Search(" \t")
    assert Search(" ").finds("anything")
    assert Search("").finds()


def test_a_long_text_is_not_searched_by_pinyin() -> None:
    assert matches("zw", "张伟" * (NAME // 2))
    assert not matches("zw", "张伟" * NAME)
    assert matches("张伟", "张伟" * NAME)


def test_a_hostile_search_in_a_hostile_name_ends_at_once() -> None:
    assert not matches("e" * 99 + "x", "呃" * NAME)
    assert not matches("n" * 99 + "x", "嗯" * NAME)
    assert matches("a" * 10_000, "a" * 200)  # what is beyond its limit does not count


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_can_be_searched_for_anything(search: str, text: str) -> None:
    assert matches(search, text) in (True, False)
    assert matches(text, text)
    assert folded(folded(text)) == folded(text)


def test_the_table_has_what_pypinyin_has() -> None:
    assert pinyin_table.FILE.read_text(encoding="utf-8") == pinyin_table.table()


@given(st.text(alphabet=st.one_of(st.sampled_from("张，。！〪〰０Ａa1é﨎龥"), st.characters(exclude_categories=["Cs"]))))
def test_a_common_text_is_folded_like_any_other(text: str) -> None:
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(one for one in decomposed if not unicodedata.combining(one))
    assert folded(text) == unicodedata.normalize("NFC", bare).casefold()
