"""Lookups of an event's member and customer, for texts and rules: from the cache, or from WeCom on a small budget.

A name that does not arrive in time is left out, and the text's fallback takes its place; a rule whose fact does not
arrive does not match, and a later rule may: no greeting waits for either.
"""

import contextlib
import json
import logging
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import redis

from tasks.events import ContactAdded
from tasks.placeholders.asking import Answers, Hooks, Waiting
from tasks.placeholders.hook import Request
from tasks.storage import keys, replies
from tasks.storage.connections import Redis
from tasks.templates.conditions import ADD_WAY, CUSTOMER_TYPE, CUSTOMER_TYPES, DEPARTMENTS, Contact, Directory
from tasks.templates.render import ABOUT_CUSTOMER, ABOUT_MEMBER, PLACEHOLDERS
from tasks.wecom import WeComAPIError, WeComClient, WeComError
from tasks.wecom.errors import Busy, Limited, TokenRefused
from tasks.wecom.members import is_same_member

log = logging.getLogger(__name__)

BUDGET = 1.5  # seconds for all lookups of one greeting together
MEMBER_FRESH = 3600.0  # seconds after which a member's names and departments are fetched again
TREE_FRESH = 600.0  # the same for the tree of departments
DEPARTMENT_FRESH = 24 * 3600.0  # and for a department's name
REFUSED_FRESH = 300.0  # and for what WeCom refused to tell
KEPT = 7 * 24 * 3600  # seconds for which a stale answer is used when no new one can be had
ROOT = 1  # the department that is the corp itself, and has its name

Asking = Callable[[], AbstractContextManager[None]]  # for the context of one call of WeCom; may raise NotAsked

_OURS = frozenset(PLACEHOLDERS)
_MEMBER_FIELDS = {"member": "name", "alias": "alias", "position": "position"}  # placeholder → WeCom's field, doc 90196


class NotAsked(Exception):
    """WeCom is not asked at the moment, since there would be no answer."""


@dataclass(frozen=True, slots=True)
class Packages:
    """How placeholders of installed packages are asked for. `waiting`: for the context in which they are waited for."""

    hooks: Hooks
    waiting: Waiting = contextlib.nullcontext


class Lookups:
    """Makes lookups about events. Thread-safe. `packages`: None where no placeholders of packages are asked for."""

    def __init__(
        self,
        client: Redis,
        timezone: ZoneInfo,
        asking: Asking = contextlib.nullcontext,
        packages: Packages | None = None,
    ) -> None:
        self._redis = client
        self._timezone = timezone
        self._asking = asking
        self._packages = packages

    def within(self, asking: Asking, waiting: Waiting) -> "Lookups":
        """The same, each call of WeCom in a context of the first, and a wait for packages in one of the second."""
        packages = None if self._packages is None else replace(self._packages, waiting=waiting)
        return Lookups(self._redis, self._timezone, asking, packages)

    def about(
        self, wecom: WeComClient, event: ContactAdded, received_at: int, by: float, budget: float = BUDGET
    ) -> "Lookup":
        """A lookup about one event, whose `budget` (seconds) starts now and ends by `by`, a time of `time.monotonic`.

        received_at: ms.
        """
        at = datetime.fromtimestamp(received_at / 1000, self._timezone)
        by = min(by, time.monotonic() + budget)
        return Lookup(self._redis, wecom.with_deadline(by), event, at, self._asking, self._packages, by)


def known_members(client: Redis, app: str, user_ids: Collection[str]) -> dict[str, tuple[str, str]]:
    """userid → (name, main department's name) of the members in the cache; "" for what it does not have.

    Does not call WeCom. Raises redis.RedisError.
    """
    wanted = sorted(set(user_ids))
    members = _answers(client, [keys.member(app, user_id) for user_id in wanted])
    found = {user_id: member for user_id, member in zip(wanted, members, strict=True) if isinstance(member, dict)}
    departments = sorted({int(member.get("department") or 0) for member in found.values()})
    names = _answers(client, [keys.department(app, identity) for identity in departments])
    named = dict(zip(departments, names, strict=True))
    return {
        user_id: (str(member.get("member") or ""), str(named[int(member.get("department") or 0)] or ""))
        for user_id, member in found.items()
    }


