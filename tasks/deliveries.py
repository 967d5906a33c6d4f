"""A row of the ledger as its readers get it: one shape for `deliveries --json` and the console. Pure."""

import json
from collections.abc import Mapping
from typing import Any

FIELDS = (  # of one delivery, in this order; machines read them
    *("id", "app", "change", "user_id", "external_user_id", "state", "created_at", "received_at", "outcome", "errcode"),
    *("reason", "template", "rule", "variant", "attempts", "recoveries", "steps"),
)


def delivery(row: Mapping[str, str]) -> dict[str, Any]:
    """FIELDS → values. Times are Unix seconds; `outcome` and `errcode` are None while, or where, there is none."""
    values: dict[str, Any] = {name: row.get(name, "") for name in FIELDS}
    values["created_at"] = int(row["created_at"])
    values["received_at"] = int(row["received_at"]) / 1000
    values["outcome"] = row.get("outcome") or None
    values["errcode"] = int(row["errcode"]) if row.get("errcode") else None
    values["attempts"] = int(row["attempts"])
    values["recoveries"] = max(0, int(row["claims"]) - 1)
    values["steps"] = json.loads(row.get("steps") or "{}")
    return values
