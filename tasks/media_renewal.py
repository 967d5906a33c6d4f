"""Media renewal: uploads the files that welcome books show before a customer is greeted, and again before they expire.

    MediaRenewer  a thread of role upkeep. Every two seconds it compares the files of the current books, and of drafts,
                  with their records, and uploads what is missing, refused or old enough. One of several processes
                  does it, holding a lock, in threads of its own: nothing else waits for an upload
    media_status  the status of one app's media, for /readyz, /metrics and `check`

An import or a rollback needs to notify nothing: the next check finds it. Images that fit get a permanent URL
(media/uploadimg, doc 90256) within its quotas, all else a media id for three days (media/upload, doc 90253).
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

import redis
from redis.exceptions import LockError
from redis.lock import Lock

from tasks.books.draft_media import DraftMedia, missing
from tasks.books.media_store import Record
from tasks.books.revisions import BookStore, NoRevision
from tasks.reasons import Kind, Reason
from tasks.settings import App
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.storage.unreadable import readable
from tasks.templates.model import Media
from tasks.templates.problems import BookError
from tasks.templates.render import Upload, needed, stand_in
from tasks.wecom import WeComClient, WeComError

log = logging.getLogger(__name__)

INTERVAL = 2.0  # seconds between two checks
LEASE = 4.0  # seconds after which another process takes over from one that does not renew its lock
AT_ONCE = 4  # concurrent uploads of one corp, so that one corp's cannot hold up another's
PATIENCE = 60.0  # seconds for one upload

LIFE = 3 * 86400.0  # seconds that a media id lives, doc 90253
RENEW = 2.5 * 86400.0  # seconds after which it is renewed at the latest
SPREAD = 6 * 3600.0  # seconds over which the renewals of a book are spread, each file at its own point
ALARM = 12 * 3600.0  # seconds left at which an id should have been renewed long ago
FIRST = 10.0  # seconds for which /readyz waits for the first media

PER_DAY, PER_MONTH = 1000, 3000  # permanent images of a corp, doc 90256
QUOTA_ZONE = ZoneInfo("Asia/Shanghai")  # the quotas' days and months are in this zone
QUOTA_WAIT = 600.0  # seconds until an exhausted quota is checked again

_TAKE_QUOTA = """
if tonumber(redis.call('GET', KEYS[1]) or 0) >= tonumber(ARGV[1]) then return 0 end
if tonumber(redis.call('GET', KEYS[2]) or 0) >= tonumber(ARGV[2]) then return 0 end
redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], 2 * 86400)
redis.call('INCR', KEYS[2])
redis.call('EXPIRE', KEYS[2], 32 * 86400)
return 1
"""


# ------------------------------------------------------------------------------------------------ what is due


def due_at(upload: Upload, record: Record) -> float:
    """When an upload is due: Unix seconds, 0 for at once; infinite for a permanent URL."""
    if record.value is None:
        return record.next_try_at
    if record.ends_at is None:
        return float("inf")
    own_point = int(upload.sha256[:8], 16) / 16**8
    return max(record.next_try_at, record.created_at + RENEW - SPREAD * own_point)


def due(wanted: Mapping[Upload, Media], records: Mapping[str, Record], now: float) -> Iterator[tuple[Upload, Media]]:
    """The uploads that are due now. An image whose permanent URL has to wait gets a media id meanwhile."""
    for upload, media in wanted.items():
        record = records.get(upload.key, Record())
        if due_at(upload, record) <= now:
            yield upload, media
        elif upload.how == "url" and record.value is None:
            other = stand_in(upload)
            if due_at(other, records.get(other.key, Record())) <= now:
                yield other, media


def quota_keys(corp_id: str) -> list[str]:
    """The keys that count a corp's permanent images: of today, and of this month."""
    today = datetime.now(QUOTA_ZONE)
    return [keys.image_quota(corp_id, f"{today:%Y-%m-%d}"), keys.image_quota(corp_id, f"{today:%Y-%m}")]


def wanted_by(books: BookStore, app: str) -> dict[Upload, Media]:
    """The uploads that an app's current book needs → their files; empty without a readable book. Raises RedisError."""
    number = books.current(app)
    if number is None:
        return {}
    try:
        return needed(books.book(app, number))
    except (BookError, NoRevision) as error:
        log.error("the welcome book of app %s cannot be read: %s", app, error)
        return {}


# ------------------------------------------------------------------------------------------------ status


