"""Every change is a revision that stays; nobody's is lost; files are kept once."""

import threading
from pathlib import Path

import pytest

from tasks.books.files import load, to_zip
from tasks.books.media_store import MediaFull, ReadyMedia
from tasks.books.revisions import SHOWN_LATELY, BookStore, NoRevision, RevisionConflict, stamp, stamped, unstamped
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.templates import changes
from tasks.templates.book import BookError
from tasks.templates.media_kind import MB
from tasks.templates.render import Upload
from tests.support.books import FILES, PDF, a_template, the_example

TEXT = "text: t\nattachments:\n- file: {file: a.pdf}"


def a_text(text: str) -> str:
    return a_template(f"text: {text}")


@pytest.fixture
def store(redis_client: Redis) -> BookStore:
    return BookStore(redis_client)


# ------------------------------------------------------------------------------------------------ revisions


def test_each_change_is_a_new_revision_with_author_time_and_note(store: BookStore, redis_client: Redis) -> None:
    assert store.save("sales", a_text("a"), author="wang", note="the first") == 1
    assert store.save("sales", a_text("b"), author="li") == 2
    newest, first = store.history("sales")
    assert (first.number, first.author, first.note) == (1, "wang", "the first")
    assert (newest.number, newest.author, newest.note) == (2, "li", "")
    seconds, _ = redis_client.time()
    assert abs(seconds - newest.at / 1000) < 5
    assert store.book("sales", 1).templates["default"].text == "a"
    assert store.book("sales", 2).templates["default"].text == "b"


def test_the_same_book_again_is_no_change(store: BookStore) -> None:
    store.save("sales", a_template(TEXT), {"a.pdf": PDF})
    assert store.save("sales", a_template(TEXT), {"a.pdf": PDF}, author="li") == 1
    assert store.save("sales", a_template(TEXT), {"a.pdf": PDF + b"2"}) == 2  # other bytes under the same name


def test_a_book_with_problems_changes_nothing(store: BookStore, redis_client: Redis) -> None:
    for source, files in (("version: 2", {}), (a_template(TEXT), {})):
        with pytest.raises(BookError):
            store.save("sales", source, files)
    assert redis_client.keys("*") == []


def test_a_rollback_is_a_new_revision_too(store: BookStore) -> None:
    store.save("sales", a_template(TEXT), {"a.pdf": PDF})
    store.save("sales", a_text("b"))
    assert store.rollback("sales", 1, author="li") == 3
    assert store.book("sales", 3) == store.book("sales", 1)
    newest = next(store.history("sales"))
    assert (newest.author, newest.note) == ("li", "back to revision 1")
    assert store.bundle("sales", 3).files == {"a.pdf": PDF}


def test_a_revision_that_is_not_there_is_said(store: BookStore) -> None:
    store.save("sales", a_text("a"))
    for ask in (store.book, store.source, store.bundle, store.rollback):
        with pytest.raises(NoRevision, match="the book of sales has no revision 7"):
            ask("sales", 7)


def test_a_history_is_read_in_pieces(store: BookStore) -> None:
    for number in range(230):
        store.save("sales", a_text(f"t{number}"))
    assert [revision.number for revision in store.history("sales")] == list(range(230, 0, -1))


def test_a_book_of_the_first_version_has_a_history_too(store: BookStore, redis_client: Redis) -> None:
    redis_client.set(keys.revision("sales", 1), a_text("a"))
    redis_client.set(keys.book("sales"), 1)
    (revision,) = store.history("sales")
    assert (revision.number, revision.author, revision.at) == (1, "", 0)
    assert store.save("sales", a_text("a")) == 1
    assert store.save("sales", a_text("b"), base=1) == 2


# ------------------------------------------------------------------------------------------------ two editors


def test_an_edit_of_a_revision_that_is_no_longer_current_is_refused(store: BookStore) -> None:
    store.save("sales", a_text("a"))
    store.save("sales", a_text("b"), base=1)
    with pytest.raises(RevisionConflict, match="at revision 2 now, and this edit started from 1") as conflict:
        store.save("sales", a_text("c"), base=1)
    assert (conflict.value.base, conflict.value.current) == (1, 2)
    assert store.save("sales", a_text("c")) == 3  # without a base: forced


