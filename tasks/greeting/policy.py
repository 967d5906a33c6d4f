"""What happens next to an event: pure functions over frozen values, so that every case is a row in a test table.

before_greeting(claim)              → Finish when WeCom must not be called, else None
given_up(claim, served_since)       → the Finish of an event for which it is too late; None if it is not
code_shared(finish, sibling)        → the Finish of an event whose welcome code another event used
try_timeout(number, left)           → seconds for this try, or None when it is too late to begin one
next_step(error, state, jitter)     → what follows a failed try: Finish, or Retry
too_late(in_doubt)                  → Finish, when there is no time for another try
"""

from dataclasses import dataclass

from tasks.ledger.claims import Claim
from tasks.ledger.delivery import GREETED, Outcome
from tasks.rate_limits.limits import LIMIT_CODES
from tasks.reasons import Kind, Reason
from tasks.wecom import errors

LEAST = 0.5  # seconds that must be left to begin a try: calling until the last moment halves what is delivered
LOOKUPS_END = 1.5  # seconds before the code expires at which lookups end: a try must begin, and be answered
STALE = 300  # seconds between the event and WeCom's push of it after which the code has certainly expired
MOST_REDELIVERIES = 6  # of an event, while there is time: leases let five workers die in a window, so more are errors
MANY_REDELIVERIES = 3  # above this, an event whose window is over counts as lost to dying workers

# Time-outs grow, so that a hung connection costs little at first and a slow API still has time to answer. The first
# three end 12 s after the first began: a hung try leaves time for at least three more. None is longer than the third: a
# worker that dies in a try is replaced when the try's lease ends.
TIMEOUTS = (3.0, 4.0, 5.0)  # seconds; the last one repeats
TIMEOUT_WAIT = 0.1  # seconds after an answer that did not come in time: waiting for it has taken long enough
UNANSWERED_WAIT = (0.2, 0.4, 0.8, 1.0)  # a 502 or a refused connection comes at once
BUSY_WAIT = (0.2, 0.4, 0.8, 1.6, 2.0)
RACING_WAIT = (1.0, 2.0, 3.0)  # 41096: while another app's welcome is delivered (doc 92599 names no delay)
LIMITED_WAIT = (1.0, 2.0)  # 45009: where the event cannot be given back, to wait with everybody else's

CODE_USED, CODE_SPENT, OTHER_APP_SENDS = 41050, 41051, 41096  # docs 90313, 92599
INVALID_MEDIA_ID = 40007
GETTOKEN = "gettoken"
CODE_IS_USED = GREETED | {Outcome.LOST}  # outcomes after which another event with the same code cannot use it

NO_ATTACHMENT: frozenset[str] = frozenset()
WITH_MEDIA = frozenset({"image", "miniprogram", "video", "file"})
EVERY_ATTACHMENT = WITH_MEDIA | {"link"}
OF_MEDIA = frozenset({40004, 40005, 40006, 40007, 40009, 40011, 40123, 41006, 44001, 45001})
OF_MINI_PROGRAMS = frozenset({90206, 90207, 90208})
OF_THE_TEXT = frozenset({40033, 41009, 41049, 44004, 45002, 50100})  # and of the code, and of other calls


