"""Many changes, short enough for a page: by kind, with their numbers, a page of each in full."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flask import request, url_for
from werkzeug.datastructures import MultiDict

from tasks.templates.edits import GROUP, RULE, TEMPLATE
from webhook.console.welcomes.differences import Change, detailed

PAGE: Mapping[str, int] = {TEMPLATE: 10, RULE: 20, GROUP: 10}  # changes of a kind on one page
FOLDED = 20  # changes of all kinds above which those of a kind are shown once they are asked for


@dataclass(frozen=True, slots=True)
class ChangeGroup:
    """The changes of one kind. `counts`: what → how many; `shown`: in full, from number `first` of `total`.

    earlier, later: addresses of further ones, "" for none. `address`: of the first ones, where none are shown.
    """

    kind: str
    counts: Mapping[str, int]
    shown: tuple[Change, ...]
    first: int
    total: int
    earlier: str
    later: str
    address: str

    @property
    def last(self) -> int:
        return self.first + len(self.shown) - 1


def grouped(changes: Iterable[Change], args: "MultiDict[str, str]") -> tuple[ChangeGroup, ...]:
    """The changes by kind. In the query string is a page of each kind, by its name."""
    found: dict[str, list[Change]] = {}
    for one in changes:
        found.setdefault(one.kind, []).append(one)
    total = sum(map(len, found.values()))
    return tuple(_group(kind, found[kind], args, total) for kind in PAGE if kind in found)


def _group(kind: str, changes: list[Change], args: "MultiDict[str, str]", of: int) -> ChangeGroup:
    size = PAGE[kind]
    pages = -(-len(changes) // size)
    page = max(1, min(pages, args.get(kind, 1, type=int)))
    first = (page - 1) * size
    shown = changes[first : first + size] if of <= FOLDED or kind in args else []
    return ChangeGroup(
        kind,
        Counter(one.what for one in changes),
        tuple(detailed(one) for one in shown),
        first + 1,
        len(changes),
        _address(kind, page - 1) if shown and page > 1 else "",
        _address(kind, page + 1) if shown and page < pages else "",
        _address(kind, 1),
    )


def _address(kind: str, page: int) -> str:
    values = {**request.args, **(request.view_args or {}), kind: page, "_anchor": f"changes-{kind}"}
    return url_for(request.endpoint or "", **values)
