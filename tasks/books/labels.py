"""The labels of each app's welcomes, by which people find one among hundreds.

They lie beside the book, by the welcome's name: publishing, rollback and an imported file leave them alone, and a
release that knows none reads the same books. A label is of the draft's welcome and the live one at once.

    welcome:labels:APP    JSON of [label, name of a welcome]
"""

import json
from collections.abc import Iterable, Mapping

from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.visible_text import plain

LONGEST = 30  # characters of a label
MOST = 5000  # labels on all welcomes together


class TooMany(ValueError):
    """There are MOST labels already."""


class Labels:
    """The labels in one Redis. Methods raise redis.RedisError."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    def all(self, app: str) -> Mapping[str, tuple[str, ...]]:
        """Name of a welcome → its labels, in their order."""
        found: dict[str, list[str]] = {}
        for label, name in sorted(json.loads(pair) for pair in self._redis.smembers(keys.labels(app))):
            found.setdefault(name, []).append(label)
        return {name: tuple(labels) for name, labels in found.items()}

    def add(self, app: str, names: Iterable[str], label: str) -> None:
        """Put a label on welcomes. Raises TooMany."""
        pairs = [_pair(label, name) for name in names]
        if self._redis.scard(keys.labels(app)) + len(pairs) > MOST:
            raise TooMany(f"there are {MOST} labels on the welcomes of {app}")
        if pairs:
            self._redis.sadd(keys.labels(app), *pairs)

    def remove(self, app: str, names: Iterable[str], label: str) -> None:
        """Take a label off welcomes."""
        pairs = [_pair(label, name) for name in names]
        if pairs:
            self._redis.srem(keys.labels(app), *pairs)

    def follow(self, app: str, old: str, new: str) -> None:
        """Give a welcome's labels to its new name. The old one keeps them: it is live until the draft is published."""
        for label in self.all(app).get(old, ()):
            self.add(app, [new], label)


def cleaned(text: str) -> str:
    """A label as it is stored: one line, no blanks around it; "" if nothing is left."""
    return plain(plain(" ".join(text.split()))[:LONGEST])


def _pair(label: str, name: str) -> str:
    return json.dumps([label, name], ensure_ascii=False)
