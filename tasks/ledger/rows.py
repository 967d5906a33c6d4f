"""A row of the ledger: the hash in Redis, by field, to the values of `tasks.ledger.delivery` and back; its index sets.

No other module knows the fields of a row, the scripts apart. Rows of earlier releases are read as well (earlier.py):

    tries       [[errcode or null, words], …]        today `try_reasons`: null for one that was accepted, else a reason
    without     [number, …], and in `steps` the flags lighter, media_not_ready        today `left_out`
    reason, follow_reason, reminder_why              words; today a reason
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from redis.typing import EncodableT, FieldT

from tasks.events import ContactAdded
from tasks.ledger import earlier
from tasks.ledger.claims import Claim, FollowUpProgress, Settlement, TaggingProgress
from tasks.ledger.delivery import (
    Attempt,
    ContactChange,
    Delivery,
    FollowUpState,
    FollowUpStatus,
    LeftOut,
    LeftOutBecause,
    Outcome,
    ReminderState,
    ReminderStatus,
    TaggingState,
    Tick,
    WorkerRecord,
)
from tasks.reasons import Kind, Reason
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.storage.keys import Forget

INDEXED = {  # field of a row, and of a Delivery → kind of index set
    "outcome": "outcome",  # "" while there is none
    "user_id": "member",
    "state": "channel",
    "template": "template",
    "external_user_id": "customer",
}
WORKERS_KEPT = 8  # of an event: a row keeps what so many recorded
_VALUE_LIMIT = 256  # bytes of a value in a key; a longer one goes by its digest


def claim_of(
    row: Mapping[str, str], revision: str, owner_outcome: str, now: int, asked_at: float, window: float
) -> Claim:
    """The claim on an event, from its row as it was before. `revision`: of its app's book, "" for none.

    owner_outcome: of the event that owns the welcome code; "" if it is this one.
    now: ms of Redis' clock; asked_at: the same moment, or a little earlier, by `time.monotonic`.
    """
    return Claim(
        event=event_of(row),
        fencing_token=int(row["claims"]),
        attempts=int(row["attempts"]),
        answers=int(row["answers"]),
        received_at=int(row["received_at"]),
        revision=int(revision) if revision else None,
        claimed_at=asked_at,
        age=(now - int(row["received_at"])) / 1000,
        window=window,
        code_owner=row.get("code_owner", ""),
        owner_outcome=Outcome(owner_outcome) if owner_outcome else None,
        given_back=int(row.get("given_back") or 0),
        probe="probe" in row,
    )


def event_of(row: Mapping[str, str]) -> ContactAdded:
    """The event of a row that is not settled yet."""
    return ContactAdded(
        app=row["app"],
        corp_id=row["corp_id"],
        change=row["change"],
        user_id=row["user_id"],
        external_user_id=row["external_user_id"],
        created_at=int(row["created_at"]),
        welcome_code=row.get("welcome_code", ""),
        state=row["state"],
        rehearsal=row["rehearsal"] == "1",
        pushed_at=_number(row, "pushed_at"),
    )


def from_row(identity: str, row: Mapping[str, str]) -> Delivery:
    """What a row says. The welcome code stays behind."""
    outcome = Outcome(row["outcome"]) if row.get("outcome") else None
    errcode = _number(row, "errcode")
    steps = json.loads(row.get("steps") or "{}")
    names = row.get("values")
    return Delivery(
        id=identity,
        app=row["app"],
        corp_id=row.get("corp_id", ""),
        change=row.get("change", ""),
        user_id=row["user_id"],
        external_user_id=row["external_user_id"],
        state=row.get("state", ""),
        created_at=int(row["created_at"]),
        received_ms=int(row["received_at"]),
        rehearsal=row.get("rehearsal") == "1",
        outcome=outcome,
        errcode=errcode,
        reason=earlier.outcome_reason(row.get("reason"), errcode, outcome, steps, row["app"]),
        cause=row.get("cause", ""),
        template=row.get("template", ""),
        rule=row.get("rule", ""),
        variant=row.get("variant", ""),
        revision=_number(row, "revision"),
        claims=int(row.get("claims") or 0),
        attempts=int(row.get("attempts") or 0),
        answers=int(row.get("answers") or 0),
        given_back=int(row.get("given_back") or 0),
        steps=steps,
        tries=_tries(row),
        left_out=_left_out(row, steps),
        names=None if names is None else json.loads(names or "{}"),
        follow_up=_follow_up(row),
        tagging=_tagging(row),
        reminder=_reminder(row),
        tick=Tick(row["ticked_by"], int(row["ticked_at"]) / 1000) if row.get("ticked_at") else None,
        found_ms=_number(row, "found_at"),
        customer_name=row.get("customer_name"),
        lifeboat=row.get("lifeboat") == "1",
        changes=_changes(row),
        added_again=row.get("added_again", ""),
        worker=_worker(row),
        others=_others(row),
    )


def new_row(event: ContactAdded, attempts: int = 0, answers: int = 0) -> dict[str, str | int]:
    """The row of an event that was just received, but for the time. attempts, answers: tries made before this."""
    return {
        "app": event.app,
        "corp_id": event.corp_id,
        "change": event.change,
        "user_id": event.user_id,
        "external_user_id": event.external_user_id,
        "state": event.state,
        "created_at": event.created_at,
        **({} if event.pushed_at is None else {"pushed_at": event.pushed_at}),
        "welcome_code": event.welcome_code,
        "rehearsal": int(event.rehearsal),
        "claims": 0,
        "attempts": attempts,
        "answers": answers,
    }


def settled_fields(settlement: Settlement) -> dict[str, str | int]:
    """What a settlement writes into the row; what it does not know is left out."""
    optional = {
        "reason": settlement.reason.to_json() if settlement.reason else "",
        "errcode": "" if settlement.errcode is None else settlement.errcode,
        "cause": settlement.cause,
        "template": settlement.template,
        "rule": settlement.rule,
        "variant": settlement.variant,
        "revision": settlement.revision or "",
        "lifeboat": "1" if settlement.lifeboat else "",
        "worker": "" if settlement.worker == 1 else settlement.worker,
    }
    return {
        "outcome": str(settlement.outcome),
        "attempts": settlement.attempts,
        "steps": _to_json(settlement.steps),
        "try_reasons": _to_json(_tries_data(settlement.tries)),
        "values": _to_json(settlement.values),
        "left_out": _to_json([_left_out_data(one) for one in settlement.left_out]),
        **{name: value for name, value in optional.items() if value != ""},
    }


def settlement_of(fields: Mapping[str, str]) -> Settlement:
    """The settlement that `settled_fields` wrote."""
    steps = json.loads(fields["steps"])
    return Settlement(
        outcome=Outcome(fields["outcome"]),
        reason=Reason.from_json(fields.get("reason")),
        errcode=_number(fields, "errcode"),
        template=fields.get("template", ""),
        rule=fields.get("rule", ""),
        variant=fields.get("variant", ""),
        revision=_number(fields, "revision") or 0,
        attempts=int(fields["attempts"]),
        steps=steps,
        tries=_tries(fields),
        values=json.loads(fields["values"]),
        left_out=_left_out(fields, steps),
        cause=fields.get("cause", ""),
        lifeboat=fields.get("lifeboat") == "1",
        worker=_worker(fields),
    )


def course_field(number: int) -> str:
    """The field with what the worker of this number recorded, until it settles the event. claim.lua writes it too."""
    return f"course_{number}"


def course_fields(record: WorkerRecord | None) -> dict[str, str | int]:
    """What a worker has recorded so far, as the row keeps it should another one take over."""
    if record is None or record.number > WORKERS_KEPT:
        return {}
    data = {
        "steps": dict(record.steps),
        "tries": _tries_data(record.tries),
        "begun": record.begun,
        "given_back": record.given_back,
    }
    return {course_field(record.number): _to_json({name: value for name, value in data.items() if value})}


def progress_fields(progress: FollowUpProgress) -> dict[str, str]:
    """What the progress of a follow-up writes into the row."""
    return {
        "follow_reason": progress.reason.to_json() if progress.reason else "",
        "follow_tags": _to_json(list(progress.tags)),
        "follow_remark": progress.remark or "",
    }


def tagging_fields(progress: TaggingProgress) -> dict[str, str]:
    """What a try to put tags on a customer writes into the row."""
    return {
        "tagging_reason": progress.reason.to_json() if progress.reason else "",
        "tagging_set": _to_json([list(one) for one in progress.tags]),
    }


def row_without_event(delivery: Delivery) -> dict[FieldT, EncodableT]:
    """The row of a customer of whom no event tells: with an outcome of OF_NO_EVENT."""
    return {
        "app": delivery.app,
        "corp_id": delivery.corp_id,
        "change": delivery.change,
        "user_id": delivery.user_id,
        "external_user_id": delivery.external_user_id,
        "state": delivery.state,
        "created_at": delivery.created_at,
        "received_at": delivery.received_ms,
        "found_at": delivery.found_ms or 0,
        **({} if delivery.customer_name is None else {"customer_name": delivery.customer_name}),
        "outcome": str(delivery.outcome),
        **({} if delivery.reason is None else {"reason": delivery.reason.to_json()}),
        "rehearsal": 0,
        "claims": 0,
        "attempts": 0,
        "answers": 0,
    }


SECRET_FIELDS = ("welcome_code",)


def for_backup(row: Mapping[str, str]) -> dict[str, str]:
    """A row as a backup has it: without its welcome code, and so settled, if it was unfinished."""
    kept = {name: value for name, value in row.items() if name not in SECRET_FIELDS}
    if kept.get("outcome"):
        return kept
    return kept | {"outcome": str(Outcome.EXPIRED), "reason": Reason.of(Kind.UNFINISHED_IN_BACKUP).to_json()}


def _left_out_data(one: LeftOut) -> dict[str, Any]:
    data = {"number": one.number, "because": str(one.because), "msgtype": one.msgtype, "file": one.file}
    return data | ({"reason": one.reason.to_data()} if one.reason else {})


_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # without blanks, for every row


def pair(app: str, user_id: str, external_user_id: str) -> str:
    """The field of FOLLOWUP_AWAITED."""
    return "|".join((app, user_id, external_user_id))


def customer_line(app: str, external_user_id: str) -> str:
    """The last part of keys.forward_line: a digest, so that the name tells nobody who it is."""
    return hashlib.sha256(f"{app}\0{external_user_id}".encode()).hexdigest()[:24]


def index(app: str, field: str, value: str) -> str:
    """The key of the index set of an app's rows with this value in this field. `field`: one of INDEXED."""
    if len(value.encode()) > _VALUE_LIMIT:
        value = "sha256 " + hashlib.sha256(value.encode()).hexdigest()
    return keys.index(app, INDEXED[field], value)


