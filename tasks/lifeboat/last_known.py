"""What a greeting needs from Redis, as it was when Redis last answered: books, ready media, names, the pause.

In memory: all of it, and the access tokens, which the clients keep (`wecom.token`).
On the disk, mode 0600, for a process that starts while Redis is away: books, ready media and the pause; no token, since
it is a secret that WeCom gives again, and no name of a person, since `forget` and time limits do not reach that file.
"""

import contextlib
import json
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tasks.books.media_store import MARGIN
from tasks.books.revisions import BookStore, NoRevision
from tasks.directory.lookup import BUDGET, ROOT, Lookup, Packages, cached_answers
from tasks.events import ContactAdded
from tasks.ledger.pauses import WELCOME, Pause, QueuePauses
from tasks.settings import App
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.templates import book as book_file
from tasks.templates.model import Book, Media
from tasks.templates.problems import BookError
from tasks.templates.render import Ready, Upload, uploads
from tasks.wecom import WeComClient

log = logging.getLogger(__name__)

FILE = "last-known.json"
MEMBERS = 2000  # whose names are kept: of the latest events


@dataclass(frozen=True, slots=True)
class KnownBook:
    """The current book of an app. `stored`: what it was read from.

    ready: upload's key → (URL or media id, its end in Unix seconds or None).
    """

    corp_id: str
    number: int
    book: Book
    stored: Mapping[str, Any]
    ready: Mapping[str, tuple[str, float | None]] = field(default_factory=dict)


