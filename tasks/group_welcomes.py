"""Syncs 入群欢迎语素材 (group welcomes) at WeCom with the welcome book: adds, edits and deletes. Doc 92366.

    plan        the book against the records of earlier runs → steps. Pure, so it is also the dry run
    differs     a group welcome as it was sent against what WeCom has now. Pure
    GroupSync   carries out the steps of one app, and checks for drift

WeCom has no call that lists them, so the ids that it gave are stored (welcome:group:APP). Only what is recorded
there is ever touched; of those, what another app made (41058) is reported and left alone.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from redis.exceptions import LockError
from redis.lock import Lock

from tasks.books.revisions import BookStore
from tasks.ledger import earlier
from tasks.reasons import Kind, Reason
from tasks.settings import App
from tasks.storage import keys, replies
from tasks.storage.connections import Redis
from tasks.templates.model import GroupWelcome
from tasks.templates.render import Ready, attached, uploads
from tasks.wecom import WeComAPIError, WeComClient, WeComError
from tasks.wecom.errors import BadRequest, Final, NoAnswer

PATIENCE = 60.0  # seconds for one run; the next run does the rest
CALL = 10.0  # seconds for one call
CHECK_EVERY = 3600  # seconds between two checks for drift

ADDED, EDITED, DELETED, SAME, WAITS, FAILED = "added", "edited", "deleted", "the same", "waits", "failed"
NOT_OURS = 41058
MEDIA_DIED = 40007
COMPARED: Mapping[str, tuple[str, ...]] = {  # item → its fields that WeCom returns as they were sent
    "image": (),
    "link": ("title", "url", "desc"),
    "miniprogram": ("title", "appid", "page"),
    "file": (),
    "video": (),
}


class SyncInProgress(Exception):
    """Another process holds the lock."""


@dataclass(frozen=True, slots=True)
class SyncedWelcome:
    """The record of one group welcome. `template_id` "" while there is none at WeCom."""

    template_id: str = ""
    sent: str = ""  # digest of what WeCom has, as far as we know
    refused: str = ""  # digest of what it refused: not sent again before the next check for drift
    reason: Reason | None = None  # of the last failure


@dataclass(frozen=True, slots=True)
class SyncStep:
    """One group welcome, and what is (to be) done with it. `body`: in WeCom's form; None when nothing is sent."""

    act: str
    name: str
    detail: Reason | None = None
    body: Mapping[str, Any] | None = None


# ------------------------------------------------------------------------------------------------ decided


def body_of(welcome: GroupWelcome, ready: Ready) -> dict[str, Any] | None:
    """A group welcome in WeCom's form; None while its media is not ready."""
    body: dict[str, Any] = {"text": {"content": welcome.text}} if welcome.text else {}
    if welcome.item is None:
        return body
    item = attached(welcome.item, ready)
    if item is None:
        return None
    kind = str(item["msgtype"])
    return body | {kind: item[kind]}


def digest_of(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:12]


def plan(
    welcomes: Mapping[str, GroupWelcome], ready: Ready, kept: Mapping[str, SyncedWelcome], again: bool = False
) -> Iterator[SyncStep]:
    """The steps to take, deletions first: WeCom has room for 100. `again`: also what it has refused unchanged."""
    for name in kept:
        if name not in welcomes:
            yield SyncStep(DELETED, name)
    for name, welcome in welcomes.items():
        known = kept.get(name, SyncedWelcome())
        body = body_of(welcome, ready)
        if body is None:
            yield SyncStep(WAITS, name, Reason.of(Kind.MEDIA_NOT_READY))
        elif known.template_id and known.sent == digest_of(body):
            yield SyncStep(SAME, name, body=body)
        elif known.refused == digest_of(body) and not again:
            yield SyncStep(FAILED, name, known.reason)
        else:
            yield SyncStep(EDITED if known.template_id else ADDED, name, body=body)