def erase(client: Redis, deliveries: Iterable[Delivery]) -> int:
    """Erase rows, and what lists them; statistics stay. → how many."""
    erased = 0
    with client.pipeline() as pipe:
        for one in deliveries:
            for key in keys.TABLE:
                if key.forget is Forget.KEY:
                    pipe.delete(key.of(id=one.id))
                elif key.forget is Forget.ID:
                    pipe.zrem(key.of(app=one.app), one.id)
                elif key.forget is Forget.INDEX:
                    for name in indexes(one):
                        pipe.zrem(name, one.id)
                elif key.forget is Forget.PAIR:
                    pipe.hdel(key.name, pair(one.app, one.user_id, one.external_user_id))
            erased += 1
        pipe.execute()
    return erased


def indexes(delivery: Delivery) -> list[str]:
    """The keys of the index sets that list a delivery."""
    return [index(delivery.app, name, str(getattr(delivery, name) or "")) for name in INDEXED]


# ------------------------------------------------------------------------------------------------ field by field


def flat(fields: Mapping[str, str | int]) -> Iterator[str | int]:
    """field, value, field, value … as scripts take them."""
    for one in fields.items():
        yield from one


def _number(row: Mapping[str, str], name: str) -> int | None:
    return int(row[name]) if row.get(name) else None


