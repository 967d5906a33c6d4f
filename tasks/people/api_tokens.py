"""Tokens of the HTTP API: what each may do, for which apps, until when. The secret itself is known to its holder alone.

    welcome:api-tokens        id → JSON: name, scopes, apps, by, at, expires, hash
    welcome:api-tokens-used   id → Unix seconds of its last use, at most a minute behind; -1 once revoked: an id is
                              given once, and a form that is sent again makes no token anew

A secret is `wwt_` + id + `_` + 43 random characters (256 bits) + a checksum of all before it. Scanners of source code
find it by `wwt_[0-9a-z]{10}_[0-9A-Za-z]{49}`. Of the random part its SHA-256 is kept: nobody guesses 256 bits, so a
slow hash, as passwords need, would cost each request and add nothing. Nothing depends on SECRET_KEY.
"""

import contextlib
import hashlib
import hmac
import json
import re
import secrets
import string
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import redis

from tasks.storage import clock, keys, replies
from tasks.storage.connections import Redis
from tasks.visible_text import plain

MOST = 50  # tokens
LONGEST_NAME = 64
LENGTH = 64  # of a secret
USE_STEP = 60  # seconds: how exactly the last use is recorded
_LETTERS = string.digits + string.ascii_lowercase
_ALPHABET = _LETTERS + string.ascii_uppercase
_SECRET = re.compile(r"(wwt_([0-9a-z]{10})_([0-9A-Za-z]{43}))([0-9A-Za-z]{6})")
_BOTH = [keys.API_TOKENS, keys.API_TOKENS_USED]
_NOBODYS = "0" * 64  # the hash of no random part

_MADE, _TOO_MANY = 0, 1  # 2: there is, or was, one of this id
_CREATE = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 or redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return 2 end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 1 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 0
"""
_REVOKE = """
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if stored then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('HSET', KEYS[2], ARGV[1], -1)
end
return stored
"""
_USED = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then redis.call('HSET', KEYS[2], ARGV[1], ARGV[2]) end
"""


class Scope(StrEnum):
    """What a token may do. None is within another: a program that writes books and reads them has both."""

    DELIVERIES_READ = "deliveries:read"
    NUMBERS_READ = "numbers:read"
    BOOKS_READ = "books:read"
    BOOKS_WRITE = "books:write"
    BOOKS_PUBLISH = "books:publish"


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token, without its secret. Times in Unix seconds by Redis' clock; `apps` empty: all there are."""

    id: str
    name: str
    apps: tuple[str, ...]
    scopes: frozenset[Scope]
    created_by: str
    created_at: int
    expires_at: int | None = None
    last_used_at: int | None = None

    def permits(self, scope: Scope, app: str) -> bool:
        """Whether it may do this with an app."""
        return scope in self.scopes and (not self.apps or app in self.apps)

    @property
    def in_words(self) -> str:
        """What it is called and may do, for the audit trail."""
        return f"{self.name} ({self.id}): {', '.join(sorted(self.scopes))}"

    def has_expired(self, now: float) -> bool:
        return self.expires_at is not None and now >= self.expires_at


class TooMany(Exception):
    """There are MOST tokens already."""


class MadeAlready(Exception):
    """There is a token of this id, or was: the form that makes it was sent twice. Its secret is not known any more."""


