"""What of a text from outside shows, and what only turns, hides or joins what stands beside it. Pure.

Customers choose their names. A name may show nothing at all (U+3164 is a letter that is blank), and it may hold
controls that turn the rest of the sentence around it. The joiners of emoji and of scripts belong to the name.
Unicode: chapter 23 (special areas and format characters), UAX 9 (bidirectional), UTS 51 (emoji).
"""

import re
import unicodedata
from collections.abc import Callable, Iterable

_BLANK = frozenset(  # letters, symbols and marks by their category, that show nothing; spaces are found by isspace
    "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffc\U00016fe4\U0001d159"
)
_PREPENDED = frozenset(  # format characters that show: signs of numbers in Arabic, Syriac and Kaithi
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)
_JOINERS = frozenset("\u200c\u200d\u180e")  # not joiner, joiner, the Mongolian separator of vowels
_TAGGED_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f")  # 🏴󠁧󠁢󠁥󠁮󠁧󠁿
_FLAG_OR_ONE = re.compile(f"{_TAGGED_FLAG.pattern}|[^ -~]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_IGNORED = re.compile("[\u2065\ufff0-\ufff8\U000e0080-\U000e00ff\U000e01f0-\U000e0fff]")  # unassigned, never shown
_NEVER = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, halves of characters, ends of lines


def plain(text: str) -> str:
    """A value as a sentence can hold it, on one line: "" when nothing of it shows.

    Without controls, halves of characters and whatever turns or hides; joiners stay between what they join, marks
    behind what they mark, the tags of a flag in the flag. What is blank at either end goes, inside it stays.

    >>> plain("\\u202e李四\\u200b"), plain("\\u3164"), plain("علی\\u200cرضا") == "علی\\u200cرضا"
    ('李四', '', True)
    """
    if text.isascii() and text.isprintable():
        return text.strip()
    flags = _TAGGED_FLAG.findall(text)
    if flags:
        pieces = _TAGGED_FLAG.split(text)
        kept = "".join(part + flag for part, flag in zip(map(_cleaned, pieces), [*flags, ""], strict=True))
    else:
        kept = _cleaned(text)
    return trimmed(kept)


def trimmed(text: str) -> str:
    """A plain text that was cut, without what its ends were left with: blanks, joiners, marks without a letter."""
    start, end = 0, len(text)
    while start < end and _needs_a_letter_before(text[start]):
        start += 1
    while end > start and (_is_blank(text[end - 1]) or _joins_nothing(text, end - 1)):
        end -= 1
    return text[start:end] if any(_shows(one) for one in text[start:end]) else ""


def head(text: str, most: int, size: Callable[[str], int] = len) -> str:
    """The beginning of a text, of at most `most` by `size`, without half of what a reader takes for one character.

    Emoji that are joined, flags, tones of skin, marks and their letters stay whole (UAX 29). Only where the first of
    them is larger than `most` by itself, it is cut.

    >>> head("👨\u200d👩\u200d👧李四", 6), head("👨\u200d👩\u200d👧李四", 3) == "👨\u200d👩"
    ('👨\u200d👩\u200d👧李', True)
    """
    if size(text) <= most:
        return text
    from wcwidth import iter_graphemes  # few processes cut anything, and it takes 5 ms

    return _filled(iter_graphemes(text), most, size) or _filled(text, most, size)


def _filled(pieces: Iterable[str], most: int, size: Callable[[str], int]) -> str:
    kept, room = [], most
    for piece in pieces:
        room -= size(piece)
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept)


def shows(text: str) -> bool:
    """Whether a reader sees anything of it."""
    return plain(text) != ""


def escaped(text: str) -> str:
    r"""A text as one line of a terminal or a log: what would end the line, steer the terminal, turn or hide is spelled.

    Joiners and the tags of flags stay. The spelling is JSON's and Python's, so it is right inside a JSON string too.

    >>> print(escaped("x\n\x1b[31m\u202e李四\u2028"))
    x\n\u001b[31m\u202e李四\u2028
    """
    if text.isascii() and text.isprintable():
        return text
    return _FLAG_OR_ONE.sub(lambda found: found[0] if len(found[0]) > 1 else _spelled(found[0]), text)


def _cleaned(text: str) -> str:
    kept: list[str] = []
    for one in text:
        if one in _JOINERS:
            if kept and _can_be_joined(kept[-1]):
                kept.append(one)
        elif not _is_removed(one):
            kept.append(one)
    return "".join(kept)


def _is_removed(one: str) -> bool:
    category = unicodedata.category(one)
    if category == "Cn":  # unassigned: an emoji that is newer than this Python, or what no font will ever show
        return _IGNORED.match(one) is not None or ord(one) & 0xFFFE == 0xFFFE or "\ufdd0" <= one <= "\ufdef"
    return category in _NEVER or (category == "Cf" and one not in _PREPENDED)


def _can_be_joined(one: str) -> bool:
    """A letter, a mark, an emoji with its variation and its tone of skin; of the unassigned, newer emoji."""
    return one not in _JOINERS and not _is_blank(one) and unicodedata.category(one)[0] in "LMNSC"


def _needs_a_letter_before(one: str) -> bool:
    return _is_blank(one) or one in _JOINERS or unicodedata.category(one)[0] == "M"


def _joins_nothing(text: str, at: int) -> bool:
    """A joiner at the end behind an emoji would join what comes next; behind a letter it shapes that letter."""
    if text[at] not in _JOINERS:
        return False
    before = text[at - 1 : at]
    return before == "" or unicodedata.category(before)[0] not in "LM" or "\ufe00" <= before <= "\ufe0f"


def _is_blank(one: str) -> bool:
    return one.isspace() or one in _BLANK


def _shows(one: str) -> bool:
    """By itself: no blank, no mark, joiner or tag, nothing of private use, which fonts draw otherwise or not."""
    if _is_blank(one) or one in _JOINERS:
        return False
    category = unicodedata.category(one)
    return category[0] != "M" and category != "Co" and (category != "Cf" or one in _PREPENDED)


def _spelled(one: str) -> str:
    if one in _JOINERS or not _is_removed(one):
        return one
    units = one.encode("utf-16-be", "surrogatepass")  # as JSON spells what lies beyond U+FFFF
    pairs = (units[at : at + 2] for at in range(0, len(units), 2))
    return _SHORT.get(one) or "".join(f"\\u{pair.hex()}" for pair in pairs)
