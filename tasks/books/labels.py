"""The labels of each app's welcomes, by which people find one among hundreds.

They lie beside the book, by the welcome's name: publishing and rollback leave them alone, and a release that knows none
reads the same books. A label is of the draft's welcome and the live one at once.

    welcome:labels:APP    JSON of [label, name of a welcome]

An exported file has them above the book, in comments that any other reader of YAML passes over:

    # wecom-welcome: label "online" of ["douyin", "xiaohongshu"]
"""

import json
import logging
import re
from collections.abc import Collection, Iterable, Mapping
from functools import partial

from tasks.storage import keys, replies
from tasks.storage.connections import Redis
from tasks.storage.unreadable import readable
from tasks.templates.yaml_composer import BOOK_LIMIT
from tasks.visible_text import plain

LONGEST = 30  # characters of a label
MOST = 5000  # labels on all welcomes together

_LINE = re.compile(r'# wecom-welcome: label ("(?:[^"\\\n]|\\.)*") of (\[.*\])\r?\n')
_LINES = re.compile(rf"\A\ufeff?(?:{_LINE.pattern})+")
_HEAD = re.compile(r"\A\ufeff?(?:# wecom-welcome: .*\n)*")
_ROOM = 1024  # bytes of an exported file beside its labels and its book: the line that names its revision

log = logging.getLogger(__name__)


class TooMany(ValueError):
    """There are MOST labels already."""


class Labels:
    """The labels in one Redis. Methods raise redis.RedisError."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    def all(self, app: str) -> Mapping[str, tuple[str, ...]]:
        """Name of a welcome → its labels, in their order."""
        found: dict[str, list[str]] = {}
        pairs = replies.texts(self._redis.smembers(keys.labels(app)))
        stored = (readable(f"a label of {app}", partial(_parsed, pair)) for pair in pairs)
        for label, name in sorted(pair for pair in stored if pair is not None):
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

    def put(self, app: str, name: str, labels: Collection[str]) -> None:
        """Give a welcome these labels and no others. Raises TooMany, and then it has some of them.

        After a rename the old name keeps its labels: it is live until the draft is published, and may come back.
        """
        had = self.all(app).get(name, ())
        for label in set(had) - set(labels):
            self.remove(app, [name], label)
        for label in set(labels) - set(had):
            self.add(app, [name], label)

    def above(self, app: str, source: str, names: Collection[str]) -> str:
        """A book's YAML below the labels of these welcomes; without them where that is too large to be imported."""
        labels, found = self.all(app), dict[str, list[str]]()
        for name in sorted(names):
            for label in labels.get(name, ()):
                found.setdefault(label, []).append(name)
        lines = "".join(f"# wecom-welcome: label {_json(one)} of {_json(found[one])}\n" for one in sorted(found))
        return lines + source if len((lines + source).encode()) + _ROOM <= BOOK_LIMIT else source

    def adopt(self, app: str, source: str, names: Collection[str]) -> None:
        """Add the labels that an exported file has for welcomes of its book; none is taken away."""
        for label, labelled in _told(source).items():
            try:
                self.add(app, [name for name in names if name in labelled], label)
            except TooMany as error:
                log.warning("labels of an imported book are left out: %s", error)
                return


def bare(source: str) -> str:
    """A book's YAML without the labels above it."""
    return _LINES.sub("", source)


def _told(source: str) -> dict[str, set[str]]:
    """Label → names of welcomes, as the lines above a book have them."""
    told: dict[str, set[str]] = {}
    head = _HEAD.match(source)
    for line in _LINE.finditer(head[0] if head else ""):
        try:
            label, names = json.loads(line[1]), json.loads(line[2])
        except ValueError:
            continue  # somebody has edited the line
        if label := cleaned(label):
            told.setdefault(label, set()).update(name for name in names if isinstance(name, str))
    return told


def _json(value: str | list[str]) -> str:
    """JSON on one line, also for a reader of YAML, to whom more characters end a line than to JSON."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def cleaned(text: str) -> str:
    """A label as it is stored: one line, no blanks around it; "" if nothing is left."""
    return plain(plain(" ".join(text.split()))[:LONGEST])


def _parsed(pair: str) -> tuple[str, str]:
    label, name = json.loads(pair)
    return str(label), str(name)


def _pair(label: str, name: str) -> str:
    return json.dumps([label, name], ensure_ascii=False)