def _seconds(row: Mapping[str, str], name: str) -> float | None:
    return int(row[name]) / 1000 if row.get(name) else None


def _tries(row: Mapping[str, str]) -> tuple[Attempt, ...]:
    if "try_reasons" in row:
        return tuple(Attempt(Reason.from_data(one)) for one in json.loads(row["try_reasons"]))
    stored = json.loads(row.get("tries") or "[]")  # of an earlier release
    return tuple(Attempt() if code == 0 else Attempt(earlier.reason(words, code)) for code, words in stored)


def _tries_data(tries: Iterable[Attempt]) -> list[dict[str, Any] | None]:
    return [one.reason.to_data() if one.reason else None for one in tries]


def _worker(row: Mapping[str, str]) -> int:
    return int(row.get("worker") or 1)


def _others(row: Mapping[str, str]) -> tuple[WorkerRecord, ...]:
    """What the workers recorded beside the one that settled the event, or holds it; what cannot be read is left out."""
    claims = int(row.get("claims") or 0)
    own = _worker(row) if row.get("outcome") else claims
    found = []
    for number in range(1, min(claims, WORKERS_KEPT) + 1):
        text = row.get(course_field(number))
        if number == own or text is None:
            continue
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):  # of a later release
            known = json.loads(text)
            found.append(
                WorkerRecord(
                    number,
                    steps={name: int(at) for name, at in known["steps"].items()},
                    tries=tuple(Attempt(Reason.from_data(one)) for one in known.get("tries", ())),
                    begun=int(known.get("begun", 0)),
                    given_back=bool(known.get("given_back")),
                )
            )
    return tuple(found)


