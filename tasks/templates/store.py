"""The welcome book of each app, in Redis: a number of the current revision, and the revisions themselves.

A revision never changes once it is stored, so a worker keeps what it has read until the number moves.
"""

from tasks.connections import Redis
from tasks.templates import book as book_file
from tasks.templates.model import Book

_CURRENT = "welcome:book:"  # + app: the number of the current revision
_REVISION = "welcome:book:{app}:{number}"  # the YAML of one revision


class BookStore:
    """The books of all apps in one Redis. Thread-safe. Methods raise redis.RedisError when Redis cannot be asked."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._read: dict[str, tuple[int, Book]] = {}  # by app: the revision read last
        self._import = client.register_script(
            "if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end "
            "redis.call('SET', KEYS[2], ARGV[1]) redis.call('SET', KEYS[1], 1) return 1"
        )

    def current(self, app: str) -> int | None:
        """The number of the current revision of an app's book; None if none is stored."""
        number = self._redis.get(_CURRENT + app)
        return None if number is None else int(number)

    def book(self, app: str, number: int) -> Book:
        """A revision. Read from Redis once, and then kept until another one is asked for."""
        known = self._read.get(app)
        if known is None or known[0] != number:
            source = self._redis.get(_REVISION.format(app=app, number=number))
            known = self._read[app] = (number, book_file.read(str(source)))
        return known[1]

    def import_first(self, app: str, source: str) -> bool:
        """Store a book as revision 1 unless the app has one. Raises BookError. → whether it was stored."""
        book_file.read(source)
        return bool(self._import(keys=[_CURRENT + app, _REVISION.format(app=app, number=1)], args=[source]))
