"""Which template an event gets. Pure: a function of the book and the event."""

from tasks.events import ContactAdded
from tasks.templates.model import Book, Choice


def select(book: Book, event: ContactAdded) -> Choice | None:
    """The choice of the first rule that matches; None if none does."""
    for number, rule in enumerate(book.rules, 1):
        return Choice(book.templates[rule.use], rule.name or str(number))
    return None