@dataclass(frozen=True, slots=True)
class Finish:
    """The event has its outcome. `errcode`: WeCom's, where its answer decided.

    media_died: WeCom refused a message with media ids, so those in it must be recorded as dead.
    """

    outcome: Outcome
    reason: Reason | None = None
    errcode: int | None = None
    media_died: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after `wait` seconds.

    media_died: record the ids in the message as dead, and rebuild it with what has been renewed. drop: unless that has
    changed it, drop its attachments of these msgtypes, or all of them if it has none of these. keep_urls: an attachment
    that is shown by a permanent URL is not at fault. give_back: WeCom's limit holds everybody back, so the event need
    not keep a thread: it can wait with the others.
    """

    wait: float
    media_died: bool = False
    drop: frozenset[str] = NO_ATTACHMENT
    keep_urls: bool = False
    give_back: bool = False


@dataclass(frozen=True, slots=True)
class TryState:
    """The state of a greeting after a failed try.

    number: tries begun for this event; in_doubt: the answer to one of them was lost, so that the greeting may have been
    delivered; erred: another failed by an error of WeCom's own, see `may_have_delivered`; left: seconds until the code
    expires; has_attachments: whether the message had any; media_renewed: whether it was rebuilt with renewed media
    before.
    """

    number: int
    in_doubt: bool
    left: float
    has_attachments: bool = False
    media_renewed: bool = False
    erred: bool = False


def may_have_delivered(error: Exception) -> bool:
    """Whether the call may have taken effect although an error came: WeCom's own inside (-1 and other negative codes).

    Not when it was gettoken that failed. The limits and collisions, 45009, 45033, 41096, come before the call is made.
    A gateway that refuses (HTTP 4xx) has hardly ever let the request through; it may have refused the answer.
    """
    if isinstance(error, errors.HTTPRefused):
        return error.path != GETTOKEN
    return isinstance(error, errors.WeComAPIError) and error.errcode < 0 and error.path != GETTOKEN


def before_greeting(claim: Claim) -> Finish | None:
    """The outcome of an event for which WeCom must not be called; None: it may be."""
    event = claim.event
    if claim.owner_outcome in CODE_IS_USED:
        return Finish(Outcome.LOST, Reason.of(Kind.SAME_CODE, event=claim.code_owner))
    over = claim.left() < LEAST
    if claim.redeliveries > (MANY_REDELIVERIES if over else MOST_REDELIVERIES):
        return Finish(Outcome.DEAD, Reason.of(Kind.WORKERS_DIED, redeliveries=claim.redeliveries))
    late = lateness(claim)
    if late > STALE and not event.rehearsal:
        return Finish(Outcome.STALE, Reason.of(Kind.ANNOUNCED_LATE, seconds=round(late)))
    if not event.welcome_code and not event.rehearsal:
        return Finish(Outcome.NO_CODE, Reason.of(Kind.NO_WELCOME_CODE))
    if not over:
        return None
    if claim.in_doubt:
        return Finish(Outcome.UNCONFIRMED, Reason.of(Kind.WORKER_DIED_IN_TRY))
    where = "tries" if claim.attempts else "queue"
    return Finish(Outcome.EXPIRED, Reason.of(Kind.WINDOW_OVER, where=where, seconds=round(claim.age, 1)))


def given_up(claim: Claim, served_since: float) -> Finish | None:
    """The outcome of an event for which it is too late; None: it is not.

    served_since: the time of `time.monotonic` since which this process has claimed all that it could. Who came later
    and was not claimed came with more others than can be greeted.
    """
    finish = before_greeting(claim)
    waited_only = finish is not None and finish.outcome is Outcome.EXPIRED and not claim.attempts
    if waited_only and claim.claimed_at - claim.age >= served_since:
        return Finish(Outcome.EXPIRED, Reason.of(Kind.OVERLOADED, seconds=round(claim.age, 1)))
    return finish


def lateness(claim: Claim) -> float:
    """Seconds from the event to WeCom's push of it, by WeCom's clock alone: hosts' clocks can be minutes off.

    A redelivered push may carry its first timestamp (no document says): then a try is made, which costs one call with
    an expired code. Where there is no timestamp (a row of an earlier release), Redis' clock is used.
    """
    pushed_at = claim.event.pushed_at
    return (claim.received_at / 1000 if pushed_at is None else pushed_at) - claim.event.created_at


def code_shared(finish: Finish, sibling: str) -> Finish:
    """The outcome of an event whose code WeCom calls used (`is_code_used`), where the event `sibling` used it.

    It does not count as missed: the sibling has the customer's outcome.
    """
    return Finish(Outcome.LOST, Reason.of(Kind.SAME_CODE, event=sibling), finish.errcode, finish.media_died)


def code_used_elsewhere(finish: Finish) -> Finish:
    """The outcome without the ledger, where WeCom calls the code used: nobody here knows who used it.

    A worker may have, if Redis had stored the event and only its answer was lost, or another web process: `sent` then
    replaces this. It does not count as missed.
    """
    if not is_code_used(finish):
        return finish
    return Finish(Outcome.LOST, Reason.of(Kind.CODE_USED_ELSEWHERE), finish.errcode, finish.media_died)


def is_code_used(finish: Finish) -> bool:
    """Whether WeCom said that the code is used although no try of ours can have used it."""
    return finish.errcode in (CODE_USED, CODE_SPENT) and finish.outcome in (Outcome.REFUSED, Outcome.LOST)


def too_late(in_doubt: bool) -> Finish:
    """The outcome when lookups, or an unavailable Redis, have used up the time for another try."""
    if in_doubt:
        return Finish(Outcome.UNCONFIRMED, Reason.of(Kind.ANSWER_LOST))
    return Finish(Outcome.EXPIRED, Reason.of(Kind.TIME_USED_UP))


def try_timeout(number: int, left: float) -> float | None:
    """Seconds for try `number` (from 1) with `left` seconds until the code expires; None: too late to begin one."""
    if left < LEAST:
        return None
    return min(_pick(TIMEOUTS, number), left)


def next_step(error: Exception, state: TryState, jitter: float) -> Finish | Retry:
    """What follows a try that failed with this error. `jitter`: random, 0 to 1."""
    wait = _wait(error, state.number) * (0.75 + jitter / 2)
    media_died = _errcode(error) in OF_MEDIA and not state.media_renewed
    suspected = suspects(error)
    if suspected and state.has_attachments and try_timeout(state.number + 1, state.left) is not None:
        return Retry(0.0, media_died, suspected, keep_urls=_errcode(error) == INVALID_MEDIA_ID)
    final = _final(error, state)
    if final is not None:
        outcome, reason = final
        return Finish(outcome, reason, _errcode(error), media_died)
    if state.left - wait >= LEAST:
        return Retry(wait, give_back=limit_code(error) is not None)
    outcome, reason = _out_of_time(error, state.number, state.in_doubt)
    return Finish(outcome, reason, _errcode(error))


def suspects(error: Exception) -> frozenset[str]:
    """The msgtypes of the attachments that may have caused an error; empty when no attachment did.

    An undocumented errcode may be any attachment's: the text alone is worth a try, and a used code says so itself.
    """
    if isinstance(error, errors.InvalidRequest):  # refused here, before it was sent
        return EVERY_ATTACHMENT
    if not isinstance(error, errors.WeComAPIError):
        return NO_ATTACHMENT
    code = error.errcode
    if code in OF_THE_TEXT:
        return NO_ATTACHMENT
    if code in OF_MINI_PROGRAMS:
        return frozenset({"miniprogram"})
    if code in OF_MEDIA:
        return WITH_MEDIA
    if isinstance(error, errors.MediaRefused | errors.BadRequest) or code not in errors.CODES:
        return EVERY_ATTACHMENT
    return NO_ATTACHMENT


def limit_code(error: Exception | None) -> int | None:
    """WeCom's errcode where it refused a call for a limit of its own; else None."""
    code = _errcode(error) if error is not None else None
    return code if code in LIMIT_CODES else None


