"""The console's sessions: a signed cookie that expires, and the key that signs it.

A session holds its id, when it began, when it was last used, and whose it is:

password   the name that was typed, and a keyed fingerprint of the password: a new password ends all of them; an admin's
WeCom      the member, whose role is looked up for every request, and who is asked for at WeCom every few minutes

Releases before the sign-in with WeCom take its sessions for ended: their fingerprint is another.
"""

import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import redis
from flask import Flask, current_app, g, request, session
from flask.sessions import SecureCookieSessionInterface

from tasks.audit import Via
from tasks.people import sign_ins
from tasks.people.members import Member
from tasks.people.roles import Role, role_of
from tasks.people.sign_ins import SignIn
from tasks.services import Services
from tasks.storage import keys, troubles
from tasks.storage.connections import Redis

log = logging.getLogger(__name__)

IDLE = 24 * 3600  # seconds without use after which a session ends: nobody is signed out while typing (WCAG 2.2.1)
LIFE = sign_ins.LIFE  # seconds after which it ends anyhow
_TOUCH = 300  # seconds: how exactly its use is recorded


@dataclass(frozen=True, slots=True)
class Operator:
    """Who is signed in. `who`: for the audit trail; `label`: for people, with the name.

    `unread`: the error that kept the role from being read, or whether the session has ended; the role is then the
    least.
    """

    who: str
    label: str
    role: Role
    via: Via
    session: str
    corp_id: str = ""
    userid: str = ""
    unread: redis.RedisError | None = None


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


def wecom_mark(corp_id: str, key: str | bytes) -> str:
    """The same for a session of WeCom's: no password has a NUL in it."""
    return fingerprint(f"\0wecom\0{corp_id}", key)


def begin(operator: str, mark: str, member: Mapping[str, str] | None = None) -> str:
    """Begin a new, empty session. → its id. `mark`: the password's, or WeCom's. `member`: corp, userid, app."""
    session.clear()
    g.pop("csrf_token", None)  # Flask-WTF's, made for the session that has just gone: the next page has a new one
    now, identity = int(time.time()), secrets.token_hex(8)
    session.update(id=identity, operator=operator, began=now, used=now, mark=mark, **(member or {}))
    return identity


def end(services: Services) -> None:
    """End this session, also for copies of its cookie. Without Redis it ends in this browser only."""
    try:
        services.sign_ins.end([str(session.get("id"))])
    except redis.RedisError as error:
        log.warning("a session is ended in its browser only: %s", type(error).__name__)
    session.clear()


def operator(services: Services, password_mark: str | None, acting: bool) -> Operator | None:
    """The session's operator; None without one, or after its end. `acting`: by a person, not by a page that polls.

    Nobody is signed out while Redis is away: pages say that they have no data, and what was typed is kept. The role is
    then the least: a session that has ended, or a role that was taken, does not come back without an answer.
    """
    now = int(time.time())
    if now - session.get("used", 0) > IDLE or now - session.get("began", 0) > LIFE:
        return None
    unread = None
    try:
        if services.sign_ins.has_ended(str(session.get("id"))):
            return None
    except redis.RedisError as error:
        unread = error
    found = _member(services) if "userid" in session else _password(password_mark)
    if found is not None and unread is not None:
        found = replace(found, role=Role.VIEWER, unread=unread)
    if found is not None and acting and now - session["used"] > _TOUCH:
        session["used"] = now
        note(services, found)
    return found


def note(services: Services, found: Operator) -> None:
    """Put this session into the list of open ones, with its last use."""
    one = SignIn(
        id=found.session,
        who=found.who,
        label=found.label,
        via=found.via,
        corp=found.corp_id,
        address=request.remote_addr or "",
        device=request.user_agent.string,
        began=session["began"],
        used=session["used"],
    )
    try:
        services.sign_ins.note(one)
    except redis.RedisError as error:
        log.warning("a session is missing in the list of open ones: %s", type(error).__name__)


def _password(mark: str | None) -> Operator | None:
    name = session.get("operator")
    if not name or mark is None or not hmac.compare_digest(str(session.get("mark", "")), mark):
        return None
    return Operator(str(name), str(name), Role.ADMIN, Via.CONSOLE, str(session.get("id")))


def _member(services: Services) -> Operator | None:
    """The member whose session this is, if the member still is one and has a role."""
    corp_id, userid, app = (str(session.get(name, "")) for name in ("corp", "userid", "app"))
    key = current_app.secret_key
    known = services.settings.apps.get(app)
    if key is None or known is None or known.corp_id != corp_id:
        return None
    if not hmac.compare_digest(str(session.get("mark", "")), wecom_mark(corp_id, key)):
        return None
    try:
        member = services.members.current(services.clients[app], corp_id, userid)
        return None if member is None else of_member(services, member, str(session.get("id")))
    except redis.RedisError as error:
        who = identity_of(services, corp_id, userid)
        label = str(session.get("operator"))
        return Operator(who, label, Role.VIEWER, Via.WECOM, str(session.get("id")), corp_id, userid, error)


def of_member(services: Services, member: Member, session_id: str = "") -> Operator | None:
    """A member as an operator; None without a role. Raises redis.RedisError."""
    given = services.grants.of(member.corp_id, member.userid, member.departments)
    role = role_of(member.corp_id, member.userid, given, services.settings.console_admins)
    if role is None:
        return None
    who = identity_of(services, member.corp_id, member.userid)
    label = who if member.name in ("", member.userid) else f"{member.name} ({who})"
    return Operator(who, label, role, Via.WECOM, session_id, member.corp_id, member.userid)


def identity_of(services: Services, corp_id: str, userid: str) -> str:
    """A member in the audit trail: where there are several corps, with its corp."""
    several = len({app.corp_id for app in services.settings.apps.values()}) > 1
    return f"{corp_id}/{userid}" if several else userid
