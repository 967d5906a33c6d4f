"""Files of welcome books in Redis: their bytes, stored once by content, and their URLs or media ids at WeCom.

MediaStore    sha256 → bytes, within WELCOME_MEDIA_MB
ReadyMedia    upload → the URL or media id that can be sent now; written by renewal, read when a customer is greeted
"""

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial

from tasks.ledger import earlier
from tasks.reasons import Kind, Reason
from tasks.storage import keys, replies
from tasks.storage.connections import Redis
from tasks.storage.unreadable import readable
from tasks.templates import media_kind
from tasks.templates.media_kind import MB
from tasks.templates.model import Media
from tasks.templates.render import Upload

MARGIN = 60.0  # seconds before its expiry at which a media id is no longer sent

SOON = 60.0  # seconds after a first failure for which tries are at most AT_MOST_SOON apart
AT_MOST_SOON = 5.0  # seconds
AT_MOST = 600.0  # seconds between two tries, at most
LIVED = 600.0  # seconds after which a media id that WeCom refuses counts as one that had worked

_SWAP = """
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


class MediaFull(Exception):
    """The files of a book do not fit into WELCOME_MEDIA_MB."""

    def __init__(self, used: int, limit: int) -> None:
        super().__init__(
            f"stored media would have {used / MB:.1f} MB, and WELCOME_MEDIA_MB allows {limit // MB}; raise it"
        )


def described(path: str, content: bytes) -> Media:
    """A book's file, with its digest and kind computed from its bytes."""
    return Media(path, hashlib.sha256(content).hexdigest(), media_kind.sniff(content), len(content))


class MediaStore:
    """Stores bytes by their SHA-256. Thread-safe. Methods raise redis.RedisError."""

    def __init__(self, client: Redis, limit: int) -> None:
        self._redis = client
        self.limit = limit  # bytes

    def get(self, sha256: str) -> bytes | None:
        """The bytes; None if they are not stored."""
        content = self._redis.execute_command("GET", keys.media(sha256), NEVER_DECODE=True)
        return None if content is None else bytes(content)

    def sizes(self) -> dict[str, int]:
        """sha256 → size in bytes, of all stored files."""
        found = replies.fields(self._redis.hgetall(keys.MEDIA_SIZES))
        return {sha256: readable("the size of a file", partial(int, size)) or 0 for sha256, size in found.items()}

    def put(
        self,
        contents: Iterable[bytes],
        keep: Callable[[], Collection[str]] = frozenset,
        progress: Callable[[int, int], object] = lambda *_: None,
    ) -> None:
        """Store what is not stored yet. Raises MediaFull, and stores nothing, when it does not fit.

        `progress`: told (stored, of how many). Evicts files to make room, but none in `keep()` (sha256s): those that
        current or recent books show. It is asked where there is no room: it reads the books of all apps.
        """
        new = {hashlib.sha256(content).hexdigest(): content for content in contents}
        stored = self.sizes()
        new = {sha256: content for sha256, content in new.items() if sha256 not in stored}
        used = sum(stored.values()) + sum(map(len, new.values()))
        dropped = []
        kept = keep() if used > self.limit else ()
        for sha256, size in stored.items():
            if used > self.limit and sha256 not in kept:
                dropped.append(sha256)
                used -= size
        if used > self.limit:
            raise MediaFull(used, self.limit)
        for sha256 in dropped:
            self.drop(sha256)
        for number, (sha256, content) in enumerate(new.items(), 1):
            with self._redis.pipeline() as pipe:
                pipe.set(keys.media(sha256), content)
                pipe.hset(keys.MEDIA_SIZES, sha256, len(content))
                pipe.execute()
            progress(number, len(new))

    def drop(self, sha256: str) -> None:
        """Delete the bytes of a file that nothing shows any more."""
        with self._redis.pipeline() as pipe:
            pipe.hdel(keys.MEDIA_SIZES, sha256)
            pipe.delete(keys.media(sha256))
            pipe.execute()