def differs(sent: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """The parts that are different at WeCom. Media is not compared: WeCom returns it under other names."""
    parts = []
    if (there.get("text") or {}).get("content", "") != sent.get("text", {}).get("content", ""):
        parts.append("text")
    for kind, fields in COMPARED.items():
        mine, theirs = sent.get(kind) or {}, there.get(kind) or {}
        if bool(mine) != bool(theirs):
            parts.append(kind)
        parts += [f"{kind}.{one}" for one in fields if mine and theirs and mine.get(one, "") != theirs.get(one, "")]
    return parts


# ------------------------------------------------------------------------------------------------ done


class GroupSync:
    """Syncs the group welcomes of one app. Methods raise redis.RedisError."""

    def __init__(self, client: Redis, books: BookStore, app: App, wecom: WeComClient) -> None:
        self._redis = client
        self._books = books
        self._app = app
        self._wecom = wecom

    def kept(self) -> dict[str, SyncedWelcome]:
        """Name → record."""
        stored = replies.fields(self._redis.hgetall(keys.group_welcomes(self._app.name)))
        return {name: _synced(value) for name, value in stored.items()}

    def adopt(self, template_ids: Mapping[str, str]) -> None:
        """Record this app's ids from elsewhere, such as an exported book, for names that have no record yet."""
        for name, template_id in template_ids.items():
            self._redis.hsetnx(keys.group_welcomes(self._app.name), name, _stored(SyncedWelcome(template_id)))

    def troubles(self) -> dict[str, Reason]:
        """Name → why WeCom does not have what the book says."""
        return {name: one.reason for name, one in self.kept().items() if one.reason}

    def due(self) -> bool:
        """Whether it is time to check for drift: True once in CHECK_EVERY seconds."""
        return bool(self._redis.set(keys.group_welcomes_checked(self._app.name), 1, nx=True, ex=CHECK_EVERY))

    def sync(self, check: bool = False, dry_run: bool = False) -> list[SyncStep]:
        """Bring WeCom in line with the book. → each group welcome with what was done, or with `dry_run` would be.

        `check`: fetch each that should be the same from WeCom, and repair those that are not. Raises SyncInProgress.
        """
        number = self._books.current(self._app.name)
        if number is None:
            return []
        welcomes = self._books.book(self._app.name, number).group_welcomes
        if not welcomes and not self._redis.exists(keys.group_welcomes(self._app.name)):
            return []
        if dry_run:
            return self._steps(welcomes, check, dry_run)
        name = keys.group_welcomes_lock(self._app.name)
        try:
            with Lock(self._redis, name, timeout=PATIENCE + CALL, blocking=False, raise_on_release_error=False):
                return self._steps(welcomes, check, dry_run)
        except LockError:
            raise SyncInProgress(
                "the group welcomes of this app are being synced already; try again in a minute"
            ) from None

    def _steps(self, welcomes: Mapping[str, GroupWelcome], check: bool, dry_run: bool) -> list[SyncStep]:
        by = time.monotonic() + PATIENCE
        kept, ready = self.kept(), self._ready(welcomes)
        steps = []
        for planned in plan(welcomes, ready, kept, again=check):
            known = kept.get(planned.name, SyncedWelcome())
            step = self._checked(planned, known, by) if check and planned.act == SAME else planned
            if not dry_run:
                step = self._done(step, known, ready, by)
            steps.append(step)
        return steps

    def _ready(self, welcomes: Mapping[str, GroupWelcome]) -> Ready:
        items = [welcome.item for welcome in welcomes.values() if welcome.item is not None]
        return self._books.ready.get(self._app.corp_id, [upload for item in items for upload in uploads(item)])

    def _checked(self, step: SyncStep, known: SyncedWelcome, by: float) -> SyncStep:
        """The step for one that should be the same, after comparing it with what WeCom has."""
        try:
            there = self._calls(by).group_welcome_template_get(known.template_id)
        except (BadRequest, Final) as error:
            return replace(step, act=EDITED, detail=Reason.of(Kind.GONE_FROM_WECOM, cause=Reason.from_error(error)))
        except WeComError as error:
            unknown = Reason.of(Kind.CHANGE_UNKNOWN, cause=Reason.from_error(error))
            return SyncStep(FAILED, step.name, unknown)
        parts = differs(step.body or {}, there)
        return replace(step, act=EDITED, detail=Reason.of(Kind.CHANGED_AT_WECOM, fields=parts)) if parts else step

    def _done(self, step: SyncStep, known: SyncedWelcome, ready: Ready, by: float) -> SyncStep:
        """Carry out a step and record it at once. → the step with its result."""
        try:
            if step.act == DELETED:
                return self._delete(step, known, by)
            if step.act == ADDED:
                return self._add(step, by)
            if step.act == EDITED:
                return self._edit(step, known, by)
        except WeComError as error:
            code = error.errcode if isinstance(error, WeComAPIError) else None
            reason = Reason.from_error(error)
            if step.act == ADDED and isinstance(error, NoAnswer):
                reason = Reason.of(Kind.MAY_EXIST_TWICE, cause=reason)
            if code == MEDIA_DIED:  # it is renewed, which changes the digest
                self._books.ready.refuse(self._app.corp_id, _shown(step.body or {}, ready))
            final = isinstance(error, BadRequest | Final)
            refused = digest_of(step.body) if final and step.body is not None else known.refused
            self._record(step.name, replace(known, refused=refused, reason=reason))
            return SyncStep(FAILED, step.name, reason)
        return step

    def _add(self, step: SyncStep, by: float) -> SyncStep:
        body = step.body or {}
        answer = self._calls(by).group_welcome_template_add(body)
        self._record(step.name, SyncedWelcome(str(answer.get("template_id") or ""), digest_of(body)))
        return step

    def _edit(self, step: SyncStep, known: SyncedWelcome, by: float) -> SyncStep:
        body = step.body or {}
        try:
            self._calls(by).group_welcome_template_edit({"template_id": known.template_id, **body})
        except (BadRequest, Final) as error:
            if error.errcode == NOT_OURS:
                raise
            self._add(step, by)  # it is gone; or the content is at fault, and then this is refused as well
            gone = Reason.of(Kind.GONE_FROM_WECOM, cause=Reason.from_error(error))
            return replace(step, act=ADDED, detail=step.detail or gone)
        self._record(step.name, SyncedWelcome(known.template_id, digest_of(body)))
        return step

    def _delete(self, step: SyncStep, known: SyncedWelcome, by: float) -> SyncStep:
        detail = None
        if known.template_id:
            try:
                self._calls(by).group_welcome_template_del(known.template_id)
            except (BadRequest, Final) as error:  # gone already, or not ours: in either case nothing to keep
                detail = Reason.from_error(error)
        self._redis.hdel(keys.group_welcomes(self._app.name), step.name)
        return replace(step, detail=detail)

    def _record(self, name: str, kept: SyncedWelcome) -> None:
        self._redis.hset(keys.group_welcomes(self._app.name), name, _stored(kept))

    def _calls(self, by: float) -> Any:
        return self._wecom.with_deadline(min(by, time.monotonic() + CALL)).external_contact


def _stored(kept: SyncedWelcome) -> str:
    data = asdict(kept) | {"reason": kept.reason.to_data() if kept.reason else ""}
    return json.dumps(data, ensure_ascii=False)


def _synced(stored: str) -> SyncedWelcome:
    data = json.loads(stored)
    return SyncedWelcome(**data | {"reason": earlier.reason_of_data(data.get("reason"))})


def _shown(body: Mapping[str, Any], ready: Ready) -> Ready:
    """Those of `ready` that a body shows."""
    values = {value for item in body.values() for value in item.values()}
    return {upload: value for upload, value in ready.items() if value in values}
