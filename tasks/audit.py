"""The audit trail: who did what, from where and when. In Redis, with a life of its own, and as log lines.

record     one act. What was done is done: where Redis is away, a log line alone tells of it
entries    the acts, newest first

An entry has no customer's name or id and no secret: it outlives the rows of the ledger and whoever is forgotten. It is
in a backup, and a restore adds to the trail instead of replacing it.
"""

import json
import logging
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import redis

from tasks.storage import keys, replies
from tasks.storage.connections import Redis
from tasks.storage.places import cursor_of, place_of

log = logging.getLogger(__name__)

LIFE = 400 * 86_400  # seconds: as long as the daily totals
MOST = 100_000  # entries, about 25 MB; the oldest go first
PAGE = 50
LATE = 5.0  # seconds by which clocks of hosts may differ before an act of a command is logged
_LONGEST = 200  # characters of a text in an entry


class Act(StrEnum):
    """What people do that others may ask about. webhook.audit_texts has the words."""

    SIGNED_IN = "signed_in"
    SIGNED_OUT = "signed_out"
    PUBLISHED = "published"
    ROLLED_BACK = "rolled_back"
    DRAFT_REPLACED = "draft_replaced"
    DRAFT_DISCARDED = "draft_discarded"
    LABELLED = "labelled"
    UNLABELLED = "unlabelled"
    GROUPS_SYNCED = "groups_synced"
    CHANNEL_CREATED = "channel_created"
    CHANNEL_CHANGED = "channel_changed"
    CHANNEL_DELETED = "channel_deleted"
    CHANNEL_DROPPED = "channel_dropped"
    MEDIA_ADDED = "media_added"
    MEDIA_DELETED = "media_deleted"
    PAUSED = "paused"
    RESUMED = "resumed"
    FOLLOW_UPS_RETRIED = "follow_ups_retried"
    REMINDED = "reminded"
    REMINDERS_ON = "reminders_on"
    REMINDERS_OFF = "reminders_off"
    TAGGED = "tagged"
    TICKED_OFF = "ticked_off"
    TICKED_BACK = "ticked_back"
    COMPARED = "compared"
    TRANSFER_ASKED = "transfer_asked"
    EXPORTED = "exported"
    BACKED_UP = "backed_up"
    RESTORED = "restored"
    FORGOT = "forgot"
    CALLED_API = "called_api"
    TESTED_ALERT = "tested_alert"
    FORWARD_RETRIED = "forward_retried"
    FORWARDED_AGAIN = "forwarded_again"
    TRIED_WELCOME = "tried_welcome"
    ROLE_GIVEN = "role_given"
    ROLE_TAKEN = "role_taken"
    SESSION_ENDED = "session_ended"
    TOKEN_MADE = "token_made"
    TOKEN_REVOKED = "token_revoked"
    LOOKED = "looked"
    LOOKED_AT_MANY = "looked_at_many"
    SECOND_PERSON_ON = "second_person_on"
    SECOND_PERSON_OFF = "second_person_off"
    APPROVAL_ASKED = "approval_asked"
    APPROVED = "approved"
    DECLINED = "declined"


class Via(StrEnum):
    """Where it was done."""

    CONSOLE = "console"  # with the password: under whatever name was typed
    WECOM = "wecom"  # in the console, by the member who signed in with WeCom
    COMMAND = "command"
    API = "api"  # by a program, with a token: under the token's name and id


@dataclass(frozen=True, slots=True)
class Entry:
    """One act. `at`: Unix seconds; `who`: the name of the sign-in, or the account on the host.

    app: "" for what belongs to none, or to all. target: what was acted on, such as a channel's name; "" if nothing has
    one. number: a revision, or how many; None if there is none. address: the browser's, "" for a command.
    An act of a later release is a plain text.
    """

    at: float
    id: str
    who: str
    act: Act | str
    via: Via | str
    app: str = ""
    target: str = ""
    number: int | None = None
    address: str = ""

    @property
    def cursor(self) -> str:
        """Its place in the trail."""
        return cursor_of((round(self.at * 1000), self.id))