def _left_out(row: Mapping[str, str], steps: Mapping[str, int]) -> tuple[LeftOut, ...]:
    if "left_out" in row:
        return tuple(
            LeftOut(
                one["number"],
                LeftOutBecause(one["because"]),
                one["msgtype"],
                one["file"],
                Reason.from_data(one.get("reason")),
            )
            for one in json.loads(row["left_out"])
        )
    return earlier.left_out(json.loads(row.get("without") or "[]"), steps)


def _changes(row: Mapping[str, str]) -> tuple[ContactChange, ...]:
    stored = json.loads(row.get("changes") or "[]")
    return tuple(ContactChange(*one[:4]) for one in sorted(stored, key=lambda one: one[1]))


def _follow_up(row: Mapping[str, str]) -> FollowUpState | None:
    if not row.get("follow_state"):
        return None
    return FollowUpState(
        status=FollowUpStatus(row["follow_state"]),
        attempts=int(row.get("follow_attempts") or 0),
        at=_seconds(row, "follow_at"),
        next_at=_seconds(row, "follow_next_at"),
        reason=earlier.reason(row.get("follow_reason")),
        tags=tuple(json.loads(row.get("follow_tags") or "[]")),
        remark=row.get("follow_remark") or None,
        claims=int(row.get("follow_claims") or 0),
    )


def _reminder(row: Mapping[str, str]) -> ReminderState | None:
    if not row.get("reminder"):
        return None
    return ReminderState(
        status=ReminderStatus(row["reminder"]),
        at=_seconds(row, "reminded_at"),
        by=row.get("reminded_by", ""),
        reason=earlier.reason(row.get("reminder_why")),
        next_at=_seconds(row, "reminder_next_at"),
    )


def _tagging(row: Mapping[str, str]) -> TaggingState | None:
    if not row.get("tagging_state"):
        return None
    return TaggingState(
        status=FollowUpStatus(row["tagging_state"]),
        wanted=_tag_names(row.get("tagging_wanted")),
        tags=_tag_names(row.get("tagging_set")),
        by=row.get("tagging_by", ""),
        asked_at=_seconds(row, "tagging_asked_at"),
        at=_seconds(row, "tagging_tried_at"),
        next_at=_seconds(row, "tagging_next_at"),
        attempts=int(row.get("tagging_attempts") or 0),
        reason=Reason.from_json(row.get("tagging_reason")),
        claims=int(row.get("tagging_claims") or 0),
    )


def _tag_names(text: str | None) -> tuple[tuple[str, str], ...]:
    return tuple((group, name) for group, name in json.loads(text or "[]"))
