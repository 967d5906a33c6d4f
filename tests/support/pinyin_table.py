"""Makes webhook/console/pinyin.txt from pypinyin's data. To renew it: python -m tests.support.pinyin_table"""

import unicodedata
from collections import defaultdict
from pathlib import Path

from pypinyin.pinyin_dict import pinyin_dict

import webhook.console

FILE = Path(webhook.console.__file__).parent / "pinyin.txt"


def table() -> str:
    """A line per syllable: the syllable without its tone, the characters that are mostly read so, those that can be."""
    mostly: defaultdict[str, list[str]] = defaultdict(list)
    also: defaultdict[str, list[str]] = defaultdict(list)
    for code, readings in sorted(pinyin_dict.items()):
        if code <= 0xFFFF:
            typed = list(dict.fromkeys(one for reading in readings.split(",") for one in _typed(reading)))
            mostly[typed[0]].append(chr(code))
            for syllable in typed[1:]:
                also[syllable].append(chr(code))
    syllables = sorted(mostly.keys() | also.keys())
    return "".join(f"{one} {''.join(mostly[one])} {''.join(also[one])}\n" for one in syllables)


def _typed(reading: str) -> list[str]:
    """How a syllable is typed, without its tone; ü as keyboards, passports and the careless have it."""
    marks = [one for one in unicodedata.normalize("NFD", reading) if one == "\u0308" or not unicodedata.combining(one)]
    plain = "".join(marks)
    return [plain.replace("u\u0308", as_typed) for as_typed in ("v", "yu", "u")] if "\u0308" in plain else [plain]


if __name__ == "__main__":
    FILE.write_text(table(), encoding="utf-8")