class AuditTrail:
    """The trail of one Redis. Thread-safe."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    def record(
        self,
        act: Act,
        who: str,
        via: Via,
        app: str = "",
        target: str = "",
        number: int | None = None,
        address: str = "",
    ) -> None:
        """Add an act that has been done. Never raises: it cannot be undone for want of an entry."""
        now, within = divmod(time.time_ns(), 1_000_000)
        identity = f"{within:05x}{secrets.token_hex(3)}"  # in order, also within a millisecond
        entry = Entry(now / 1000, identity, _clean(who), act, via, app, _clean(target), number, _clean(address))
        _log(entry)
        try:
            with self._redis.pipeline() as pipe:
                pipe.zadd(keys.AUDIT, {_to_json(entry): now})
                pipe.zremrangebyscore(keys.AUDIT, "-inf", now - LIFE * 1000)
                pipe.zremrangebyrank(keys.AUDIT, 0, -MOST - 1)
                pipe.expire(keys.AUDIT, LIFE)
                pipe.execute()
        except redis.RedisError as error:
            log.error("%s by %s is not in the audit trail: %s", act, entry.who, type(error).__name__)

    def log_commands(self) -> None:
        """Log what commands have done since the last call, of whichever process. Raises redis.RedisError."""
        until = int((time.time() - LATE) * 1000)
        since = self._redis.set(keys.AUDIT_LOGGED, until, get=True)
        if since is None:  # the first call ever
            return
        for entry in reversed(list(self.entries(since=int(since)))):
            if entry.via == Via.COMMAND and round(entry.at * 1000) < until:
                _log(entry)

    def entries(self, before: str | None = None, since: int = 0) -> Iterator[Entry]:
        """Newest first, from behind the cursor of an entry on, down to a ms. ValueError for what is no cursor.

        Raises redis.RedisError.
        """
        place = None if before is None else place_of(before)
        return self._entries(place, since)

    def _entries(self, place: tuple[int, str] | None, since: int) -> Iterator[Entry]:
        newest: int | str = "+inf" if place is None else place[0]
        start = 0
        while True:
            batch = replies.scored(
                self._redis.zrevrangebyscore(keys.AUDIT, newest, since, start=start, num=PAGE, withscores=True)
            )
            for stored, score in batch:
                entry = _from_json(stored, int(score))
                if entry is not None and (place is None or (int(score), entry.id) < place):
                    yield entry
            if len(batch) < PAGE:
                return
            start += PAGE


def _log(entry: Entry) -> None:
    told = {"app": entry.app, "target": entry.target, "number": entry.number, "address": entry.address}
    told = {name: value for name, value in told.items() if value not in ("", None)}
    words = " ".join(f"{name}={value}" for name, value in told.items())
    extra = {"act": str(entry.act), "who": entry.who, "via": str(entry.via), **told}
    log.info("audit: %s by %s (%s) %s", entry.act, entry.who, entry.via, words, extra=extra)


def _to_json(entry: Entry) -> str:
    """The id first: entries of one ms are in its order."""
    values = {
        "id": entry.id,
        "who": entry.who,
        "act": entry.act,
        "via": entry.via,
        "app": entry.app,
        "target": entry.target,
        "number": entry.number,
        "address": entry.address,
    }
    return json.dumps({name: value for name, value in values.items() if value not in ("", None)}, ensure_ascii=False)


def _from_json(stored: str, ms: int) -> Entry | None:
    """None for what is no entry: a backup is a file that anybody may have written to."""
    try:
        values = json.loads(stored)
        number = values.get("number")
        texts = {name: _clean(str(values.get(name, ""))) for name in ("id", "who", "app", "target", "address")}
        act, via = _clean(str(values["act"])), _clean(str(values["via"]))
        return Entry(ms / 1000, act=act, via=via, number=None if number is None else int(number), **texts)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _clean(text: str) -> str:
    """Without what would turn a line of a log or a terminal into something else: controls, line ends, directions."""
    return "".join(one if one.isprintable() else "?" for one in text[:_LONGEST])
