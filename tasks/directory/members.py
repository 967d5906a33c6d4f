"""The members with 客户联系 in an app's range, and the departments, for forms that choose among them. Doc 92571.

    welcome:roster:APP         JSON list of userids, for FRESH seconds; [] for FAILED seconds after an error
    welcome:departments:APP    JSON list of the corp's departments, likewise. Doc 90208

Names come from the cache of tasks.directory.lookup: WeCom is asked for no name here.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tasks.directory.lookup import known_members
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.wecom import WeComClient, WeComError

FRESH = 600  # seconds for which a list is cached
FAILED = 60  # seconds for which WeCom is not asked again after an error
MOST = 200  # members; a longer list is nothing to choose from


def list_members(client: Redis, app: str, wecom: WeComClient, patience: float) -> dict[str, str]:
    """userid → name ("" where it is unknown), at most MOST; waits for WeCom `patience` seconds at most.

    Empty when WeCom does not answer or refuses. Raises redis.RedisError.
    """
    kept = client.get(keys.members(app))
    if kept is None:
        members, life = _fetch(wecom.with_deadline(time.monotonic() + patience))
        client.set(keys.members(app), json.dumps(members), ex=life)
    else:
        members = json.loads(kept)
    known = known_members(client, app, members)
    return {member: known.get(member, ("", ""))[0] for member in members}


@dataclass(frozen=True, slots=True)
class Department:
    """A department. `name` "" where WeCom does not tell it; `depth`: levels below the corp itself."""

    id: int
    name: str
    depth: int


def departments(client: Redis, app: str, wecom: WeComClient, patience: float) -> dict[int, Department]:
    """id → department in an app's range, each right after its parent; waits `patience` seconds at most, as above.

    Empty when WeCom does not answer or refuses. Raises redis.RedisError.
    """
    kept = client.get(keys.departments(app))
    if kept is None:
        try:
            answer = wecom.with_deadline(time.monotonic() + patience).get("department/list")
            listed = [[one["id"], one.get("name") or "", one.get("parentid") or 0] for one in answer["department"]]
            life = FRESH
        except WeComError:
            listed, life = [], FAILED
        client.set(keys.departments(app), json.dumps(listed[:MOST], ensure_ascii=False), ex=life)
    else:
        listed = json.loads(kept)
    return {one.id: one for one in _in_order(listed)}


def _in_order(listed: list[list[Any]]) -> Iterator[Department]:
    """[id, name, parent's id] of each → the departments, depth first."""
    known = {identity for identity, _, _ in listed}
    below: dict[int, list[tuple[int, str]]] = {}
    for identity, name, parent in listed:
        below.setdefault(parent if parent in known else 0, []).append((identity, name))
    waiting = [(identity, name, 0) for identity, name in reversed(below.pop(0, []))]
    while waiting:
        identity, name, depth = waiting.pop()
        yield Department(identity, name, depth)
        waiting += [(one, its, depth + 1) for one, its in reversed(below.pop(identity, []))]


def _fetch(wecom: WeComClient) -> tuple[list[str], int]:
    try:
        members = wecom.external_contact.get_follow_user_list()["follow_user"]
    except WeComError:
        return [], FAILED
    return sorted(str(one) for one in members)[:MOST], FRESH
