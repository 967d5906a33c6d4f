"""The nightly comparison's values and decisions: when a run is due, for which period, who was not announced. Pure."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from datetime import time as clock
from typing import Any
from zoneinfo import ZoneInfo

from tasks.ledger.delivery import Outcome
from tasks.reasons import Reason

AT = clock(3, 0)  # in the configured time zone
PERIOD = 2 * 86400  # seconds that a run looks back
FARTHEST = 14 * 86400  # seconds that it looks back at most, after nights without a run
RECENT = 600  # seconds: the event of a customer added just now may still arrive, or be redelivered (doc 90238)
MARGIN = 3600  # seconds: WeCom's clock and Redis' differ, and a callback may come late
NOT_NEW = {  # add_way (doc 92114) of those who are no new customers: no greeting was due
    8: "added when a third-party app was installed",
    202: "assigned by an administrator: taken over from a colleague",
}
CURSOR_ENDED = 50100  # errcode: WeCom has forgotten a cursor
WECOM_USER = 2  # type of a customer: WeCom greets them with its own card, never with a code (doc 92130)


@dataclass(frozen=True, slots=True)
class ComparisonRun:
    """A run and its progress. Times are Unix seconds.

    since, until: the compared period. batch, cursor: the members whose customers are being compared, and the page;
    after: the last member before them. members, customers: compared so far. new: customers added in the period.
    found: how many were never announced. left_out: members that WeCom tells nothing about (no licence, out of range).
    """

    since: int
    until: int
    started_at: int
    by: str = ""  # who asked for it; "": the schedule
    batch: Sequence[str] = ()
    cursor: str = ""
    after: str = ""
    members: int = 0
    customers: int = 0
    new: int = 0
    found: int = 0
    left_out: int = 0
    ended_at: int | None = None
    not_before: int = 0


@dataclass(frozen=True, slots=True)
class ComparisonFailure:
    """What stopped a run, for now or for good."""

    at: int
    reason: Reason
    again_at: int = 0


@dataclass(frozen=True, slots=True)
class ComparisonStatus:
    """The state of the comparison: the run in progress, the last completed one, and what has failed since."""

    run: ComparisonRun | None = None
    good: ComparisonRun | None = None
    failed: ComparisonFailure | None = None
    begun_at: int | None = None


def last_due(now: float, zone: ZoneInfo) -> int:
    """Unix seconds of the last time at which a nightly run was due."""
    here = datetime.fromtimestamp(now, zone)
    at = datetime.combine(here.date(), AT, zone)
    return round((at if at <= here else at - timedelta(days=1)).timestamp())


def is_due(status: ComparisonStatus, now: float, zone: ZoneInfo) -> bool:
    """Whether a nightly run has to begin: none has begun since it was last due."""
    due = last_due(now, zone)
    if status.run is not None:
        return status.run.started_at < due - PERIOD // 2  # stuck since the day before: start over, the period moves on
    return status.good is None or status.good.started_at < due


def period(status: ComparisonStatus, now: int, begun_at: int, life: int) -> tuple[int, int]:
    """(since, until), Unix seconds, of a run that begins now: the last two days, or back to the last good run.

    Never before the installation began, nor so far back that the ledger's rows, kept for `life` s, may be gone.
    """
    back = now - PERIOD
    if status.good is not None:
        back = max(min(back, status.good.until), now - FARTHEST)
    return max(back, begun_at, now - life + MARGIN), now - RECENT


@dataclass(frozen=True, slots=True)
class Unannounced:
    """A customer whom WeCom has and never announced. `created_at`: Unix seconds."""

    user_id: str
    external_user_id: str
    state: str
    created_at: int
    customer_name: str


def not_announced(
    entry: Mapping[str, Any], run: ComparisonRun, announced: Callable[[str, str], bool]
) -> tuple[bool, Unannounced | None]:
    """An entry of batch_get_by_user → (whether it is a new customer of the period, what to put on the work list)."""
    contact, follow = entry.get("external_contact") or {}, entry.get("follow_info") or {}
    member, customer = follow.get("userid"), contact.get("external_userid")
    created = follow.get("createtime")
    if not isinstance(member, str) or not isinstance(customer, str) or not isinstance(created, int):
        return False, None
    if not run.since <= created <= run.until or follow.get("add_way") in NOT_NEW or contact.get("type") == WECOM_USER:
        return False, None
    if announced(member, customer):
        return True, None
    return True, Unannounced(
        user_id=member,
        external_user_id=customer,
        state=str(follow.get("state") or "")[:64],
        created_at=created,
        customer_name=str(contact.get("name") or "")[:128],
    )


def unannounced_id(app: str, user_id: str, external_user_id: str, created_at: int) -> str:
    """32 hex digits, like an event's id, and the same in every run."""
    parts = (str(Outcome.UNANNOUNCED), app, user_id, external_user_id, str(created_at))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
