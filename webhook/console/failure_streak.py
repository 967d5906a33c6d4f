"""Whether greetings fail now: how many of the newest customers in a row were not greeted."""

from dataclasses import dataclass
from itertools import takewhile

from tasks.ledger.delivery import GREETED, MISSED
from tasks.ledger.ledger import Ledger
from tasks.messages import Message
from webhook.outcomes import NAMES, note

FAILING = 3  # missed in a row from which something is wrong
_LOOKED = 10
_WITHIN = 600_000  # ms: what was missed before says nothing about now
_TELLING = (MISSED - {"stale"}) | GREETED  # `stale` is of an earlier trouble: WeCom told of it minutes late


@dataclass(frozen=True, slots=True)
class FailureStreak:
    """`missed`: customers in a row, ten at most; `why`: the newest one's outcome in a few words."""

    missed: int = 0
    why: Message | None = None


NONE = FailureStreak()


def failure_streak(ledger: Ledger, app: str) -> FailureStreak:
    """Of an app's deliveries that were settled in the last ten minutes. Raises redis.RedisError."""
    rows = ledger.page(app, outcome=frozenset(_TELLING), since=ledger.now() - _WITHIN, limit=_LOOKED).rows
    missed = list(takewhile(lambda one: one.outcome in MISSED, rows))
    if not missed:
        return NONE
    newest = missed[0]
    name = NAMES[newest.outcome or "open"]
    return FailureStreak(len(missed), note(newest) or Message(name))