def cached_answers(client: Redis, names: list[str]) -> dict[str, Any]:
    """Key → answer in the cache, stale or not, of those that are there. Raises redis.RedisError."""
    found = zip(names, _answers(client, names), strict=True)
    return {name: answer for name, answer in found if answer is not None}


def _answers(client: Redis, names: list[str]) -> list[Any]:
    """The cached answer under each of these keys; None where there is none."""
    return [json.loads(kept)["answer"] if kept else None for kept in client.mget(names)] if names else []


class Lookup:
    """What is known about one event's member and customer. Fetches each thing at most once, and only when needed."""

    def __init__(
        self,
        client: Redis,
        wecom: WeComClient,
        event: ContactAdded,
        at: datetime,
        asking: Asking = contextlib.nullcontext,
        packages: Packages | None = None,
        by: float = 0.0,
    ) -> None:
        self._redis = client
        self._wecom = wecom
        self._packages = packages
        self._by = by
        self._event = event
        self._at = at
        self._asking = asking
        self._answers: dict[str, Any] = {}

    def contact(self, facts: frozenset[str] = frozenset()) -> Contact:
        """The contact as rules see it, with those of the `facts` that arrive in time."""
        customer = self._customer() if facts & {ADD_WAY, CUSTOMER_TYPE} else {}
        return Contact(
            app=self._event.app,
            user_id=self._event.user_id,
            external_user_id=self._event.external_user_id,
            state=self._event.state,
            change=self._event.change,
            at=self._at,
            directory=self._directory() if DEPARTMENTS in facts else Directory(),
            customer_type=CUSTOMER_TYPES.get(customer.get("type")),
            add_way=customer.get("add_way"),
        )

    def values(self, wanted: frozenset[str]) -> dict[str, str]:
        """Placeholder → value for the `wanted` ones that are known in time."""
        answers = self._asked(wanted - _OURS)  # they are asked while WeCom is
        at = self._at
        values = {"state": self._event.state, "date": at.date().isoformat(), "time": at.strftime("%H:%M")}
        if wanted & ABOUT_MEMBER:
            member = self._member()
            values |= {placeholder: str(member.get(placeholder, "")) for placeholder in _MEMBER_FIELDS}
            if "department" in wanted and member.get("department"):
                values["department"] = self._department(member["department"])
        if "corp" in wanted:
            values["corp"] = self._department(ROOT)
        if wanted & ABOUT_CUSTOMER:
            values["customer"] = str(self._customer().get("name", ""))
        if answers is not None and self._packages is not None:
            values |= answers.values(self._packages.waiting)
        return values

    def _asked(self, wanted: frozenset[str]) -> Answers | None:
        """The placeholders of packages, asked for. Not for a customer who does not exist, or is not known."""
        event = self._event
        if not wanted or self._packages is None or event.rehearsal or not event.external_user_id:
            return None
        request = Request(
            app=event.app,
            corp_id=event.corp_id,
            user_id=event.user_id,
            external_user_id=event.external_user_id,
            state=event.state,
            change=event.change,
            add_way=self._answers.get("customer", {}).get("add_way"),
            received_at=self._at,
            names=frozenset(),
        )
        return self._packages.hooks.ask(request, wanted, self._by)

    def _customer(self) -> dict[str, Any]:
        """{name, type, add_way} of the customer; empty when unknown. Never cached in Redis."""

        def ask() -> dict[str, Any]:
            answer = self._wecom.external_contact.get(self._event.external_user_id)
            contact = answer.get("external_contact") or {}
            followers = answer.get("follow_user") or []
            ways = [one.get("add_way") for one in followers if is_same_member(one.get("userid"), self._event.user_id)]
            return {
                "name": contact.get("name") or "",
                "type": contact.get("type"),
                "add_way": ways[0] if ways else None,
            }

        if self._event.rehearsal:  # its customer does not exist
            return {}
        if "customer" not in self._answers:
            self._answers["customer"] = {}
            try:
                with self._asking():
                    self._answers["customer"] = ask()
            except NotAsked:
                log.info("the customer is not looked up: WeCom does not answer")
            except WeComError as error:
                log.warning("cannot look up the customer: %s", error)
        return dict(self._answers["customer"])

    def _member(self) -> dict[str, Any]:
        """{member, alias, position: names; departments: ids; department: the main one's id}; empty when unknown."""

        def ask() -> dict[str, Any]:
            answer = self._wecom.user.get(self._event.user_id)
            names: dict[str, Any] = {ours: str(answer.get(field) or "") for ours, field in _MEMBER_FIELDS.items()}
            if names["member"] in (answer.get("userid"), self._event.user_id):
                names["member"] = ""  # what WeCom gives for a name that this app may not read
            departments = answer.get("department") or []
            main = answer.get("main_department")
            first = main if main in departments else next(iter(departments), 0)
            return names | {"departments": departments, "department": first}

        known = self._cached(keys.member(self._event.app, self._event.user_id), MEMBER_FRESH, ask, "the member")
        return known if isinstance(known, dict) else {}

    def _department(self, identity: int) -> str:
        """A department's name; "" if it is not known."""

        def ask() -> str:
            answer = self._wecom.get("department/get", {"id": identity})
            return str((answer.get("department") or {}).get("name") or "")

        key = keys.department(self._event.app, identity)
        return str(self._cached(key, DEPARTMENT_FRESH, ask, "a department's name") or "")

    def _directory(self) -> Directory:
        """The member's departments, and the corp's tree of them."""

        def ask() -> dict[str, int]:
            answer = self._wecom.get("department/simplelist")
            return {str(one["id"]): one["parentid"] for one in answer.get("department_id") or []}

        departments = self._member().get("departments")
        if not departments:  # every member is in at least one: WeCom does not tell this app
            return Directory()
        tree = self._cached(keys.department_tree(self._event.app), TREE_FRESH, ask, "the tree of departments")
        parents = {int(one): parent for one, parent in tree.items()} if tree else None
        return Directory({self._event.user_id: frozenset(departments)}, parents)

    def _cached(self, key: str, fresh: float, ask: Callable[[], Any], what: str) -> Any:
        """A cached answer: from Redis while fresh, else from WeCom, else the stale one; None when there is none."""
        if key not in self._answers:
            self._answers[key] = self._fetch(key, fresh, ask, what)
        return self._answers[key]

    def _fetch(self, key: str, fresh: float, ask: Callable[[], Any], what: str) -> Any:
        old: dict[str, Any] = {}
        with contextlib.suppress(redis.RedisError, ValueError):  # without the cache, ask WeCom
            old = json.loads(self._redis.get(key) or "{}")
            if old.get("until", 0.0) > time.time():
                return old["answer"]
        try:
            with self._asking():
                answer = ask()
        except NotAsked:
            log.info("%s is not looked up: WeCom does not answer", what)
            return old.get("answer")
        except WeComError as error:
            log.warning("cannot look up %s: %s", what, error)
            answer = old.get("answer")
            if not isinstance(error, WeComAPIError) or isinstance(error, Busy | Limited | TokenRefused):
                return answer
            fresh = REFUSED_FRESH  # it would be refused again: no greeting should wait for that
        with contextlib.suppress(redis.RedisError):  # it is fetched again next time
            kept = {"answer": answer, "until": time.time() + fresh}
            self._redis.set(key, json.dumps(kept, ensure_ascii=False), ex=KEPT)
        return answer


# ------------------------------------------------------------------------------------------------ for pages


def directory(client: Redis, app: str, members: Iterable[str]) -> Directory:
    """Members' departments and the corp's tree as cached, stale answers too. Does not call WeCom. Raises RedisError."""
    asked = list(members)
    kept = replies.texts_or_none(client.mget(keys.department_tree(app), *(keys.member(app, one) for one in asked)))
    tree, *found = kept
    parents = {int(one): int(parent) for one, parent in _answer(tree).items()} or None
    departments = {one: _departments(each) for one, each in zip(asked, found, strict=True) if each}
    return Directory({one: each for one, each in departments.items() if each}, parents)


@lru_cache(maxsize=4096)  # pages ask for the same members again and again, a thousand at once
def _departments(kept: str) -> frozenset[int]:
    """The departments in a member's cached answer."""
    return frozenset(_answer(kept).get("departments") or ())


def _answer(kept: str | None) -> dict[str, Any]:
    try:
        answer = json.loads(kept or "{}").get("answer")
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
