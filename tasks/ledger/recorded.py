"""What was recorded of an event without Redis: a value, as JSON and back, that `Ledger.take_in` makes a row of."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tasks.events import ContactAdded
from tasks.ledger import rows
from tasks.ledger.claims import Settlement


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event, and how far it came. `received_at`: Unix seconds by the clock of the host that received it.

    attempts, answers: tries that were begun, and of these answered. `settlement` None: it has no outcome yet. `counts`
    and `follow_up`: see `Ledger.settle`.
    """

    event: ContactAdded
    received_at: float
    attempts: int = 0
    answers: int = 0
    settlement: Settlement | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    follow_up: bool = False

    def to_data(self) -> dict[str, Any]:
        """As JSON has it. The welcome code is in it: the event's id is made of it too."""
        data: dict[str, Any] = {
            "at": self.received_at,
            "row": rows.new_row(self.event, self.attempts, self.answers),
        }
        if self.settlement is not None:
            data |= {"settled": rows.settled_fields(self.settlement), "counts": dict(self.counts)}
            data |= {"follow_up": self.follow_up}
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Recorded":
        """What `to_data` made. Raises KeyError, TypeError or ValueError for what it did not."""
        row = {name: str(value) for name, value in data["row"].items()}
        known = cls(rows.event_of(row), float(data["at"]), int(row["attempts"]), int(row["answers"]))
        if "settled" not in data:
            return known
        settled = {name: str(value) for name, value in data["settled"].items()}
        counts = {str(name): int(amount) for name, amount in data["counts"].items()}
        return replace(known, settlement=rows.settlement_of(settled), counts=counts, follow_up=bool(data["follow_up"]))
