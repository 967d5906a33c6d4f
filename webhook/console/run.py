"""Whether greetings fail now: how many of the newest customers, one after the other, were not greeted."""

from dataclasses import dataclass
from itertools import takewhile

from tasks.deliveries import delivery
from tasks.ledger import GREETED, MISSED, Ledger
from tasks.sentences import Sentence
from webhook.verdicts import NAMES, note

FAILING = 3  # missed in a row from which something is wrong
_LOOKED = 10
_WITHIN = 600_000  # ms: what was missed before says nothing about now
_TELLING = (MISSED - {"stale"}) | GREETED  # `stale` is of an earlier trouble: WeCom told of it minutes late


@dataclass(frozen=True, slots=True)
class Run:
    """`missed`: how many of the newest in a row, ten at most; `why`: the newest one's outcome in a few words."""

    missed: int = 0
    why: Sentence | None = None


NONE = Run()


def run_of(ledger: Ledger, app: str) -> Run:
    """The newest of an app that came to an end in the last ten minutes. Raises redis.RedisError."""
    rows = ledger.page(app, outcome=frozenset(_TELLING), since=ledger.now() - _WITHIN, limit=_LOOKED).rows
    missed = list(takewhile(lambda row: row["outcome"] in MISSED, rows))
    if not missed:
        return NONE
    outcome = missed[0]["outcome"]
    return Run(len(missed), note(delivery(missed[0])) or Sentence(NAMES[outcome]))
