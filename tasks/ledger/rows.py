"""A row of the ledger as Redis has it, and the keys that follow-ups add to the ledger's own. Pure."""

from collections.abc import Mapping

from tasks.events import ContactAdded

PREFIX = "welcome:event:"  # + id: the row, a hash
FOLLOWUP_DUE = "welcome:followup:due"  # id → ms at which its next try may begin
FOLLOWUP_AWAITED = "welcome:followup:awaited"  # app|member|customer → id of what waits for their full add
FOLLOWUP_WOKEN = "welcome:followup:woken"  # there while a message for the slow queue was sent lately


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
