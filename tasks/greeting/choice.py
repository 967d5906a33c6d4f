"""Which welcome an event gets: the book's rules, and the facts that they ask WeCom for."""

from tasks.directory.lookup import Lookup
from tasks.templates.model import Book, Choice
from tasks.templates.select import needs, select


def choose(book: Book, lookup: Lookup) -> Choice | None:
    """The template for the lookup's event; None where no rule applies and there is no `default`.

    Facts are looked up only if the choice depends on them; one that does not arrive in time matches no rule.
    """
    contact = lookup.contact()
    facts = needs(book, contact)
    return select(book, lookup.contact(facts) if facts else contact)
