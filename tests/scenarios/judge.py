"""The verdict on a run: the stand-in's records of what customers got, beside the product's own ledger.

lost      answered 200, and neither greeted nor settled with an outcome that says why not
missed    not greeted, and the ledger says why: `expired`, `failed`
double    called again on a code although the caller had been told that it is spent. Excused, once, is the
          successor of a worker that died with the answer: it cannot know, and the ledger says `unconfirmed`
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.processes import Product
from tests.simulator.client import StandIn
from tests.simulator.records import Percentiles, Record
from tests.until import until

MISSED = ("expired", "failed")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run came to. Seconds are from the planned arrival to the greeting."""

    events: int
    accepted: int
    greeted: int
    lost: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    recovered: int = 0  # greeted by the successor of a worker that died
    to_greeting: Percentiles = field(default_factory=Percentiles)

    def line(self, name: str, kills: int) -> str:
        """A row of the reliability table."""
        p99, slowest = self.to_greeting.p99 or 0, self.to_greeting.max or 0
        return (
            f"{name:<34} {self.events:>6} {self.accepted:>8} {kills:>5} {len(self.lost):>4} {len(self.missed):>6} "
            f"{len(self.double):>6} {self.recovered:>9} {p99:>6.2f} {slowest:>6.2f}"
        )


HEADING = (
    f"{'reliability':<34} {'events':>6} {'accepted':>8} {'kills':>5} {'lost':>4} {'missed':>6} {'double':>6} "
    f"{'recovered':>9} {'p99 s':>6} {'max s':>6}"
)


def verdict(wecom: StandIn, product: Product, timeout: float = 30) -> Verdict:
    """Waits until every event has its outcome, then judges."""
    until(lambda: product.unfinished() == 0, timeout, every=0.05, what="an outcome for every event")
    rows = {row["external_user_id"]: row for row in product.rows()}
    records = wecom.records()
    accepted = [record for record in records if record.accepted_at is not None]
    lost, missed, double = [], [], []
    for record in accepted:
        row = rows.get(record.external_user_id)
        if record.greeted_at is None and (row is None or row["outcome"] not in MISSED):
            lost.append(_told(record, row))
        elif record.greeted_at is None:
            missed.append(_told(record, row))
        elif row is None or row["outcome"] not in ("sent", "unconfirmed"):
            lost.append(_told(record, row))
        if _is_double(record, row):
            double.append(_told(record, row))
    return Verdict(
        events=len(records),
        accepted=len(accepted),
        greeted=sum(record.greeted_at is not None for record in records),
        lost=lost,
        missed=missed,
        double=double,
        outcomes=Counter(rows[r.external_user_id]["outcome"] for r in accepted if r.external_user_id in rows),
        recovered=sum(
            bool(rows[r.external_user_id]["recoveries"])
            for r in accepted
            if r.greeted_at is not None and r.external_user_id in rows
        ),
        to_greeting=Percentiles.of(r.greeted_after for r in records if r.greeted_after is not None),
    )


def assert_all_greeted(wecom: StandIn, product: Product, timeout: float = 30) -> Verdict:
    """Everybody whose event was answered 200 was greeted, once, in time, and the ledger knows it."""
    found = verdict(wecom, product, timeout)
    assert not found.lost
    assert not found.missed
    assert not found.double
    assert found.greeted >= found.accepted > 0
    return found


def row_of(product: Product, record: Record) -> dict[str, Any]:
    """The ledger's row of this event. KeyError if there is none."""
    return {row["external_user_id"]: row for row in product.rows()}[record.external_user_id]


def calls(record: Record) -> list[int | str]:
    """What the calls on this code came to. One with a token that died in the stand-in's reset was none."""
    return [send.result for send in record.sends if send.result != 40014]


def _is_double(record: Record, row: dict[str, Any] | None) -> bool:
    spent = next((n for n, send in enumerate(record.sends) if send.spent), None)
    if spent is None:
        return False
    further = record.sends[spent + 1 :]
    if record.sends[spent].answered is False:
        further = further[1:]  # one call must find out that the code is spent
    worker_died = row is not None and row["recoveries"] > 0
    return len(further) > (1 if worker_died and row["outcome"] in ("unconfirmed", "sent") else 0)


def _told(record: Record, row: dict[str, Any] | None) -> str:
    sends = ", ".join(f"{send.at - record.planned_at:.2f} s: {send.result} {send.answered}" for send in record.sends)
    kept = {name: row[name] for name in ("outcome", "reason", "attempts", "recoveries", "steps")} if row else "no row"
    return f"{record.id}: greeted after {record.greeted_after} s; calls: {sends or 'none'}; ledger: {kept}"
