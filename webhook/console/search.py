"""Search in lists of names: regardless of case, width and accents, and by the pinyin of Chinese names. Pure.

A search is words; each must be found in one of the texts of an entry. A word with Latin letters is also looked for in
the pinyin of the text: any beginning of each syllable, one syllable after the other, so 张伟 is found by zw, zhangw,
zhwei and zhangwei. Characters with several readings are found by each of them, so 曾 and 单 are found as surnames too.

`pinyin.txt` has a line per syllable: the characters of the Basic Multilingual Plane that are mostly read so, and those
that can be, from the data of pypinyin (MIT License). The package itself takes 12 to 60 MB of a process, this table 0.2.
"""

import re
import unicodedata
from functools import lru_cache
from importlib import resources
from itertools import groupby

NAME = 64  # characters of a text that is searched by pinyin; in a longer one some initials are always found
LONGEST = 100  # characters of a search that count

_PIECES = re.compile("[a-z0-9]+|[〇㐀-鿿]")  # a Latin word counts as a syllable: VIP张伟 is found by vipzw
_SPELLING = re.compile("[a-z0-9〇㐀-鿿]*[a-z0-9][a-z0-9〇㐀-鿿]*")  # 张w too, as it stands while it is typed
_COMMON = re.compile(
    r"[\x00-\x7f、-〩一-鿿]*"
)  # of which case alone is to be folded: most texts, at a quarter of the cost
_APOSTROPHES = str.maketrans("", "", "'’")  # xi'an


def matches(search: str, *texts: str) -> bool:
    """Whether each word of a search is found in one of these texts; an empty search finds everything.

    >>> matches("zw", "张伟"), matches("zhang w", "张伟"), matches("ZhangWei", "张伟"), matches("zx", "张伟")
    (True, True, True, False)
    """
    return Search(search).finds(*texts)


class Search:
    """A search that is made in many entries. False if it is empty."""

    def __init__(self, text: str) -> None:
        self.words = tuple(dict.fromkeys(folded(text[:LONGEST]).split()))
        self._spelled = {word: word.translate(_APOSTROPHES) for word in self.words}

    def __bool__(self) -> bool:
        return bool(self.words)

    def finds(self, *texts: str) -> bool:
        """Whether each word is found in one of these texts."""
        if not self.words:
            return True
        known = [folded(text) for text in texts if text]
        return all(any(self._in(word, text) for text in known) for word in self.words)

    def hint(self) -> tuple[str, str]:
        """(a word, characters): what is found has the word, one of these, or something neither ASCII nor Chinese."""
        word = max(self.words, key=len, default="")
        if not _SPELLING.fullmatch(self._spelled.get(word, "")):
            return word, ""
        first = word[0]
        if not first.isascii():
            return word, first
        return word, first + "".join(
            {one for syllable, those in _table() if syllable.startswith(first) for one in those}
        )

    def _in(self, word: str, text: str) -> bool:
        if word in text:
            return True
        spelled = self._spelled[word]
        if len(text) > NAME or text.isascii() or not _SPELLING.fullmatch(spelled):
            return False
        return _spells(spelled, [_readings(piece) for piece in _PIECES.findall(text)])


def folded(text: str) -> str:
    """A text without what a search ignores: case, width, accents.

    >>> folded("Ａ－José")
    'a-jose'
    """
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKD", text)
    if _COMMON.fullmatch(text):
        return text.lower()
    return unicodedata.normalize("NFC", "".join(one for one in text if not unicodedata.combining(one))).casefold()


def _spells(word: str, syllables: list[tuple[str, ...]]) -> bool:
    """Whether a word is made of beginnings of some syllables, each right after the other."""
    whole, open_at = len(word), {0}  # how much of the word the syllables up to here can have spelled
    for readings in syllables:
        reached = {0}
        for at in open_at:
            for reading in readings:
                end = at
                for letter in reading:
                    if letter != word[end]:
                        break
                    end += 1
                    reached.add(end)
                    if end == whole:
                        return True
        open_at = reached
    return False


@lru_cache(maxsize=4096)  # as many characters as names are made of
def _readings(piece: str) -> tuple[str, ...]:
    """A character and the syllables by which it can be read; a Latin word is one itself."""
    if piece.isascii():
        return (piece,)
    return (piece, *(syllable for syllable, characters in _table() if piece in characters))


@lru_cache(maxsize=1)
def _lines() -> tuple[tuple[str, str, str], ...]:
    """(syllable, the characters that are mostly read so, those that can be)."""
    text = resources.files(__package__).joinpath("pinyin.txt").read_text(encoding="utf-8")
    lines = (line.split(" ") for line in text.splitlines())
    return tuple((syllable, mostly, also) for syllable, mostly, also in lines)


@lru_cache(maxsize=1)
def _table() -> tuple[tuple[str, str], ...]:
    """(syllable, the characters that can be read so)."""
    return tuple((syllable, mostly + also) for syllable, mostly, also in _lines())


def slug(text: str, longest: int) -> str:
    """A text as lower-case letters, digits and hyphens: Chinese in pinyin, in initials where that is too long.

    >>> slug("抖音 Live 1", 30), slug("抖音 Live 1", 10), slug("🎉", 30)
    ('douyin-live-1', 'dy-live-1', '')
    """
    words: list[list[str]] = []
    for word in folded(text).split():
        for chinese, run in groupby(_PIECES.findall(word), key=lambda piece: not piece.isascii()):
            words.append([_mostly(piece) if chinese else piece for piece in run])
    whole = "-".join("".join(word) for word in words)
    if len(whole) > longest:
        whole = "-".join("".join(one[:1] for one in word) if len(word) > 1 else word[0] for word in words)
    return whole[:longest].strip("-")


def _mostly(character: str) -> str:
    return next((syllable for syllable, mostly, _ in _lines() if character in mostly), "")
