"""The welcome book of each app, in Redis: the revisions, and the number of the current one.

A stored revision never changes, so a worker caches what it has read until the number changes. Every change, a rollback
too, is a new revision; earlier ones stay. An edit names the revision it started from, so that of two concurrent edits
the second is refused and does not overwrite the first.

    welcome:book:APP              the number
    welcome:book:APP:N            the YAML of revision N
    welcome:changed:APP           template → ms at which its last change went live; since release 1.1
    welcome:book:APP:N:about      JSON: author, note, at, digest, files (path → sha256, kind, size), back_to
"""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from redis.typing import EncodableT, FieldT

from tasks.books.files import Bundle
from tasks.books.labels import Labels, bare
from tasks.books.media_store import MediaStore, ReadyMedia, described
from tasks.storage import keys, replies
from tasks.storage.clock import now_ms
from tasks.storage.connections import Redis
from tasks.storage.unreadable import readable
from tasks.templates import book as book_file
from tasks.templates.media_kind import MB
from tasks.templates.model import Book, Media
from tasks.templates.problems import BookError

MEDIA_MB = 512
SHOWN_LATELY = 20  # latest revisions of each app whose files are not evicted when media is full
_BATCH = 100  # revisions per read

_STAMP = re.compile(r"\A\ufeff?# wecom-welcome: revision \d+ of app \S+ \(([0-9a-f]{12})\)\r?\n")
_SAVE = """
-- KEYS  the book; and the app's draft and its approval, where it is the draft that is saved
-- ARGV  the revision it began from or '', YAML, about; version of the draft, digest that was approved or ''
local current = tonumber(redis.call('GET', KEYS[1]) or 0)
if ARGV[1] ~= '' and tonumber(ARGV[1]) ~= current then return {'conflict', current} end
local function stored(text)
  local is_read, value = pcall(cjson.decode, text or '')
  return is_read and type(value) == 'table' and value or {}
end
if KEYS[2] then
  if tostring(stored(redis.call('GET', KEYS[2])).version) ~= ARGV[4] then return {'moved', current} end
  local on, asked = redis.call('HEXISTS', KEYS[3], 'on') == 1, stored(redis.call('HGET', KEYS[3], 'asked'))
  if on ~= (ARGV[5] ~= '') or on and asked.digest ~= ARGV[5] then return {'not approved', current} end
  redis.call('DEL', KEYS[2])
  redis.call('HDEL', KEYS[3], 'asked', 'declined')
end
local number = current + 1
local key = KEYS[1] .. ':' .. number
redis.call('SET', key, ARGV[2])
redis.call('SET', key .. ':about', ARGV[3])
redis.call('SET', KEYS[1], number)
return {'saved', number}
"""


class RevisionConflict(Exception):
    """The revision that an edit started from is no longer the current one. `current` is 0 when there is none."""

    def __init__(self, app: str, base: int, current: int) -> None:
        super().__init__(f"the book of {app} is at revision {current} now, and this edit started from {base}")
        self.base, self.current = base, current


class DraftMoved(Exception):
    """The draft that was to be saved is another one by now."""


class NotApproved(Exception):
    """Nobody has approved what was to be saved, or nobody has to any more."""


class NoRevision(LookupError):
    """There is no such revision, or files that it shows are no longer stored."""


@dataclass(frozen=True, slots=True)
class OfDraft:
    """The draft that is saved, which is looked at in the step that saves it, and gone with it.

    approved: digest of what a second person has approved; "": nobody has to.
    """

    version: int
    approved: str = ""


@dataclass(frozen=True, slots=True)
class Revision:
    """A saved book. `at`: ms, 0 if unknown. `author` and `note` are "" when none was given.

    back_to: the revision that a rollback brought back; 0 for other revisions, and where the previous release saved it.
    """

    app: str
    number: int
    author: str
    note: str
    at: int
    digest: str  # 12 hex digits of SHA-256 over YAML and files
    files: Mapping[str, Media] = field(default_factory=dict)
    back_to: int = 0


