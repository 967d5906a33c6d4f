"""Drafts in a real Redis: edits of one part, two editors at once, and going live."""

import threading

import pytest

from tasks.books.draft import Behind, Draft, DraftError, EditConflict, Moved
from tasks.books.draft_store import Drafts
from tasks.books.files import Bundle
from tasks.books.media_store import MediaFull
from tasks.books.revisions import BookStore
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.templates.edits import (
    ABSENT,
    GROUP,
    RULE,
    TEMPLATE,
    AddRule,
    DeleteNamed,
    MoveRule,
    NameTaken,
    Part,
    SetNamed,
    SetRule,
    StillUsed,
)
from tasks.templates.merge import RULES, changed
from tests.support.books import JPG, PNG

BOOK = """\
version: 1
templates:
  default: {text: hello}   # for all
  other: {text: other}
rules:
  - {name: night, when: {hours: "21:00-08:30"}, use: other}
  - use: default
"""


@pytest.fixture
def books(redis_client: Redis) -> BookStore:
    books = BookStore(redis_client)
    books.save("sales", BOOK)
    return books


@pytest.fixture
def drafts(redis_client: Redis, books: BookStore) -> Drafts:
    return Drafts(redis_client, books)


def digest(draft: Draft, name: str, kind: str = TEMPLATE) -> str:
    return draft.content.digest(Part(kind, name))


def rule(draft: Draft, number: int) -> str:
    return draft.content.digest_of(draft.content.rules[number])


def text(name: str, words: str, was: str) -> SetNamed:
    return SetNamed(TEMPLATE, name, {"text": words}, was)


def test_without_a_draft_what_is_live_is_edited_and_the_first_edit_makes_one(drafts: Drafts, books: BookStore) -> None:
    assert drafts.get("sales") is None
    live = drafts.working("sales")
    assert (live.base, live.version) == (1, 0)
    draft = drafts.change("sales", text("other", "new", digest(live, "other")), "li")
    assert (draft.base, draft.author, drafts.get("sales")) == (1, "li", draft)
    assert draft.book().templates["other"].text == "new"
    assert "# for all" in draft.source
    assert books.current("sales") == 1


def test_a_change_that_is_taken_back_leaves_no_draft(drafts: Drafts) -> None:
    draft = drafts.change("sales", text("other", "new", digest(drafts.working("sales"), "other")), "li")
    drafts.change("sales", text("other", "other", digest(draft, "other")), "li")
    assert drafts.get("sales") is None


def test_edits_of_different_parts_do_not_conflict(drafts: Drafts) -> None:
    opened = drafts.working("sales")
    drafts.change("sales", text("other", "from li", digest(opened, "other")), "li")
    draft = drafts.change("sales", text("default", "from wang", digest(opened, "default")), "wang")
    assert {name: one.text for name, one in draft.book().templates.items()} == {
        "default": "from wang",
        "other": "from li",
    }


def test_the_same_part_of_two_editors_is_a_conflict_that_shows_all_three(drafts: Drafts) -> None:
    opened = drafts.working("sales")
    drafts.change("sales", text("other", "from li", digest(opened, "other")), "li")
    with pytest.raises(EditConflict) as caught:
        drafts.change("sales", text("other", "from wang", digest(opened, "other")), "wang")
    conflict = caught.value
    assert [conflict.yours, conflict.theirs, conflict.original] == [
        {"text": "from wang"},
        {"text": "from li"},
        {"text": "other"},
    ]
    assert conflict.author == "li"
    assert conflict.at > 0
    draft = drafts.change("sales", text("other", "from wang", conflict.was), "wang")  # wang's is taken
    assert draft.book().templates["other"].text == "from wang"


def test_a_conflict_with_what_the_command_line_made_live_knows_the_original(drafts: Drafts, books: BookStore) -> None:
    opened = drafts.working("sales")
    books.save("sales", BOOK.replace("text: other", "text: imported"))
    with pytest.raises(EditConflict) as caught:
        drafts.change("sales", text("other", "mine", digest(opened, "other")), "wang")
    assert (caught.value.theirs, caught.value.original) == ({"text": "imported"}, {"text": "other"})


