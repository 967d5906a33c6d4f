"""What to do next with an event: pure functions over frozen values, so that every case is a row in a table of tests.

before_greeting(claim)            → a Settlement when no call may be made, else None
try_timeout(number, left)         → seconds for this try, or None when no try may begin any more
after_try(error, number, ...)     → a Settlement, or the seconds to wait before the next try
too_late(unanswered)              → a Settlement, when no further try may begin
media_refused(error)              → whether media that WeCom had taken may have died
suspects(error)                   → the attachments without which a refused greeting is tried again
"""

from tasks.ledger.ledger import Claim, Settlement
from tasks.wecom import errors

LEAST = 0.5  # seconds that must be left to begin a try: calling until the last moment halves what is delivered
STALE = 300  # seconds between WeCom's CreateTime and our receipt from which the code is dead for certain
MOST_RECOVERIES = 6  # of an event, while there is time: its leases let five workers die in a window, so more are errors
MANY_RECOVERIES = 3  # from more than these on, the end of the window is the workers' doing

# Time-outs grow, so that a hung connection costs little at first and a slow API is still waited for. The first three
# end 12 s after the first began: a hung one leaves time for at least three more. None is longer than the third: a
# worker that dies in a try is replaced when the try's lease ends.
TIMEOUTS = (3.0, 4.0, 5.0)  # seconds; the last one repeats
UNUSABLE_WAIT = 0.1  # seconds after a lost answer: the time is spent already
NOT_SENT_WAIT = (0.2, 0.4, 0.8, 1.0)
BUSY_WAIT = (0.2, 0.4, 0.8, 1.6, 2.0)
RACING_WAIT = (1.0, 2.0, 3.0)  # 41096: while another app's welcome is delivered (doc 92599 names no delay)
LIMITED_WAIT = (2.0, 4.0)  # 45009: over after a minute as a rule, so seldom worth more

NO_ATTACHMENT: frozenset[str] = frozenset()
WITH_MEDIA = frozenset({"image", "miniprogram", "video", "file"})
EVERY_ATTACHMENT = WITH_MEDIA | {"link"}
OF_MEDIA = frozenset({40004, 40005, 40006, 40007, 40009, 40011, 40123, 41006, 44001, 45001})
OF_MINI_PROGRAMS = frozenset({90207, 90208})
OF_THE_TEXT = frozenset({40033, 41009, 41049, 44004, 45002, 50100})  # and of the code, and of other calls


def before_greeting(claim: Claim) -> Settlement | None:
    """The outcome of an event for which WeCom is not called."""
    event = claim.event
    over = claim.left() < LEAST
    if claim.recoveries > (MANY_RECOVERIES if over else MOST_RECOVERIES):
        return Settlement("dead", f"{claim.recoveries} workers died with it")
    late = claim.received_at / 1000 - event.created_at
    if late > STALE and not event.rehearsal:
        return Settlement("stale", f"WeCom announced it {late:.0f} s after it happened")
    if not event.welcome_code and not event.rehearsal:
        return Settlement("no_code", "WeCom gave no welcome code")
    if over:
        if claim.in_doubt:
            return Settlement("unconfirmed", "a worker died during a try, and the answer with it")
        return Settlement("expired", f"{claim.age:.1f} s " + ("in tries" if claim.attempts else "in the queue"))
    return None


def too_late(unanswered: bool) -> Settlement:
    """The outcome when names, or a Redis that was away, have used up the time for another try."""
    if unanswered:
        return Settlement("unconfirmed", "an answer was lost, and then the window was over")
    return Settlement("expired", "the names, or Redis, took the rest of the time")


def try_timeout(number: int, left: float) -> float | None:
    """Seconds for try `number` (from 1) with `left` seconds until the code dies; None: too late to begin one."""
    if left < LEAST:
        return None
    return min(_pick(TIMEOUTS, number), left)


def after_try(error: Exception, number: int, unanswered: bool, left: float, jitter: float) -> Settlement | float:
    """What follows a try that failed.

    `number`: how many tries were begun for this event; `unanswered`: an answer to one of them was lost, so that the
    greeting may have been delivered; `left`: seconds until the code dies; `jitter`: 0 to 1.
    """
    if isinstance(error, errors.InvalidRequest):
        return Settlement("refused", error.reason)
    if isinstance(error, errors.WeComAPIError):
        code, reason = error.errcode, error.reason
        if code in (41050, 41051) and unanswered:
            return Settlement("unconfirmed", "an answer was lost, and now WeCom says that the code is used", code)
        if code == 41051:
            return Settlement("lost", reason, code)
        if isinstance(error, errors.Busy):
            wait = _pick(RACING_WAIT if code == 41096 else BUSY_WAIT, number)
        elif isinstance(error, errors.Limited):
            wait = _pick(LIMITED_WAIT, number)
        elif isinstance(error, errors.TokenRefused):
            wait = _pick(BUSY_WAIT, number)
        else:
            return Settlement("refused", reason, code)
    else:
        code, reason = None, getattr(error, "reason", type(error).__name__)
        wait = UNUSABLE_WAIT if isinstance(error, errors.NoAnswer) else _pick(NOT_SENT_WAIT, number)
    wait *= 0.75 + jitter / 2
    if left - wait >= LEAST:
        return wait
    if code == 41096:
        if unanswered:
            return Settlement("unconfirmed", "an answer was lost, and to the end a welcome was being sent", code)
        return Settlement("lost", "another app was sending its welcome to the end", code)
    doubt = "; an answer may be lost" if unanswered else ""
    return Settlement("failed", f"{number} {'try' if number == 1 else 'tries'}, the last: {reason}{doubt}", code)


def suspects(error: Exception) -> frozenset[str]:
    """The msgtypes of the attachments that may have cost a greeting; empty when it was not an attachment.

    An errcode that nobody lists counts as one: the text alone is worth a try, and a code that is used answers so.
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


def media_refused(error: Exception) -> bool:
    """Whether WeCom did not take media of a message. It does not say which."""
    return isinstance(error, errors.WeComAPIError) and error.errcode in OF_MEDIA


def _pick(seconds: tuple[float, ...], number: int) -> float:
    return seconds[min(number, len(seconds)) - 1]