@dataclass(frozen=True, slots=True)
class MediaStatus:
    """The status of the media of an app's current book."""

    files: int = 0  # uploads that it needs
    absent: Mapping[str, Reason] = field(
        default_factory=dict
    )  # path → why it is not at WeCom, for files that cannot be shown now
    failing: Mapping[str, Reason] = field(
        default_factory=dict
    )  # path → why it was not renewed, for files that can still be shown
    left: float | None = None  # seconds until the first media id expires; None: none does
    starting: bool = False  # the first media was stored so recently that it may still be uploading

    @property
    def troubled(self) -> int:
        """How many files are not at WeCom, or were not renewed."""
        return len(self.absent) + len(self.failing)

    @property
    def is_ending(self) -> bool:
        """Whether a media id expires soon that should have been renewed long ago, although no upload failed."""
        return not self.absent and not self.failing and self.left is not None and self.left < ALARM

    @property
    def needs_attention(self) -> bool:
        """Whether somebody should look into it."""
        return bool(self.absent or self.failing or self.is_ending)


def media_status(books: BookStore, app: App) -> MediaStatus:
    """The status of one app's media. Raises redis.RedisError."""
    now = time.time()
    wanted = wanted_by(books, app.name)
    if not wanted:
        return MediaStatus()
    records = books.ready.all(app.corp_id)
    absent, failing, lefts = {}, {}, []
    for upload, media in wanted.items():
        first = records.get(upload.key, Record())
        other = records.get(stand_in(upload).key, Record()) if upload.how == "url" else Record()
        shown = next((one for one in (first, other) if one.sendable(now)), None)
        if shown is None:
            absent[media.path] = first.reason or other.reason or Reason.of(Kind.ON_ITS_WAY)
        elif shown.ends_at is not None:
            lefts.append(shown.ends_at - now)
            if shown.failures:
                failing[media.path] = shown.reason or Reason.of(Kind.ON_ITS_WAY)
    since = books.since_first_media(app.name)
    left = min(lefts, default=None)
    return MediaStatus(len(wanted), absent, failing, left, starting=since is not None and since < FIRST)


def media_statuses(books: BookStore, apps: Iterable[App]) -> dict[str, MediaStatus]:
    """App → the status of its media; without those of which something stored cannot be read."""
    found = {app.name: readable(f"the media of {app.name}", partial(media_status, books, app)) for app in apps}
    return {app: status for app, status in found.items() if status is not None}


# ------------------------------------------------------------------------------------------------ the renewer