class LastKnown:
    """Reads it with `refresh`, and gives it as `tasks.greeting.ports` says. Thread-safe, for one that refreshes."""

    def __init__(
        self,
        client: Redis,
        books: BookStore,
        pauses: QueuePauses,
        apps: Mapping[str, App],
        zone: ZoneInfo,
        folder: Path,
        packages: Packages | None = None,
    ) -> None:
        self._packages = packages
        self._redis = client
        self._store = books
        self._pauses = pauses
        self._apps = apps
        self._zone = zone
        self._file = folder / FILE
        self._written = ""
        self._books: dict[str, KnownBook] = {}
        self._pause: Pause | None = None
        self._names: dict[str, Any] = {}  # key in Redis → the cached answer
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()  # (app, user_id), latest last
        self.ready = _KnownMedia(self._books)

    # --- what a greeting asks for ---

    def revision(self, app: str) -> int | None:
        """The number of an app's current book; None if none is known."""
        known = self._books.get(app)
        return None if known is None else known.number

    def book(self, app: str, number: int) -> Book:
        """The current book, whatever the number: it may have changed since. Raises NoRevision if none is known."""
        known = self._books.get(app)
        if known is None:
            raise NoRevision(f"no book of {app} is known")
        return known.book

    def about(
        self, wecom: WeComClient, event: ContactAdded, received_at: int, by: float, budget: float = BUDGET
    ) -> Lookup:
        """A lookup that knows what was cached in Redis, and asks only installed packages, for their placeholders."""
        at = datetime.fromtimestamp(received_at / 1000, self._zone)
        by = min(by, time.monotonic() + budget)
        return _KnownLookup(self._redis, wecom, event, at, self._packages, by, self._names)

    def last(self) -> Mapping[str, Pause]:
        return {} if self._pause is None else {WELCOME: self._pause}

    @property
    def is_paused(self) -> bool:
        """Whether the queue of greetings is paused, for all that is known."""
        pause = self._pause
        return pause is not None and (pause.until is None or pause.until > time.time())

    # --- learning it ---

    def saw(self, event: ContactAdded) -> None:
        """Keep the names about this event's member too."""
        member = (event.app, event.user_id)
        self._seen[member] = None
        with contextlib.suppress(KeyError):  # another thread has it out just now
            self._seen.move_to_end(member)
            if len(self._seen) > MEMBERS:
                self._seen.popitem(last=False)

    def refresh(self, everything: bool = False) -> None:
        """Read books and pause again, with what is new in them, and keep them on the disk. Raises redis.RedisError."""
        for app in self._apps.values():
            self._refresh_book(app, everything)
        self._pause = self._pauses.last().get(WELCOME)
        self._write()

    def refresh_all(self) -> None:
        """The same, with all media and names. Raises redis.RedisError."""
        self._refresh_names()
        self.refresh(everything=True)

    def _refresh_book(self, app: App, with_media: bool) -> None:
        number = self._store.current(app.name)
        if number is None:
            self._books.pop(app.name, None)
            return
        known = self._books.get(app.name)
        try:
            if known is None or known.number != number or not _is_ready(known):
                with_media = True
            if known is None or known.number != number:
                files = self._store.revision(app.name, number).files
                source, shown = self._store.source(app.name, number), [_file(one) for one in files.values()]
                book = self._store.book(app.name, number)
                known = KnownBook(app.corp_id, number, book, {"source": source, "files": shown})
        except (NoRevision, BookError) as error:
            log.warning("the book of app %s is not known: %s", app.name, error)
            return
        if not with_media:
            return
        wanted = {one.key for attachment in known.book.attachments() for one in uploads(attachment)}
        records = self._store.ready.all(app.corp_id) if wanted else {}
        ready = {key: (one.value, one.ends_at) for key, one in records.items() if key in wanted and one.value}
        self._books[app.name] = replace(known, ready=ready)

    def _refresh_names(self) -> None:
        members = [keys.member(app, user) for app, user in list(self._seen)]
        corps = [name for app in self._apps for name in (keys.department_tree(app), keys.department(app, ROOT))]
        names = cached_answers(self._redis, members + corps)
        apps = {keys.member(app, user): app for app, user in list(self._seen)}
        departments = {
            keys.department(apps[key], int(answer["department"]))
            for key, answer in names.items()
            if key in apps and isinstance(answer, dict) and answer.get("department")
        }
        self._names.update(names | cached_answers(self._redis, sorted(departments)))
        if len(self._names) > 3 * MEMBERS:
            self._names.clear()  # it is read again in a moment

    # --- the disk ---

    def _write(self) -> None:
        pause = self._pause
        content = json.dumps(
            {
                "version": 1,
                "apps": {
                    app: {"number": known.number, "ready": known.ready, **known.stored}
                    for app, known in self._books.items()
                },
                "pause": pause and {"by": pause.by, "at": pause.at, "until": pause.until},
            },
            ensure_ascii=False,
        )
        if content == self._written:
            return
        try:
            new = self._file.with_suffix(f".{os.getpid()}")
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
                out.write(content)
            new.replace(self._file)
            self._written = content
        except OSError as error:
            log.warning("cannot keep what the lifeboat needs in %s: %s", self._file, error.strerror)

    def read_file(self) -> None:
        """Take over what another process has left on the disk; nothing of a file that is unfit."""
        try:
            data = json.loads(self._file.read_text("utf-8"))
            for app, stored in data["apps"].items():
                if app in self._apps:
                    self._books[app] = _known_book(self._apps[app].corp_id, stored)
            if data["pause"]:
                self._pause = Pause(**data["pause"], now=data["pause"]["at"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError, BookError) as error:
            log.warning("%s is of no use: %s", self._file, type(error).__name__)


class _KnownMedia:
    """Which media can be sent, for all that is known."""

    def __init__(self, books: Mapping[str, KnownBook]) -> None:
        self._books = books
        self._refused: set[str] = set()  # media ids

    def get(self, corp_id: str, asked: Iterable[Upload]) -> Ready:
        found = {}
        for upload in asked:
            for known in [one for one in list(self._books.values()) if one.corp_id == corp_id]:
                value, ends_at = known.ready.get(upload.key, ("", None))
                if value and value not in self._refused and (ends_at is None or ends_at - MARGIN > time.time()):
                    found[upload] = value
        return found

    def refuse(self, corp_id: str, sent: Mapping[Upload, str]) -> None:
        self._refused |= {value for upload, value in sent.items() if upload.how != "url"}


class _KnownLookup(Lookup):
    """A lookup from memory, and from installed packages."""

    def __init__(
        self,
        client: Redis,
        wecom: WeComClient,
        event: ContactAdded,
        at: datetime,
        packages: Packages | None,
        by: float,
        known: Mapping[str, Any],
    ) -> None:
        super().__init__(client, wecom, event, at, packages=packages, by=by)
        self._known = known

    def _customer(self) -> dict[str, Any]:
        return {}

    def _fetch(self, key: str, *_: object) -> Any:
        return self._known.get(key)


def _is_ready(known: KnownBook) -> bool:
    """Whether each file of the book can be shown."""
    wanted = [uploads(attachment) for attachment in known.book.attachments()]
    return all(not ways or any(one.key in known.ready for one in ways) for ways in wanted)


def _file(media: Media) -> list[Any]:
    return [media.path, media.sha256, media.kind, media.size]


def _known_book(corp_id: str, stored: Mapping[str, Any]) -> KnownBook:
    files = {path: Media(path, *described) for path, *described in stored["files"]}
    book = book_file.read(stored["source"], book_file.among(files))
    ready = {key: (str(value), ends_at) for key, (value, ends_at) in stored["ready"].items()}
    kept = {"source": stored["source"], "files": stored["files"]}
    return KnownBook(corp_id, int(stored["number"]), book, kept, ready)