@dataclass(frozen=True, slots=True)
class Record:
    """The state of an upload at WeCom. Times are Unix seconds, 0 for none yet."""

    value: str | None = None  # URL or media id; None: none that can be sent
    created_at: float = 0.0
    ends_at: float | None = None  # when it expires; None: never
    failures: int = 0  # uploads that failed since the last success
    failing_since: float = 0.0
    next_try_at: float = 0.0
    reason: Reason | None = None  # of the last failure
    refusals: int = 0  # media ids in a row that WeCom issued, and refused in a message soon after
    refused_since: float = 0.0

    def sendable(self, now: float) -> bool:
        return self.value is not None and (self.ends_at is None or self.ends_at - MARGIN > now)

    def uploaded(self, value: str, now: float, ends_at: float | None) -> "Record":
        return Record(value, now, ends_at, refusals=self.refusals, refused_since=self.refused_since)

    def failed(self, reason: Reason, now: float) -> "Record":
        """The record after another failed upload. An earlier value can still be sent."""
        since = self.failing_since if self.failures else now
        wait = back_off(self.failures + 1, now - since)
        return replace(self, failures=self.failures + 1, failing_since=since, next_try_at=now + wait, reason=reason)

    def refused(self, now: float) -> "Record":
        """The record after WeCom refused the value in a message: renewed at once, unless that has just not helped."""
        self = replace(self, value=None, reason=Reason.of(Kind.REFUSED_IN_MESSAGE))
        if now - self.created_at > LIVED:
            return replace(self, refusals=1, refused_since=now, next_try_at=now)
        since = self.refused_since if self.refusals else now
        wait = back_off(self.refusals, now - since) if self.refusals else 0.0
        return replace(self, refusals=self.refusals + 1, refused_since=since, next_try_at=now + wait)


def back_off(failures: int, elapsed: float) -> float:
    """Seconds until the next try: 1, 2, 4, 5, 5 … in the first minute, then a third of what has passed."""
    if elapsed < SOON:
        return min(AT_MOST_SOON, 2.0 ** min(failures - 1, 9))
    return min(AT_MOST, elapsed / 3)


class ReadyMedia:
    """What can be sent now, of each corp. Thread-safe. Methods raise redis.RedisError."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._swap = client.register_script(_SWAP)

    def get(self, corp_id: str, uploads: Iterable[Upload]) -> dict[Upload, str]:
        """Upload → URL or media id, for those that are ready. One call to Redis; none for no uploads."""
        asked = list(uploads)
        if not asked:
            return {}
        ready = {}
        now = time.time()
        stored = replies.texts_or_none(self._redis.hmget(keys.ready_media(corp_id), [one.key for one in asked]))
        for upload, found in zip(asked, stored, strict=True):
            record = _record(found)
            if record.sendable(now):
                ready[upload] = str(record.value)
        return ready

    def all(self, corp_id: str) -> dict[str, Record]:
        """Upload's key → record, for all of the corp's uploads."""
        stored = replies.fields(self._redis.hgetall(keys.ready_media(corp_id)))
        return {key: _record(found) for key, found in stored.items()}

    def change(self, corp_id: str, upload: Upload, step: Callable[[Record], Record | None]) -> Record | None:
        """Replace a record by `step` of it, atomically. → the new one; None: from `step`, or too many conflicts."""
        for _ in range(5):  # another process may change it meanwhile
            found = replies.text_or_none(self._redis.hget(keys.ready_media(corp_id), upload.key))
            new = step(_record(found))
            if new is None:
                return None
            stored = _stored(new)
            if self._swap(keys=[keys.ready_media(corp_id)], args=[upload.key, found or "", stored]):
                return new
        return None

    def put(self, corp_id: str, upload: Upload, value: str, ends_at: float | None) -> None:
        """Record a new URL or media id. `ends_at`: Unix seconds at which it expires; None: never."""
        self.change(corp_id, upload, lambda record: record.uploaded(value, time.time(), ends_at))

    def refuse(self, corp_id: str, sent: Mapping[Upload, str]) -> None:
        """Record that WeCom refused a message with these. It does not say which one, so it may have been any.

        Permanent URLs are left alone, since they cannot expire, and so are ids that were renewed meanwhile.
        """
        for upload, value in sent.items():
            if upload.how != "url":
                self.change(corp_id, upload, partial(_refused, value))

    def drop(self, corp_id: str, uploads: Iterable[str]) -> None:
        """Delete records, by their uploads' keys."""
        for key in uploads:
            self._redis.hdel(keys.ready_media(corp_id), key)


def _refused(value: str, record: Record) -> Record | None:
    """The record after WeCom refused this value; None: it has another value by now."""
    return record.refused(time.time()) if record.value == value else None


def _stored(record: Record) -> str:
    data = asdict(record) | {"reason": record.reason.to_data() if record.reason else ""}
    return json.dumps(data, ensure_ascii=False)


def _record(stored: str | None) -> Record:
    """What cannot be read is none: the file is uploaded again."""
    return (readable("a record of an upload", partial(_parsed, stored)) if stored else None) or Record()


def _parsed(stored: str) -> Record:
    data = json.loads(stored)
    return Record(**data | {"reason": earlier.reason_of_data(data.get("reason"))})
