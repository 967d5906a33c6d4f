"""The state of a file at WeCom: usable for good, for some days, or not. Pure."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tasks.books.media_store import Record
from tasks.media_renewal import due_at
from tasks.reasons import Reason
from tasks.templates.model import Attachment, Book, Media, source
from tasks.templates.render import Upload, needed, stand_in


@dataclass(frozen=True, slots=True)
class Freshness:
    """`state`: permanent | usable | renewing | failing | absent | unsaved.

    failing: it can still be shown, but was not renewed; absent: it would be left out of a welcome now. `left`: seconds
    for which it can be shown, None for good or not at all. `reason` and `next_try_at` (Unix seconds, 0 for none): of
    the last failure.
    """

    state: str
    left: float | None = None
    reason: Reason | None = None
    next_try_at: float = 0.0

    @property
    def is_there(self) -> bool:
        """Whether a welcome can show it now."""
        return self.state in ("permanent", "usable", "failing") or self.left is not None

    @property
    def tone(self) -> str:
        return {"permanent": "ok", "usable": "ok", "renewing": "plain", "failing": "warn", "absent": "bad"}.get(
            self.state, "plain"
        )


UNSAVED = Freshness("unsaved")
_WORST_FIRST = ("absent", "failing", "renewing", "usable", "permanent", "unsaved")


def standing(upload: Upload, records: Mapping[str, Record], now: float) -> Freshness:
    """The state of one upload that a book needs. `records`: an Upload's key → its Record."""
    first = records.get(upload.key, Record())
    other = records.get(stand_in(upload).key, Record()) if upload.how == "url" else Record()
    shown = next((one for one in (first, other) if one.sendable(now)), None)
    failed = next((one for one in (first, other) if one.reason and not one.sendable(now)), None)
    if shown is None:
        if failed is None:
            return Freshness("renewing")
        return Freshness("absent", None, failed.reason, failed.next_try_at)
    if shown.ends_at is None:
        return Freshness("permanent")
    left = shown.ends_at - now
    if shown.failures:
        return Freshness("failing", left, shown.reason, shown.next_try_at)
    if due_at(upload if shown is first else stand_in(upload), shown) <= now:
        return Freshness("renewing", left)
    return Freshness("usable", left)


def of_files(book: Book | None, records: Mapping[str, Record]) -> dict[str, Freshness]:
    """sha256 → state of every file of a live book, or of a draft: the worst of its uploads."""
    now = time.time()
    found: dict[str, Freshness] = {}
    for upload in needed(book) if book is not None else ():
        one = standing(upload, records, now)
        known = found.get(upload.sha256, one)
        found[upload.sha256] = min(one, known, key=lambda each: _WORST_FIRST.index(each.state))
    return found


def uses(book: Book) -> Iterator[tuple[str, str, str]]:
    """(path, "template" or "group_welcome", name) of every use of a file in a book."""
    for template in book.templates.values():
        yield from ((path, "template", template.name) for path in _paths(template.attachments))
    for welcome in book.group_welcomes.values():
        if welcome.item is not None:
            yield from ((path, "group_welcome", welcome.name) for path in _paths([welcome.item]))


def _paths(attachments: Iterable[Attachment]) -> Iterator[str]:
    for attachment in attachments:
        media = source(attachment)
        if isinstance(media, Media):
            yield media.path
