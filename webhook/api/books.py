"""The live book and its revisions: read, exported, rolled back."""

from dataclasses import replace
from typing import Any

from flask import Response

from tasks.audit import Act
from tasks.books import files
from tasks.books.draft import Draft, book_of
from tasks.books.files import GroupIDs
from tasks.books.media_store import MediaFull
from tasks.books.revisions import NoRevision, RevisionConflict
from tasks.people.api_tokens import Scope
from tasks.placeholders.installed import unprovided
from tasks.templates.problems import BookError
from webhook import records
from webhook.api import current
from webhook.api.problems import Problem
from webhook.api.schemas import BookSchema, RevisionSchema, RevisionsQuery, RevisionsSchema, RollbackBody
from webhook.api.subject import JSON, YAML, ZIP, Subject

ANYTHING: dict[str, Any] = {}  # the schema of bytes

blueprint = Subject("books", "The welcome book that is live, and its revisions.")


@blueprint.operation("GET", "/book", Scope.BOOKS_READ)
@blueprint.response(200, BookSchema)
def get_book() -> dict[str, Any]:
    """The live book, as values."""
    return _revision(_live())


@blueprint.operation("GET", "/book/source", Scope.BOOKS_READ)
@blueprint.response(200, ANYTHING, content_type=YAML)
def get_book_source() -> Response:
    """The live book, as YAML with its comments. Its first line says which revision it is: see the import."""
    return _source(_live())


@blueprint.operation("GET", "/book/revisions", Scope.BOOKS_READ, problems=(422,))
@blueprint.arguments(RevisionsQuery, location="query")
@blueprint.response(200, RevisionsSchema)
def list_revisions(asked: dict[str, Any]) -> dict[str, Any]:
    """Every revision, the newest first."""
    books, app = current.services().books, current.app().name
    newest = books.current(app) or 0
    first = min(newest, asked.get("before", newest + 1) - 1)
    last = max(0, first - asked["limit"])
    items = []
    for number in range(first, last, -1):
        try:
            items.append(records.revision(books.revision(app, number), newest))
        except NoRevision:
            continue
    return {"items": items, "next": last + 1 if last else None}


@blueprint.operation("GET", "/book/revisions/<int(min=1):number>", Scope.BOOKS_READ)
@blueprint.response(200, BookSchema)
def get_revision(number: int) -> dict[str, Any]:
    """A revision, as values."""
    return _revision(number)


@blueprint.operation("GET", "/book/revisions/<int(min=1):number>/source", Scope.BOOKS_READ)
@blueprint.response(200, ANYTHING, content_type=YAML)
def get_revision_source(number: int) -> Response:
    """A revision, as YAML."""
    return _source(number)


@blueprint.operation("GET", "/book/revisions/<int(min=1):number>/archive", Scope.BOOKS_READ)
@blueprint.response(200, ANYTHING, content_type=ZIP)
def get_revision_archive(number: int) -> Response:
    """A revision with the files that it shows, as .zip."""
    app = current.app()
    try:
        source, _about = app.shared.books.exported(app.name, number)
        bundle = replace(app.shared.books.bundle(app.name, number), source=source)
    except NoRevision as error:
        raise Problem(404, "no_revision", str(error)) from None
    ids = {one: each.template_id for one, each in app.group_sync.kept().items() if each.template_id}
    current.exported(f"{app.name}-{number}.zip")
    return Response(files.to_zip(bundle, GroupIDs(app.settings.corp_id, app.name, ids)), mimetype=ZIP)


@blueprint.operation(
    "POST",
    "/book/revisions/<int(min=1):number>/rollback",
    Scope.BOOKS_PUBLISH,
    problems=(400, 409, 422),
    takes=[JSON],
)
@blueprint.arguments(RollbackBody)
@blueprint.response(200, RevisionSchema)
def roll_back(asked: dict[str, Any], number: int) -> dict[str, Any]:
    """Make an earlier revision live again: as a new one, so this too can be undone."""
    books, app = current.services().books, current.app().name
    try:
        if not asked["without"]:
            source, about = books.stored(app, number)
            require_packages(Draft(app, source, about.files))
        made = books.rollback(app, number, current.author(), asked["note"], asked["base"])
    except RevisionConflict as conflict:
        detail = f"Revision {conflict.current} is live, and not {asked['base']}"
        raise Problem(409, "revision_changed", detail, revision=conflict.current) from None
    except NoRevision as error:
        raise Problem(404, "no_revision", str(error)) from None
    except BookError as error:
        raise Problem.of_book(error) from None
    except MediaFull as error:
        raise Problem(422, "media_full", str(error)) from None
    if made != asked["base"]:
        current.record(Act.ROLLED_BACK, str(number), made)
    return records.revision(books.revision(app, made), made)


def require_packages(draft: Draft) -> None:
    """Raises Problem for placeholders that no package here provides, and that the live book does not use."""
    live = current.services().drafts.live(draft.app)
    gone = unprovided(book_of(draft), book_of(live))
    if gone:
        detail = f"No package here provides {', '.join(gone)}: install it, or let customers get the fallbacks (without)"
        raise Problem(409, "placeholders_unprovided", detail, placeholders=list(gone))


def contents(draft: Draft) -> dict[str, Any] | None:
    """What is in a book; None if it cannot be read, since a less strict release stored it."""
    book = book_of(draft)
    if book is None:
        return None
    return {
        "templates": [records.template(one) for one in book.templates.values()],
        "rules": [records.rule(one, number) for number, one in enumerate(book.rules, 1)],
        "group_welcomes": [records.group_welcome(one) for one in book.group_welcomes.values()],
    }


def _live() -> int:
    number = current.services().books.current(current.app().name)
    if number is None:
        raise Problem(404, "no_book", "No welcome book is stored for this app")
    return number


def _revision(number: int) -> dict[str, Any]:
    books, app = current.services().books, current.app().name
    try:
        source, about = books.stored(app, number)
    except NoRevision as error:
        raise Problem(404, "no_revision", str(error)) from None
    found = contents(Draft(app, source, about.files))
    return records.revision(about, books.current(app) or 0) | {"contents": found}


def _source(number: int) -> Response:
    app = current.app()
    try:
        source, _about = app.shared.books.exported(app.name, number)
    except NoRevision as error:
        raise Problem(404, "no_revision", str(error)) from None
    current.exported(f"{app.name}-{number}.yaml")
    return Response(source, mimetype=YAML)