def test_a_part_that_is_gone_meanwhile_is_a_conflict(drafts: Drafts) -> None:
    opened = drafts.working("sales")
    drafts.change("sales", DeleteNamed(TEMPLATE, "other", digest(opened, "other"), "default"), "li")
    with pytest.raises(EditConflict) as caught:
        drafts.change("sales", text("other", "mine", digest(opened, "other")), "wang")
    assert caught.value.theirs is None
    draft = drafts.change("sales", text("other", "mine", caught.value.was), "wang")
    assert "other" in draft.book().templates


def test_an_edit_that_breaks_the_book_says_where_and_changes_nothing(drafts: Drafts) -> None:
    opened = drafts.working("sales")
    with pytest.raises(DraftError) as caught:
        drafts.change("sales", text("other", "x" * 4001, digest(opened, "other")), "li")
    (wrong,) = caught.value.problems
    assert wrong.path == ("templates", "other", "text")
    assert "4001 bytes" in str(wrong.what)
    assert drafts.get("sales") is None


def test_a_taken_name_is_refused_and_rules_follow_a_template_to_its_new_name(drafts: Drafts) -> None:
    opened = drafts.working("sales")
    with pytest.raises(NameTaken):
        drafts.change("sales", text("other", "new", ABSENT), "li")
    with pytest.raises(NameTaken):
        drafts.change("sales", SetNamed(TEMPLATE, "default", {"text": "x"}, digest(opened, "other"), "other"), "li")
    draft = drafts.change("sales", SetNamed(TEMPLATE, "二", {"text": "x"}, digest(opened, "other"), "other"), "li")
    assert draft.book().rules[0].variants[0].template == "二"
    draft = drafts.change("sales", SetNamed(TEMPLATE, "一", {"text": "y"}, digest(opened, "default"), "default"), "li")
    assert [one.variants[0].template for one in draft.book().rules] == ["二", "一"]


def test_a_template_in_use_goes_only_with_a_replacement(drafts: Drafts) -> None:
    opened = drafts.working("sales")
    with pytest.raises(StillUsed) as caught:
        drafts.change("sales", DeleteNamed(TEMPLATE, "other", digest(opened, "other")), "li")
    assert (caught.value.rules, caught.value.rest) == (("night",), False)
    draft = drafts.change("sales", DeleteNamed(TEMPLATE, "other", digest(opened, "other"), "default"), "li")
    assert draft.book().rules[0].variants[0].template == "default"


def test_the_default_goes_only_if_the_rest_gets_something_else(drafts: Drafts, books: BookStore) -> None:
    books.save(
        "sales", "version: 1\ntemplates: {default: {text: a}, b: {text: b}}\nrules: [{when: {state: x}, use: b}]"
    )
    opened = drafts.working("sales")
    with pytest.raises(StillUsed) as caught:
        drafts.change("sales", DeleteNamed(TEMPLATE, "default", digest(opened, "default")), "li")
    assert (caught.value.rules, caught.value.rest) == ((), True)
    draft = drafts.change("sales", DeleteNamed(TEMPLATE, "default", digest(opened, "default"), "b"), "li")
    assert draft.book().rules[-1].when.always


def test_rules_are_edited_wherever_they_stand_by_then(drafts: Drafts) -> None:
    opened = drafts.working("sales")
    night = rule(opened, 0)
    drafts.change("sales", AddRule({"when": {"state": "x"}, "use": "other"}), "li")  # before the last one
    drafts.change("sales", MoveRule(night, 1), "li")
    draft = drafts.change(
        "sales", SetRule(night, {"name": "late", "when": {"hours": "22:00-23:00"}, "use": "other"}), "w"
    )
    assert [one.label(number) for number, one in enumerate(draft.book().rules, 1)] == ["1", "late", "3"]
    with pytest.raises(EditConflict) as caught:
        drafts.change("sales", SetRule(night, None), "li")
    assert caught.value.original == {"name": "night", "when": {"hours": "21:00-08:30"}, "use": "other"}


def test_the_first_welcome_of_an_empty_book_is_what_everybody_gets(drafts: Drafts) -> None:
    draft = drafts.change("service", text("welcome", "hi", ABSENT), "li")
    assert draft.base == 0
    assert draft.book().rules[0].variants[0].template == "welcome"
    assert drafts.publish("service", draft.version, "li") == 1
    assert drafts.get("service") is None


