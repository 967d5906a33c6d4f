"""Checks of arguments against WeCom's limits. Each returns, or raises LimitExceeded (field, value, limit).

None means that the argument was not given, and passes. The clock and the state of the account are not looked at: WeCom
judges those.
"""

from collections.abc import Mapping, Sequence
from typing import Any


class LimitExceeded(ValueError):
    """`field` exceeds a limit. `value` says how much or what was given, never the content of a text."""

    def __init__(self, field: str, value: str, limit: str) -> None:
        super().__init__(field, value, limit)
        self.field, self.value, self.limit = field, value, limit

    def __str__(self) -> str:
        return f"{self.field}: {self.value}, {self.limit}"


def utf8_bytes(field: str, text: object, most: int, least: int = 0) -> None:
    """A text's length in bytes of UTF-8: a Chinese character has three."""
    if text is not None:
        _measured(field, len(_text(field, text).encode("utf-8", "replace")), "bytes of UTF-8", least, most)


def characters(field: str, text: object, most: int, least: int = 0) -> None:
    """A text's length in characters: a Chinese one counts as one."""
    if text is not None:
        _measured(field, len(_text(field, text)), "characters", least, most)


def entries(field: str, values: object, most: int | None = None, least: int = 0) -> None:
    """The number of a list's entries. A text is refused: WeCom would not take its characters for ids."""
    if values is None:
        return
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sequence):
        raise LimitExceeded(field, f"a {type(values).__name__}", "must be a list")
    _measured(field, len(values), "entries", least, most)


def within(field: str, number: int | None, least: int, most: int | None = None) -> None:
    """A number's range, both ends included."""
    if number is not None:
        _measured(field, number, "", least, most)


def one_of(field: str, value: object, *allowed: object) -> None:
    """One of the allowed values."""
    if value is not None and value not in allowed:
        raise LimitExceeded(field, _shown(value), f"must be {_either(allowed)}")


def at_least_one(**fields: object) -> None:
    """At least one field that is not empty."""
    if not any(fields.values()):
        raise LimitExceeded(", ".join(fields), "empty" if len(fields) == 1 else "all empty", "at least one is required")


def an_object(field: str, value: object) -> Mapping[str, Any]:
    """A JSON object. For an empty list in its place WeCom answers errcode 0 and does nothing."""
    if not isinstance(value, Mapping):
        raise LimitExceeded(field, f"a {type(value).__name__}", "must be an object")
    return value


def days(fields: str, start: int | None, end: int | None, most: int | None = None) -> None:
    """A period in Unix seconds, of at most so many days."""
    if start is None or end is None:
        return
    if end < start:
        raise LimitExceeded(fields, "the end is before the start", "must be after it")
    if most is not None and end - start > most * 86400:
        raise LimitExceeded(fields, f"{(end - start) / 86400:.1f} days", f"at most {most}")


def _text(field: str, text: object) -> str:
    if not isinstance(text, str):
        raise LimitExceeded(field, f"a {type(text).__name__}", "must be a text")
    return text


def _measured(field: str, number: int, unit: str, least: int, most: int | None) -> None:
    value = f"{number} {unit}".strip()
    if number < least:
        raise LimitExceeded(field, value, f"at least {least}")
    if most is not None and number > most:
        raise LimitExceeded(field, value, f"at most {most}")


def _shown(value: object) -> str:
    return repr(value)[:40]


def _either(values: tuple[object, ...]) -> str:
    *first, last = [str(value) for value in values]
    return f"{', '.join(first)} or {last}" if first else last
