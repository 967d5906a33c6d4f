"""Books by the API: read, validated, made the draft, published, rolled back; nobody's change is lost on the way."""

from typing import Any

import pytest

from tasks.audit import Act, Via
from tasks.books import files
from tasks.books.approvals import Standing, standing
from tasks.books.files import Bundle
from tasks.people.api_tokens import Scope
from tasks.storage import keys
from tasks.templates.edits import AddRule
from tests.support.api import Program
from tests.support.books import FILES, PNG, SHOWING
from tests.support.builders import BOOK
from webhook import records
from webhook.api import schemas
from webhook.api.subject import JSON, ZIP

SPRING = BOOK.replace("很高兴认识您", "春天好")
WRONG = """\
version: 1
templates:
  default: {text: "您好{custommer}"}
  empty: {text: ""}
rules:
- use: default
"""


def put(ask: Program, book: str | bytes, version: int | None = None, kind: str = "application/yaml") -> Any:
    query = {} if version is None else {"version": version}
    return ask("PUT", "book/draft", query, data=book, content_type=kind)


def publish(ask: Program, version: int, **more: Any) -> Any:
    return ask("POST", "book/draft/publish", json={"version": version, **more})


def test_a_book_goes_live_in_two_steps(ask: Program) -> None:
    drafted = put(ask, SPRING)
    assert drafted.status_code == 200, drafted.text
    assert (drafted.json["base"], drafted.json["behind"], drafted.json["authors"]) == (1, False, ["ci · 李敏"])
    assert ask.get("book").json["revision"] == 1
    published = publish(ask, drafted.json["version"], note="spring")
    assert {name: published.json[name] for name in ("revision", "current", "author", "note")} == {
        "revision": 2,
        "current": True,
        "author": "ci · 李敏",
        "note": "spring",
    }
    assert ask.services.books.source("default", 2) == SPRING
    assert ask.get("book/draft").status_code == 404
    acts = [(one.act, one.target, one.number, one.who, one.via) for one in ask.services.audit.entries()]
    who = f"ci ({ask.token.id})"
    assert acts[::-1] == [
        (Act.DRAFT_REPLACED, "book.yaml", None, who, Via.API),
        (Act.PUBLISHED, "", 2, who, Via.API),
    ]


def test_the_book_is_what_the_commands_print(ask: Program) -> None:
    book = ask.services.books.book("default", 1)
    found = ask.get("book").json
    assert found.pop("contents") == {
        "templates": [records.template(one) for one in book.templates.values()],
        "rules": [records.rule(one, 1) for one in book.rules],
        "group_welcomes": [],
    }
    assert found == records.revision(ask.services.books.revision("default", 1), 1)
    assert ask.get("book/revisions").json == {"items": [found], "next": None}


@pytest.mark.parametrize(
    ("schema", "record"),
    [
        (schemas.TemplateSchema, records.template),
        (schemas.RuleSchema, lambda one: records.rule(one, 1)),
        (schemas.RevisionSchema, lambda one: records.revision(one, 1)),
    ],
)
def test_the_document_names_every_field_of_a_record(ask: Program, schema: Any, record: Any) -> None:
    book = ask.services.books.book("default", 1)
    of = {
        schemas.TemplateSchema: book.templates["default"],
        schemas.RuleSchema: book.rules[0],
        schemas.RevisionSchema: ask.services.books.revision("default", 1),
    }
    assert list(record(of[schema])) == list(schema().fields)


def test_validation_stores_nothing_and_says_what_is_wrong_and_where(ask: Program) -> None:
    fine = ask("POST", "book/validate", data=SPRING, content_type="text/yaml; charset=utf-8")
    assert fine.json == {"templates": 1, "rules": 1, "group_welcomes": 0, "remarks": []}
    wrong = ask("POST", "book/validate", data=WRONG, content_type="application/yaml")
    assert (wrong.status_code, wrong.json["code"], wrong.json["count"]) == (422, "invalid_book", 2)
    told = [(one["line"], one["column"], one["message"]) for one in wrong.json["errors"]]
    with pytest.raises(files.BookError) as raised:
        files.read(WRONG.encode())
    assert told == [(one.line, one.column, str(one.what)) for one in raised.value.problems]
    assert ask.services.drafts.get("default") is None
    assert list(ask.services.audit.entries()) == []


