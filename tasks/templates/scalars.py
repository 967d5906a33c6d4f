"""Parses scalars of a book: text → value. ValueError says what the text should look like. Pure."""

import re
from collections.abc import Callable
from datetime import date, time
from urllib.parse import urlsplit

from tasks.messages import Message
from tasks.templates.conditions import WEEKDAYS
from tasks.templates.model import Dates, Hours
from tasks.templates.problems import did_you_mean


def escapes(path: str) -> Message | None:
    """What is wrong with a path that is not plain or could lead out of the book's folder; None if nothing is."""
    if "\\" in path:
        return Message.of("%(path)s: write / between folders", path=path)
    if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path) or ".." in path.split("/"):
        return Message.of("%(path)s leads out of the book's folder; put the file beside the book", path=path)
    if any(part in ("", ".") for part in path.split("/")) or any(ord(character) < 32 for character in path):
        return Message.of("%(path)s is not a plain path, such as media/hello.png", path=path)
    return None


def is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", text)


def number(what: Message, least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,10}", text) or not least <= int(text) <= most:
            raise ValueError(
                Message.of(
                    "%(what)s is a whole number from %(least)s; this is %(text)s", what=what, least=least, text=text
                )
            )
        return int(text)

    return read


def one_of(what: Message, known: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            raise ValueError(
                Message.of(
                    "no %(what)s %(text)s; there are %(known)s%(near)s",
                    what=what,
                    text=text,
                    known=", ".join(known),
                    near=did_you_mean(text, known),
                )
            )
        return text

    return read


def user_id(text: str) -> str:
    if not text.strip():
        raise ValueError(Message.of("a member's userid, such as zhangsan"))
    return text


def weekday(text: str) -> int:
    return WEEKDAYS.index(one_of(Message.of("weekday"), WEEKDAYS)(text))


def hours(text: str) -> Hours:
    found = re.fullmatch(r"\s*(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*", text)
    if found is None:
        raise ValueError(Message.of("hours look like 21:00-08:30; this is %(text)s", text=text))
    begin_hour, begin_minute, end_hour, end_minute = map(int, found.groups())
    try:
        start = time(begin_hour, begin_minute)
        end = None if (end_hour, end_minute) == (24, 0) else time(end_hour, end_minute)
    except ValueError:
        raise ValueError(Message.of("hours go from 00:00 to 24:00; this is %(text)s", text=text)) from None
    if start == end:
        raise ValueError(Message.of("%(text)s begins when it ends; for the whole day leave hours out", text=text))
    return Hours(start, end)


def dates(text: str) -> Dates:
    first, dots, last = text.partition("..")
    try:
        read = Dates(day(first), day(last) if dots else day(first))
    except ValueError:
        raise ValueError(
            Message.of("dates look like 2026-10-01 or 2026-10-01..2026-10-07; this is %(text)s", text=text)
        ) from None
    if read.last < read.first:
        raise ValueError(Message.of("%(text)s ends before it begins", text=text))
    return read


def day(text: str) -> date:
    if not re.fullmatch(r"\s*\d{4}-\d{2}-\d{2}\s*", text):
        raise ValueError(text)
    return date.fromisoformat(text.strip())
