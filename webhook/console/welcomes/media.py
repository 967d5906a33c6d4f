"""The media library: the files of welcomes, their state at WeCom, and their bytes for the preview."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext
from werkzeug.datastructures import FileStorage

from tasks.audit import Act
from tasks.books.draft import book_of
from tasks.books.media_store import MediaFull, described
from tasks.media_renewal import PER_DAY, PER_MONTH, quota_keys
from tasks.templates import media_kind
from tasks.templates.book_attachments import USES
from tasks.templates.media_kind import FILE, LARGEST
from tasks.templates.model import Book, Media
from tasks.wecom.message_limits import PERMANENT_IMAGE_MOST
from webhook.console import current
from webhook.console.layout import cut
from webhook.console.welcomes import media_status
from webhook.console.welcomes.media_status import UNSAVED, Freshness
from webhook.console.welcomes.uploads import received

UPLOAD_LIMIT = LARGEST + (1 << 20)  # bytes of one request
SHOWN = {"JPG": "image/jpeg", "PNG": "image/png"}  # kinds that a browser may show; all else it saves
SHORT_NAMES = {  # of kinds, where theirs is more than a name
    media_kind.OTHER: lazy_gettext("File"),
    "ZIP or Office": "ZIP / Office",
    "MKV or WebM": "MKV / WebM",
    "QuickTime (MOV)": "MOV",
    "M4A (audio)": "M4A",
}
OWN_POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; sandbox"  # the style is the browser's own
A_YEAR = 365 * 86400


@dataclass(frozen=True, slots=True)
class Item:
    """A file of the library. `users`: (kind, name, whether it is live) of the welcomes that use it."""

    media: Media
    kind: Any  # in words
    picture: bool
    users: tuple[tuple[str, str, bool], ...]
    fresh: Freshness

    @property
    def live(self) -> bool:
        """Whether customers can get it now."""
        return any(is_live for _kind, _name, is_live in self.users)


blueprint = Blueprint("media", __name__)


@blueprint.url_value_preprocessor
def take_a_file(endpoint: str | None, _values: Any) -> None:
    """Raise the limit of the body for uploads, for those who are signed in."""
    if endpoint == "media.upload" and session.get("operator"):
        request.max_content_length = UPLOAD_LIMIT


@blueprint.get("/media")
def show() -> str:
    """The library."""
    services, app = current.services(), current.app()
    draft = services.drafts.working(app.name)
    number = services.books.current(app.name)
    live = services.books.book(app.name, number) if number else None
    used = [int(one or 0) for one in services.redis.mget(quota_keys(app.settings.corp_id))]
    shown = live.media() if live is not None else {}
    items = _items({**shown, **services.drafts.files(app.name)}, book_of(draft) if draft.version else live, live)
    return render_template(
        "media/library.html",
        items=items,
        quota=((used[0], PER_DAY), (used[1], PER_MONTH)),
        stored=sum(services.books.media.sizes().values()),
        room=services.books.media.limit,
        limit=LARGEST,
        uses=USES,
        permanent_image_most=PERMANENT_IMAGE_MOST,
    )


def _items(files: Mapping[str, Media], draft: Book | None, live: Book | None) -> list[Item]:
    """Every file with the welcomes that use it; those with problems first, then by name."""
    records = current.services().books.ready.all(current.app().settings.corp_id)
    fresh = media_status.of_files(draft, records) | media_status.of_files(live, records)
    users: dict[str, dict[tuple[str, str], bool]] = {}
    for book, is_live in ((draft, False), (live, True)):
        for path, kind, name in media_status.uses(book) if book is not None else ():
            users.setdefault(path, {})[kind, name] = is_live
    items = [
        Item(
            one,
            SHORT_NAMES.get(one.kind, one.kind),
            one.kind in SHOWN,
            tuple((*what, is_live) for what, is_live in users.get(path, {}).items()),
            fresh.get(one.sha256, UNSAVED),
        )
        for path, one in files.items()
    ]
    order = {"absent": 0, "failing": 1}
    return sorted(items, key=lambda one: (order.get(one.fresh.state, 2), one.media.name))


@blueprint.post("/media")
def upload() -> ResponseReturnValue:
    """Store the uploaded files for later use."""
    files = [one for one in request.files.getlist("file") if one.filename]
    kept = 0
    for one in files:
        wrong = _held(one)
        kept += wrong is None
        if wrong is None:
            current.record(Act.MEDIA_ADDED, one.filename or "")
        if wrong is not None:
            flash(wrong)
    if kept:
        flash(ngettext("%(num)s file is in the media library", "%(num)s files are in the media library", kept))
    elif not files:
        flash(_("Choose a file first"))
    return redirect(url_for("media.show"))


def _held(file: FileStorage) -> str | None:
    """Store a file. → why it was refused; None if it was not."""
    content, refused = received(file, FILE)
    if refused is not None:
        return refused
    name = file.filename or ""
    try:
        current.services().drafts.hold(current.app().name, name, content)
    except MediaFull:
        full = _("There is no room for more files: delete some that nothing shows")
        return f"{cut(name)}: {full}"
    return None


@blueprint.post("/media/delete")
def delete() -> ResponseReturnValue:
    """Delete the selected files, unless a welcome uses them."""
    paths = request.form.getlist("path")
    gone = [path for path in paths if current.services().drafts.release(current.app().name, path)]
    for path in gone:
        current.record(Act.MEDIA_DELETED, path)
    _say_deleted(len(gone), len(paths) - len(gone))
    return redirect(url_for("media.show"))


def _say_deleted(gone: int, left: int) -> None:
    if gone:
        flash(ngettext("%(num)s file is deleted", "%(num)s files are deleted", gone))
    if left:
        flash(ngettext(
            "%(num)s file stays: a welcome shows it now",
            "%(num)s files stay: welcomes show them now",
            left,
        ))  # fmt: skip


@blueprint.get("/media/<sha256>")
def content(sha256: str) -> Response:
    """The bytes of a file. Its URL is its content's hash, so browsers may cache it; nothing in it can run."""
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        abort(404)
    found = current.services().books.media.get(sha256)
    if found is None or hashlib.sha256(found).hexdigest() != sha256:
        abort(404)
    kind = described("", found).kind
    response = Response(found, mimetype=SHOWN.get(kind, "application/octet-stream"))
    ending = f".{kind.lower()}" if kind in SHOWN else ""
    shown = "inline" if kind in SHOWN else "attachment"
    response.headers["Content-Disposition"] = f'{shown}; filename="{sha256[:12]}{ending}"'
    response.headers["Content-Security-Policy"] = OWN_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = f"private, max-age={A_YEAR}, immutable"
    return response
