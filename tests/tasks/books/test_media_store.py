"""The book in Redis: imported once, cached, and read again when its number changes."""

import pytest

from tasks.books.revisions import BookStore
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.templates.book import BookError, read
from tasks.templates.model import Book, Rule, Template, Variant
from tasks.templates.select import select
from tests.support.books import someone
from tests.support.builders import BOOK, PLAIN_BOOK


def test_a_book_is_imported_once_and_never_overwritten(redis_client: Redis) -> None:
    store = BookStore(redis_client)
    assert store.current("sales") is None
    assert store.import_first("sales", BOOK)
    assert not store.import_first("sales", PLAIN_BOOK)
    assert store.current("sales") == 1
    assert store.book("sales", 1) == read(BOOK)


def test_each_app_has_its_own(redis_client: Redis) -> None:
    store = BookStore(redis_client)
    assert store.import_first("sales", BOOK)
    assert store.import_first("service", PLAIN_BOOK)
    assert store.book("sales", 1) != store.book("service", 1)


def test_a_book_with_problems_is_refused_and_nothing_changes(redis_client: Redis) -> None:
    store = BookStore(redis_client)
    with pytest.raises(BookError):
        store.import_first("sales", "version: 2")
    assert redis_client.keys("*") == []


def test_a_revision_is_read_from_redis_once(redis_client: Redis) -> None:
    store = BookStore(redis_client)
    store.import_first("sales", BOOK)
    first = store.book("sales", 1)
    redis_client.flushall()
    assert store.book("sales", 1) is first


def test_another_process_reads_what_was_imported(redis_client: Redis) -> None:
    BookStore(redis_client).import_first("sales", BOOK)
    assert BookStore(redis_client).book("sales", 1) == read(BOOK)


def test_a_new_number_is_a_new_book(redis_client: Redis) -> None:
    store = BookStore(redis_client)
    store.import_first("sales", BOOK)
    store.book("sales", 1)
    redis_client.set(keys.revision("sales", 2), PLAIN_BOOK)
    redis_client.set(keys.book("sales"), 2)
    assert store.current("sales") == 2
    assert store.book("sales", 2) == read(PLAIN_BOOK)
    assert store.book("sales", 1) == read(BOOK)  # and back


# ------------------------------------------------------------------------------------------------ select

ONE, TWO = Template("one", "1"), Template("two", "2")


@pytest.mark.parametrize(
    ("rules", "chosen"),
    [
        ([Rule((Variant("one"),)), Rule((Variant("two"),))], (ONE, "1")),
        ([Rule((Variant("two"),), "evening"), Rule((Variant("one"),))], (TWO, "evening")),
        ([], None),
    ],
)
def test_the_first_rule_wins_and_is_named_or_numbered(rules: list[Rule], chosen: tuple[Template, str] | None) -> None:
    choice = select(Book({"one": ONE, "two": TWO}, tuple(rules)), someone())
    assert (choice and (choice.template, choice.rule)) == chosen
