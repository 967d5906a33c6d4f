"""A row of the ledger as its readers get it: one shape for `deliveries --json` and the console. Pure."""

import json
from collections.abc import Mapping
from typing import Any

FIELDS = (  # of one delivery, in this order; machines read them
    *("id", "app", "change", "user_id", "external_user_id", "state", "created_at", "received_at", "outcome", "errcode"),
    *("reason", "template", "rule", "variant", "attempts", "recoveries", "steps"),
)


def delivery(row: Mapping[str, str]) -> dict[str, Any]:
    """FIELDS → values, and `followup`. Times are Unix seconds; None while, or where, there is none.

    followup: {"state": "waiting" | "done" | "failed", "attempts", "next_at", "reason", "tags": [group/tag that are
    marked], "remark": "set" | "kept" (the member has one) | None}; None where nothing is to be done.
    """
    values: dict[str, Any] = {name: row.get(name, "") for name in FIELDS}
    values["created_at"] = int(row["created_at"])
    values["received_at"] = int(row["received_at"]) / 1000
    values["outcome"] = row.get("outcome") or None
    values["errcode"] = int(row["errcode"]) if row.get("errcode") else None
    values["attempts"] = int(row["attempts"])
    values["recoveries"] = max(0, int(row["claims"]) - 1)
    values["steps"] = json.loads(row.get("steps") or "{}")
    values["followup"] = _followup(row)
    return values


def _followup(row: Mapping[str, str]) -> dict[str, Any] | None:
    if not row.get("follow_state"):
        return None
    next_at = row.get("follow_next_at")
    return {
        "state": row["follow_state"],
        "attempts": int(row.get("follow_attempts") or 0),
        "next_at": int(next_at) / 1000 if next_at else None,
        "reason": row.get("follow_reason", ""),
        "tags": json.loads(row.get("follow_tags") or "[]"),
        "remark": row.get("follow_remark") or None,
    }
