"""The welcomes of a draft as a list: searched, by label, sorted, paged."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import request

from tasks.books.draft import Draft
from tasks.ledger import statistics
from tasks.templates.edits import TEMPLATE, Part, used
from tasks.templates.model import DEFAULT, MSGTYPES, Book
from tasks.templates.model import Template as Welcome
from webhook.console import current
from webhook.console.paging import Paging, paged
from webhook.console.search import Search

PAGE = 20  # welcomes on one page
DAYS = 7
RULES = 3  # rules that are named of those that send a welcome
NONE = "-"  # the label that finds welcomes without one; no other is called so


@dataclass(frozen=True, slots=True)
class WelcomeRow:
    """One welcome in the list. `rules`: numbers; `rest`: it is the default for those whom no rule matches.

    changed: ms, None if that is not known. adds: customers of the last DAYS days who were to get it.
    """

    welcome: Welcome
    kinds: tuple[str, ...]
    rules: tuple[int, ...]
    rest: bool
    labels: tuple[str, ...]
    changed: int | None
    adds: int

    @property
    def is_used(self) -> bool:
        return bool(self.rules or self.rest)


@dataclass(frozen=True, slots=True)
class WelcomeList:
    """`labels`: each with the number of welcomes that have it, NONE last. `sort`, `label`: as asked."""

    rows: list[WelcomeRow]
    total: int
    paging: Paging
    labels: Mapping[str, int]
    label: str
    sort: str


SORTS: Mapping[str, Callable[[WelcomeRow], Any]] = {
    "name": lambda row: row.welcome.name,
    "changed": lambda row: -(row.changed or 0),
    "adds": lambda row: -row.adds,
    "unused": lambda row: row.is_used,
}


def welcome_list(draft: Draft, book: Book) -> WelcomeList:
    """The welcomes that the query string asks for: `q`, `label`, `sort`, `page`."""
    rows = _rows(draft, book)
    counts = Counter(label for row in rows for label in row.labels or (NONE,))
    search, label, sort = Search(request.args.get("q", "")), request.args.get("label", ""), request.args.get("sort", "")
    chosen = [
        row
        for row in rows
        if (not label or label in (row.labels or (NONE,)))
        and (not search or search.finds(row.welcome.name, row.welcome.text, *row.labels))
    ]
    if sort in SORTS:
        chosen.sort(key=SORTS[sort])
    shown, paging = paged(chosen, PAGE, "page", "welcomes")
    ordered = {one: counts[one] for one in sorted(counts, key=lambda one: (one == NONE, one))}
    return WelcomeList(list(shown), len(rows), paging, ordered, label, sort)


def _rows(draft: Draft, book: Book) -> list[WelcomeRow]:
    services, app = current.services(), draft.app
    labels, changed, adds = services.labels.all(app), services.books.changed(app), _adds(app)
    rules: dict[str, list[int]] = {}
    for number, rule in enumerate(draft.content.rules, 1):
        for name in used(rule):
            rules.setdefault(name, []).append(number)
    rest = all(not rule.when.always for rule in book.rules)
    return [
        WelcomeRow(
            welcome,
            tuple(MSGTYPES[type(one)] for one in welcome.attachments),
            tuple(rules.get(name, ())),
            rest and name == DEFAULT,
            labels.get(name, ()),
            draft.touched.get(str(Part(TEMPLATE, name)), ("", changed.get(name)))[1],
            adds[name],
        )
        for name, welcome in book.templates.items()
    ]


def _adds(app: str) -> Counter[str]:
    """Welcome → customers of the last DAYS days who were to get it, whatever became of that."""
    today = datetime.now(current.zone()).date()
    days = [today - timedelta(back) for back in range(DAYS)]
    found: Counter[str] = Counter()
    for (_dimension, name, _outcome), count in statistics.read_sum(
        current.services().redis, app, days, ("template",)
    ).items():
        found[str(name)] += count
    return found
