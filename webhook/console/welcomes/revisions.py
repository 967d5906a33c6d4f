"""The history of an app's welcomes: what each revision changed, rollback, export and import."""

import io
import time
from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, send_file, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from tasks.audit import Act
from tasks.books import files
from tasks.books.draft import Behind, Draft, DraftError, Moved
from tasks.books.files import Bundle, GroupIDs
from tasks.books.media_store import MediaFull
from tasks.books.revisions import NoRevision, Revision, RevisionConflict
from tasks.messages import Message, translate
from tasks.placeholders.installed import unprovided
from tasks.templates.edits import TEMPLATE, Content
from tasks.templates.media_kind import MB
from tasks.templates.model import Book
from tasks.templates.problems import BookError, Problem
from tasks.templates.yaml_writer import values_of
from webhook.console import current
from webhook.console.language import sentence
from webhook.console.welcomes.change_groups import grouped
from webhook.console.welcomes.differences import count, outline
from webhook.console.welcomes.lookups import UNPROVIDED, names_of, needs_a_word
from webhook.console.welcomes.rule_form import rule_of, rules_in
from webhook.console.welcomes.vocabulary import vocabulary

PAGE = 10  # revisions on one page: each is compared with the one before it
IMPORT_LIMIT = 64 * MB  # bytes of a book's file
PROBLEMS = 20  # of a book, on one page


blueprint = Blueprint("revisions", __name__)
blueprint.context_processor(vocabulary)


# ------------------------------------------------------------------------------------------------ looking back


@blueprint.get("/welcomes/history")
def history() -> str:
    """The revisions, newest first, each with its changes."""
    newest = _newest()
    start = max(1, min(newest, request.args.get("from", newest, type=int)))
    stored = {number: _stored(number) for number in range(start, max(0, start - PAGE) - 1, -1)} if newest else {}
    contents = {number: None if found is None else _parsed(*found) for number, found in stored.items()}
    *shown, _before_the_last = stored or [0]
    return render_template(
        "welcomes/history.html",
        revisions=[
            (found[1], _changes(contents[number - 1], contents[number]))
            for number in shown
            if (found := stored[number]) is not None
        ],
        current=newest,
        newer=min(newest, start + PAGE) if start < newest else 0,
        older=start - PAGE if start > PAGE else 0,
    )


@blueprint.get("/welcomes/history/<int:number>")
def revision(number: int) -> str:
    """One revision, compared with the previous one or the one that `with` names."""
    newest = _newest()
    against = request.args.get("with", number - 1, type=int)
    stored = _stored(number)
    after = _parsed(*stored) if stored is not None else None
    before = _content(against) if against else Content(values_of("version: 1\n"))
    if stored is None or after is None:
        abort(404)
    source, about = stored
    changes = outline(before, after) if before is not None else None
    groups = grouped(changes or (), request.args)
    draft = current.services().drafts.get(current.app().name)
    return render_template(
        "welcomes/revision.html",
        draft=draft,
        draft_changes=count(current.services().drafts.origin(draft), draft.content) if draft else 0,
        revision=about,
        against=against,
        current=newest,
        changes=changes,
        groups=groups,
        back=count(_content(newest) or after, after) if newest != number else 0,
        source=source,
        rule_of=rule_of,
        names=names_of(rules_in(groups)),
        unprovided=unprovided(_book(number), current.live_book()) if newest != number else (),
    )


@blueprint.post("/welcomes/history/<int:number>/rollback")
def rollback(number: int) -> ResponseReturnValue:
    """Make an earlier revision live again, as a new one."""
    base = request.form.get("base", 0, type=int)
    if needs_a_word(_book(number)):
        flash(sentence(UNPROVIDED), "warn")
        return redirect(url_for("revisions.revision", number=number))
    note = request.form.get("note", "").strip()[:200] or _("Rolled back to revision %(number)s", number=number)
    try:
        made = current.services().books.rollback(current.app().name, number, current.operator(), note, base)
    except RevisionConflict as conflict:
        flash(_("Revision %(number)s was published meanwhile. Look at it first", number=conflict.current))
        return redirect(url_for("revisions.history"))
    except NoRevision:
        flash(_("Files of revision %(number)s are not kept any more, so it cannot come back", number=number))
        return redirect(url_for("revisions.revision", number=number))
    except (BookError, MediaFull) as error:
        flash(_("It cannot come back: %(why)s", why=str(error)))
        return redirect(url_for("revisions.revision", number=number))
    current.record(Act.ROLLED_BACK, str(number), made)
    flash(_("Revision %(new)s is live: the same as revision %(old)s", new=made, old=number))
    return redirect(_with_draft(request.form.get("draft", ""), request.form.get("version", 0, type=int)))


def _with_draft(act: str, version: int) -> str:
    """Discard a leftover draft, or bring it together with what is live now. → the address of the next page."""
    drafts, app = current.services().drafts, current.app().name
    try:
        if act == "discard":
            drafts.discard(app, version)
            current.record(Act.DRAFT_DISCARDED)
            flash(_("The draft is discarded"))
        elif act == "rebase":
            drafts.rebase(app, version, current.operator())
            flash(_("The draft keeps your changes, on top of what is live now"))
    except Moved:
        flash(_("The draft has changed meanwhile. Look at it again"), "warn")
    except Behind:
        flash(_("Some of the draft's changes are about what has changed by this. Choose"), "warn")
        return url_for("publishing.publish")
    except DraftError as error:
        flash(translate(error.problems[0].what, _), "bad")
        return url_for("publishing.publish")
    return url_for("revisions.history")


