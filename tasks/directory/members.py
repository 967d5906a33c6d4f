"""The members with 客户联系 in an app's range, and the tree of departments, for forms that choose among them.

    welcome:staff:APP         JSON of both, kept for KEPT seconds and asked for again after FRESH
    welcome:staff-asked:APP   present while they are being asked for, or have been asked for in vain lately

Docs 92571, 90208 and 90200. One call tells the members' ids, one the departments, and one per department its members'
names, as far as the app may read them. A page waits a moment for that, and what did not come by then is fetched by the
upkeep role; until then, and where WeCom tells no name, the cache of tasks.directory.lookup has the names of those who
were greeted for.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

from tasks.directory.lookup import cached_answers
from tasks.storage import keys, replies
from tasks.storage.connections import Redis
from tasks.wecom import WeComAPIError, WeComClient, WeComError
from tasks.wecom.errors import Busy, Limited, TokenRefused

FRESH = 600  # seconds for which nobody asks again
FAILED = 60  # the same after an answer that was not whole
KEPT = 7 * 86400
ASKED = 180  # seconds: longer than the upkeep role takes to come by
REFUSALS = 3  # departments in a row of which WeCom tells nothing: it will not tell of the rest
MEMBERS, DEPARTMENTS = 5000, 2000  # at most; a search finds nobody beyond


@dataclass(frozen=True, slots=True)
class Member:
    """A member. `name` "" where it is not known; `departments`: their ids, none where that is not known."""

    id: str
    name: str = ""
    departments: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Department:
    """A department. `name` "" where WeCom does not tell it; `depth`: levels below the top; `parent`: 0: none."""

    id: int
    name: str
    depth: int
    parent: int = 0


@dataclass(frozen=True)
class Staff:
    """Who can be chosen. `departments`: each right after its parent. Empty while WeCom has told nothing."""

    members: Mapping[str, Member] = field(default_factory=dict)
    departments: Mapping[int, Department] = field(default_factory=dict)

    def children(self, department: int) -> list[Department]:
        """The departments right below one; 0: those at the top."""
        return [one for one in self.departments.values() if one.parent == department]

    def path(self, department: int) -> list[int]:
        """A department and those above it, from itself upwards; empty if it is not known."""
        found: list[int] = []
        while department in self.departments and department not in found:
            found.append(department)
            department = self.departments[department].parent
        return found

    @cached_property
    def inside(self) -> Mapping[int, list[Member]]:
        """Department → the members in it, without those of the departments below; 0: those in none that is known."""
        found: dict[int, list[Member]] = {}
        for member in self.members.values():
            for one in [one for one in member.departments if one in self.departments] or [0]:
                found.setdefault(one, []).append(member)
        return found

    @cached_property
    def sizes(self) -> Mapping[int, int]:
        """Department → how many members it has, with those of the departments below, each counted once."""
        sizes = dict.fromkeys(self.departments, 0)
        paths = {one: self.path(one) for one in self.departments}
        for member in self.members.values():
            for one in {above for own in member.departments for above in paths.get(own, ())}:
                sizes[one] += 1
        return sizes


def staff(client: Redis, app: str, wecom: WeComClient, patience: float) -> Staff:
    """What is kept; where that is old or missing, WeCom is asked by one caller at a time, for `patience` seconds.

    Raises redis.RedisError.
    """
    kept = _kept(client, app)
    old = kept is None or kept.until < time.time()
    if old and client.set(keys.staff_asked(app), 1, nx=True, ex=ASKED):
        kept = _renewed(client, app, wecom.with_deadline(time.monotonic() + patience), kept)
    return _with_cached_names(client, app, (kept or _Listed()).staff)


def department_names(client: Redis, app: str) -> dict[int, str]:
    """Department → its name, as far as they are kept. Does not call WeCom. Raises redis.RedisError."""
    kept = _kept(client, app)
    return {identity: name for identity, name, _ in kept.departments if name} if kept else {}


def fetch_staff(client: Redis, app: str, wecom: WeComClient) -> bool:
    """Finish what a page began and could not wait for. → whether something was to do. Raises redis.RedisError."""
    if not client.exists(keys.staff_asked(app)):
        return False
    kept = _kept(client, app)
    if kept is None or kept.until < time.time() or not kept.whole:
        _renewed(client, app, wecom, kept)
    return True


# ------------------------------------------------------------------------------------------------ what WeCom tells


@dataclass(frozen=True)
class _Listed:
    """As stored. departments: [id, name, parent's id]; members: userid → [name, [department]]; until: Unix seconds."""

    departments: list[list[Any]] = field(default_factory=list)
    members: dict[str, list[Any]] = field(default_factory=dict)
    whole: bool = False
    until: float = 0.0

    @cached_property
    def staff(self) -> Staff:
        return _staff(self)


def _kept(client: Redis, app: str) -> _Listed | None:
    text = replies.text_or_none(client.get(keys.staff(app)))
    return None if text is None else _parsed(text)


@lru_cache(maxsize=4)  # it is long, pages read it again and again, and it is only looked at
def _parsed(text: str) -> _Listed | None:
    try:
        return _Listed(**json.loads(text))
    except (ValueError, TypeError):
        return None


def _renewed(client: Redis, app: str, wecom: WeComClient, old: _Listed | None) -> _Listed:
    """Ask WeCom, and keep what it tells; what it does not tell now stays as it was."""
    found = _fetch(wecom, old or _Listed())
    found = replace(found, until=time.time() + (FRESH if found.whole else FAILED))
    values = {name: getattr(found, name) for name in ("departments", "members", "whole", "until")}
    client.set(keys.staff(app), json.dumps(values, ensure_ascii=False), ex=KEPT)
    if found.whole:
        client.delete(keys.staff_asked(app))
    return found


def _fetch(wecom: WeComClient, old: _Listed) -> _Listed:
    try:
        ids = sorted(str(one) for one in wecom.external_contact.get_follow_user_list()["follow_user"])[:MEMBERS]
    except WeComError:
        return old
    members = {one: old.members.get(one, ["", []]) for one in ids}
    try:
        told = wecom.get("department/list")["department"][:DEPARTMENTS]
    except WeComError as error:
        return _Listed(old.departments, members, whole=_refused(error))
    departments = [[one["id"], one.get("name") or "", one.get("parentid") or 0] for one in told]
    people, whole = _people(wecom, [identity for identity, _, _ in departments])
    by_lower = {one.lower(): one for one in ids}  # the case of a userid may differ from call to call, doc 90195
    for user_id, (name, inside) in people.items():
        if member := by_lower.get(user_id.lower()):
            members[member] = [name if name.lower() != user_id.lower() else members[member][0], inside]
    return _Listed(departments, members, whole)


def _people(wecom: WeComClient, departments: Iterable[int]) -> tuple[dict[str, tuple[str, list[int]]], bool]:
    """(userid → (name, departments), whether WeCom was asked about each department)."""
    found: dict[str, tuple[str, list[int]]] = {}
    refused = 0
    for department in departments:
        try:
            listed = wecom.user.simplelist(department).get("userlist") or []
            refused = 0
        except WeComError as error:
            if not _refused(error):
                return found, False
            refused += 1
            if refused == REFUSALS:
                return found, True
            continue
        for one in listed:
            user_id = str(one.get("userid") or "")
            inside = found[user_id][1] if user_id in found else []
            own = [each for each in one.get("department") or [department] if each not in inside]
            found[user_id] = str(one.get("name") or ""), inside + own
    return found, True


def _refused(error: WeComError) -> bool:
    """Whether it would be refused again: the app may not read it."""
    return isinstance(error, WeComAPIError) and not isinstance(error, Busy | Limited | TokenRefused)


# ------------------------------------------------------------------------------------------------ stored → Staff


def _staff(listed: _Listed) -> Staff:
    members = {one: Member(one, str(name), tuple(inside)) for one, (name, inside) in listed.members.items()}
    return Staff(members, {one.id: one for one in _in_order(listed.departments)})


def _in_order(listed: list[list[Any]]) -> list[Department]:
    """[id, name, parent's id] of each → the departments, depth first."""
    known = {identity for identity, _, _ in listed}
    below: dict[int, list[tuple[int, str]]] = {}
    for identity, name, parent in listed:
        below.setdefault(parent if parent in known and parent != identity else 0, []).append((identity, name))
    found = []
    waiting = [(identity, name, 0, 0) for identity, name in reversed(below.pop(0, []))]
    while waiting:
        identity, name, depth, parent = waiting.pop()
        found.append(Department(identity, name, depth, parent))
        waiting += [(one, its, depth + 1, identity) for one, its in reversed(below.pop(identity, []))]
    return found


def _with_cached_names(client: Redis, app: str, known: Staff) -> Staff:
    """The same, with names and departments from the cache where the list has none."""
    asked = {keys.member(app, one.id): one for one in known.members.values() if not one.name}
    if not asked:
        return known
    members = dict(known.members)
    for key, answer in cached_answers(client, list(asked)).items():
        if isinstance(answer, dict):
            one, inside = asked[key], tuple(answer.get("departments") or ())
            members[one.id] = Member(one.id, str(answer.get("member") or ""), one.departments or inside)
    return Staff(members, known.departments)