def test_a_draft_is_replaced_only_by_who_has_seen_it(ask: Program) -> None:
    draft = ask.services.drafts.change("default", AddRule({"use": "default"}, 0), "李敏")
    refused = put(ask, SPRING)
    assert (refused.status_code, refused.json["code"], refused.json["version"]) == (409, "draft_changed", draft.version)
    assert "李敏" in refused.json["detail"]
    assert ask.services.drafts.get("default") == draft
    assert put(ask, SPRING, draft.version).json["authors"] == ["李敏", "ci · 李敏"]


def test_only_what_was_seen_is_published(ask: Program) -> None:
    version = put(ask, SPRING).json["version"]
    ask.services.drafts.change("default", AddRule({"use": "default"}, 0), "李敏")
    refused = publish(ask, version)
    assert (refused.status_code, refused.json["code"], refused.json["version"]) == (409, "draft_changed", version + 1)
    assert ask.services.books.current("default") == 1


def test_what_went_live_meanwhile_is_not_undone(ask: Program) -> None:
    stale = ask.get("book/source").text.replace("很高兴认识您", "春天好")
    version = put(ask, stale).json["version"]
    ask.services.books.save("default", BOOK.replace("我是", "我叫"))
    assert ask.get("book/draft").json["behind"] is True
    refused = publish(ask, version)
    assert (refused.status_code, refused.json["code"], refused.json["revision"]) == (409, "behind", 2)
    assert ask.services.books.current("default") == 2


def test_where_a_second_person_publishes_no_token_does_and_its_maker_cannot_approve(ask: Program) -> None:
    ask.services.approvals.switch("default", True, "limin", "李敏 (limin)")
    ask = Program(ask.services, by="李敏 (limin)")
    drafted = put(ask, SPRING).json
    assert drafted["second_person"] is True
    refused = publish(ask, drafted["version"])
    assert (refused.status_code, refused.json["code"]) == (409, "second_person")
    draft = ask.services.drafts.get("default")
    assert draft is not None
    ask.services.approvals.ask(draft, "wangwu", "王五 (wangwu)", "")
    asked = ask.services.approvals.asked("default")
    assert standing(asked, draft, "limin", "李敏 (limin)", True) is Standing.OWN
    assert standing(asked, draft, "zhaoliu", "赵六 (zhaoliu)", True) is Standing.MAY


def test_an_earlier_revision_comes_back_if_nothing_went_live_since_it_was_looked_at(ask: Program) -> None:
    ask.services.books.save("default", SPRING)
    refused = ask("POST", "book/revisions/1/rollback", json={"base": 1})
    assert (refused.status_code, refused.json["code"], refused.json["revision"]) == (409, "revision_changed", 2)
    made = ask("POST", "book/revisions/1/rollback", json={"base": 2, "note": "too early"})
    assert (made.json["revision"], made.json["note"]) == (3, "too early")
    assert ask.services.books.source("default", 3) == BOOK
    entry = next(ask.services.audit.entries())
    assert (entry.act, entry.target, entry.number, entry.who) == (Act.ROLLED_BACK, "1", 3, f"ci ({ask.token.id})")
    assert ask("POST", "book/revisions/9/rollback", json={"base": 3}).status_code == 404


def test_what_no_package_provides_goes_live_only_if_that_is_asked_for(ask: Program) -> None:
    services = ask.services
    gilded = BOOK.replace("很高兴认识您", "{crm.level|会员}")
    draft = services.drafts.replace("default", Bundle(gilded, {}), "李敏", 0)
    refused = publish(ask, draft.version)
    assert (refused.status_code, refused.json["code"]) == (409, "placeholders_unprovided")
    assert refused.json["placeholders"] == ["crm.level"]
    made = ask("POST", "book/draft/publish", json={"version": draft.version, "without": True})
    assert made.json["revision"] == 2
    services.books.save("default", BOOK)
    assert ask("POST", "book/revisions/2/rollback", json={"base": 3}).json["code"] == "placeholders_unprovided"
    assert ask("POST", "book/revisions/2/rollback", json={"base": 3, "without": True}).json["revision"] == 4


