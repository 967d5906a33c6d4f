"""An installation that has lived, with everything hostile that its pages may have to show.

`fill(parts)` writes it; `arguments(parts)` has a value for each argument of a page's address.
"""

from tasks.assembly import Parts
from tasks.ledger import Settlement
from tests.builders import a_contact

NASTY = (
    "<script>alert(1)</script>",
    "\u202egnp.exe\u202c",
    "👨‍👩‍👧‍👦" * 20,
    "'\"><img src=x onerror=alert(1)>",
    "a" * 4000,
    "=HYPERLINK(0)",
    "{{7*7}} %(n)s",
)
OUTCOMES = ("sent", "unconfirmed", "lost", "no_code", "no_template", "expired", "stale", "refused", "failed", "dead")


def fill(parts: Parts) -> None:
    """Rows with every outcome, and with hostile States."""
    for number, outcome in enumerate(OUTCOMES):
        event = a_contact(corp_id=parts.settings.apps["default"].corp_id, state=NASTY[number % len(NASTY)][:64])
        parts.ledger.accept(event)
        steps = {"claimed": 5, "try_1": 9, "answered_1": 140}
        errcode = 40096 if outcome == "refused" else None
        reason = NASTY[number % len(NASTY)]
        parts.ledger.settle(event, Settlement(outcome, reason=reason, errcode=errcode, template="default", steps=steps))
    parts.ledger.accept(a_contact(corp_id=parts.settings.apps["default"].corp_id))


def arguments(parts: Parts) -> dict[str, str]:
    """Name of an argument → a value that exists in what `fill` wrote."""
    return {"code": "zh_Hans", "identity": next(iter(parts.ledger.rows()))["id"], "name": "default", "number": "1"}
