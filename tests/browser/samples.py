"""An installation that has lived, with everything hostile that its pages may have to show.

`fill(parts)` writes it; `arguments(parts)` has a value for each argument of a page's address.
"""

import contextlib
import time

from tasks import jobs, presence
from tasks.assembly import Parts
from tasks.lanes import FOLLOW_UPS, Lanes
from tasks.ledger import Settlement
from tasks.ledger.followups import FollowUps, Progress
from tasks.missed import UNANNOUNCED, WorkList
from tasks.presence import Presence
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
        steps = {"claimed": 5, "try_1": 9, "answer_1": 140}
        errcode = 40096 if outcome == "refused" else None
        reason = NASTY[number % len(NASTY)]
        parts.ledger.settle(event, Settlement(outcome, reason=reason, errcode=errcode, template="default", steps=steps))
    parts.ledger.accept(a_contact(corp_id=parts.settings.apps["default"].corp_id))
    fill_missed(parts)
    fill_queue(parts)


def fill_missed(parts: Parts) -> None:
    """Customers of every hostile name on the work list: reminded, ticked off, never announced."""
    work = WorkList(parts.redis, "default")
    rows = work.page().rows
    for number, row in enumerate(rows):
        work.name(row.id, NASTY[number % len(NASTY)])
    told = {"reminder": "failed", "reminder_why": NASTY[0], "reminded_by": NASTY[3], "reminded_at": 1}
    parts.redis.hset(f"welcome:event:{rows[0].id}", mapping=told)
    work.tick([rows[-1].id], NASTY[3][:64], int(time.time() * 1000))
    never = {"app": "default", "user_id": NASTY[0], "external_user_id": "wm-never", "outcome": UNANNOUNCED}
    at = {"created_at": 1000, "received_at": int(time.time() * 1000), "claims": 0, "attempts": 0, "rehearsal": 0}
    work.add_unannounced([{"id": "a" * 32, "corp_id": "ww1", "change": "add", "state": NASTY[4], **never, **at}], 86400)


def fill_queue(parts: Parts) -> None:
    """Processes that live and one that is silent, jobs that went well and wrong, follow-ups that failed, a pause."""
    Presence(parts.redis, "welcome", lambda: ["b" * 32] * 9).note()
    Presence(parts.redis, "beat").note()
    for field, note in parts.redis.hgetall(presence.KEY).items():
        if field.startswith("beat"):
            at, _, about = note.partition("|")
            parts.redis.hset(presence.KEY, field, f"{int(at) - 60_000}|{about}")
    with jobs.noted(parts.redis, "tasks.upkeep.refresh_tokens"):
        pass
    with contextlib.suppress(OSError), jobs.noted(parts.redis, "tasks.upkeep.watch_media"):
        raise OSError
    store = FollowUps(parts.redis)
    for name in NASTY:
        event = a_contact(user_id=name[:60])
        parts.ledger.accept(event)
        sent = Settlement("sent", template="default", rule=name[:60], variant=name[:60], steps={"answer_1": 25_000})
        parts.ledger.settle(event, sent, follow_up=True)
        for task in store.claim(1):
            store.note(task, Progress("failed", name))
    Lanes(parts.redis).pause(FOLLOW_UPS, NASTY[3])


def arguments(parts: Parts) -> dict[str, str]:
    """Name of an argument → a value that exists in what `fill` wrote."""
    identity = next(row["id"] for row in parts.ledger.rows() if row.get("outcome"))
    return {"code": "zh_Hans", "identity": identity, "name": "default", "number": "1"}
