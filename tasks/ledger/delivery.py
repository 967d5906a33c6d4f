"""What the ledger knows of one added customer: frozen values, made from a row by `tasks.ledger.rows.from_row`. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tasks.events import ContactAdded
from tasks.reasons import Reason


class Outcome(StrEnum):
    """What became of an event. The values are stored, counted and exported."""

    SENT = "sent"  # WeCom took the greeting
    UNCONFIRMED = "unconfirmed"  # delivered for all we know: the answer was lost
    LOST = "lost"  # another app greeted, or the two are chatting already
    NO_CODE = "no_code"  # WeCom gave no welcome code
    NO_TEMPLATE = "no_template"  # no welcome is stored for this app, or no rule applies
    EXPIRED = "expired"  # the window was over before a try could begin
    STALE = "stale"  # WeCom announced the customer minutes late
    REFUSED = "refused"  # WeCom refused the greeting
    FAILED = "failed"  # WeCom could not be reached before the window ended
    DEAD = "dead"  # worker after worker died with it
    REHEARSED = "rehearsed"  # a rehearsal: everything but the send
    UNANNOUNCED = "unannounced"  # found by the nightly comparison: no event ever came
    NOT_TRANSFERRED = "not_transferred"  # a colleague was to take the customer over, and WeCom says that it failed

    @classmethod
    def _missing_(cls, value: object) -> "Outcome":
        """One of another release: readable, and equal to nothing here."""
        member = str.__new__(cls, value)
        member._name_ = member._value_ = str(value)
        return member


OF_NO_EVENT = frozenset({Outcome.UNANNOUNCED, Outcome.NOT_TRANSFERRED})  # of rows on the work list alone: never counted
OUTCOMES = tuple(one for one in Outcome if one not in OF_NO_EVENT)  # of events
MISSED = frozenset(  # of events: not greeted, for all we know
    {Outcome.NO_TEMPLATE, Outcome.EXPIRED, Outcome.STALE, Outcome.REFUSED, Outcome.FAILED, Outcome.DEAD}
)
GREETED = frozenset({Outcome.SENT, Outcome.UNCONFIRMED})  # greeted by us, for all we know

LIMITED = "limited"  # a cause: calls were held back for WeCom's limits
OVERLOADED = "overloaded"  # a cause: more customers were added than could be greeted


@dataclass(frozen=True, slots=True)
class Attempt:
    """One send, answered or not. `reason`: why WeCom did not take it, or what came instead; None: WeCom took it."""

    reason: Reason | None = None

    @property
    def accepted(self) -> bool:
        return self.reason is None

    @property
    def errcode(self) -> int | None:
        """0 for a send that WeCom took, None where no answer came."""
        return 0 if self.reason is None else self.reason.errcode


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """What a worker recorded of an event that it did not settle. `number`: 1 for the first that had it.

    `steps`: name → ms since receipt; `tries`: those that ended; `begun`: the last try that began for all we know, 0:
    none did; `given_back`: it gave the event back, since no call of WeCom's might begin.
    """

    number: int
    steps: Mapping[str, int] = field(default_factory=dict)
    tries: tuple[Attempt, ...] = ()
    begun: int = 0
    given_back: bool = False


class LeftOutBecause(StrEnum):
    """Why a customer did not get an attachment."""

    NOT_UPLOADED = "not_uploaded"  # its file was not at WeCom yet
    REFUSED = "refused"  # WeCom refused a message with it
    UNKNOWN = "unknown"  # of rows that an earlier release wrote


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An attachment that was not sent. `number`: from 1. `file`: its path in the book, "" where there is none.

    `reason`: WeCom's, where it refused it.
    """

    number: int
    because: LeftOutBecause
    msgtype: str = ""
    file: str = ""
    reason: Reason | None = None