def test_of_twenty_editors_at_once_one_wins_and_all_others_are_told(store: BookStore) -> None:
    store.save("sales", a_text("a"))
    results: list[int | str] = []
    start = threading.Barrier(20)

    def edit(number: int) -> None:
        start.wait()
        try:
            results.append(store.save("sales", a_text(f"by {number}"), base=1))
        except RevisionConflict:
            results.append("told")

    threads = [threading.Thread(target=edit, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results, key=str) == [2, *["told"] * 19]
    assert store.current("sales") == 2


def test_an_exported_file_knows_which_revision_it_is(store: BookStore) -> None:
    store.save("sales", a_text("a"))
    exported = stamped(store.source("sales", 1), store.revision("sales", 1))
    digest = stamp(exported)
    assert digest is not None
    assert store.find("sales", digest) == 1
    assert unstamped(exported) == a_text("a")
    assert store.save("sales", exported) == 1  # nothing has changed
    edited = exported.replace("text: a", "text: b")
    assert store.save("sales", edited, base=store.find("sales", digest)) == 2
    assert store.source("sales", 2) == a_text("b")
    assert stamp(a_text("a")) is None
    assert store.find("service", digest) is None  # another app, another installation


# ------------------------------------------------------------------------------------------------ media


def test_bytes_are_kept_once_however_often_they_are_shown(store: BookStore, redis_client: Redis) -> None:
    twice = TEXT + "\n- file: {file: b.pdf}"
    store.save("sales", a_template(twice), {"a.pdf": PDF, "b.pdf": PDF, "not-shown.pdf": b"other bytes"})
    store.save("service", a_template(TEXT), {"a.pdf": PDF})
    assert store.media.sizes() == {store.revision("sales", 1).files["a.pdf"].sha256: len(PDF)}
    assert len(redis_client.keys(keys.media("*"))) == 1
    assert store.bundle("sales", 1).files == {"a.pdf": PDF, "b.pdf": PDF}


def test_bytes_come_back_as_they_went_in(store: BookStore) -> None:
    content = bytes(range(256)) * 3
    store.save("sales", a_template(TEXT), {"a.pdf": content})
    assert store.bundle("sales", 1).files == {"a.pdf": content}


def test_what_does_not_fit_is_refused_and_changes_nothing(redis_client: Redis) -> None:
    store = BookStore(redis_client, media_mb=1)
    store.save("sales", a_template(TEXT), {"a.pdf": bytes(MB // 2)})
    with pytest.raises(MediaFull, match=r"stored media would have 1\.2 MB, and WELCOME_MEDIA_MB allows 1; raise it"):
        store.save("sales", a_template(TEXT), {"a.pdf": b"1" * (MB * 3 // 4)})
    assert store.current("sales") == 1
    assert sum(store.media.sizes().values()) == MB // 2


def test_files_that_no_recent_revision_shows_are_evicted(redis_client: Redis) -> None:
    store = BookStore(redis_client, media_mb=1)
    store.save("sales", a_template(TEXT), {"a.pdf": bytes(MB // 2)})
    for number in range(SHOWN_LATELY):
        store.save("sales", a_text(f"t{number}"))
    large = b"1" * (MB * 3 // 4)
    number = store.save("sales", a_template(TEXT), {"a.pdf": large})
    assert store.bundle("sales", number).files == {"a.pdf": large}
    with pytest.raises(NoRevision, match=r"files of revision 1 are not kept any more: a\.pdf"):
        store.rollback("sales", 1)


def test_another_installation_gets_an_equivalent_book(store: BookStore, redis_client: Redis, tmp_path: Path) -> None:
    store.save("sales", the_example(), FILES)
    before = store.book("sales", 1)
    (tmp_path / "book.zip").write_bytes(to_zip(store.bundle("sales", 1)))
    redis_client.flushall()
    book, bundle = load(tmp_path / "book.zip")
    other = BookStore(redis_client)
    assert other.book("branch", other.save("branch", bundle.source, bundle.files)) == before == book
    assert other.bundle("branch", 1).files == FILES


def test_only_what_is_alive_is_ready(redis_client: Redis) -> None:
    ready = ReadyMedia(redis_client)
    url, fresh, dead = Upload("a" * 64, "url"), Upload("b" * 64, "image"), Upload("c" * 64, "file", "价格.pdf")
    ready.put("sales", url, "https://wework.qpic.cn/a", None)
    ready.put("sales", fresh, "3a", 4e9)
    ready.put("sales", dead, "3b", 1e9)
    assert ready.get("sales", [url, fresh, dead]) == {url: "https://wework.qpic.cn/a", fresh: "3a"}
    assert ready.get("service", [url]) == {}
    ready.drop("sales", [fresh.key])
    assert ready.get("sales", [fresh]) == {}
    assert set(ready.all("sales")) == {url.key, dead.key}


# ------------------------------------------------------------------------------------------------ differences


def test_a_difference_is_told_by_template_and_rule(store: BookStore) -> None:
    store.save("sales", the_example(), FILES)
    new = (
        the_example()
        .replace("很高兴认识您", "欢迎")
        .replace('"douyin-*"', '"dy-*"')
        .replace("  - name: two-members\n    when: {member: [zhangsan, lisi]}\n    use: brochure\n", "")
        .replace('      remark: "{customer}"', '      remark: "新{customer}"')
        .replace("newcomers", "guests")
        .replace("  - name: douyin", "  - {when: {weekdays: [sat, sun]}, use: default}\n  - name: douyin")
    )
    store.save("sales", new, FILES | {"media/price.pdf": PDF + b", new"})
    books = store.book("sales", 1), store.book("sales", 2)
    assert list(changes.changes(*books)) == [
        "~ template default: text",
        "~ template brochure: attachments, remark",
        "- rule two-members",
        "+ rule (weekdays: sat, sun: use default)",
        "~ rule douyin: state",
        "- group welcome newcomers",
        "+ group welcome guests",
    ]
    lines = list(changes.lines(store.source("sales", 1), store.source("sales", 2), "1", "2"))
    assert lines[:2] == ["--- 1", "+++ 2"]
    assert '-    when: {state: "douyin-*"}        # shell-style pattern on the channel\'s State' in lines


def test_another_order_of_rules_is_a_difference(store: BookStore) -> None:
    rules = "  - {name: a, when: {state: a}, use: default}\n", "  - {name: b, when: {state: b}, use: default}\n"
    head = a_text("t").replace("  - use: default\n", "")
    store.save("sales", head + rules[0] + rules[1])
    store.save("sales", head + rules[1] + rules[0])
    assert list(changes.changes(store.book("sales", 1), store.book("sales", 2))) == ["~ rules: in another order"]
