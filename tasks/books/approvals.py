"""Publishing by a second person: where it is switched on for an app, another member approves exactly what is published.

    welcome:approval:APP   on: JSON, by whom and since when; asked: JSON, the request; declined: JSON, the last answer

A request holds the draft's version and a digest of its content: any change to the draft voids it. Nobody approves what
he asked for, or has changed himself; and only a member does who signed in with WeCom, since a password comes with any
name. Who has the password is an admin, and can switch it off: the audit trail has that.
"""

import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import Enum

from tasks.books.draft import Draft
from tasks.storage import keys, replies
from tasks.storage.connections import Redis

ON, ASKED, DECLINED = "on", "asked", "declined"


@dataclass(frozen=True, slots=True)
class Said:
    """Who did something about it, and when (Unix seconds). `who`: as in the audit trail; `label`: with the name."""

    who: str
    label: str
    note: str = ""
    at: int = 0
    version: int = 0
    digest: str = ""


class Standing(Enum):
    """What somebody can do about a draft's approval."""

    NOBODY_ASKED = "nobody asked"
    VOID = "the draft has changed since"
    NO_MEMBER = "signed in with the password"
    OWN = "asked for it, or has changed the draft"
    MAY = "may approve or decline"


def digest(draft: Draft) -> str:
    """Of all that would go live: the text of the book, and the bytes of its files."""
    files = sorted((path, one.sha256) for path, one in draft.files.items())
    return hashlib.sha256(json.dumps([draft.source, files]).encode()).hexdigest()


def standing(asked: Said | None, draft: Draft, who: str, label: str, is_member: bool) -> Standing:
    """What `who` can do. Pure."""
    if asked is None:
        return Standing.NOBODY_ASKED
    if (asked.version, asked.digest) != (draft.version, digest(draft)):
        return Standing.VOID
    if not is_member:
        return Standing.NO_MEMBER
    return Standing.OWN if _is_among(who, label, [asked.label, *draft.authors]) else Standing.MAY


def _is_among(who: str, label: str, labels: Iterable[str]) -> bool:
    """Whether one of the labels is of the same member: the name in it may have changed since."""
    return any(one in (who, label) or one.lower().endswith(f"({who.lower()})") for one in labels)


class Approvals:
    """The requests of one Redis. Thread-safe. Methods raise redis.RedisError."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    def switched_on(self, app: str) -> Said | None:
        """By whom, and when; None: whoever may publish does it alone."""
        return _read(self._redis.hget(keys.approval(app), ON))

    def switch(self, app: str, on: bool, who: str, label: str) -> bool:
        """Switch it on or off. → whether that changed anything."""
        if on:
            stored = _written(Said(who, label, at=int(time.time())))
            return bool(self._redis.hsetnx(keys.approval(app), ON, stored))
        return bool(self._redis.hdel(keys.approval(app), ON, ASKED, DECLINED))

    def asked(self, app: str) -> Said | None:
        return _read(self._redis.hget(keys.approval(app), ASKED))

    def declined(self, app: str) -> Said | None:
        return _read(self._redis.hget(keys.approval(app), DECLINED))

    def ask(self, draft: Draft, who: str, label: str, note: str) -> None:
        """Ask for an approval of the draft as it is, in place of an earlier request."""
        said = Said(who, label, note, int(time.time()), draft.version, digest(draft))
        with self._redis.pipeline() as pipe:
            pipe.hset(keys.approval(draft.app), ASKED, _written(said))
            pipe.hdel(keys.approval(draft.app), DECLINED)
            pipe.execute()

    def decline(self, asked: Said, app: str, who: str, label: str, note: str) -> None:
        """Decline a request: it is gone, and the answer stands until the next one."""
        said = Said(who, label, note, int(time.time()), asked.version, asked.digest)
        with self._redis.pipeline() as pipe:
            pipe.hdel(keys.approval(app), ASKED)
            pipe.hset(keys.approval(app), DECLINED, _written(said))
            pipe.execute()


def _written(said: Said) -> str:
    return json.dumps(asdict(said), ensure_ascii=False)


def _read(stored: bytes | str | None) -> Said | None:
    """None for what cannot be read: nothing is approved by it."""
    try:
        values = json.loads(replies.text(stored)) if stored is not None else None
        return None if values is None else Said(**{name: values[name] for name in Said.__slots__})
    except (ValueError, TypeError, KeyError):
        return Said("?", "?")
