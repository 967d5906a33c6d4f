"""What of a name shows, what only turns or hides its neighbours, and what joins: the first stays, the second goes."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.visible_text import head, plain, shows, trimmed

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u206a\u206f"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, id=", ".join(f"U+{ord(one):04X}" for one in name[:3]) or "nothing")
        for name in (
            "",
            " \t\n",
            "\u00a0\u2003\u3000",  # spaces of other widths
            "\u3164",  # Hangul filler
            "\uffa0",  # the same, half as wide
            "\u115f\u1160",  # Hangul fillers of a beginning and of a vowel
            "\u2800",  # Braille without a dot
            "\u00ad",  # soft hyphen
            "\u034f",  # combining grapheme joiner
            "\u061c\u200e\u200f",  # marks of direction
            "\u17b4\u17b5",  # Khmer vowels that are not written
            "\u180b\u180e",  # Mongolian variation, Mongolian separator
            "\u200b\ufeff\u2060",  # zero width
            "\u200c\u200d",  # joiners with nothing to join
            "\u202d\u202c\u2066\u2069",
            "\u2061\u2064\u206f",
            "\u2028\u2029",
            "\u0301\u20dd\u093f",  # marks without a letter
            "\ufe0f\U000e0100",  # variations of nothing
            "\ufff9\ufffb\ufffc",  # annotations, a place for an object
            "\U000e0001\U000e0067\U000e007f",  # tags
            "\U0001d159\U0001d173",  # a note head that is not shown, a beam of music
            "\ue000\uf8ff\U000f0000",  # private use
            "\x00\x1b\x7f\x9b",
            "\ud83d",  # half a character
            "\ufdd0\uffff\U0001ffff",  # no characters
            "\U000e0fff",  # never assigned, never shown
            "\u3164\u200b \u202e\u2800" * 20,
        )
    ],
)
def test_a_name_that_shows_nothing_is_no_name(name: str) -> None:
    assert plain(name) == ""
    assert not shows(name)


@pytest.mark.parametrize(
    "name",
    [
        "李四",
        "O'Brien-Smith Jr.",
        "。",
        "ㅎㅎ",  # Hangul letters beside the filler
        "ᄒᆞᆫ",  # and an old syllable
        "👨\u200d👩\u200d👧\u200d👦",  # a family
        "👩🏽\u200d🚀",  # a tone of skin, then a joiner
        "❤\ufe0f\u200d🔥",  # a variation, then a joiner
        "🏳\ufe0f\u200d🌈",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # England
        "李🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f四",
        "🇨🇳",
        "1\ufe0f\u20e3",  # a key
        "\U0001fae8",  # an emoji of Unicode 15, whatever this Python knows
        "می\u200cخواهم",  # Persian
        "علی\u200cرضا",
        "۲۰\u200cساله",  # after a number
        "ه\u200d",  # the sign of the year: a letter shaped by the joiner behind it
        "क\u094d\u200dष",  # Devanagari
        "ක\u0dca\u200dෂ",  # Sinhala
        "ന\u0d4d\u200d",  # a Malayalam chillu, as it was written before it had a code
        "ᠮᠣᠩᠭᠣᠯ\u180eᠠ",  # Mongolian with its separator
        "葛\U000e0100城",  # a variant of an ideograph
        "é",
        "e\u0301",  # the same, decomposed
        "नि",  # a vowel sign behind its letter
        "\u0600\u0661",  # Arabic sign of a number
        "李\u3164四",  # a blank that stands where others write a space
        "李\u3000四",
        "محمد",
        "\uf8ff李四",
        "�",
    ],
)
def test_what_belongs_to_a_name_stays(name: str) -> None:
    assert plain(name) == name
    assert shows(name)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("\u202eabc", "abc"),
        ("李\u202e四\u202c", "李四"),
        ("\u2067李四", "李四"),  # an isolate that nobody closes
        ("李四\u2069", "李四"),  # and one that nobody opened
        ("\u200f李四\u061c", "李四"),
        ("\u3164李四\u3164", "李四"),
        ("\u200b李\u200b四\ufeff", "李四"),
        (" 李四 ", "李四"),
        ("李\n四", "李四"),
        ("李\u2028四\u2029", "李四"),
        ("李\u00ad四", "李四"),
        ("李\U000e0041四", "李四"),  # a tag outside a flag
        ("\u20e0李四", "李四"),  # would strike out the letter before the name
        ("\ufe0f李四", "李四"),
        ("\u200d👩", "👩"),  # would join what stands before
        ("👩\u200d", "👩"),  # would join what comes after
        ("❤\ufe0f\u200d", "❤\ufe0f"),
        ("李\u200d\u200d\u200d四", "李\u200d四"),
        ("李 \u200c四", "李 四"),
        ("a\u202e\u202d\u2066\u2067b", "ab"),
        ("\ud83d李四", "李四"),
    ],
)
def test_what_turns_or_hides_its_neighbours_goes(name: str, kept: str) -> None:
    assert plain(name) == kept


@given(st.text())
def test_no_name_turns_or_breaks_the_line_it_stands_in(name: str) -> None:
    kept = plain(name)
    assert not set(kept) & set(BIDI)
    assert len(kept.splitlines()) <= 1
    assert not any(unicodedata.category(one) in ("Cc", "Cs") for one in kept)
    assert plain(kept) == kept


@given(st.text(alphabet="李a\u0301\u200d\u3164👩\ufe0f\ue000 ", max_size=12), st.integers(0, 12))
def test_a_cut_name_shows_something_or_is_none(name: str, at: int) -> None:
    kept = trimmed(plain(name)[:at])
    assert kept == "" or shows(kept)
    assert trimmed(kept) == kept


# ------------------------------------------------------------------------------------------------ what is cut

WHOLE = (  # what a reader takes for one character
    *("a", "李", "😀", "é", "e\u0301", "한", "각", "नि", " ", "\u3000"),
    *("👨\u200d👩\u200d👧\u200d👦", "🇨🇳", "👍🏽", "❤\ufe0f", "1\ufe0f\u20e3", "👩🏿\u200d🚀"),
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
)


@given(st.lists(st.sampled_from(WHOLE), max_size=20), st.integers(1, 60))
def test_a_text_is_cut_between_characters_as_readers_see_them(pieces: list[str], most: int) -> None:
    kept, whole = head("".join(pieces), most), ""
    for piece in pieces:
        if len(whole + piece) > most:
            break
        whole += piece
    assert kept == whole or (whole == "" and pieces and kept == pieces[0][:most])


@given(st.text(max_size=80), st.integers(0, 40))
def test_what_is_cut_fits_and_is_the_beginning(text: str, most: int) -> None:
    assert len(head(text, most)) <= most
    assert text.startswith(head(text, most))
    assert len(head(text, most, lambda part: len(part.encode("utf-8", "replace"))).encode("utf-8", "replace")) <= most


def test_a_letter_with_more_marks_than_there_is_room_for_keeps_the_first_ones() -> None:
    assert head("e" + "\u0301" * 4000, 32) == "e" + "\u0301" * 31