class BookStore:
    """The books of all apps in one Redis. Thread-safe. Methods raise redis.RedisError when Redis is unavailable."""

    def __init__(self, client: Redis, media_mb: int = MEDIA_MB) -> None:
        self._redis = client
        self._read: dict[str, tuple[int, Book]] = {}  # by app: the revision read last
        self._reading = threading.Lock()
        self._save = client.register_script(_SAVE)
        self.media = MediaStore(client, media_mb * MB)
        self.ready = ReadyMedia(client)

    # --- reading ---

    def current(self, app: str) -> int | None:
        """The number of the current revision of an app's book; None if none is stored that can be read."""
        number = self._redis.get(keys.book(app))
        return None if number is None else readable(f"the number of the book of {app}", partial(int, number))

    def book(self, app: str, number: int) -> Book:
        """A revision as a book, cached until another one is asked for. Raises NoRevision or BookError."""
        known = self._read.get(app)
        if known is None or known[0] != number:
            with self._reading:  # one thread reads it for all
                known = self._read.get(app)
                if known is None or known[0] != number:
                    source, revision = self.stored(app, number)
                    known = self._read[app] = (number, book_file.read(source, book_file.among(revision.files)))
        return known[1]

    def since_first_media(self, app: str) -> float | None:
        """Seconds since the app's first book with files was stored here; None if none was."""
        at = self._redis.get(keys.first_media(app))
        return None if at is None else (now_ms(self._redis) - int(at)) / 1000

    def stored(self, app: str, number: int) -> tuple[str, Revision]:
        """The YAML of a revision, and its metadata and files. Raises NoRevision."""
        names = [keys.revision(app, number), keys.revision_about(app, number)]
        source, about = replies.texts_or_none(self._redis.mget(names))
        if source is None:
            raise NoRevision(f"the book of {app} has no revision {number}")
        revision = readable(f"revision {number} of {app}", partial(_revision, app, number, source, about))
        if revision is None:
            raise NoRevision(f"what is stored of revision {number} of the book of {app} cannot be read")
        return source, revision

    def exported(self, app: str, number: int) -> tuple[str, Revision]:
        """A revision as an exported file has it: below a line that names it, and labels. Raises NoRevision."""
        source, revision = self.stored(app, number)
        try:
            names = tuple(book_file.read(source, book_file.among(revision.files)).templates)
        except BookError:  # a less strict release stored it
            names = ()
        return stamped(Labels(self._redis).above(app, source, names), revision), revision

    def stored_book(self, app: str, number: int) -> Book:
        """A revision as a book, past the cache of the current one. Raises NoRevision or BookError."""
        source, revision = self.stored(app, number)
        return book_file.read(source, book_file.among(revision.files))

    def source(self, app: str, number: int) -> str:
        """The YAML of a revision. Raises NoRevision."""
        return self.stored(app, number)[0]

    def revision(self, app: str, number: int) -> Revision:
        """A revision's metadata and files. Raises NoRevision."""
        return self.stored(app, number)[1]

    def history(self, app: str) -> Iterator[Revision]:
        """The revisions, newest first."""
        newest = self.current(app) or 0
        for start in range(newest, 0, -_BATCH):
            numbers = range(start, max(0, start - _BATCH), -1)
            sources = replies.texts_or_none(self._redis.mget([keys.revision(app, number) for number in numbers]))
            abouts = replies.texts_or_none(self._redis.mget([keys.revision_about(app, number) for number in numbers]))
            for number, source, about in zip(numbers, sources, abouts, strict=True):
                if source is None:
                    continue
                revision = readable(f"revision {number} of {app}", partial(_revision, app, number, source, about))
                if revision is not None:
                    yield revision

    def find(self, app: str, digest: str) -> int | None:
        """The newest revision with this content; None if there is none."""
        return next((revision.number for revision in self.history(app) if revision.digest == digest), None)

    def bundle(self, app: str, number: int) -> Bundle:
        """A revision with the bytes of its files. Raises NoRevision."""
        source, revision = self.stored(app, number)
        contents = {path: self.media.get(media.sha256) for path, media in revision.files.items()}
        found = {path: content for path, content in contents.items() if content is not None}
        if len(found) < len(contents):
            gone = ", ".join(path for path in contents if path not in found)
            raise NoRevision(f"files of revision {number} are not kept any more: {gone}")
        return Bundle(source, found)

    # --- changing ---

    def save(
        self,
        app: str,
        source: str,
        media: Mapping[str, bytes] | None = None,
        author: str = "",
        note: str = "",
        base: int | None = None,
        progress: Callable[[int, int], object] = lambda *_: None,
        back_to: int = 0,
        draft: OfDraft | None = None,
    ) -> int:
        """Store a book as the next revision, with its files. → its number; the current one's when nothing is different.

        media: path → bytes for the files that the book shows. base: the revision that the edit started from, 0 for
        none; None: do not check. progress: told (files stored, of how many). back_to: see Revision. Raises BookError,
        MediaFull, RevisionConflict, or of a draft DraftMoved or NotApproved, and then nothing has changed.
        """
        given, source = source, unstamped(source)
        files = {path: described(path, content) for path, content in (media or {}).items()}
        book = book_file.read(source, book_file.among(files))
        shown = book.media()
        digest = digest_of(source, shown)
        current = self.current(app) or 0
        if base is not None and base != current:
            raise RevisionConflict(app, base, current)
        if current and self.revision(app, current).digest == digest:
            Labels(self._redis).adopt(app, given, book.templates)
            return current
        new = ((media or {})[path] for path in shown)
        self.media.put(new, keep=lambda: self._shown_lately(shown), progress=progress)
        at = now_ms(self._redis)
        about = {
            "author": author,
            "note": note,
            "at": at,
            "digest": digest,
            "files": {path: [one.sha256, one.kind, one.size] for path, one in shown.items()},
            "back_to": back_to,
        }
        names, args = [keys.book(app)], ["" if base is None else base, source, json.dumps(about, ensure_ascii=False)]
        if draft is not None:
            names += [keys.draft(app), keys.approval(app)]
            args += [draft.version, draft.approved]
        became, number = self._save(keys=names, args=args)
        if became == "conflict":
            raise RevisionConflict(app, -1 if base is None else base, int(number))
        if became != "saved":
            raise DraftMoved if became == "moved" else NotApproved
        if shown:
            self._redis.set(keys.first_media(app), now_ms(self._redis), nx=True)
        self._record_changes(app, current, book, at)
        Labels(self._redis).adopt(app, given, book.templates)
        return int(number)

    def changed(self, app: str) -> dict[str, int]:
        """Template → ms at which its last change went live; without those of which that is not known."""
        return {name: int(at) for name, at in replies.fields(self._redis.hgetall(keys.changed_welcomes(app))).items()}

    def _record_changes(self, app: str, before: int, book: Book, at: int) -> None:
        """Record when the templates of a book that differ from the revision before it went live."""
        try:
            old = self.book(app, before).templates if before else {}
        except (NoRevision, BookError):
            old = {}
        new = book.templates.items()
        changed: dict[FieldT, EncodableT] = {name: at for name, template in new if old.get(name) != template}
        if changed:
            self._redis.hset(keys.changed_welcomes(app), mapping=changed)
        gone = [name for name in old if name not in book.templates]
        if gone:
            self._redis.hdel(keys.changed_welcomes(app), *gone)

    def import_first(self, app: str, source: str, media: Mapping[str, bytes] | None = None) -> bool:
        """Store a book as revision 1 unless the app has one. Raises BookError or MediaFull. → whether it was stored."""
        try:
            self.save(app, source, media, base=0)
        except RevisionConflict:
            return False
        return True

    def rollback(self, app: str, number: int, author: str = "", note: str = "", base: int | None = None) -> int:
        """Store an earlier revision again as the next one. → its number. Raises as `save` does, and NoRevision."""
        bundle = self.bundle(app, number)
        note = note or f"back to revision {number}"
        return self.save(app, bundle.source, bundle.files, author, note, base, back_to=number)

    def keep(self, contents: Iterable[bytes]) -> None:
        """Store files that no revision shows yet; the caller has added them to the draft's files. Raises MediaFull."""
        self.media.put(contents, keep=lambda: self._shown_lately({}))

    def shows(self, sha256: str) -> bool:
        """Whether one of the latest revisions or drafts of any app shows a file."""
        return sha256 in self._shown_lately({})

    def _shown_lately(self, shown: Mapping[str, Media]) -> frozenset[str]:
        """Files (sha256) that must not be evicted: of this book, the latest revisions of every app, and the drafts."""
        keep = {media.sha256 for media in shown.values()}
        for key in self._redis.scan_iter(match=keys.draft_files("*"), count=1000):
            keep |= {json.loads(stored)[0] for stored in self._redis.hvals(key)}
        pattern = re.compile(re.escape(keys.book("")) + r"([^:]+)")
        for key in self._redis.scan_iter(match=keys.book("*"), count=1000):
            found = pattern.fullmatch(key)
            if found is None:
                continue
            for nth, revision in enumerate(self.history(found[1])):
                if nth == SHOWN_LATELY:
                    break
                keep |= {media.sha256 for media in revision.files.values()}
        return frozenset(keep)


