"""The welcome that a member can send by hand to a customer who was not greeted, from the current welcome book."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tasks.books.revisions import BookStore, NoRevision
from tasks.directory.lookup import BUDGET, Lookups
from tasks.greeting.choice import choose
from tasks.ledger.delivery import Delivery
from tasks.missed.work_list import customer_name
from tasks.settings import App
from tasks.templates.model import Template
from tasks.templates.render import cut, wanted, welcome_text
from tasks.wecom import WeComClient


@dataclass(frozen=True, slots=True)
class ManualGreeting:
    """A welcome for one customer: its template, and those values of its placeholders that are known."""

    template: Template
    values: Mapping[str, str]

    @property
    def text(self) -> str:
        """As the customer would read it."""
        return welcome_text(self.template, self.values)

    @property
    def unknown(self) -> list[str]:
        """The placeholders without a value, or with one that shows nothing, sorted."""
        return sorted(name for name in wanted(self.template) if not cut(name, self.values.get(name, "")))


def manual_greeting(
    row: Delivery, app: App, books: BookStore, lookups: Lookups, wecom: WeComClient, budget: float = BUDGET
) -> ManualGreeting | None:
    """The welcome for a customer whom this app missed, chosen as at the time of the add; None where no welcome applies.

    Asks WeCom for names and facts that are not cached, for `budget` seconds at most. Raises redis.RedisError.
    """
    number = books.current(app.name)
    if number is None:
        return None
    try:
        book = books.book(app.name, number)
    except NoRevision:  # a new one has just been published, and the old one deleted
        return None
    event = replace(row.event, corp_id=app.corp_id, change="add")
    by = time.monotonic() + budget
    lookup = lookups.about(wecom, event, row.received_ms, by, budget)
    choice = choose(book, lookup)
    if choice is None:
        return None
    names = wanted(choice.template)
    customer = customer_name(row)
    values = lookup.values(names - {"customer"} if customer else names)
    return ManualGreeting(choice.template, values | ({"customer": customer} if customer else {}))
