"""One page of a list whose rows are all at hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from flask import request, url_for

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Paging:
    """The rows from number `first` to `last` of `total`. earlier, later: addresses, "" for none."""

    first: int
    last: int
    total: int
    earlier: str = ""
    later: str = ""


def paged(rows: Sequence[T], size: int, name: str, anchor: str, page: int | None = None) -> tuple[Sequence[T], Paging]:
    """(the rows of a page, where they stand). `name`: of the page in the query string; `anchor`: of the list.

    `page`: the page if the query string names none, from 1.
    """
    pages = max(1, -(-len(rows) // size))
    at = max(1, min(pages, request.args.get(name, page or 1, type=int)))
    shown = rows[(at - 1) * size : at * size]
    first = (at - 1) * size + 1
    return shown, Paging(
        first,
        first + len(shown) - 1,
        len(rows),
        address(anchor, **{name: at - 1}) if at > 1 else "",
        address(anchor, **{name: at + 1}) if at < pages else "",
    )


def address(anchor: str, **changed: str | int | None) -> str:
    """The page's own address with some values of its query string changed; None or "" takes one away."""
    values = {**request.args, **(request.view_args or {}), **changed}
    kept = {name: value for name, value in values.items() if value not in (None, "")}
    return url_for(request.endpoint or "", **kept, _anchor=anchor)