def _revision(app: str, number: int, source: str, about: str | None) -> Revision:
    stored = json.loads(about) if about else {}
    files = {path: Media(path, *described) for path, described in stored.get("files", {}).items()}
    return Revision(
        app=app,
        number=number,
        author=stored.get("author", ""),
        note=stored.get("note", ""),
        at=stored.get("at", 0),
        digest=stored.get("digest") or digest_of(source, files),
        files=files,
        back_to=stored.get("back_to", 0),
    )


# ------------------------------------------------------------------------------------------------ where a file is from


def digest_of(source: str, files: Mapping[str, Media]) -> str:
    """12 hex digits that identify a book's YAML and files."""
    parts = [source, *(f"{path}\0{media.sha256}" for path, media in sorted(files.items()))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def stamped(source: str, revision: Revision) -> str:
    """The YAML with a first line that names its revision, so that an import knows what it started from."""
    return f"# wecom-welcome: revision {revision.number} of app {revision.app} ({revision.digest})\n{source}"


def stamp(source: str) -> str | None:
    """The digest of the revision that a file was exported from; None if it has no such line."""
    found = _STAMP.match(source)
    return found and found[1]


def unstamped(source: str) -> str:
    """A book's YAML without what an exported file has above it: its revision, and labels."""
    return bare(_STAMP.sub("", source))
