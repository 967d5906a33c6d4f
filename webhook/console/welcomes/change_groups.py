"""Many changes, short enough for a page: by kind, with their numbers, a page of each in full."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from werkzeug.datastructures import MultiDict

from tasks.templates.edits import GROUP, RULE, TEMPLATE
from webhook.console.paging import Paging, address, paged
from webhook.console.welcomes.differences import Change, detailed

PAGE: Mapping[str, int] = {TEMPLATE: 10, RULE: 20, GROUP: 10}  # changes of a kind on one page
FOLDED = 20  # changes of all kinds above which those of a kind are shown once they are asked for


@dataclass(frozen=True, slots=True)
class ChangeGroup:
    """The changes of one kind. `counts`: what → how many; `shown`: a page of them in full, or none.

    `address`: of the first page, where none are shown.
    """

    kind: str
    counts: Mapping[str, int]
    shown: tuple[Change, ...]
    paging: Paging
    address: str


def grouped(changes: Iterable[Change], args: "MultiDict[str, str]") -> tuple[ChangeGroup, ...]:
    """The changes by kind. In the query string is a page of each kind, by its name."""
    found: dict[str, list[Change]] = {}
    for one in changes:
        found.setdefault(one.kind, []).append(one)
    total = sum(map(len, found.values()))
    return tuple(_group(kind, found[kind], args, total) for kind in PAGE if kind in found)


def _group(kind: str, changes: list[Change], args: "MultiDict[str, str]", of: int) -> ChangeGroup:
    anchor = f"changes-{kind}"
    shown, paging = paged(changes, PAGE[kind], kind, anchor)
    full = shown if of <= FOLDED or kind in args else ()
    counts = Counter(one.what for one in changes)
    return ChangeGroup(kind, counts, tuple(detailed(one) for one in full), paging, address(anchor, **{kind: 1}))
