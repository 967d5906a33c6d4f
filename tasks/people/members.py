"""The members who have signed in, as WeCom tells them: asked again every few minutes, so that who leaves is out soon.

    welcome:person:CORP:USERID         JSON: name, departments, at; or that it is no member any more
    welcome:person-asked:CORP:USERID   held while WeCom is asked

A member counts who is active and in the app's visible range. WeCom's silence does not end a session at once: the last
answer counts for half a day.
"""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.storage import keys, replies
from tasks.storage.connections import Redis
from tasks.wecom import WeComAPIError, WeComClient, WeComError

log = logging.getLogger(__name__)

FRESH = 300.0  # seconds for which an answer is taken without asking again
STALE = 12 * 3600.0  # seconds for which it is while WeCom does not answer
KEPT = 7 * 86_400  # seconds
PATIENCE = 1.5  # seconds for WeCom
ACTIVE = 1  # a member's status, doc 90196
GONE = (60111, 60011, 60021, 50002, 46004, 40003)  # no such member, or out of the app's range


@dataclass(frozen=True, slots=True)
class Member:
    """An active member. `departments`: their numbers, with those of all above them."""

    corp_id: str
    userid: str
    name: str
    departments: frozenset[int]


def ask(wecom: WeComClient, corp_id: str, userid: str, by: float) -> Member | None:
    """The member; None: there is none who counts. `by`: as in `with_deadline`. Raises WeComError."""
    client = wecom.with_deadline(by)
    told = active(client, userid)
    if told is None:
        return None
    own = {int(one) for one in told.get("department") or ()}
    return Member(corp_id, str(told["userid"]), str(told.get("name") or ""), frozenset(own | _above(client, own)))


def active(client: WeComClient, userid: str) -> Mapping[str, Any] | None:
    """What WeCom tells of a member; None: there is none who counts. Raises WeComError."""
    try:
        told: Mapping[str, Any] = client.user.get(userid)
    except WeComAPIError as error:
        if error.errcode in GONE:
            return None
        raise
    is_it = str(told.get("userid", "")).lower() == userid.lower()
    return told if is_it and told.get("status", ACTIVE) == ACTIVE else None


def _above(client: WeComClient, departments: set[int]) -> set[int]:
    """The departments above these; none where WeCom does not tell the tree: then roles of those are not had."""
    try:
        rows = client.department.simplelist().get("department_id") or ()
    except WeComError as error:
        log.warning("the departments above a member's are not known: %s", error)
        return set()
    parents = {int(one["id"]): int(one.get("parentid") or 0) for one in rows}
    found: set[int] = set()
    waiting = list(departments)
    while waiting:
        parent = parents.get(waiting.pop(), 0)
        if parent and parent not in found:
            found.add(parent)
            waiting.append(parent)
    return found


class Members:
    """What is known of those who have signed in. Thread-safe. Methods raise redis.RedisError."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    def keep(self, corp_id: str, userid: str, member: Member | None) -> None:
        """Record WeCom's answer. None: no member any more."""
        values: dict[str, object] = {"at": round(time.time() * 1000)}
        if member is None:
            values["gone"] = True
        else:
            values |= {"userid": member.userid, "name": member.name, "departments": sorted(member.departments)}
        self._redis.delete(keys.person_asked(corp_id, userid.lower()))
        self._redis.set(keys.person(corp_id, userid.lower()), json.dumps(values, ensure_ascii=False), ex=KEPT)

    def current(self, wecom: WeComClient, corp_id: str, userid: str) -> Member | None:
        """The member, asked of WeCom if the last answer is old; None: no member any more, or nobody knows."""
        known, age = self._known(corp_id, userid)
        if known is not None and age < FRESH:
            return known.member
        if not self._may_ask(corp_id, userid):  # another request does
            return known.member if known is not None and age < STALE else None
        try:
            member = ask(wecom, corp_id, userid, time.monotonic() + PATIENCE)
        except WeComError as error:
            log.warning("WeCom does not tell whether %s is still a member: %s", userid, error)
            return known.member if known is not None and age < STALE else None
        self.keep(corp_id, userid, member)
        return member

    def _known(self, corp_id: str, userid: str) -> tuple["_Answer | None", float]:
        """(the last answer, its age in seconds)."""
        stored = self._redis.get(keys.person(corp_id, userid.lower()))
        if stored is None:
            return None, 0.0
        try:
            values = json.loads(replies.text(stored))
            age = time.time() - int(values["at"]) / 1000
            if values.get("gone"):
                return _Answer(None), age
            found = frozenset(int(one) for one in values["departments"])
            return _Answer(Member(corp_id, str(values["userid"]), str(values["name"]), found)), age
        except (ValueError, KeyError, TypeError):
            return None, 0.0

    def _may_ask(self, corp_id: str, userid: str) -> bool:
        """Whether this request is the one that asks: after one that brought nothing there is a pause."""
        name = keys.person_asked(corp_id, userid.lower())
        return bool(self._redis.set(name, 1, nx=True, ex=10))


@dataclass(frozen=True, slots=True)
class _Answer:
    member: Member | None
