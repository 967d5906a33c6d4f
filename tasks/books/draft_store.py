"""The draft of each app: the book that is being edited while another one is live.

An app has one draft, shared by everyone who edits it. It could be published at any time: an edit that would make it
invalid is refused, with the problem and the value at fault. Without a draft, the live book is edited, and the first
edit creates one.

    welcome:draft:APP             JSON: source, files, base, version, author, at, touched
    welcome:draft-version:APP     the last version number, so that none is used twice
    welcome:draft-was:APP:DIGEST  JSON: a part as it was before an edit, so that a conflict can show all three; a week
    welcome:draft-files:APP       path → JSON: sha256, kind, size, at; files shown by the draft or uploaded recently
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath

from redis.typing import EncodableT, FieldT

from tasks.books import revisions
from tasks.books.draft import Behind, Draft, DraftError, EditConflict, Moved, read, written
from tasks.books.files import Bundle
from tasks.books.labels import Labels
from tasks.books.media_store import described
from tasks.books.revisions import BookStore, DraftMoved, NoRevision, OfDraft
from tasks.storage import keys, replies
from tasks.storage.clock import now_ms
from tasks.storage.connections import Redis
from tasks.storage.unreadable import readable
from tasks.templates import book as book_file
from tasks.templates.edits import ABSENT, Content, Edit, Part, SetNamed, Stale
from tasks.templates.merge import Clash, TakeBack, changed, merged
from tasks.templates.model import Media
from tasks.templates.problems import BookError
from tasks.templates.yaml_patch import rewritten
from tasks.templates.yaml_writer import Value, normal, values_of

WAS_KEPT = 7 * 24 * 3600  # seconds for which a form may stay open and a conflict still shows the original
HELD = 7 * 24 * 3600 * 1000  # ms for which an uploaded file is kept without being shown
EMPTY = "version: 1\n"
_LATELY = 10  # latest revisions that are searched for what a form began from
_TRIES = 20
_NAME_LIMIT = 100  # characters of a file's name

_SWAP = """
local now = redis.call('GET', KEYS[1])
local is_read, draft = pcall(cjson.decode, now or '')
local version = is_read and type(draft) == 'table' and tostring(draft.version) or '0'
if version ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) return 1 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""


