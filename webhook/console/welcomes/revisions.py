"""The history of an app's welcomes: what each revision changed, the way back, and books as files in and out."""

import io
import time
from typing import Any

from flask import Blueprint, Response, abort, flash, g, redirect, render_template, request, send_file, session, url_for
from flask_babel import gettext as _

from tasks.books import files, revisions
from tasks.books.draft import Draft, Drafts, Moved
from tasks.books.files import Bundle, GroupIDs
from tasks.books.revisions import NoRevision, Revision, RevisionConflict
from tasks.group_welcomes import GroupSync
from tasks.media.uploads import MediaFull
from tasks.messages import Message
from tasks.services import Services
from tasks.templates.edits import Content
from tasks.templates.media_kind import MB
from tasks.templates.problems import BookError
from tasks.templates.yaml_writer import values_of
from webhook.console.welcomes.differences import count, differences
from webhook.console.welcomes.lookups import names_of
from webhook.console.welcomes.rule_form import rule_of

PAGE = 10  # revisions on one page: each is compared with the one before it
IMPORT_LIMIT = 64 * MB  # bytes of a book's file
PROBLEMS = 20  # of a book, on one page
Page = Any


def routes(blueprint: Blueprint, services: Services, drafts: Drafts) -> None:
    """Add the pages to the blueprint of the welcomes."""
    books = services.books

    @blueprint.url_value_preprocessor
    def take_files(endpoint: str | None, _values: Any) -> None:
        if endpoint == "welcomes.import_book" and session.get("operator"):  # nobody else may send so much
            request.max_content_length = IMPORT_LIMIT

    def content_of(number: int) -> Content | None:
        """None: it is not kept."""
        try:
            return Content(values_of(books.source(g.app.name, number)), books.revision(g.app.name, number).files)
        except (NoRevision, BookError):
            return None

    def changed_in(number: int) -> tuple[Any, ...] | None:
        after, before = content_of(number), content_of(number - 1)
        return None if after is None or before is None else differences(before, after)

    # --- looking back ---

    @blueprint.get("/welcomes/history")
    def history() -> str:
        newest = books.current(g.app.name) or 0
        start = max(1, min(newest, request.args.get("from", newest, type=int)))
        shown = [one for one in map(revision_of, range(start, max(0, start - PAGE), -1)) if one] if newest else []
        return render_template(
            "welcomes/history.html",
            revisions=[(one, changed_in(one.number)) for one in shown],
            current=newest,
            newer=min(newest, start + PAGE) if start < newest else 0,
            older=start - PAGE if start > PAGE else 0,
        )

    def revision_of(number: int) -> Revision | None:
        try:
            return books.revision(g.app.name, number)
        except NoRevision:
            return None

    @blueprint.get("/welcomes/history/<int:number>")
    def revision(number: int) -> str:
        newest = books.current(g.app.name) or 0
        against = request.args.get("with", number - 1, type=int)
        about, after = revision_of(number), content_of(number)
        before = content_of(against) if against else Content(values_of("version: 1\n"))
        if about is None or after is None:
            abort(404)
        changes = differences(before, after) if before is not None else None
        rules = [
            rule_of(value)
            for change in changes or ()
            if change.kind == "rule"
            for value in (change.before, change.after)
        ]
        return render_template(
            "welcomes/revision.html",
            revision=about,
            against=against,
            current=newest,
            changes=changes,
            back=count(content_of(newest) or after, after) if newest != number else 0,
            source=books.source(g.app.name, number),
            rule_of=rule_of,
            names=names_of(services, [rule for rule in rules if rule]),
        )

    @blueprint.post("/welcomes/history/<int:number>/rollback")
    def rollback(number: int) -> Page:
        base = request.form.get("base", 0, type=int)
        note = request.form.get("note", "").strip()[:200] or _("Back to revision %(number)s", number=number)
        try:
            made = books.rollback(g.app.name, number, g.operator, note, base)
        except RevisionConflict as conflict:
            flash(_("Revision %(number)s was published meanwhile. Look at it first", number=conflict.current))
            return redirect(url_for("welcomes.history"))
        except NoRevision:
            flash(_("Files of revision %(number)s are not kept any more, so it cannot come back", number=number))
            return redirect(url_for("welcomes.revision", number=number))
        except (BookError, MediaFull) as error:
            flash(_("It cannot come back: %(why)s", why=str(error)))
            return redirect(url_for("welcomes.revision", number=number))
        flash(_("Revision %(new)s is live: the same as revision %(old)s", new=made, old=number))
        return redirect(url_for("welcomes.history"))

    # --- files ---

    @blueprint.get("/welcomes/history/<int:number>/export")
    def export(number: int) -> Response:
        try:
            about = books.revision(g.app.name, number)
            bundle = books.bundle(g.app.name, number)
        except NoRevision:
            abort(404)
        bundle = Bundle(revisions.stamped(bundle.source, about), bundle.files)
        return sent(bundle, f"{g.app.name}-{number}")

    @blueprint.get("/welcomes/draft/export")
    def export_draft() -> Response:
        draft = drafts.get(g.app.name)
        if draft is None:
            abort(404)
        found = {path: books.media.get(media.sha256) for path, media in draft.files.items()}
        return sent(
            Bundle(draft.source, {path: one for path, one in found.items() if one is not None}), f"{g.app.name}-draft"
        )

    def sent(bundle: Bundle, name: str) -> Response:
        """A .zip where the book has more than its YAML, else the YAML."""
        kept = GroupSync(services.redis, books, g.app, services.clients[g.app.name]).kept()
        ids = {one: each.template_id for one, each in kept.items() if each.template_id}
        if not bundle.files and not ids:
            return send_file(
                io.BytesIO(bundle.source.encode()),
                "application/yaml",
                as_attachment=True,
                download_name=f"{name}.yaml",
                max_age=0,
            )
        content = files.to_zip(bundle, GroupIDs(g.app.corp_id, g.app.name, ids))
        return send_file(
            io.BytesIO(content), "application/zip", as_attachment=True, download_name=f"{name}.zip", max_age=0
        )

    @blueprint.route("/welcomes/import", methods=["GET", "POST"])
    def import_book() -> Page:
        draft = drafts.working(g.app.name)
        if request.method == "GET":
            return importing(draft)
        upload = request.files.get("file")
        if upload is None or not upload.filename:
            return importing(draft, [Message.of("Choose a .yaml or .zip file")]), 422
        try:
            _book, bundle = files.read(upload.stream.read(IMPORT_LIMIT))
            drafts.replace(g.app.name, bundle, g.operator, request.form.get("version", 0, type=int))
        except BookError as error:
            lines = [
                Message.of(
                    "line %(line)s, column %(column)s: %(what)s", line=one.line, column=one.column, what=one.what
                )
                for one in error.problems
            ]
            return importing(draft, lines), 422
        except MediaFull as full:
            return importing(draft, [Message("%(why)s", {"why": str(full)})]), 422
        except Moved:
            return importing(
                drafts.working(g.app.name), [Message.of("The draft has changed meanwhile. Look at it again")]
            ), 409
        flash(_("The file is the draft now. Nothing is live before you publish it"))
        return redirect(url_for("welcomes.publish"))

    def importing(draft: Draft, problems: list[Message] | None = None) -> str:
        live = drafts.live(g.app.name)
        return render_template(
            "welcomes/import.html",
            draft=draft,
            live=live,
            changes=count(live.content, draft.content) if draft.version else 0,
            problems=(problems or [])[:PROBLEMS],
            further=max(0, len(problems or ()) - PROBLEMS),
            limit=IMPORT_LIMIT // MB,
            at=time.time(),
        )