def test_a_group_welcome_that_comes_and_goes_leaves_no_draft(drafts: Drafts) -> None:
    draft = drafts.change("sales", SetNamed(GROUP, "new", {"text": "hi"}), "li")
    assert draft.book().group_welcomes["new"].text == "hi"
    drafts.change("sales", DeleteNamed(GROUP, "new", digest(draft, "new", GROUP)), "li")
    assert drafts.get("sales") is None


def test_files_wait_for_the_draft_and_are_not_evicted(drafts: Drafts, books: BookStore, redis_client: Redis) -> None:
    held = drafts.hold("sales", "..\\secret/你好 a.png", PNG)
    assert held.path == "media/你好 a.png"
    assert drafts.hold("sales", "你好 a.png", PNG) == held
    assert drafts.hold("sales", "你好 a.png", PNG + b"2").path == "media/你好 a-2.png"
    value = {"text": "x", "attachments": [{"image": {"file": held.path}}]}
    draft = drafts.change("sales", SetNamed(TEMPLATE, "pic", value), "li")
    tight = BookStore(redis_client)
    tight.media.limit = 2 * len(PNG) + 1
    with pytest.raises(MediaFull):
        tight.save("sales", BOOK.replace("hello}", "hello, attachments: [{image: {file: a.jpg}}]}"), {"a.jpg": JPG})
    assert drafts.content("sales", held.path) == PNG
    assert drafts.publish("sales", draft.version, "li") == 2
    assert books.revision("sales", 2).files[held.path].sha256 == held.sha256


def test_a_file_that_does_not_fit_is_not_recorded(redis_client: Redis) -> None:
    books = BookStore(redis_client)
    books.media.limit = 10
    drafts = Drafts(redis_client, books)
    with pytest.raises(MediaFull):
        drafts.hold("sales", "a.png", PNG)
    assert drafts.files("sales") == {}


def test_only_what_was_looked_at_is_published(drafts: Drafts, books: BookStore) -> None:
    looked = drafts.change("sales", text("new", "a", ABSENT), "li")
    drafts.change("sales", text("new", "b", digest(looked, "new")), "wang")
    with pytest.raises(Moved):
        drafts.publish("sales", looked.version, "li")
    with pytest.raises(Moved):
        drafts.discard("sales", looked.version)
    latest = drafts.get("sales")
    assert latest is not None
    assert drafts.publish("sales", latest.version, "li", "why") == 2
    assert (books.revision("sales", 2).author, books.revision("sales", 2).note) == ("li", "why")


def test_live_that_moved_on_is_not_overwritten(drafts: Drafts, books: BookStore) -> None:
    draft = drafts.change("sales", text("new", "a", ABSENT), "li")
    books.save("sales", BOOK.replace("text: other", "text: imported"), author="cli")
    with pytest.raises(Behind) as caught:
        drafts.publish("sales", draft.version, "li")
    assert (caught.value.live, caught.value.clashes) == (2, ())
    based = drafts.rebase("sales", draft.version, "li")
    assert {name: one.text for name, one in based.book().templates.items()} == {
        "default": "hello",
        "other": "imported",
        "new": "a",
    }
    assert "# for all" in based.source
    assert drafts.publish("sales", based.version, "li") == 3


def test_the_same_part_changed_live_is_chosen_by_part(drafts: Drafts, books: BookStore) -> None:
    opened = drafts.working("sales")
    drafts.change("sales", text("other", "mine", digest(opened, "other")), "li")
    night = {"name": "night", "when": {"hours": "22:00-08:30"}, "use": "other"}
    drafts.change("sales", SetRule(rule(opened, 0), night), "li")
    draft = drafts.change("sales", AddRule({"when": {"state": "x"}, "use": "other"}, 0), "li")
    books.save("sales", BOOK.replace("text: other", "text: imported").replace("21:00", "20:00"))
    with pytest.raises(Behind) as caught:
        drafts.rebase("sales", draft.version, "li")
    first, second = caught.value.clashes
    assert (first.part, first.yours, first.theirs, first.original) == (
        Part(TEMPLATE, "other"),
        {"text": "mine"},
        {"text": "imported"},
        {"text": "other"},
    )
    assert second.part == Part(RULE, rule(opened, 0))
    based = drafts.rebase("sales", draft.version, "li", {first.part: "yours", second.part: "theirs"})
    assert based.book().templates["other"].text == "mine"
    assert [str(one.when.hours[0]) for one in based.book().rules if one.name] == ["20:00-08:30"]
    assert len(based.book().rules) == 3