class Drafts:
    """The drafts in one Redis. Thread-safe. Methods raise redis.RedisError."""

    def __init__(self, client: Redis, books: BookStore) -> None:
        self._redis = client
        self._books = books
        self._swap = client.register_script(_SWAP)

    # --- reading ---

    def get(self, app: str) -> Draft | None:
        """The draft; None: there is none that can be read, and the live book is edited."""
        found = self._redis.get(keys.draft(app))
        return None if found is None else readable(f"the draft of {app}", partial(read, app, replies.text(found)))

    def working(self, app: str) -> Draft:
        """The draft, or else the live book as version 0. An app without a book has an empty one."""
        return self.get(app) or self.live(app)

    def live(self, app: str) -> Draft:
        """The live book, as if it were a draft."""
        number = self._books.current(app)
        if number is None:
            return Draft(app, EMPTY)
        source, revision = self._books.stored(app, number)
        return Draft(app, source, revision.files, number, 0, revision.author, revision.at)

    def files(self, app: str) -> dict[str, Media]:
        """Path → file, for all that a form may choose: files that the draft shows, and recent uploads."""
        return {**self._held(app), **self.working(app).files}

    def content(self, app: str, path: str) -> bytes | None:
        """The bytes of one of `files`; None if there is none."""
        media = self.files(app).get(path)
        return None if media is None else self._books.media.get(media.sha256)

    # --- changing ---

    def hold(self, app: str, name: str, content: bytes) -> Media:
        """Store an uploaded file for the draft, before anything shows it. → the file under its own path.

        `name`: as it was uploaded. The same bytes under the same name are the same file. Raises MediaFull.
        """
        known = self.files(app)
        media = described(_path(name, content, known), content)
        self._keep(app, {media.path: media}, [content])
        return media

    def release(self, app: str, path: str) -> bool:
        """Remove a file that neither the draft nor the live book shows. → False if one does, or it does not exist.

        Its bytes stay as long as one of the latest revisions of any app needs them.
        """
        media = self._held(app).get(path)
        if media is None or path in self.working(app).files or path in self.live(app).files:
            return False
        self._redis.hdel(keys.draft_files(app), path)
        if not self._books.shows(media.sha256):
            self._books.media.drop(media.sha256)
        return True

    def change(self, app: str, edit: Edit | TakeBack, author: str) -> Draft:
        """Make an edit. → the draft with it. Raises EditConflict, DraftError, edits.NameTaken or edits.StillUsed.

        A file that the edit shows must be in `files`, or have been given to `hold`.
        """
        for _ in range(_TRIES):
            draft = self.working(app)
            known = edit.live.files if isinstance(edit, TakeBack) else {}
            content = Content(draft.content.values, {**known, **self._held(app), **draft.files})
            try:
                values = edit.apply(content)
            except Stale as stale:
                raise self._conflict(draft, stale, edit) from None
            self._remember(app, content, edit)
            saved = self._saved(draft, Content(normal(values), content.files), author, edit)
            if saved is not None:
                return saved
        raise Moved(self.get(app))

    def try_out(self, app: str, edit: Edit) -> None:
        """Raise what `change` would raise for this edit now, except EditConflict; nothing changes."""
        draft = self.working(app)
        content = Content(draft.content.values, {**self._held(app), **draft.files})
        try:
            book_file.read(rewritten(draft.source, normal(edit.apply(content))), book_file.among(content.files))
        except BookError as error:
            raise DraftError(error.problems) from None

    def behind(self, draft: Draft) -> tuple[int, tuple[Clash, ...]] | None:
        """(the live revision, parts that both changed) when a draft did not begin from the live revision; else None."""
        live = self.live(draft.app)
        return None if live.base == draft.base else (live.base, self._rebased(draft, live)[1])

    def origin(self, draft: Draft) -> Content:
        """What a draft began from; empty when that is no longer stored."""
        try:
            return self._revision(draft.app, draft.base)
        except NoRevision:
            return Content(normal({}))

    def replace(self, app: str, bundle: Bundle, author: str, version: int) -> Draft:
        """Replace the draft by another book, such as an imported file. `version`: of the draft that it replaces.

        A book that was exported from a revision began from there: what was published since is merged, not undone. Who
        changed the draft that it replaces stays among its authors, for the file may be that draft: nobody approves what
        is his own because a colleague has exported and imported it.
        Raises BookError, MediaFull, or Moved when the draft is another version by now.
        """
        files = {path: described(path, content) for path, content in bundle.files.items()}
        source = revisions.unstamped(bundle.source)
        book = book_file.read(source, book_file.among(files))
        shown = book.media()
        before = self.working(app)
        if before.version != version:
            raise Moved(self.get(app))
        self._keep(app, shown, list(bundle.files.values()))
        digest = revisions.stamp(bundle.source)
        base = self._books.find(app, digest) if digest else None
        base = self.live(app).base if base is None else base
        by = tuple(before.authors) if before.version else ()
        draft = self._stamped(Draft(app, source, shown, base, before.version, by=by), author)
        if not self._put(draft, version):
            raise Moved(self.get(app))
        Labels(self._redis).adopt(app, bundle.source, book.templates)
        return draft

    def discard(self, app: str, version: int) -> None:
        """Discard the draft: the live book is edited again. Raises Moved when it is another version by now."""
        if not self._swap(keys=[keys.draft(app)], args=[str(version), ""]):
            raise Moved(self.get(app))

    # --- going live ---

    def publish(self, app: str, version: int, author: str, note: str = "", approved: str = "") -> int:
        """Make the draft the current revision. → its number. `version`: of the draft that the operator saw.

        approved: the digest of what a second person has approved, see `approvals`; "": nobody has to. That, and that
        the draft is still that version, holds in the step in which it goes live.
        Raises Moved, NotApproved, Behind (then see `rebase`), BookError, MediaFull or NoRevision, and then nothing has
        changed.
        """
        draft = self.get(app)
        if draft is None or draft.version != version:
            raise Moved(draft)
        live = self.live(app)
        if live.base != draft.base and (live.source, live.files) != (draft.source, draft.files):
            raise Behind(draft, live.base, self._rebased(draft, live)[1])
        try:
            of = OfDraft(version, approved)
            number = self._books.save(app, draft.source, self._bytes(draft), author, note, base=live.base, draft=of)
        except revisions.RevisionConflict as conflict:
            raise Behind(draft, conflict.current, self._rebased(draft, self.live(app))[1]) from None
        except DraftMoved:
            raise Moved(self.get(app)) from None
        self._swap(keys=[keys.draft(app)], args=[str(version), ""])  # of one that is what is live
        return number

    def rebase(self, app: str, version: int, author: str, choices: Mapping[Part, str] | None = None) -> Draft:
        """Apply the draft's changes to the live book. `choices`: part → "yours" or "theirs", one for each clash.

        Raises Moved, Behind while a clash is undecided, or DraftError when the merged book would be invalid.
        """
        draft = self.get(app)
        if draft is None or draft.version != version:
            raise Moved(draft)
        live = self.live(app)
        content, clashes = self._rebased(draft, live, choices)
        if clashes:
            raise Behind(draft, live.base, clashes)
        based = replace(draft, source=live.source, base=live.base)
        saved = self._saved(based, content, author, None)
        if saved is None:
            raise Moved(self.get(app))
        return saved

    # --- within ---

    def _rebased(
        self, draft: Draft, live: Draft, choices: Mapping[Part, str] | None = None
    ) -> tuple[Content, tuple[Clash, ...]]:
        return merged(self.origin(draft), draft.content, live.content, choices)

    def _revision(self, app: str, number: int) -> Content:
        if not number:
            return Content(normal({}))
        source, revision = self._books.stored(app, number)
        return Content(values_of(source), revision.files)

    def _saved(self, before: Draft, content: Content, author: str, edit: Edit | TakeBack | None) -> Draft | None:
        """Store the draft with this content; content equal to the live book removes the draft. None: changed meanwhile.

        Raises DraftError when the content is not a valid book.
        """
        source = rewritten(before.source, content.values)
        try:
            shown = book_file.read(source, book_file.among(content.files)).media()
        except BookError as error:
            raise DraftError(error.problems) from None
        live = self.live(before.app)
        if live.base == before.base and not any(changed(live.content, Content(values_of(source), shown))):
            done = not before.version or self._put(None, before.version, before.app)
            return live if done else None
        draft = self._stamped(replace(before, source=source, files=shown), author)
        if edit is not None:
            part = Part(edit.part.kind, edit.name) if isinstance(edit, SetNamed) else edit.part
            draft = replace(draft, touched={**before.touched, str(part): (author, draft.at)})
        self._keep(before.app, shown)
        return draft if self._put(draft, before.version) else None

    def _stamped(self, draft: Draft, author: str) -> Draft:
        version, at = int(self._redis.incr(keys.draft_version(draft.app))), now_ms(self._redis)
        before = draft.by if draft.version else ()  # what is live has none
        return replace(draft, version=version, author=author, at=at, by=tuple(dict.fromkeys((*before, author))))

    def _put(self, draft: Draft | None, version: int, app: str = "") -> bool:
        """Replace the draft of that version, or delete it for None. → whether it was still that version."""
        stored = "" if draft is None else written(draft)
        return bool(self._swap(keys=[keys.draft(draft.app if draft else app)], args=[str(version), stored]))

    def _conflict(self, draft: Draft, stale: Stale, edit: Edit | TakeBack) -> EditConflict:
        was = getattr(edit, "was", ABSENT)
        yours = getattr(edit, "value", getattr(edit, "rule", None))
        original = self._original(draft.app, stale.part, was)
        author, at = draft.touched.get(str(stale.part), (draft.author, draft.at))
        theirs = ABSENT if stale.theirs is None else draft.content.digest(stale.part)
        return EditConflict(Clash(stale.part, yours, stale.theirs, original), theirs, author, at)

    def _original(self, app: str, part: Part, was: str) -> Value | None:
        """What a form began from: a part that an edit has replaced since, or that of a recent revision."""
        found = self._redis.get(keys.draft_was(app, was)) if was else None
        if found is not None:
            value: Value = json.loads(found)
            return value
        newest = self._books.current(app) or 0
        for number in range(newest, max(0, newest - _LATELY), -1):
            content = self._revision(app, number)
            if was and content.digest(part) == was:
                return content.part(part)
        return None

    def _remember(self, app: str, content: Content, edit: Edit | TakeBack) -> None:
        """Record what an edit is about to replace."""
        value = content.part(edit.part)
        if value is not None:
            self._redis.set(keys.draft_was(app, content.digest_of(value)), json.dumps(value), ex=WAS_KEPT)

    def _held(self, app: str) -> dict[str, Media]:
        found = replies.fields(self._redis.hgetall(keys.draft_files(app)))
        known = {path: readable(f"a file of {app}", partial(_media, path, stored)) for path, stored in found.items()}
        return {path: media for path, media in known.items() if media is not None}

    def _keep(self, app: str, files: Mapping[str, Media], contents: list[bytes] | None = None) -> None:
        """Protect files from eviction, and store the bytes in `contents`. Raises MediaFull."""
        now = now_ms(self._redis)
        key = keys.draft_files(app)
        waiting = replies.fields(self._redis.hgetall(key))
        draft = self.get(app)
        shown = {*files, *(draft.files if draft else ())}
        old = [path for path, stored in waiting.items() if path not in shown and json.loads(stored)[3] < now - HELD]
        if old:
            self._redis.hdel(key, *old)
        if files:
            stored: dict[FieldT, EncodableT] = {
                path: json.dumps([one.sha256, one.kind, one.size, now]) for path, one in files.items()
            }
            self._redis.hset(key, mapping=stored)
        if contents:
            try:
                self._books.keep(contents)
            except Exception:
                gone = [path for path in files if path not in waiting]
                if gone:
                    self._redis.hdel(key, *gone)
                raise

    def _bytes(self, draft: Draft) -> dict[str, bytes]:
        """Path → bytes of the draft's files. Raises NoRevision when one is no longer stored."""
        found = {path: self._books.media.get(media.sha256) for path, media in draft.files.items()}
        gone = [path for path, content in found.items() if content is None]
        if gone:
            raise NoRevision(f"files of the draft are not kept any more: {', '.join(gone)}; upload them again")
        return {path: content for path, content in found.items() if content is not None}


def _media(path: str, stored: str) -> Media:
    return Media(path, *json.loads(stored)[:3])


def _path(name: str, content: bytes, known: Mapping[str, Media]) -> str:
    """A path for a file uploaded under this name: an unused one, or that of the same file."""
    tail = unicodedata.normalize("NFC", PurePosixPath(name.replace("\\", "/")).name)  # macOS decomposes accents
    plain = "".join(one for one in tail if unicodedata.category(one)[0] != "C").strip().lstrip(".~") or "file"
    stem, dot, suffix = plain.rpartition(".")
    stem, suffix = (stem, dot + suffix[:10]) if dot and stem else (plain, "")
    stem = re.sub(r"\s+", " ", stem)[: _NAME_LIMIT - len(suffix)]
    for number in range(1, 10_000):
        path = f"media/{stem}{'' if number == 1 else f'-{number}'}{suffix}"
        if path not in known or known[path] == described(path, content):
            return path
    raise ValueError(f"too many files are called {plain}")