def test_files_come_in_a_zip_or_are_there_already(ask: Program) -> None:
    refused = put(ask, SHOWING)
    assert (refused.status_code, refused.json["errors"][0]["line"]) == (422, 6)
    archive = files.to_zip(Bundle(SHOWING, {"media/hello.png": PNG}))
    version = put(ask, archive, kind="application/zip").json["version"]
    again = put(ask, SHOWING.replace("您好", "您好！"), version)
    assert again.json["files"] == ["media/hello.png"]
    assert publish(ask, again.json["version"]).status_code == 200
    whole = ask.get("book/revisions/2/archive")
    assert whole.mimetype == "application/zip"
    assert files.read(whole.data)[1].files == {"media/hello.png": FILES["media/hello.png"]}


def test_an_exported_book_comes_back_as_it_was(ask: Program) -> None:
    source = ask.get("book/source")
    assert source.mimetype == "application/yaml"
    assert source.text == ask.get("book/revisions/1/source").text
    version = put(ask, source.data).json["version"]
    assert ask.get("book/draft/source").text == BOOK
    assert publish(ask, version).json["revision"] == 1


def test_a_draft_is_discarded_by_who_has_seen_it(ask: Program) -> None:
    version = put(ask, SPRING).json["version"]
    assert ask("DELETE", "book/draft", {"version": version + 1}).status_code == 409
    assert ask("DELETE", "book/draft", {"version": version}).status_code == 204
    assert ask.services.drafts.get("default") is None


def test_revisions_come_in_pages(ask: Program) -> None:
    for number in range(4):
        ask.services.books.save("default", SPRING.replace("春天", f"{number}"))
    first = ask.get("book/revisions", limit=2).json
    second = ask.get("book/revisions", limit=2, before=first["next"]).json
    last = ask.get("book/revisions", limit=2, before=second["next"]).json
    pages = [[one["revision"] for one in page["items"]] for page in (first, second, last)]
    assert (pages, last["next"]) == ([[5, 4], [3, 2], [1]], None)


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("", b"version: 1", 415),
        ("application/yaml", b"\xff\xfe", 422),
        ("application/yaml", b"a" * (600 << 10), 422),
        ("application/zip", b"PK\3\4", 422),
        ("application/yaml", b"a: &a [*a]", 422),
    ],
)
def test_what_is_no_book_is_refused(ask: Program, kind: str, body: bytes, status: int) -> None:
    assert put(ask, body, kind=kind).status_code == status
    assert ask.services.drafts.get("default") is None


def test_a_body_has_a_limit_before_it_is_read(ask: Program) -> None:
    large = b" " * (70 << 10)
    answer = ask("POST", "book/draft/publish", data=large, content_type=JSON)
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")
    declared = {"CONTENT_LENGTH": str(65 << 20)}
    assert ask("PUT", "book/draft", data=b"x", content_type=ZIP, environ_overrides=declared).status_code == 413


def test_an_app_without_a_book_gets_its_first(ask: Program) -> None:
    ask.services.redis.delete(*ask.services.redis.keys(f"{keys.book('*')}*"))
    assert (ask.get("book").status_code, ask.get("book/revisions").json["items"]) == (404, [])
    version = put(ask, BOOK).json["version"]
    assert publish(ask, version).json["revision"] == 1


def test_who_may_write_a_draft_may_not_publish_it(ask: Program) -> None:
    ask = Program(ask.services, [Scope.BOOKS_WRITE])
    version = put(ask, SPRING).json["version"]
    assert publish(ask, version).status_code == 403
    assert ask.services.books.current("default") == 1


@pytest.mark.parametrize("body", ["[" * 30_000, '{"a":' * 10_000, f'{{"version": {"9" * 5000}}}', "{", b"\xff\xfe{"])
def test_what_no_program_can_read_as_json_is_no_error_of_ours(ask: Program, body: str | bytes) -> None:
    answer = ask("POST", "book/draft/publish", data=body, content_type=JSON)
    assert (answer.status_code, answer.json["code"]) == (400, "unreadable")
