"""The course of one greeting: what was chosen, sent and answered, and when; and its settlement."""

import time
from dataclasses import dataclass, field, replace

from tasks.greeting.admission import Took
from tasks.greeting.message import OutgoingMessage
from tasks.greeting.policy import Finish, TryState, may_have_delivered
from tasks.ledger.claims import Claim, Settlement
from tasks.ledger.delivery import LIMITED, OVERLOADED, Attempt, WorkerRecord
from tasks.ledger.pauses import Pause
from tasks.rate_limits.limiter import Held
from tasks.reasons import Kind, Reason
from tasks.templates.model import Choice
from tasks.wecom.errors import NoAnswer, Unanswered


@dataclass(slots=True)
class Course:
    """The state of one claimed event until its outcome.

    number: tries begun for the event, by earlier claims too; in_doubt: the answer to one of them was lost; begun: tries
    begun under this claim; answers: how many of all were answered; erred: one of those under this claim may have been
    delivered, see `policy.may_have_delivered`; took: how long it took to the end of the last try under this claim.
    steps: name → ms since receipt.
    """

    claim: Claim
    number: int
    in_doubt: bool
    answers: int
    begun: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    tries: list[Attempt] = field(default_factory=list)
    choice: Choice | None = None
    message: OutgoingMessage | None = None
    media_renewed: bool = False
    erred: bool = False
    took: Took | None = None

    @classmethod
    def of(cls, claim: Claim) -> "Course":
        return cls(claim, claim.attempts, claim.in_doubt, claim.answers, steps={"started": round(claim.age * 1000)})

    def record(self, step: str) -> None:
        """Record that a step is done now; only the first time counts."""
        self.steps.setdefault(step, round(self.claim.elapsed() * 1000))

    def try_begins(self) -> None:
        self.number += 1
        self.begun += 1
        self.record(f"try_{self.number}")

    def try_ended(self, error: Exception | None) -> None:
        """Record the result of the try: its error, or None when WeCom accepted the message."""
        self.record(f"answer_{self.number}")
        self.tries.append(Attempt(None if error is None else Reason.from_error(error)))
        self.took = Took(time.monotonic() - self.claim.claimed_at, not isinstance(error, Unanswered))
        lost = isinstance(error, NoAnswer)
        self.answers += not lost
        self.in_doubt = self.in_doubt or lost
        self.erred = self.erred or (error is not None and may_have_delivered(error))

    def so_far(self, begins: int = 0, given_back: bool = False) -> WorkerRecord:
        """What a successor's reader is to know. `begins`: the try that is about to begin; 0: none."""
        begun = begins or (self.number if self.begun else 0)
        return WorkerRecord(self.claim.fencing_token, self.steps, tuple(self.tries), begun, given_back)

    def state(self) -> TryState:
        """What `policy.next_step` needs to know after a failed try."""
        return TryState(
            number=self.number,
            in_doubt=self.in_doubt,
            left=self.claim.left(),
            has_attachments=self.message is not None and bool(self.message.attachments),
            media_renewed=self.media_renewed,
            erred=self.erred,
        )

    def settlement(self, finish: Finish, pause: Pause | None, held: Held | None = None) -> Settlement:
        """What the ledger stores. What made the event late, if known: `pause`, of the queue; `held`, for limits."""
        reason, cause = finish.reason, ""
        if pause is not None and reason is not None:
            reason, cause = Reason(reason.kind, {**reason.params, "paused_by": pause.by}), "paused"
        elif held is not None:
            reason, cause = Reason.of(Kind.CALLS_LIMITED, errcode=held.by, seconds=round(self.claim.age, 1)), LIMITED
        elif reason is not None and reason.kind is Kind.OVERLOADED:
            cause = OVERLOADED
        settlement = Settlement(
            outcome=finish.outcome,
            reason=reason,
            errcode=finish.errcode,
            cause=cause,
            revision=self.claim.revision or 0,
            attempts=self.number,
            steps=self.steps,
            tries=tuple(self.tries),
            worker=self.claim.fencing_token,
        )
        if self.choice is None or self.message is None:
            return settlement
        return replace(
            settlement,
            template=self.choice.template.name,
            rule=self.choice.rule,
            variant=self.choice.variant,
            values=self.message.values,
            left_out=self.message.left_out,
        )
