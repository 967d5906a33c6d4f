"""The draft: a book is validated, becomes the draft, and goes live."""

from typing import Any

from flask import Response, request

from tasks.audit import Act
from tasks.books import files
from tasks.books.draft import Behind, Draft, Moved
from tasks.books.files import Bundle
from tasks.books.media_store import MediaFull
from tasks.books.revisions import NoRevision, NotApproved
from tasks.directory.members import staff
from tasks.people.api_tokens import Scope
from tasks.templates import book as book_file
from tasks.templates.media_kind import MB
from tasks.templates.model import Book
from tasks.templates.problems import BookError
from webhook import records
from webhook.api import current
from webhook.api.books import ANYTHING, contents, require_packages
from webhook.api.problems import Problem
from webhook.api.schemas import DraftSchema, DraftVersion, ImportQuery, PublishBody, RevisionSchema, ValidSchema
from webhook.api.subject import JSON, YAML, ZIP, Subject
from webhook.console.staff import PATIENCE

IMPORT_LIMIT = 64 * MB  # bytes of a book with its files

blueprint = Subject("drafts", "The welcome book that is being edited while another one is live.")


@blueprint.operation(
    "POST", "/book/validate", Scope.BOOKS_WRITE, problems=(422,), takes=[YAML, ZIP], large=IMPORT_LIMIT
)
@blueprint.response(200, ValidSchema)
def validate_book() -> dict[str, Any]:
    """Check a book against WeCom's limits, as `templates validate` does. Nothing is stored.

    A .yaml may show files that the draft or the live book has under the same path; others come with it, as a .zip.
    """
    book, _ = _sent()
    app = current.app()
    members = frozenset(staff(app.shared.redis, app.name, app.wecom, PATIENCE).members)
    return {
        "templates": len(book.templates),
        "rules": len(book.rules),
        "group_welcomes": len(book.group_welcomes),
        "remarks": list(book_file.remarks(book, members or None)),
    }


@blueprint.operation("GET", "/book/draft", Scope.BOOKS_READ)
@blueprint.response(200, DraftSchema)
def get_draft() -> dict[str, Any]:
    """The draft, as values."""
    return _record(_draft())


@blueprint.operation("GET", "/book/draft/source", Scope.BOOKS_READ)
@blueprint.response(200, ANYTHING, content_type=YAML)
def get_draft_source() -> Response:
    """The draft, as YAML with its comments."""
    draft = _draft()
    current.exported(f"{draft.app}-draft.yaml")
    return Response(draft.source, mimetype=YAML)


@blueprint.operation(
    "PUT", "/book/draft", Scope.BOOKS_WRITE, problems=(409, 422), takes=[YAML, ZIP], large=IMPORT_LIMIT
)
@blueprint.arguments(ImportQuery, location="query")
@blueprint.response(200, DraftSchema)
def import_book(asked: dict[str, Any]) -> dict[str, Any]:
    """Make a book the draft. Nothing is live before it is published.

    A draft that is there is replaced only where `version` names it. A book that was read from a revision, whose first
    line says so, is merged with what was published since. Files: as for the validation.
    """
    _, bundle = _sent()
    try:
        draft = current.services().drafts.replace(current.app().name, bundle, current.author(), asked["version"])
    except BookError as error:
        raise Problem.of_book(error) from None
    except MediaFull as error:
        raise Problem(422, "media_full", str(error)) from None
    except Moved as moved:
        raise _moved(moved) from None
    current.record(Act.DRAFT_REPLACED, "book.zip" if request.mimetype.endswith("zip") else "book.yaml")
    return _record(draft)


@blueprint.operation("DELETE", "/book/draft", Scope.BOOKS_WRITE, problems=(409, 422))
@blueprint.arguments(DraftVersion, location="query")
@blueprint.response(204)
def discard_draft(asked: dict[str, Any]) -> None:
    """Discard the draft. What is live stays."""
    try:
        current.services().drafts.discard(current.app().name, asked["version"])
    except Moved as moved:
        raise _moved(moved) from None
    current.record(Act.DRAFT_DISCARDED)


@blueprint.operation("POST", "/book/draft/publish", Scope.BOOKS_PUBLISH, problems=(400, 409, 422), takes=[JSON])
@blueprint.arguments(PublishBody)
@blueprint.response(200, RevisionSchema)
def publish_draft(asked: dict[str, Any]) -> dict[str, Any]:
    """Make the draft live. Workers use it from the next customer on."""
    services, app = current.services(), current.app().name
    draft = services.drafts.get(app)
    if draft is not None and draft.version == asked["version"] and not asked["without"]:
        require_packages(draft)
    try:
        number = services.drafts.publish(app, asked["version"], current.author(), asked["note"])
    except Moved as moved:
        raise _moved(moved) from None
    except Behind as behind:
        detail = (
            "Another revision went live since the draft began: bring the two together in the console, or import again"
        )
        raise Problem(409, "behind", detail, revision=behind.live) from None
    except NotApproved:
        detail = "A second person publishes here: let somebody ask for it in the console"
        raise Problem(409, "second_person", detail) from None
    except MediaFull as error:
        raise Problem(422, "media_full", str(error)) from None
    except NoRevision as error:
        raise Problem(422, "files_gone", str(error)) from None
    except BookError as error:
        raise Problem.of_book(error) from None
    current.record(Act.PUBLISHED, number=number)
    return records.revision(services.books.revision(app, number), number)


def _sent() -> tuple[Book, Bundle]:
    """The book in the body."""
    drafts, app = current.services().drafts, current.app().name
    try:
        return files.read(request.get_data(cache=False), lambda path: drafts.content(app, path))
    except BookError as error:
        raise Problem.of_book(error) from None


def _draft() -> Draft:
    draft = current.services().drafts.get(current.app().name)
    if draft is None:
        raise Problem(404, "no_draft", "There is no draft: the live book is as it was published")
    return draft


def _moved(moved: Moved) -> Problem:
    if moved.draft is None:
        return Problem(409, "draft_changed", "There is no draft any more: it was published or discarded", version=0)
    detail = f"The draft is version {moved.draft.version} now, by {moved.draft.author}: look at it first"
    return Problem(409, "draft_changed", detail, version=moved.draft.version)


def _record(draft: Draft) -> dict[str, Any]:
    services = current.services()
    return {
        "app": draft.app,
        "version": draft.version,
        "base": draft.base,
        "behind": (services.books.current(draft.app) or 0) != draft.base,
        "author": draft.author,
        "authors": draft.authors,
        "at": draft.at / 1000,
        "second_person": services.approvals.switched_on(draft.app) is not None,
        "files": sorted(draft.files),
        "contents": contents(draft),
    }
