"""Which due events a worker takes when more are due than it has slots free. Pure, but for `Load`, which remembers.

While slots are free, everybody who is due is tried, however little time is left: nothing is lost by it. Otherwise a
try that ends after its code has died has cost another customer the slot, so:

* who has less time left than a try needs is passed over, for as long as there is anybody else;
* the oldest come first. In that order the fewest are passed over in a peak, or after workers were away;
* when customers are passed over for a while, more come than can be greeted, and the newest come first until nobody
  waits: whoever is taken has nearly the whole window, however slow WeCom gets meanwhile, and when the overload ends,
  new customers are greeted at once.

What a try needs is measured: recent greetings, from the claim to the answer.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

from tasks.greeting.policy import LEAST, TIMEOUTS
from tasks.ledger.claims import Admission, Taken

RECENT = 32  # greetings that are remembered: a quarter of a second of a fast API, a round or more of a slow one
OF_TEN = 9  # so many of ten recent greetings took no longer than what a try is said to need
MARGIN = 1.25  # times what they took
UNANSWERED = 2.0  # times its duration: a greeting without an answer, which would have come later
PATIENCE = 3.0  # seconds, and times what a try needs, for which customers are passed over before the order turns
PATIENCE_AT_MOST = 1 / 3  # of the window


@dataclass(frozen=True, slots=True)
class PassingOver:
    """For how long customers have been passed over without a poll at which nobody waited. Of `time.monotonic`."""

    first: float | None = None
    last: float = 0.0

    def after(self, now: float, waits: bool, passed_over: bool) -> "PassingOver":
        """After a claim. waits: it left somebody waiting, maybe. passed_over: somebody with too little time."""
        if not waits:
            return PassingOver()
        return PassingOver(now if self.first is None else self.first, now) if passed_over else self


def needed(recent: Collection[float], window: float) -> float:
    """Seconds that a try needs, after greetings that took so long, where codes live `window` seconds.

    LEAST, if there were none or they were fast. Never more than the longest time-out, nor than half the window: what
    may take longer is still tried, since nothing is known to do better.
    """
    ranked = sorted(recent)
    usual = ranked[(len(ranked) * OF_TEN - 1) // 10] if ranked else 0.0
    return max(LEAST, min(usual * MARGIN, TIMEOUTS[-1], window / 2))


def admission(needs: float, window: float, passing_over: PassingOver, now: float) -> Admission:
    """Whom to claim now, where a try needs so many seconds and codes live `window` seconds."""
    first, last = passing_over.first, passing_over.last
    patience = min(PATIENCE + PATIENCE * needs, PATIENCE_AT_MOST * window)
    lasts = first is not None and now - first >= patience and now - last <= needs
    return Admission(worthwhile=needs, newest_first=lasts)


@dataclass(frozen=True, slots=True)
class Took:
    """How long a greeting took, from its claim to WeCom's last answer; or to its end, if there was none."""

    seconds: float
    answered: bool


class Load:
    """What the recent greetings and claims of one process say. Thread-safe."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._passing_over = PassingOver()

    def greeted(self, took: Took) -> None:
        self._recent.append(took.seconds * (1 if took.answered else UNANSWERED))

    def claimed(self, now: float, taken: Taken) -> None:
        """A claim was made at `now`, of `time.monotonic`."""
        self._passing_over = self._passing_over.after(now, taken.waits, taken.passed_over > 0)

    def admission(self, now: float) -> Admission:
        needs = needed(self._recent.copy(), self._window)
        return admission(needs, self._window, self._passing_over, now)