class FollowUpStatus(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    NONE = "none"  # there is nothing to do; never stored


@dataclass(frozen=True, slots=True)
class FollowUpState:
    """How far the follow-up of a delivery is. Times are Unix seconds.

    `at`: the last try; `next_at`: the next one, while it waits; `tags`: group/tag, those that are marked;
    `remark`: "set", "kept" (the member has one of their own) or None; `claims`: the last claim's fencing token.
    """

    status: FollowUpStatus
    attempts: int = 0
    at: float | None = None
    next_at: float | None = None
    reason: Reason | None = None
    tags: tuple[str, ...] = ()
    remark: str | None = None
    claims: int = 0


@dataclass(frozen=True, slots=True)
class TaggingState:
    """How far the tags are that somebody put on the customer from the console. Times are Unix seconds.

    `wanted`, `tags`: (group, tag), those last asked for, and all that were put on by hand so far. `status`: never NONE.
    `by`: who asked last; `at`: the last try; `next_at`: the next one, while it waits; `claims`: the fencing token.
    """

    status: FollowUpStatus
    wanted: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    by: str = ""
    asked_at: float | None = None
    at: float | None = None
    next_at: float | None = None
    attempts: int = 0
    reason: Reason | None = None
    claims: int = 0


class ReminderStatus(StrEnum):
    SENDING = "sending"
    SENT = "sent"
    UNSURE = "unsure"  # no answer came: the member may have been told
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ReminderState:
    """What a member was told about a missed customer. `by` "": sent by the schedule. `at`: Unix seconds.

    `next_at`: when a message that did not leave is tried again; None: it is not.
    """

    status: ReminderStatus
    at: float | None = None
    by: str = ""
    reason: Reason | None = None
    next_at: float | None = None


@dataclass(frozen=True, slots=True)
class ContactChange:
    """What became of a contact after the add. `change`: of tasks.events.LATER_CHANGES; `at`: Unix seconds, WeCom's.

    user_id: the member's, where it came in another case than with the add.
    """

    change: str
    at: int
    detail: str = ""
    user_id: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """Somebody ticked a missed customer off the work list. `at`: Unix seconds."""

    by: str
    at: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """One added customer: the event, and what became of it. Holds no welcome code.

    `created_at`: Unix seconds, WeCom's; `received_ms`: ms of Redis' clock. `outcome` None: still in progress.
    `errcode` None: WeCom's answer had no part in the outcome. `cause`: "paused" where a pause made it late,
    "limited" where WeCom's limits did, "overloaded" where there were more customers than can be greeted, else "".
    `revision`: of the welcome book; None: none was stored. `claims`: how often a worker took it; `given_back`:
    how often one gave it back, since no call of WeCom's might begin.
    `steps`: name → ms since receipt, timings only, of the worker `worker` that settled it; `others`: what the other
    workers recorded that had it, of the first few. `names`: placeholder → value as it stood in the text; None: not
    kept. `found_ms`: when the comparison found it. `customer_name` None: nobody has asked WeCom for it. `lifeboat`: it
    was processed without Redis. `changes`: what became of the contact after the add, the
    earliest first. `added_again`: an earlier event of the two, after which the customer left; "" if none is known.
    """

    id: str
    app: str
    corp_id: str
    change: str
    user_id: str
    external_user_id: str
    state: str
    created_at: int
    received_ms: int
    rehearsal: bool = False
    outcome: Outcome | None = None
    errcode: int | None = None
    reason: Reason | None = None
    cause: str = ""
    template: str = ""
    rule: str = ""
    variant: str = ""
    revision: int | None = None
    claims: int = 0
    given_back: int = 0
    attempts: int = 0
    answers: int = 0
    steps: Mapping[str, int] = field(default_factory=dict)
    tries: tuple[Attempt, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    names: Mapping[str, str] | None = None
    follow_up: FollowUpState | None = None
    tagging: TaggingState | None = None
    reminder: ReminderState | None = None
    tick: Tick | None = None
    found_ms: int | None = None
    customer_name: str | None = None
    lifeboat: bool = False
    changes: tuple[ContactChange, ...] = ()
    added_again: str = ""
    worker: int = 1
    others: tuple[WorkerRecord, ...] = ()

    @property
    def event(self) -> ContactAdded:
        """The event, without its welcome code, and so without its id."""
        return ContactAdded(
            app=self.app,
            corp_id=self.corp_id,
            change=self.change,
            user_id=self.user_id,
            external_user_id=self.external_user_id,
            created_at=self.created_at,
            state=self.state,
            rehearsal=self.rehearsal,
        )

    @property
    def received_at(self) -> float:
        """Unix seconds."""
        return self.received_ms / 1000

    @property
    def redeliveries(self) -> int:
        """How often a worker took it over from one that had not given it back."""
        return max(0, self.claims - 1 - self.given_back)
