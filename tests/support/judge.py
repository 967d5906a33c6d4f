"""Judges a run: compares the stand-in's records of what customers got with the product's own ledger.

lost      answered 200, but neither greeted nor settled with an outcome that says why not; or greeted, but the ledger
          does not know it (except a row that Redis lost because it was killed by kill -9 before it was on disk)
missed    not greeted, and the ledger says why: `expired`, `failed`; or `refused` because the code had expired before
          the event could be accepted
double    another call with a used code, after the answer of its use had reached the caller. Excused: the successor of
          a worker that died, since it cannot know that answer; and once a worker after Redis was killed by kill -9,
          which loses what was not on disk yet, such as a claim; and once the lifeboat or a worker, where the answer
          to the hand-over was lost, since neither knows of the other; and once the lifeboat, where the worker that
          greeted could not say so, since Redis was away, and once more that of the web process which follows a killed
          one; and a try that waited in vain for all its time, though the stand-in thinks that it was answered: the
          answer came as it ended
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tasks.greeting.policy import TIMEOUTS
from tests.simulator.client import StandIn
from tests.simulator.records import Percentiles, Record
from tests.support.processes import Installation

MISSED = ("expired", "failed")
WINDOW = 20.0  # seconds that a code lives, from the first push of its event


@dataclass(frozen=True, slots=True)
class Verdict:
    """The results of a run. Seconds are from the planned arrival to the greeting."""

    events: int
    accepted: int
    greeted: int
    lost: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    recovered: int = 0  # greeted after a worker died while greeting them
    slowest_recovery: float | None = None  # seconds from receipt to the greeting, by any worker; None: no recovery
    to_greeting: Percentiles = field(default_factory=Percentiles)

    def line(self, name: str, kills: int) -> str:
        """A row of the reliability table."""
        p99, slowest = self.to_greeting.p99 or 0, self.to_greeting.max or 0
        return (
            f"{name:<38} {self.events:>6} {self.accepted:>8} {kills:>5} {len(self.lost):>4} {len(self.missed):>6} "
            f"{len(self.double):>6} {p99:>6.2f} {slowest:>6.2f} {self.recovered:>9} {self.slowest_recovery or 0:>7.2f}"
        )


HEADING = (
    f"{'reliability':<38} {'events':>6} {'accepted':>8} {'kills':>5} {'lost':>4} {'missed':>6} {'double':>6} "
    f"{'p99 s':>6} {'max s':>6} {'recovered':>9} {'slowest':>7}"
)


def verdict(
    wecom: StandIn,
    product: Installation,
    timeout: float = 60,
    *,
    redis_died: bool = False,
    redis_away: bool = False,
    web_died: bool = False,
) -> Verdict:
    """Waits until every event was pushed and has its outcome, then judges."""
    deaths = (redis_died or redis_away) + web_died  # that anybody may have met
    product.wait_until_settled(timeout)
    rows = {row["external_user_id"]: row for row in product.rows_now()}
    records = wecom.records()
    accepted = [record for record in records if record.accepted_at is not None]
    lost, missed, double = [], [], []
    for record in accepted:
        row = rows.get(record.external_user_id)
        if record.greeted_at is None:
            (missed if row is not None and _is_explained(record, row) else lost).append(_told(record, row))
        elif not redis_died if row is None else row["outcome"] not in ("sent", "unconfirmed"):
            lost.append(_told(record, row))
        if _is_double(record, row, deaths):
            double.append(_told(record, row))
    recovered = [
        r
        for r in accepted
        if r.greeted_at is not None and r.external_user_id in rows and rows[r.external_user_id]["recoveries"]
    ]
    return Verdict(
        events=len(records),
        accepted=len(accepted),
        greeted=sum(record.greeted_at is not None for record in records),
        lost=lost,
        missed=missed,
        double=double,
        outcomes=Counter(rows[r.external_user_id]["outcome"] for r in accepted if r.external_user_id in rows),
        recovered=len(recovered),
        slowest_recovery=max((r.greeted_at - r.accepted_at for r in recovered), default=None),
        to_greeting=Percentiles.of(r.greeted_after for r in records if r.greeted_after is not None),
    )


def assert_all_greeted(
    wecom: StandIn, product: Installation, timeout: float = 60, *, redis_died: bool = False, redis_away: bool = False
) -> Verdict:
    """Assert that everybody whose event was answered 200 was greeted, once and in time, and the ledger knows it."""
    found = verdict(wecom, product, timeout, redis_died=redis_died, redis_away=redis_away)
    assert not found.lost, found.lost
    assert not found.missed, found.missed
    assert not found.double, found.double
    assert found.greeted >= found.accepted > 0
    return found


def row_of(product: Installation, record: Record) -> dict[str, Any]:
    """The ledger's row of this event, once all are settled. KeyError if there is none."""
    return {row["external_user_id"]: row for row in product.rows()}[record.external_user_id]


def calls(record: Record) -> list[int | str]:
    """The results of the calls with this code, without those whose token expired in the stand-in's reset."""
    return [send.result for send in record.sends if send.result != 40014]


def _is_explained(record: Record, row: dict[str, Any]) -> bool:
    code_had_died = bool(record.sends) and record.sends[0].at > record.pushed_at + WINDOW
    return row["outcome"] in MISSED or (row["errcode"] == 41050 and code_had_died)


def _is_double(record: Record, row: dict[str, Any] | None, deaths: int) -> bool:
    if row is not None:
        deaths += row["recoveries"] + row["lifeboat"] + _answered_late(record, row)
    told = needless = 0
    for send in record.sends:
        needless += told > 0
        told += (send.spent or send.result in (41050, 41051)) and send.answered is not False
    return told > 1 + deaths if deaths else needless > 0


def _answered_late(record: Record, row: dict[str, Any]) -> int:
    """Tries that ended when their time was over, beyond those of which the stand-in knows that nobody heard it."""
    steps = row["steps"]
    waited = (steps.get(f"answer_{n}", 0) - steps.get(f"try_{n}", 0) for n in range(1, row["attempts"] + 1))
    in_vain = sum(milliseconds >= 1000 * TIMEOUTS[0] for milliseconds in waited)
    return max(0, in_vain - sum(send.answered is False for send in record.sends))


def _told(record: Record, row: dict[str, Any] | None) -> str:
    sends = ", ".join(f"{send.at - record.planned_at:.2f} s: {send.result} {send.answered}" for send in record.sends)
    kept = {name: row[name] for name in ("outcome", "reason", "attempts", "recoveries", "steps")} if row else "no row"
    return f"{record.id}: greeted after {record.greeted_after} s; calls: {sends or 'none'}; ledger: {kept}"
