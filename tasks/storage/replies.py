"""Redis' replies as text. redis-py says `bytes | str`, for whether it decodes is an option of the connection."""

from collections.abc import Iterable, Mapping
from typing import Any


def text(reply: bytes | str) -> str:
    return reply if isinstance(reply, str) else reply.decode()


def text_or_none(reply: bytes | str | None) -> str | None:
    """Of GET and HGET: None where there is nothing."""
    return None if reply is None else text(reply)


def texts(reply: Iterable[Any]) -> list[str]:
    """Of ZRANGE and its like, without scores."""
    return [text(one) for one in reply]


def texts_or_none(reply: Iterable[bytes | str | None]) -> list[str | None]:
    """Of MGET and HMGET."""
    return [text_or_none(one) for one in reply]


def fields(reply: Mapping[bytes | str, bytes | str]) -> dict[str, str]:
    """Of HGETALL."""
    return {text(field): text(value) for field, value in reply.items()}


def scored(reply: Iterable[Any]) -> list[tuple[str, float]]:
    """Of ZRANGE and its like, with scores: (member, score)."""
    return [(text(member), float(score)) for member, score in reply]
