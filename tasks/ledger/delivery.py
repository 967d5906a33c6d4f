"""A row of the ledger as its readers get it: one shape for `deliveries --json` and the console. Pure."""

import json
from collections.abc import Mapping
from typing import Any

FIELDS = (  # of one delivery, in this order; machines read them
    *("id", "app", "change", "user_id", "external_user_id", "state", "created_at", "received_at", "outcome", "errcode"),
    *("reason", "template", "rule", "variant", "attempts", "recoveries", "steps"),
)


def delivery(row: Mapping[str, str]) -> dict[str, Any]:
    """FIELDS → values, and what follows. Times are Unix seconds; None while, or where, there is none.

    cause: a word where no errcode tells why: "paused" (the lane was); else ""
    revision: of the book that it was settled with, None for none
    tries: [{"errcode": 0 for taken, None for no answer, "reason"}], in order, of the worker that settled it
    without: numbers, from 1, of the attachments that were not sent
    followup: {"state": "waiting" | "done" | "failed", "attempts", "at": of the last try, "next_at", "reason", "tags":
    [group/tag that are marked], "remark": "set" | "kept" (the member has one) | None}; None: nothing is to be done
    """
    values: dict[str, Any] = {name: row.get(name, "") for name in FIELDS}
    values["created_at"] = int(row["created_at"])
    values["received_at"] = int(row["received_at"]) / 1000
    values["outcome"] = row.get("outcome") or None
    values["errcode"] = int(row["errcode"]) if row.get("errcode") else None
    values["attempts"] = int(row["attempts"])
    values["recoveries"] = max(0, int(row["claims"]) - 1)
    values["steps"] = json.loads(row.get("steps") or "{}")
    values["cause"] = row.get("cause", "")
    values["revision"] = int(row["revision"]) if row.get("revision") else None
    values["tries"] = [{"errcode": code, "reason": reason} for code, reason in json.loads(row.get("tries") or "[]")]
    values["without"] = json.loads(row.get("without") or "[]")
    values["followup"] = _followup(row)
    return values


def names_used(row: Mapping[str, str]) -> dict[str, str]:
    """Placeholder → value as it stood in the text: of a person, so no part of `delivery`, which terminals show.

    Absent: the text does not use it. "": it has none, or none was known in time.
    """
    values: dict[str, str] = json.loads(row.get("values") or "{}")
    return values


def _followup(row: Mapping[str, str]) -> dict[str, Any] | None:
    if not row.get("follow_state"):
        return None
    at, next_at = row.get("follow_at"), row.get("follow_next_at")
    return {
        "state": row["follow_state"],
        "attempts": int(row.get("follow_attempts") or 0),
        "at": int(at) / 1000 if at else None,
        "next_at": int(next_at) / 1000 if next_at else None,
        "reason": row.get("follow_reason", ""),
        "tags": json.loads(row.get("follow_tags") or "[]"),
        "remark": row.get("follow_remark") or None,
    }
