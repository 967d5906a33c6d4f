"""What an API handler receives and returns: a Call in, WeCom's answer out. Each subject's handlers have a file."""

import base64
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.simulator import greeting
from tests.simulator.greeting import Refused
from tests.simulator.records import Record
from tests.simulator.world import App, Corp, World

Fields = dict[str, Any]
T = TypeVar("T")
NOBODY = App()
DAY = 86400
CHINA = 8 * 3600  # ahead of UTC


@dataclass(slots=True)
class Call:
    """A request. `now`: when it arrived; `delay`: seconds until its answer is sent, and its effect becomes visible."""

    world: World
    path: str
    verb: str
    query: Mapping[str, str]
    body: bytes
    content_type: str
    now: float
    delay: float = 0
    range: str = ""  # the header
    app: App = NOBODY  # whose token it has
    record: Record | None = None  # the added contact that it is about
    spent: bool = False  # it used up the record's code

    @property
    def corp(self) -> Corp:
        return self.world.corp(self.app)

    def required(self, name: str, errcode: int) -> str:
        """A field of the query."""
        value = self.query.get(name, "")
        if not value:
            raise Refused(errcode, f"missing {name}")
        return value

    def json(self, *required: str) -> Fields:
        """The body; Refused if one of the named fields is missing."""
        body = greeting.read_json(self.body)
        for name in required:
            if body.get(name) in (None, "", []):
                raise Refused(40063, f"some parameters are empty, {name}")
        return body

    def page(self, body: Fields, items: Sequence[T], most: int, default: int | None = None) -> tuple[list[T], str]:
        """(items, next_cursor) of the page requested by `cursor` and `limit`. A cursor is an opaque text."""
        limit = body.get("limit", default or most)
        if not isinstance(limit, int) or not 1 <= limit <= most:
            raise Refused(40058, f"invalid Request Parameter, limit must be in [1, {most}]")
        try:
            start = int(base64.urlsafe_b64decode(body.get("cursor") or b"MA=="))
        except (ValueError, TypeError):
            raise Refused(50100, "invalid cursor") from None
        end = start + limit
        cursor = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(items) else ""
        return list(items[start:end]), cursor


@dataclass(frozen=True, slots=True)
class File:
    """An answer that is not JSON. `part`, where a range was asked for: its first byte, and the size of the whole."""

    content: bytes
    filename: str
    part: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Route:
    verb: str
    handler: Callable[[Call], Fields | File]
    with_token: bool = True


def ok(**fields: Any) -> Fields:
    return {"errcode": 0, "errmsg": "ok", **fields}


def error(errcode: int, errmsg: str) -> Fields:
    hint = f"hint: [{secrets.randbits(60)}], from ip: 127.0.0.1, more info at "
    return {"errcode": errcode, "errmsg": f"{errmsg}, {hint}https://open.work.weixin.qq.com/devtool/query?e={errcode}"}


def code_in(body: bytes) -> str:
    """The welcome code of a request whose body may be anything."""
    try:
        return str(json.loads(body)["welcome_code"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""


# ------------------------------------------------------------------------------------------------ limits


def characters(body: Fields, name: str, most: int) -> None:
    value = body.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > most):
        raise Refused(40058, f"invalid Request Parameter, {name}")


def entries(body: Fields, name: str, most: int) -> list[Any]:
    """The list of that name, [] if it is not there."""
    value = body.get(name, [])
    if not isinstance(value, list) or len(value) > most:
        raise Refused(40058, f"invalid Request Parameter, {name}")
    return value


def one_of(body: Fields, name: str, *allowed: object) -> None:
    if name in body and body[name] not in allowed:
        raise Refused(40058, f"invalid Request Parameter, {name}")


def span(body: Fields, start: str, end: str, days: int) -> None:
    """Check that both times are there, in order, and not too far apart. Raises Refused."""
    given = body.get(start), body.get(end)
    if not all(isinstance(value, int) for value in given):
        raise Refused(40058, f"invalid Request Parameter, {start} and {end}")
    if not 0 <= given[1] - given[0] <= days * 86400:
        raise Refused(40058, f"invalid Request Parameter, {start} and {end}")


def counted_days(call: Call, body: Fields, start: str, end: str, ended: bool) -> list[int]:
    """The first second of each day of a period of statistics. `ended`: whether today is refused. Raises Refused."""
    first, last = (_midnight(value) if isinstance(value := body.get(name), int) else None for name in (start, end))
    today = _midnight(int(call.now))
    if first is None or last is None or not 0 <= last - first <= 30 * DAY or first < today - 180 * DAY:
        raise Refused(600018, "invalid start endtime")
    if ended and last >= today:
        raise Refused(600018, "invalid start endtime")
    return list(range(first, last + 1, DAY))


def _midnight(at: int) -> int:
    return (at + CHINA) // DAY * DAY - CHINA
