"""What drafts need at WeCom before they are published, so that publishing changes nothing but which book is live.

For a draft an image gets a media id, not a permanent URL: URLs have a quota, and most drafts change again. A draft that
nobody has saved for DRAFT_LIFE is left alone, so that one that was forgotten does not have its files renewed for ever.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tasks.books.draft import Draft, read
from tasks.books.media_store import Record
from tasks.storage import keys, replies
from tasks.storage.connections import Redis
from tasks.templates.model import Media
from tasks.templates.problems import BookError
from tasks.templates.render import Upload, needed, stand_in

log = logging.getLogger(__name__)

DRAFT_LIFE = 14 * 86400.0  # seconds after the last save for which a draft's files are kept at WeCom
_SETTLES = 10.0  # seconds after which a draft has the version that was counted for it, or never will


def is_kept(draft: Draft, now: float) -> bool:
    """Whether a draft's files are kept at WeCom. `now`: Unix seconds."""
    return now - draft.at / 1000 < DRAFT_LIFE


def missing(
    wanted: Mapping[Upload, Media], records: Mapping[str, Record], live: Mapping[Upload, Media], now: float
) -> Iterator[tuple[Upload, Media]]:
    """The uploads that drafts need beside those of live books. `records`: an Upload's key → its record. Pure."""
    for upload, media in wanted.items():
        if upload not in live and not (upload.how == "url" and records.get(upload.key, Record()).sendable(now)):
            yield (stand_in(upload) if upload.how == "url" else upload), media


@dataclass(slots=True)
class _Known:
    """What one draft needs. `version`: that was counted when it was read, at `at` (monotonic)."""

    version: str
    at: float
    draft: Draft | None
    wanted: Mapping[Upload, Media] = field(default_factory=dict)


class DraftMedia:
    """Reads what drafts need; a draft again only when it has changed. For one thread."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._known: dict[str, _Known] = {}

    def wanted(self, apps: Sequence[str], now: float) -> dict[str, Mapping[Upload, Media]]:
        """App → the uploads that its draft needs. `now`: Unix seconds. Raises redis.RedisError."""
        with self._redis.pipeline(transaction=False) as pipe:
            for app in apps:
                pipe.get(keys.draft_version(app))
                pipe.exists(keys.draft(app))
            answers = pipe.execute()
        found = {}
        for number, app in enumerate(apps):
            version, there = replies.text_or_none(answers[2 * number]) or "", answers[2 * number + 1]
            if not there:
                self._known.pop(app, None)
                continue
            known = self._known.get(app)
            if known is None or known.version != version or not _settled(known):
                known = self._known[app] = self._read(app, version, known)
            if known.draft is not None and is_kept(known.draft, now):
                found[app] = known.wanted
        return found

    def _read(self, app: str, version: str, before: _Known | None) -> _Known:
        at = before.at if before is not None and before.version == version else time.monotonic()
        stored = self._redis.get(keys.draft(app))
        if stored is None:
            return _Known(version, at, None)
        draft = read(app, replies.text(stored))
        try:
            return _Known(version, at, draft, needed(draft.book()))
        except BookError as error:  # stored by a less strict release
            log.warning("the draft of app %s cannot be read: %s", app, error)
            return _Known(version, at, draft)


def _settled(known: _Known) -> bool:
    """Whether the draft will not change under this version: a version is counted before the draft is stored."""
    is_it = known.draft is not None and str(known.draft.version) == known.version
    return is_it or time.monotonic() - known.at > _SETTLES