def _final(error: Exception, state: TryState) -> tuple[Outcome, Reason] | None:
    """The outcome of an error that a retry of the same message cannot cure; None: a retry may succeed."""
    reason = Reason.from_error(error)
    if isinstance(error, errors.InvalidRequest):
        return Outcome.REFUSED, reason
    if not isinstance(error, errors.WeComAPIError):
        return None
    if error.errcode in (CODE_USED, CODE_SPENT) and state.in_doubt:
        return Outcome.UNCONFIRMED, Reason.of(Kind.CODE_USED_AFTER_LOST_ANSWER)
    if error.errcode in (CODE_USED, CODE_SPENT) and state.erred:
        return Outcome.UNCONFIRMED, Reason.of(Kind.CODE_USED_AFTER_ERROR)
    if error.errcode == CODE_SPENT:
        return Outcome.LOST, reason
    if isinstance(error, errors.Busy | errors.Limited | errors.TokenRefused):
        return None
    return Outcome.REFUSED, reason


def _out_of_time(error: Exception, number: int, in_doubt: bool) -> tuple[Outcome, Reason]:
    """The outcome of an error that leaves no time for a retry."""
    if _errcode(error) == OTHER_APP_SENDS:
        if in_doubt:
            return Outcome.UNCONFIRMED, Reason.of(Kind.OTHER_APP_SENDING_AFTER_LOST_ANSWER)
        return Outcome.LOST, Reason.of(Kind.OTHER_APP_SENDING)
    cause = Reason.from_error(error)
    return Outcome.FAILED, Reason.of(Kind.TRIES_FAILED, tries=number, in_doubt=in_doubt, cause=cause)


def _wait(error: Exception, number: int) -> float:
    """Seconds before the next try, without jitter."""
    if _errcode(error) == OTHER_APP_SENDS:
        return _pick(RACING_WAIT, number)
    if isinstance(error, errors.Limited):
        return _pick(LIMITED_WAIT, number)
    if isinstance(error, errors.WeComAPIError):
        return _pick(BUSY_WAIT, number)
    if isinstance(error, errors.NoAnswer) and error.failure is errors.Failure.ANSWER_TIMEOUT:
        return TIMEOUT_WAIT
    return _pick(UNANSWERED_WAIT, number)


def _errcode(error: Exception) -> int | None:
    return error.errcode if isinstance(error, errors.WeComAPIError) else None


def _pick(seconds: tuple[float, ...], number: int) -> float:
    return seconds[min(number, len(seconds)) - 1]