class MediaRenewer(threading.Thread):
    """Runs until the process ends, or `stop`."""

    def __init__(
        self, client: Redis, books: BookStore, apps: Mapping[str, App], clients: Mapping[str, WeComClient]
    ) -> None:
        super().__init__(name="media", daemon=True)
        self._redis = client
        self._books = books
        self._clients = clients
        self._apps: dict[str, list[str]] = {}  # corp id → its apps
        for app in apps.values():
            self._apps.setdefault(app.corp_id, []).append(app.name)
        self._lease = Lock(client, keys.MEDIA_RENEWER, timeout=LEASE, blocking=False, thread_local=False)
        self._renew_at = 0.0  # monotonic; the lock is held for two seconds more
        self._drafts = DraftMedia(client)
        self._take_quota = client.register_script(_TAKE_QUOTA)
        self._free = {corp_id: threading.Semaphore(AT_ONCE) for corp_id in self._apps}
        self._under_way: set[tuple[str, str]] = set()  # (corp id, an Upload's key)
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(INTERVAL):
            try:
                self.look()
            except redis.RedisError as error:
                log.warning("cannot look after media: %s", type(error).__name__)
            except Exception:  # the thread's edge: the next check may succeed
                log.exception("looking after media ended in an error")

    def stop(self) -> None:
        """Begin no more uploads, and release the lock for another process."""
        self._stopping.set()
        with contextlib.suppress(redis.RedisError):  # another process holds the lock, or it expires by itself
            self._lease.release()

    def look(self) -> bool:
        """Begin the uploads that are due. → whether this process holds the lock. Raises redis.RedisError."""
        if not self._has_lease():
            return False
        for corp_id, apps in self._apps.items():
            wanted: dict[Upload, Media] = {}
            users: dict[str, list[str]] = {}  # sha256 → the apps whose books show it
            for app in apps:
                for upload, media in wanted_by(self._books, app).items():
                    wanted.setdefault(upload, media)
                    users.setdefault(upload.sha256, []).append(app)
            now = time.time()
            drafted = self._drafts.wanted(apps, now)
            records = self._books.ready.all(corp_id)
            for upload, media in due(wanted, records, now):
                self._begin(corp_id, users[upload.sha256], upload, media)
            for app, shown in drafted.items():  # after what customers get now
                for upload, media in due(dict(missing(shown, records, wanted, now)), records, now):
                    self._begin(corp_id, [app], upload, media)
            self._forget(corp_id, {**wanted, **_joined(drafted.values())}, records, now)
        return True

    def _has_lease(self) -> bool:
        """Renew the lock every second time, or acquire it if it is free. → whether this process holds it."""
        now = time.monotonic()
        if now < self._renew_at:
            return True
        with contextlib.suppress(LockError):
            self._lease.reacquire()
            self._renew_at = now + LEASE / 2 - INTERVAL / 2
            return True
        return bool(self._lease.acquire())

    def _begin(self, corp_id: str, apps: list[str], upload: Upload, media: Media) -> None:
        mark = corp_id, upload.key
        if mark in self._under_way or not self._free[corp_id].acquire(blocking=False):
            return  # in progress, or too many are: the next check comes soon
        self._under_way.add(mark)

        def work() -> None:
            try:
                self._upload(corp_id, apps, upload, media)
            except redis.RedisError as error:
                log.warning("cannot record what became of an upload: %s", type(error).__name__)
            except Exception:  # the thread's edge
                log.exception("an upload ended in an error")
            finally:
                self._under_way.discard(mark)
                self._free[corp_id].release()

        threading.Thread(target=work, name="upload", daemon=True).start()

    def _upload(self, corp_id: str, apps: list[str], upload: Upload, media: Media) -> None:
        """Make one upload, and record its result. Raises redis.RedisError."""
        ready = self._books.ready
        began = time.time()
        if upload.how == "url" and not self._within_quota(corp_id):
            wait = time.time() + QUOTA_WAIT
            why = Reason.of(Kind.IMAGE_QUOTA_USED, per_day=PER_DAY, per_month=PER_MONTH)
            ready.change(corp_id, upload, lambda record: replace(record, next_try_at=wait, reason=why))
            return
        record = ready.all(corp_id).get(upload.key, Record())
        app = apps[record.failures % len(apps)]  # if one app may not upload, another of the corp may
        content = self._books.media.get(upload.sha256)
        failure = Reason.of(Kind.FILE_NOT_KEPT)
        value = None
        if content is not None:
            try:
                value = _sent(self._clients[app].with_deadline(time.monotonic() + PATIENCE), upload, media, content)
                failure = Reason.of(Kind.ANSWER_WITHOUT_MEDIA)
            except WeComError as error:
                failure = Reason.from_error(error)
        if value:
            ends_at = None if upload.how == "url" else began + LIFE
            ready.change(corp_id, upload, lambda record: record.uploaded(value, began, ends_at))
            log.info("%s is at WeCom, for app %s%s", media.path, app, " for good" if ends_at is None else "")
        else:
            after = ready.change(corp_id, upload, lambda record: record.failed(failure, time.time()))
            tries = after.failures if after else 1
            log.error("%s cannot be uploaded for app %s (try %s): %s", media.path, app, tries, failure)

    def _within_quota(self, corp_id: str) -> bool:
        """Count one permanent image against the corp's quota. False: it is used up."""
        return bool(self._take_quota(keys=quota_keys(corp_id), args=[PER_DAY, PER_MONTH]))

    def _forget(self, corp_id: str, wanted: Mapping[Upload, Media], records: Mapping[str, Record], now: float) -> None:
        """Delete records that no book needs and that cannot be sent. Permanent URLs stay: they used up quota."""
        kept = {upload.key for one in wanted for upload in (one, stand_in(one))}
        gone = [key for key, one in records.items() if key not in kept and not one.sendable(now)]
        self._books.ready.drop(corp_id, gone)


def _joined(many: Iterable[Mapping[Upload, Media]]) -> dict[Upload, Media]:
    return {upload: media for one in many for upload, media in one.items()}


def _sent(client: WeComClient, upload: Upload, media: Media, content: bytes) -> str:
    """The URL or media id of an upload just made; "" if the answer names none. Raises WeComError."""
    name = upload.name or media.name
    if upload.how == "url":
        return str(client.media.uploadimg(content, name).get("url") or "")
    return str(client.media.upload(upload.how, content, name).get("media_id") or "")
