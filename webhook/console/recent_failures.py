"""Whether greetings fail now: how many of the newest customers were not greeted, and how many of them in a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from tasks.ledger.delivery import GREETED, MISSED, Delivery
from tasks.ledger.ledger import Ledger
from tasks.messages import Message
from webhook.outcomes import name, note

IN_A_ROW = 3  # missed in a row from which something is wrong
SHARE, OF = 0.5, 6  # missed of the newest from which something is wrong, where there are so many
_LOOKED = 20
_WITHIN = 600_000  # ms: what was missed before says nothing about now
TELLING = (MISSED - {"stale"}) | GREETED  # `stale` is of an earlier trouble: WeCom told of it minutes late


@dataclass(frozen=True, slots=True)
class RecentFailures:
    """in_a_row: customers missed up to now; missed: of the `looked` newest; why: the outcome of the last one."""

    in_a_row: int = 0
    missed: int = 0
    looked: int = 0
    why: Message | None = None

    @property
    def message(self) -> Message | None:
        """What is wrong, in words; None: a failure here and there is no trouble."""
        if self.in_a_row >= IN_A_ROW:
            return Message.of("The last %(n)s in a row were missed: %(why)s", n=self.in_a_row, why=self.why)
        if self.looked >= OF and self.missed >= SHARE * self.looked:
            numbers = {"n": self.missed, "of": self.looked, "why": self.why}
            return Message("%(n)s of the last %(of)s were missed; the latest: %(why)s", numbers)
        return None


NONE = RecentFailures()


def recent_failures(ledger: Ledger, app: str) -> RecentFailures:
    """Of an app's newest deliveries that were settled in the last ten minutes. Raises redis.RedisError."""
    rows = ledger.page(app, outcome=frozenset(TELLING), since=ledger.now() - _WITHIN, limit=_LOOKED).rows
    return judged(rows)


def any_failing(ledger: Ledger, apps: Sequence[str]) -> bool:
    """Whether greetings fail in any of these apps. One exchange, and more for those alone that have missed somebody."""
    counts = ledger.counts(apps, sorted(TELLING - GREETED), ledger.now() - _WITHIN)
    suspects = [app for app, missed in counts.items() if sum(missed.values()) >= IN_A_ROW]
    return any(recent_failures(ledger, app).message is not None for app in suspects)


def judged(rows: Sequence[Delivery]) -> RecentFailures:
    """Of these deliveries, the newest first. Pure."""
    missed = [one for one in rows if one.outcome in MISSED]
    if not missed:
        return RecentFailures(looked=len(rows))
    in_a_row = len(list(takewhile(lambda one: one.outcome in MISSED, rows)))
    latest = missed[0]
    return RecentFailures(in_a_row, len(missed), len(rows), note(latest) or Message(name(latest.outcome)))