class ApiTokens:
    """The tokens of one Redis. Thread-safe. Methods raise redis.RedisError."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._create, self._revoke, self._used = map(client.register_script, (_CREATE, _REVOKE, _USED))

    def create(
        self,
        name: str,
        scopes: Collection[Scope],
        apps: Collection[str] = (),
        by: str = "",
        life: int | None = None,
        identity: str = "",
    ) -> tuple[ApiToken, str]:
        """Make a token. → (the token, its secret: nobody can read it again). Raises TooMany, or MadeAlready.

        `apps`: none are all there are, later ones too. `life`: seconds. `identity`: where it is given, of `id_of`.
        """
        name = plain(name)
        if not name or len(name) > LONGEST_NAME or not scopes or (identity and not is_id(identity)):
            raise ValueError("a token has a name and a scope, and an id of id_of")
        at = clock.now_ms(self._redis) // 1000
        identity, part = identity or new_id(), _random(_ALPHABET, 43)
        expires = None if life is None else at + life
        token = ApiToken(identity, name, tuple(sorted(set(apps))), frozenset(scopes), by, at, expires)
        done = self._create(keys=_BOTH, args=[identity, _to_json(token, _hash(part)), MOST])
        if done != _MADE:
            raise TooMany if done == _TOO_MANY else MadeAlready
        body = f"wwt_{identity}_{part}"
        return token, body + _checksum(body)

    def all(self) -> list[ApiToken]:
        """Every token, the newest first."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(keys.API_TOKENS)
            pipe.hgetall(keys.API_TOKENS_USED)
            stored, used = map(replies.fields, pipe.execute())
        read = (_read(identity, value, used.get(identity)) for identity, value in stored.items())
        found = [one.token for one in read if one is not None]
        return sorted(found, key=lambda one: (-one.created_at, one.id))

    def revoke(self, identity: str) -> ApiToken | None:
        """Take a token away, at once. → the token; None if there was none that can be read."""
        stored = replies.text_or_none(self._revoke(keys=_BOTH, args=[identity]))
        known = None if stored is None else _read(identity, stored)
        return None if known is None else known.token

    def verify(self, secret: str) -> ApiToken | None:
        """The token of a secret; None: there is none, or it has expired."""
        found = _SECRET.fullmatch(secret) if len(secret) == LENGTH else None
        if found is None or _checksum(found[1]) != found[4]:
            return None
        identity, part = found[2], found[3]
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.hget(keys.API_TOKENS, identity)
            pipe.hget(keys.API_TOKENS_USED, identity)
            time, stored, used = pipe.execute()
        known = _read(identity, str(stored), used)
        is_its = hmac.compare_digest(_hash(part), _NOBODYS if known is None else known.hash)
        now = clock.seconds(time)
        if known is None or not is_its or known.token.has_expired(now):
            return None
        last = known.token.last_used_at
        if last is None or abs(now - last) >= USE_STEP:
            with contextlib.suppress(redis.RedisError):  # a server that takes no write can still tell who it is
                self._used(keys=_BOTH, args=[identity, int(now)])
        return known.token


@dataclass(frozen=True, slots=True)
class _Known:
    token: ApiToken
    hash: str


def new_id() -> str:
    """An id that no token has."""
    return _random(_LETTERS, 10)


def id_of(form: str, *said: object) -> str:
    """The id that belongs to a form with what it says: the same for the same, so that it makes one token."""
    number, letters = int(_hash(repr((form, *said))), 16), ""
    for _ in range(10):
        number, letter = divmod(number, len(_LETTERS))
        letters += _LETTERS[letter]
    return letters


def is_id(text: str) -> bool:
    """Whether a token may have this id."""
    return re.fullmatch("[0-9a-z]{10}", text) is not None


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def _hash(part: str) -> str:
    return hashlib.sha256(part.encode()).hexdigest()


def _checksum(body: str) -> str:
    """Six characters: what was cut off or mistyped is refused without Redis."""
    rest, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def _to_json(token: ApiToken, hashed: str) -> str:
    values = {
        "name": token.name,
        "scopes": sorted(token.scopes),
        "apps": token.apps,
        "by": token.created_by,
        "at": token.created_at,
        "expires": token.expires_at,
        "hash": hashed,
    }
    return json.dumps(values, ensure_ascii=False)


def _read(identity: str, stored: str, used: object = None) -> _Known | None:
    """None for what is no token. Scopes that this release does not know are left out: nobody may do more by them."""
    try:
        values = json.loads(stored)
        apps, scopes, expires, hashed = values["apps"], values["scopes"], values["expires"], values["hash"]
        if not isinstance(apps, list) or not isinstance(scopes, list) or not re.fullmatch("[0-9a-f]{64}", hashed):
            return None
        token = ApiToken(
            identity,
            str(values["name"]),
            tuple(map(str, apps)),
            frozenset(Scope(one) for one in scopes if one in set(Scope)),
            str(values["by"]),
            int(values["at"]),
            None if expires is None else int(expires),
            None if used is None else int(str(used)),
        )
        return _Known(token, hashed)
    except (ValueError, KeyError, TypeError):
        return None
