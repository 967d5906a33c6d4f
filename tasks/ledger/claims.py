"""What a worker gets from the ledger, and gives back: a claim under a lease, its settlement, a follow-up's progress."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from tasks.events import ContactAdded
from tasks.ledger.delivery import Attempt, FollowUpStatus, LeftOut, Outcome
from tasks.reasons import Reason


class Kept(Enum):
    """What became of a request to keep a claim for a further try; true if the try may begin."""

    YES = "yes"
    NO = "no"  # another worker has the event, or it has its outcome
    LIMITED = "limited"  # it is still ours, but no call of WeCom's may begin now

    def __bool__(self) -> bool:
        return self is Kept.YES


LOOKED_AT = 200  # events, besides those that a claim may take: among them it looks for those of other apps


@dataclass(frozen=True, slots=True)
class Claim:
    """An event under a worker's lease. `claimed_at` (of `time.monotonic`) is when it was `age` seconds old.

    `code_owner`: the id of the event that brought the same welcome code first, "" if this one did; `owner_outcome`:
    what became of that one, None if its row is gone. `given_back`: how often the event was given back since no call of
    WeCom's might begin. `probe`: WeCom refused the calls before this one for a limit, and its answer decides for all.
    """

    event: ContactAdded
    fencing_token: int  # 1 for the first worker that has it
    attempts: int  # tries begun, for all we know, before this claim
    answers: int  # of these, answered
    received_at: int  # ms
    revision: int | None  # of the app's welcome book; None: none is stored
    claimed_at: float
    age: float
    window: float
    code_owner: str = ""
    owner_outcome: Outcome | None = None
    given_back: int = 0
    probe: bool = False

    @property
    def id(self) -> str:
        return self.event.id

    @property
    def in_doubt(self) -> bool:
        """Whether a worker began a try and died before it recorded the answer: the customer may have been greeted."""
        return self.attempts > self.answers

    @property
    def redeliveries(self) -> int:
        """How often a worker took it over from one that had not given it back."""
        return max(0, self.fencing_token - 1 - self.given_back)

    @property
    def deadline(self) -> float:
        """The time of `time.monotonic` at which the welcome code dies."""
        return self.claimed_at + self.window - self.age

    def left(self) -> float:
        """Seconds until the welcome code dies."""
        return self.deadline - time.monotonic()

    def elapsed(self) -> float:
        """Seconds since receipt."""
        return self.age + time.monotonic() - self.claimed_at


@dataclass(frozen=True, slots=True)
class Shares:
    """How many customers of each app are greeted at once before those of others come first. `held`: app → are now."""

    each: int
    held: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Admission:
    """Whom a claim takes when more are due than it may take.

    First those with at least `worthwhile` seconds left, in their order; then those with less, the most first. shares:
    among the next LOOKED_AT of the former, those whose app has its share come after the others; None: there is one app.
    """

    worthwhile: float
    newest_first: bool = False
    shares: Shares | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What a claim took. waits: it took as many as it may, and somebody may wait whom it could not take.

    passed_over: how many of those who wait have too little time left for a try to be worthwhile; 0 unless `waits`.
    """

    claims: Sequence[Claim]
    waits: bool = False
    passed_over: int = 0


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of an event. `errcode` None: WeCom's answer had no part in it. `steps`: name → ms since receipt.

    `values` of the text's placeholders and `left_out`, the attachments that were not sent, show with the revision the
    message as it was sent. `cause`: a word to count it by where there is no errcode. `lifeboat`: without Redis.
    `worker`: the number of the claim it was made under; 0: it was none of the ledger's.
    """

    outcome: Outcome
    reason: Reason | None = None
    errcode: int | None = None
    template: str = ""
    rule: str = ""
    variant: str = ""
    revision: int = 0
    attempts: int = 0  # tries begun in all
    steps: Mapping[str, int] = field(default_factory=dict)
    tries: Sequence[Attempt] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    left_out: Sequence[LeftOut] = ()
    cause: str = ""
    lifeboat: bool = False
    worker: int = 1


@dataclass(frozen=True, slots=True)
class SettledEvent:
    """An event, and what is written when it is settled: see `Ledger.settle`."""

    event: ContactAdded
    settlement: Settlement
    counts: Mapping[str, int] = field(default_factory=dict)
    follow_up: bool = False


@dataclass(slots=True)
class Batch:
    """Events that are settled in one exchange with Redis, which fills in what became of each.

    written: whether its outcome was; False: another one was first; None: Redis did not take it. Empty: there was no
    answer.
    """

    events: Sequence[SettledEvent] = ()
    written: Sequence[bool | None] = ()


@dataclass(frozen=True, slots=True)
class FollowUpProgress:
    """How far a follow-up came.

    delay: seconds until the next try, when it waits. remark: "set", "kept" (the member has one of their own) or None
    (not asked for, or not done yet).
    """

    status: FollowUpStatus
    reason: Reason | None = None
    delay: float = 0.0
    awaits_full_add: bool = False
    tags: Sequence[str] = ()
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class TaggingProgress:
    """How far the tags that somebody asked for came. `tags`: (group, tag), all that were put on by hand so far.

    delay: seconds until the next try, when it waits.
    """

    status: FollowUpStatus
    reason: Reason | None = None
    delay: float = 0.0
    tags: Sequence[tuple[str, str]] = ()
