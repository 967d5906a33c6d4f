"""A row of the ledger as Redis has it, the index sets that list it, and how it is erased."""

import hashlib
from collections.abc import Mapping, Sequence

from tasks.events import ContactAdded
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.storage.keys import Forget

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
    """The field of `keys.FOLLOWUP_AWAITED`."""
    return "|".join((row["app"], row["user_id"], row["external_user_id"]))


def index(app: str, field: str, value: str) -> str:
    """The key of the index set of an app's rows with this value in this field. `field`: one of INDEXED."""
    if len(value.encode()) > _VALUE_LIMIT:
        value = "sha256 " + hashlib.sha256(value.encode()).hexdigest()
    return keys.index(app, INDEXED[field], value)


def of_customer(
    client: Redis, identities: Sequence[str], external_user_id: str, app: str | None = None
) -> dict[str, dict[str, str]]:
    """Of these rows those of a customer, in one app or in all: id → what `erase` takes."""
    names = ("app", *INDEXED)
    with client.pipeline(transaction=False) as pipe:
        for identity in identities:
            pipe.hmget(keys.event(identity), names)
        rows = [dict(zip(names, values, strict=True)) for values in pipe.execute()]
    return {
        identity: row
        for identity, row in zip(identities, rows, strict=True)
        if row["external_user_id"] == external_user_id and app in (None, row["app"])
    }


def erase(client: Redis, rows: Mapping[str, Mapping[str, str]]) -> None:
    """Erase rows (id → row, of which `app` and the fields of INDEXED count), and what lists them. Tallies stay."""
    with client.pipeline() as pipe:
        for identity, row in rows.items():
            app = row["app"]
            for key in keys.TABLE:
                if key.forget is Forget.KEY:
                    pipe.delete(key.of(id=identity))
                elif key.forget is Forget.ID:
                    pipe.zrem(key.of(app=app), identity)
                elif key.forget is Forget.INDEX:
                    for field in INDEXED:
                        pipe.zrem(index(app, field, row.get(field) or ""), identity)
                elif key.forget is Forget.PAIR:
                    pipe.hdel(key.name, pair_of(row))
        pipe.execute()