def test_different_rules_changed_on_both_sides_come_together(drafts: Drafts, books: BookStore) -> None:
    draft = drafts.change("sales", MoveRule(rule(drafts.working("sales"), 0), 1), "li")
    books.save("sales", BOOK.replace("21:00", "20:00"))
    based = drafts.rebase("sales", draft.version, "li")
    assert [one.name for one in based.book().rules] == ["", "night"]
    assert str(based.book().rules[1].when.hours[0]) == "20:00-08:30"


def test_a_template_that_is_gone_live_stays_if_the_draft_sends_it(drafts: Drafts, books: BookStore) -> None:
    draft = drafts.change("sales", AddRule({"when": {"state": "x"}, "use": "other"}), "li")
    books.save("sales", "version: 1\ntemplates: {default: {text: hello}}\nrules: [{use: default}]")
    based = drafts.rebase("sales", draft.version, "li")
    assert "other" in based.book().templates


def test_an_imported_book_takes_the_drafts_place(drafts: Drafts, books: BookStore) -> None:
    source = "version: 1\ntemplates: {one: {text: t, attachments: [{image: {file: a.png}}]}}\nrules: [{use: one}]\n"
    draft = drafts.replace("sales", Bundle(source, {"a.png": PNG}), "li", version=0)
    assert draft.source == source
    assert set(changed(drafts.live("sales").content, draft.content)) == {
        Part(TEMPLATE, "one"),
        Part(TEMPLATE, "default"),
        Part(TEMPLATE, "other"),
        RULES,
    }
    with pytest.raises(Moved):
        drafts.replace("sales", Bundle(BOOK), "wang", version=0)
    assert drafts.publish("sales", draft.version, "li") == 2


def test_a_draft_that_went_live_before_its_writer_died_is_not_in_the_way(
    drafts: Drafts, books: BookStore, redis_client: Redis
) -> None:
    draft = drafts.change("sales", text("new", "a", ABSENT), "li")
    stored = redis_client.get(keys.draft("sales"))
    drafts.publish("sales", draft.version, "li")
    redis_client.set(keys.draft("sales"), stored)
    assert drafts.publish("sales", draft.version, "li") == 2
    assert drafts.get("sales") is None


def test_many_editors_of_different_parts_lose_nothing(drafts: Drafts) -> None:
    def write(name: str) -> None:
        drafts.change("sales", text(name, name, ABSENT), name)

    threads = [threading.Thread(target=write, args=(f"t{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    draft = drafts.get("sales")
    assert draft is not None
    assert {f"t{number}" for number in range(8)} <= set(draft.book().templates)


def test_a_file_that_nothing_shows_is_given_up_and_its_bytes_stay_for_a_rollback(
    drafts: Drafts, books: BookStore
) -> None:
    media = drafts.hold("sales", "hello.png", PNG)
    other = drafts.hold("sales", "never.jpg", JPG)
    value = {"text": "hi", "attachments": [{"image": {"file": media.path}}]}
    shown = drafts.change("sales", SetNamed(TEMPLATE, "hi", value), "a")
    assert not drafts.release("sales", media.path), "the draft shows it"
    drafts.publish("sales", shown.version, "a")
    assert not drafts.release("sales", media.path), "what is live shows it"
    gone = drafts.change("sales", DeleteNamed(TEMPLATE, "hi", digest(drafts.working("sales"), "hi")), "a")
    drafts.publish("sales", gone.version, "a")
    assert drafts.release("sales", media.path)
    assert media.path not in drafts.files("sales")
    assert books.media.get(media.sha256) == PNG, "revision 2 can come back"
    assert drafts.release("sales", other.path)
    assert books.media.get(other.sha256) is None
    assert not drafts.release("sales", "media/nothing.png")
