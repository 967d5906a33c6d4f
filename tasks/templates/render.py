"""A template's text and a contact's names → the text that is sent. Pure.

    {customer}            the value, or nothing if it is not known
    {customer|朋友}        the value, or 朋友
    {{ and }}             literal braces

One pass: a value that contains {member} stays as it is. Values are cut to their limit, never the author's text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tasks.templates.model import Template

TEXT_LIMIT = 4000  # bytes of UTF-8; doc 92137
CUSTOMER_CHARACTERS = 32
VALUE_BYTES = 64
PLACEHOLDERS = ("customer", "member", "alias", "position", "state", "date", "time")
ABOUT_CUSTOMER = frozenset({"customer"})
ABOUT_MEMBER = frozenset({"member", "alias", "position"})

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}|]*)(?:\|([^{}]*))?\}|[{}]")
_LONGEST = {"customer": 4 * CUSTOMER_CHARACTERS, "date": len("2026-10-01"), "time": len("21:30")}
# bytes of UTF-8, four for each character of a customer's name; all others: VALUE_BYTES


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One {name|fallback} of a text; `fallback` "" when there is none."""

    name: str
    fallback: str


def placeholders(text: str) -> list[Placeholder]:
    """The placeholders of a text, in order. ValueError names what is not one."""
    found = []
    for token in _TOKEN.finditer(text):
        if token.group() in ("{{", "}}"):
            continue
        if token.group(1) is None:
            raise ValueError(f"a single {token.group()} at character {token.start() + 1}; write {token.group() * 2}")
        if token.group(1) not in PLACEHOLDERS:
            raise ValueError(f"no placeholder {{{token.group(1)}}}; there are {', '.join(PLACEHOLDERS)}")
        found.append(Placeholder(token.group(1), token.group(2) or ""))
    return found


def wanted(template: Template) -> frozenset[str]:
    """The names of the placeholders that a template uses."""
    return frozenset(placeholder.name for placeholder in placeholders(template.text))


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its placeholders replaced. A value that is missing or "" gives the fallback."""

    def replace(token: re.Match[str]) -> str:
        if token.group() in ("{{", "}}"):
            return token.group()[0]
        name = token.group(1)
        return cut(name, values.get(name, "")) or token.group(2) or ""

    return _TOKEN.sub(replace, text)


def cut(name: str, value: str) -> str:
    """A value within its limit: 32 characters of a customer's name, 64 bytes of all others."""
    if name == "customer":
        return value[:CUSTOMER_CHARACTERS]
    return value.encode(errors="replace")[:VALUE_BYTES].decode(errors="ignore")


def longest(text: str) -> int:
    """Bytes of UTF-8 that a text has with the longest values or fallbacks."""

    def size(token: re.Match[str]) -> str:
        if token.group() in ("{{", "}}"):
            return "{"
        fallback = (token.group(2) or "").encode()
        return "x" * max(_LONGEST.get(token.group(1), VALUE_BYTES), len(fallback))

    return len(_TOKEN.sub(size, text).encode())


def message(template: Template, values: Mapping[str, str]) -> dict[str, object]:
    """What `send_welcome_msg` takes, but for the welcome code. Doc 92137."""
    return {"text": {"content": fill(template.text, values)}}