def _newest() -> int:
    """The number of the live revision; 0 for none."""
    return current.services().books.current(current.app().name) or 0


def _stored(number: int) -> tuple[str, Revision] | None:
    """A revision's YAML and metadata; None if it is not stored."""
    try:
        return current.services().books.stored(current.app().name, number)
    except NoRevision:
        return None


def _book(number: int) -> Book | None:
    """A revision's book; None if it is not stored, or no book."""
    try:
        return current.services().books.stored_book(current.app().name, number)
    except (NoRevision, BookError):
        return None


def _content(number: int) -> Content | None:
    """A revision's content; None if it is not stored, or no book."""
    stored = _stored(number)
    return None if stored is None else _parsed(*stored)


def _parsed(source: str, about: Revision) -> Content | None:
    try:
        return Content(values_of(source), about.files)
    except BookError:
        return None


def _changes(before: Content | None, after: Content | None) -> tuple[Any, ...] | None:
    return None if after is None or before is None else outline(before, after)


# ------------------------------------------------------------------------------------------------ files


@blueprint.get("/welcomes/history/<int:number>/export")
def export(number: int) -> Response:
    """A revision as a file."""
    books, app = current.services().books, current.app().name
    try:
        source, _about = books.exported(app, number)
        bundle = books.bundle(app, number)
    except NoRevision:
        abort(404)
    return _sent(Bundle(source, bundle.files), f"{app}-{number}")


@blueprint.get("/welcomes/draft/export")
def export_draft() -> Response:
    """The draft as a file."""
    services, app = current.services(), current.app().name
    draft = services.drafts.get(app)
    if draft is None:
        abort(404)
    found = {path: services.books.media.get(media.sha256) for path, media in draft.files.items()}
    source = services.labels.above(app, draft.source, draft.content.named(TEMPLATE))
    return _sent(Bundle(source, {path: one for path, one in found.items() if one is not None}), f"{app}-draft")


def _sent(bundle: Bundle, name: str) -> Response:
    """A .zip if the book has files or group welcomes at WeCom, otherwise the YAML."""
    app = current.app()
    ids = {one: each.template_id for one, each in app.group_sync.kept().items() if each.template_id}
    if bundle.files or ids:
        content = files.to_zip(bundle, GroupIDs(app.settings.corp_id, app.name, ids))
        kind, ending = "application/zip", "zip"
    else:
        content = bundle.source.encode()
        kind, ending = "application/yaml", "yaml"
    current.record(Act.EXPORTED, f"{name}.{ending}")
    return send_file(io.BytesIO(content), kind, as_attachment=True, download_name=f"{name}.{ending}", max_age=0)


@blueprint.url_value_preprocessor
def take_files(endpoint: str | None, _values: Any) -> None:
    """Raise the limit of the body for imports, for those who are signed in."""
    if endpoint == "revisions.import_book" and session.get("operator"):
        request.max_content_length = IMPORT_LIMIT


@blueprint.route("/welcomes/import", methods=["GET", "POST"])
def import_book() -> ResponseReturnValue:
    """Import a file as the draft."""
    drafts, app = current.services().drafts, current.app().name
    if request.method == "GET":
        return _importing(drafts.working(app))
    upload = request.files.get("file")
    if upload is None or not upload.filename:
        return _importing(drafts.working(app), [Message.of("Choose a .yaml or .zip file")]), 422
    version = request.form.get("version", 0, type=int)
    try:
        _book, bundle = files.read(upload.stream.read(IMPORT_LIMIT))
        drafts.replace(app, bundle, current.operator(), version)
    except BookError as error:
        return _importing(drafts.working(app), [_at_place(one) for one in error.problems]), 422
    except MediaFull as full:
        return _importing(drafts.working(app), [Message("%(why)s", {"why": str(full)})]), 422
    except Moved:
        moved = Message.of("The draft has changed meanwhile. Look at it again")
        return _importing(drafts.working(app), [moved]), 409
    current.record(Act.DRAFT_REPLACED, upload.filename)
    flash(_("The file is the draft now. Nothing is live before you publish it"))
    return redirect(url_for("publishing.publish"))


def _at_place(problem: Problem) -> Message:
    return Message.of(
        "line %(line)s, column %(column)s: %(what)s", line=problem.line, column=problem.column, what=problem.what
    )


def _importing(draft: Draft, problems: Sequence[Message] = ()) -> str:
    live = current.services().drafts.live(current.app().name)
    return render_template(
        "welcomes/import.html",
        draft=draft,
        live=live,
        changes=count(live.content, draft.content) if draft.version else 0,
        problems=problems[:PROBLEMS],
        further=max(0, len(problems) - PROBLEMS),
        limit=IMPORT_LIMIT // MB,
        at=time.time(),
    )
