"""The console's sessions: a signed cookie that expires, and the key that signs it.

A session holds the operator's name, when it began, when it was last used, and a keyed fingerprint of the password it
was opened with: a new password ends all sessions.
"""

import hashlib
import hmac
import logging
import secrets
import time
from typing import Any

import redis
from flask import Flask, g, request, session
from flask.sessions import SecureCookieSessionInterface

from tasks.storage import keys, troubles
from tasks.storage.connections import Redis

log = logging.getLogger(__name__)

IDLE = 24 * 3600  # seconds without use after which a session ends: nobody is signed out while typing (WCAG 2.2.1)
LIFE = 7 * 86400  # seconds after which it ends anyhow
_TOUCH = 300  # seconds: how exactly its use is recorded


class Sessions(SecureCookieSessionInterface):
    """Flask's sessions, with a key that may not be available at the start, and secure cookies over TLS."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    def get_signing_serializer(self, app: Flask) -> Any:
        if not app.secret_key:
            try:
                found = self._redis.get(keys.SECRET_KEY)  # a server that takes no write can still tell it
                if found is None:
                    self._redis.set(keys.SECRET_KEY, secrets.token_hex(32), nx=True)
                    found = self._redis.get(keys.SECRET_KEY)
                app.secret_key = str(found)
            except redis.RedisError as error:
                log.warning("no session without a key, and Redis does not tell it: it %s", troubles.line(error))
                return None
        return super().get_signing_serializer(app)

    def get_cookie_name(self, app: Flask) -> str:
        return "__Host-welcome-console" if request.is_secure else "welcome-console"

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def fingerprint(password: str, key: str | bytes) -> str:
    """What a session holds of the password: guesses cannot be tested against it without the key."""
    key = key if isinstance(key, bytes) else key.encode()
    return hmac.new(key, password.encode(), hashlib.sha256).hexdigest()[:32]


def begin(operator: str, mark: str) -> None:
    """Begin a new, empty session. `mark`: the password's fingerprint."""
    session.clear()
    g.pop("csrf_token", None)  # Flask-WTF's, made for the session that has just gone: the next page has a new one
    now = int(time.time())
    session.update(id=secrets.token_hex(8), operator=operator, began=now, used=now, mark=mark)


def end(client: Redis) -> None:
    """End this session, also for copies of its cookie. Without Redis it ends in this browser only."""
    try:
        client.set(keys.session_ended(str(session.get("id"))), 1, ex=LIFE)
    except redis.RedisError as error:
        log.warning("a session is ended in its browser only: %s", type(error).__name__)
    session.clear()


def operator(client: Redis, mark: str, acting: bool) -> str | None:
    """The session's operator; None without one, or after its end. `acting`: by a person, not by a page that polls.

    Nobody is signed out while Redis is away: pages say that they have no data, and what was typed is kept.
    """
    now = int(time.time())
    name, began, used = session.get("operator"), session.get("began", 0), session.get("used", 0)
    if not name or not hmac.compare_digest(str(session.get("mark", "")), mark):
        return None
    if now - used > IDLE or now - began > LIFE:
        return None
    try:
        if client.exists(keys.session_ended(str(session.get("id")))):
            return None
    except redis.RedisError:
        pass
    if acting and now - used > _TOUCH:
        session["used"] = now
    return str(name)
