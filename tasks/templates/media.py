"""Files of welcome books, in Redis: bytes once by content, and what stands for them at WeCom.

MediaStore    sha256 → bytes, within WELCOME_MEDIA_MB
ReadyMedia    upload → the URL or media id that can be sent now; made by upkeep, read when a customer is greeted
"""

import hashlib
import json
import time
from collections.abc import Iterable, Mapping

from tasks.connections import Redis
from tasks.templates import media_kind
from tasks.templates.media_kind import MB
from tasks.templates.model import Media
from tasks.templates.render import Upload

CONTENT = "welcome:media:"  # + sha256: the bytes
SIZES = "welcome:media"  # sha256 → bytes, as a number
READY = "welcome:ready:"  # + app: an Upload's key → {"value": URL or media id, "until": Unix seconds or null}
MARGIN = 60.0  # seconds before its end at which a media id is no longer sent


class MediaFull(Exception):
    """The files of a book do not fit into WELCOME_MEDIA_MB any more."""

    def __init__(self, used: int, limit: int) -> None:
        super().__init__(
            f"stored media would have {used / MB:.1f} MB, and WELCOME_MEDIA_MB allows {limit // MB}; raise it"
        )


def described(path: str, content: bytes) -> Media:
    """A file of a book."""
    return Media(path, hashlib.sha256(content).hexdigest(), media_kind.sniff(content), len(content))


class MediaStore:
    """Bytes by content. Thread-safe. Methods raise redis.RedisError."""

    def __init__(self, client: Redis, limit: int) -> None:
        self._redis = client
        self.limit = limit  # bytes

    def get(self, sha256: str) -> bytes | None:
        """The bytes; None if they are not here."""
        content = self._redis.execute_command("GET", CONTENT + sha256, NEVER_DECODE=True)
        return None if content is None else bytes(content)

    def sizes(self) -> dict[str, int]:
        """sha256 → bytes, of all that is stored."""
        return {sha256: int(size) for sha256, size in self._redis.hgetall(SIZES).items()}

    def put(self, contents: Iterable[bytes], keep: frozenset[str] = frozenset()) -> None:
        """Store what is not here yet. Raises MediaFull, and stores nothing, when it does not fit.

        Files that are not in `keep` give way: those are what a book of today, or of lately, shows.
        """
        new = {hashlib.sha256(content).hexdigest(): content for content in contents}
        stored = self.sizes()
        new = {sha256: content for sha256, content in new.items() if sha256 not in stored}
        used = sum(stored.values()) + sum(map(len, new.values()))
        dropped = []
        for sha256, size in stored.items():
            if used > self.limit and sha256 not in keep:
                dropped.append(sha256)
                used -= size
        if used > self.limit:
            raise MediaFull(used, self.limit)
        for sha256 in dropped:
            with self._redis.pipeline() as pipe:
                pipe.hdel(SIZES, sha256)
                pipe.delete(CONTENT + sha256)
                pipe.execute()
        for sha256, content in new.items():
            with self._redis.pipeline() as pipe:
                pipe.set(CONTENT + sha256, content)
                pipe.hset(SIZES, sha256, len(content))
                pipe.execute()


class ReadyMedia:
    """What can be sent now, of each app. Thread-safe. Methods raise redis.RedisError."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    def get(self, app: str, uploads: Iterable[Upload]) -> dict[Upload, str]:
        """The uploads that are ready → URL or media id. One question to Redis; none for no uploads."""
        asked = list(uploads)
        if not asked:
            return {}
        ready = {}
        now = time.time()
        for upload, found in zip(asked, self._redis.hmget(READY + app, [one.key for one in asked]), strict=True):
            record = json.loads(found) if found else None
            if record is not None and (record["until"] is None or record["until"] - MARGIN > now):
                ready[upload] = str(record["value"])
        return ready

    def put(self, app: str, upload: Upload, value: str, until: float | None) -> None:
        """Note a URL or media id. `until`: Unix seconds at which it dies; None: never."""
        self._redis.hset(READY + app, upload.key, json.dumps({"value": value, "until": until}))

    def drop(self, app: str, upload: Upload) -> None:
        """Forget a media id that WeCom refused."""
        self._redis.hdel(READY + app, upload.key)

    def all(self, app: str) -> Mapping[str, Mapping[str, object]]:
        """An Upload's key → {"value", "until"}, of all that is noted."""
        return {key: json.loads(record) for key, record in self._redis.hgetall(READY + app).items()}
