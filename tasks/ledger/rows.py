"""A row of the ledger as Redis has it, the index sets that list it, and the keys of follow-ups."""

import hashlib
from collections.abc import Mapping

from tasks.events import ContactAdded
from tasks.storage.connections import Redis

PREFIX = "welcome:event:"  # + id: the row, a hash
DUE = "welcome:due"  # id → ms at which a worker may take it
EVENTS = "welcome:events"  # id → ms of receipt: the order of the deliveries
INDEX = "welcome:index:"  # + app:kind:value → id → ms of receipt; more than it should name, never less
MISSED_OF = "welcome:missed:"  # + app: id → ms of receipt, of customers to be greeted by hand
TICKED_OF = "welcome:missed-done:"  # + app: id → ms at which it was ticked off: see tasks.missed.work_list
FOLLOWUP_DUE = "welcome:followup:due"  # id → ms at which its next try may begin
FOLLOWUP_AWAITED = "welcome:followup:awaited"  # app|member|customer → id of what waits for their full add
FOLLOWUP_FAILED = "welcome:followup:failed:"  # + app: id → ms of receipt, of those that were given up
FOLLOWUP_WOKEN = "welcome:followup:woken"  # there while a message for the slow queue was sent lately

INDEXED = {  # field of a row → kind of index set
    "outcome": "outcome",  # "" while there is none
    "user_id": "member",
    "state": "channel",
    "template": "template",
    "external_user_id": "customer",
}
_VALUE_LIMIT = 256  # bytes of a value in a key; a longer one goes by its digest


def event_of(row: Mapping[str, str]) -> ContactAdded:
    """The event that a row is about."""
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
    )


def pair_of(row: Mapping[str, str]) -> str:
    """The field of FOLLOWUP_AWAITED."""
    return "|".join((row["app"], row["user_id"], row["external_user_id"]))


def index(app: str, field: str, value: str) -> str:
    """The key of the index set of an app's rows with this value in this field. `field`: one of INDEXED."""
    if len(value.encode()) > _VALUE_LIMIT:
        value = "sha256 " + hashlib.sha256(value.encode()).hexdigest()
    return f"{INDEX}{app}:{INDEXED[field]}:{value}"


def erase(client: Redis, rows: Mapping[str, Mapping[str, str]]) -> None:
    """Erase rows (id → row, of which `app` and the fields of INDEXED count), and what lists them. Tallies stay."""
    with client.pipeline() as pipe:
        for identity, row in rows.items():
            pipe.delete(PREFIX + identity)
            failed, missed = FOLLOWUP_FAILED + row["app"], MISSED_OF + row["app"]
            for key in (EVENTS, DUE, FOLLOWUP_DUE, failed, missed, TICKED_OF + row["app"]):
                pipe.zrem(key, identity)
            for field in INDEXED:
                pipe.zrem(index(row["app"], field, row.get(field) or ""), identity)
            pipe.hdel(FOLLOWUP_AWAITED, pair_of(row))
        pipe.execute()
