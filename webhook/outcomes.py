"""What became of a customer, in sentences: what happened, why, what now, and who can do it. Pure.

The console's catalogue has the Chinese. No sentence holds a person's name.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tasks.changes.failed_transfers import LIMIT, REFUSED, failed_for
from tasks.ledger.delivery import LIMITED, OVERLOADED, Delivery, LeftOutBecause, Outcome
from tasks.messages import Message
from tasks.reasons import Kind
from webhook import timeline
from webhook.durations import duration, seconds
from webhook.errcode_texts import AUTHOR, SERVER, answered, errcode, errmsg_of, what_to_do
from webhook.reason_texts import describe

OK, WARN, BAD, UNKNOWN, PLAIN = "ok", "warn", "bad", "unknown", "plain"

NAMES: Mapping[str, str] = {  # outcome → its name for people; "open": none yet
    "open": "In progress",
    "sent": "Sent",
    "unconfirmed": "Probably delivered",
    "lost": "Greeted elsewhere",
    "no_code": "No welcome code",
    "no_template": "No matching welcome",
    "expired": "Too late",
    "stale": "Notified too late",
    "refused": "Refused by WeCom",
    "failed": "WeCom unreachable",
    "dead": "Interrupted too often",
    "rehearsed": "Rehearsal",
    "unannounced": "Never announced",  # of the nightly comparison
    "not_transferred": "Hand-over failed",
}
TONES: Mapping[str, str] = {
    "open": PLAIN,
    "sent": OK,
    "unconfirmed": UNKNOWN,
    "lost": PLAIN,
    "no_code": WARN,
    "rehearsed": PLAIN,
}  # the rest, MISSED: BAD
_ANSWERED: Mapping[int, str] = {  # `failed`: WeCom's errcode to the end → its name; it was reached
    -1: "WeCom busy",
    45009: "Rate limit",
    45033: "Rate limit",
}
STEPS: Mapping[str, str] = {  # kind of a timeline's bar → its name
    timeline.QUEUE: "In the queue",
    timeline.CHOICE: "Choosing the welcome",
    timeline.NAMES: "Looking up names",
    timeline.MEDIA: "Preparing the message",
    timeline.PREPARATION: "Choosing, names, message",
    timeline.REDIS: "Waiting for Redis",
    timeline.TOKEN: "Getting an access token",
    timeline.TRY: "Try %(number)s",
    timeline.WAIT: "Waiting to try again",
    timeline.TAKEN_OVER: "Stopped midway, until another one took over",
    timeline.TAKEN_OVER_IN_TRY: "Stopped midway, at try %(number)s, until another one took over",
    timeline.GIVEN_BACK: "Put back into the queue, for WeCom's frequency limit",
}


@dataclass(frozen=True, slots=True)
class OutcomeText:
    """tone: ok | warn | bad | unknown | plain. headline: what happened. more: why, and what now."""

    tone: str
    headline: Message
    more: tuple[Message, ...] = ()


_NOT_TRANSFERRED: Mapping[str, str] = {  # WeCom's FailReason → what happened
    REFUSED: "Not handed over: the customer refused",
    LIMIT: "Not handed over: the member has as many customers as WeCom allows",
}
_AFTER_TRANSFER: Mapping[str, str] = {
    REFUSED: "The customer stays with the colleague. If that one has left, hand the customer over to another member; "
    "WeCom allows two hand-overs in 90 days.",
    LIMIT: "Hand the customer over to another member, or again once this one has room.",
}
BY_HAND = Message("The welcome code has expired; it cannot be sent again. Ask the member to say hello.")
NO_RECEIPT = Message("WeCom gives no receipt of delivery.")
LOOK = Message("Ask the member to check the chat.")

_LATE = {  # the step that took most of the time → what to say of it, and why
    timeline.QUEUE: (
        "Not sent: %(took)s in the queue; the limit is %(window)s s",
        "No worker was free: none was running, or all were busy.",
    ),
    timeline.CHOICE: (
        "Not sent: choosing the welcome took %(took)s; the limit is %(window)s s",
        "A rule looks up the member or the customer at WeCom, which answered slowly.",
    ),
    timeline.NAMES: (
        "Not sent: looking up names took %(took)s; the limit is %(window)s s",
        "The text uses names, and WeCom was slow to give them.",
    ),
    timeline.REDIS: (
        "Not sent: waiting for Redis took %(took)s; the limit is %(window)s s",
        "Redis was not responding. See the server's log.",
    ),
    timeline.TRY: (
        "Not sent: one try took %(took)s; the limit is %(window)s s",
        "WeCom answered too slowly.",
    ),
}
_OVERLOADED = (
    "Not sent: more customers were added than could be greeted",
    "All workers were busy for %(took)s. Add a worker, or raise WELCOME_CONCURRENCY.",
)
_LIMITED = (
    "Not sent: held back by WeCom's rate limit",
    "It waited %(took)s. Queue shows the limit, and how many were sent.",
)
_LATE_OTHERWISE = (
    "Not sent: the limit of %(window)s s was over before the first try",
    "The longest step took %(took)s.",
)


def name(outcome: str | None, errcode: int | None = None) -> str:
    """The name of an outcome for people; None: in progress. errcode: WeCom's, for an outcome that it had a part in."""
    if outcome == "failed" and errcode is not None:
        return _ANSWERED.get(errcode, "Refused by WeCom")
    return NAMES.get(outcome or "open", str(outcome))


def waited_for_a_worker(delivery: Delivery) -> bool:
    """Whether it was too late because no worker took it in time, though not for too many others."""
    longest = max(timeline.bars(delivery), key=lambda bar: bar.took, default=None)
    in_queue = longest is not None and longest.kind == timeline.QUEUE and not delivery.redeliveries
    return delivery.outcome is Outcome.EXPIRED and in_queue and not delivery.cause


def outcome_text(
    delivery: Delivery, window: float, now: float | None = None, no_worker: Message | None = None
) -> OutcomeText:
    """What became of one delivery.

    window: seconds for which a welcome code is valid. now: Unix seconds, for one that is in progress. no_worker: when
    nobody worked, for one that `waited_for_a_worker`.
    """
    outcome = delivery.outcome or "open"
    headline, *more = _SAYS.get(outcome, _unheard_of)(delivery, now, window)
    if no_worker is not None:
        more = [no_worker if one.msgid == _LATE[timeline.QUEUE][1] else one for one in more]
    tone = TONES.get(outcome, BAD)
    if outcome == "sent" and delivery.left_out:
        tone = WARN
    if outcome == "open" and now is not None and now > delivery.received_at + window:
        tone = BAD
    return OutcomeText(tone, headline, tuple(more))


Words = Iterator[Message]


def _open(delivery: Delivery, now: float | None, window: float) -> Words:
    left = window if now is None else delivery.received_at + window - now
    if left > 0:
        yield Message("In progress: %(left)s s left", {"left": seconds(left)})
    else:
        yield Message("Not sent yet, and the limit of %(window)s s is over", {"window": f"{window:g}"})
        yield Message("No worker has finished it. Are the workers running?")


def _sent(delivery: Delivery, now: float | None, window: float) -> Words:
    took = timeline.took(delivery)
    if took is None:
        yield Message("Sent; accepted by WeCom")
    else:
        yield Message("Sent %(took)s s after WeCom's notification; accepted by WeCom", {"took": seconds(took / 1000)})
    yield from _troubles(delivery)
    if delivery.left_out:
        yield _left_out(delivery)
    yield NO_RECEIPT


def _troubles(delivery: Delivery) -> Words:
    """What went wrong on the way to it."""
    if delivery.redeliveries:
        yield Message("A worker stopped midway and another took over (times: %(n)s).", {"n": delivery.redeliveries})
    if delivery.given_back:
        yield Message(
            "WeCom's rate limit held it back (times: %(n)s).",
            {"n": delivery.given_back},
        )
    failed = [(bar.number, bar.attempt) for bar in timeline.bars(delivery) if bar.attempt and not bar.attempt.accepted]
    if failed and delivery.outcome is Outcome.SENT:
        number, attempt = failed[0]
        yield Message(
            "Try %(first)s failed: %(why)s. Try %(last)s was accepted.",
            {"first": number, "why": answered(attempt), "last": delivery.attempts},
        )


def _left_out(delivery: Delivery) -> Message:
    numbers = {"numbers": _numbers(delivery)}
    because = {one.because for one in delivery.left_out}
    if len(because) > 1 or because == {LeftOutBecause.UNKNOWN}:
        return Message("Left out: attachment %(numbers)s, refused by WeCom or not uploaded to it yet.", numbers)
    if because == {LeftOutBecause.REFUSED}:
        return Message("Left out: attachment %(numbers)s, refused by WeCom.", numbers)
    return Message("Left out: attachment %(numbers)s, not uploaded to WeCom yet.", numbers)


def _numbers(delivery: Delivery) -> str:
    return ", ".join(str(one.number) for one in delivery.left_out)


def _unconfirmed(delivery: Delivery, now: float | None, window: float) -> Words:
    yield Message("Probably delivered: it was sent, and no answer came back")
    if delivery.errcode in (41050, 41051):
        yield Message("Later WeCom said that the code was used (%(code)s).", {"code": delivery.errcode})
    yield from _troubles(delivery)
    yield LOOK


def _lost(delivery: Delivery, now: float | None, window: float) -> Words:
    if delivery.reason is not None and delivery.reason.kind is Kind.SAME_CODE:
        yield Message("Not sent again: another notification brought the same welcome code")
        yield Message("One code is one greeting: see the event %(event)s.", delivery.reason.params)
        return
    if delivery.errcode == 41096:
        yield Message("Greeted elsewhere: another app was sending its welcome")
    else:
        yield Message("Greeted elsewhere: another app was first, or the two were chatting already")
    yield Message("To greet from here, let only this app send welcomes (the WeCom administrator).")


def _no_code(delivery: Delivery, now: float | None, window: float) -> Words:
    """Causes: doc 92130, doc 92005."""
    yield Message("Not greeted: WeCom gave no welcome code")
    if delivery.change == "add":
        yield Message("A code given earlier, when the member was added without approval, is not given twice.")
    yield Message(
        "Usual causes: a welcome is set in WeCom's own console; the two were contacts before; the customer is a WeCom "
        "user; consent to the chat archive is awaited."
    )
    yield Message("If it happens to everybody, delete the welcome in WeCom's console (the WeCom administrator).")


def _no_template(delivery: Delivery, now: float | None, window: float) -> Words:
    if delivery.revision is None:
        yield Message("Not sent: no welcome is published")
        yield Message("What to do: %(cure)s.", {"cure": Message("write a welcome and publish it")})
    else:
        yield Message("Not sent: no rule applies to this customer")
        yield Message("What to do: %(cure)s.", {"cure": Message("add a welcome for “everything else” and publish it")})
    yield BY_HAND


def _expired(delivery: Delivery, now: float | None, window: float) -> Words:
    longest = max(timeline.bars(delivery), key=lambda bar: bar.took, default=None)
    kind = longest.kind if longest else ""
    if delivery.redeliveries and kind == timeline.QUEUE:  # its start is that of the last worker
        said, why = _LATE_OTHERWISE[0], ""
    else:
        said, why = _LATE.get(kind, _LATE_OTHERWISE)
    if delivery.cause == OVERLOADED:
        said, why = _OVERLOADED
    elif delivery.cause == LIMITED:
        said, why = _LIMITED
    values = {"took": duration(longest.took / 1000) if longest else "", "window": f"{window:g}"}
    yield Message(said, values)
    if delivery.cause == "paused":
        why = "The welcome lane was paused then."
    if why and longest:
        yield Message(why, values)
    yield from _troubles(delivery)
    yield BY_HAND


def _late_by(delivery: Delivery) -> float:
    """Seconds by which WeCom told late. Of rows of earlier releases, by Redis' clock."""
    reason = delivery.reason
    if reason is not None and reason.kind is Kind.ANNOUNCED_LATE:
        return float(reason.params["seconds"])
    return delivery.received_at - delivery.created_at


def _stale(delivery: Delivery, now: float | None, window: float) -> Words:
    late = {"time": duration(_late_by(delivery))}
    yield Message("Not sent: WeCom's notification came %(time)s late; the welcome code had expired", late)
    yield Message("WeCom resends what a server does not accept. Was this one, or its proxy, down?")
    yield BY_HAND


def _refused(delivery: Delivery, now: float | None, window: float) -> Words:
    code, reason = delivery.errcode, delivery.reason
    if reason is not None and reason.kind is Kind.APP_NOT_CONFIGURED:
        yield Message("Not sent: the app “%(app)s” is not configured any more", {"app": delivery.app})
        yield Message("What to do: %(cure)s (%(who)s).", {"cure": Message("set it up again"), "who": SERVER})
    elif code is None:
        yield Message("Not sent: the message breaks a limit of WeCom's")
        yield Message("The limit: %(reason)s", {"reason": describe(reason) if reason else "?"})
        cure = Message("change the welcome and publish it")
        yield Message("What to do: %(cure)s (%(who)s).", {"cure": cure, "who": AUTHOR})
    else:
        errmsg = errmsg_of(reason)
        meaning = {"meaning": errcode(code, errmsg)[0], "code": code}
        yield Message("Not sent: refused by WeCom, %(meaning)s (%(code)s)", meaning)
        if code in (40058, 40063):  # which mean little without
            yield Message("WeCom's own words: %(errmsg)s", {"errmsg": errmsg})
        if code != 41050:  # whose cure is to greet by hand
            yield what_to_do(code, reason)
    yield from _troubles(delivery)
    yield BY_HAND


def _failed(delivery: Delivery, now: float | None, window: float) -> Words:
    values: dict[str, object] = {"window": f"{window:g}", "n": delivery.attempts}
    code = delivery.errcode
    if code is not None:  # WeCom was reached, and took it to the last try for no
        values |= {"why": errcode(code, errmsg_of(delivery.reason))[0], "code": code}
        yield Message("Not sent within %(window)s s: %(why)s (%(code)s), tries: %(n)s", values)
        yield what_to_do(code, delivery.reason)
    else:
        yield Message("Not sent: WeCom could not be reached within %(window)s s (tries: %(n)s)", values)
        for attempt in delivery.tries[-1:]:
            yield Message("The last try: %(why)s.", {"why": answered(attempt)})
        yield Message("Is the network or WeCom down? Check in Set-up.")
    yield from _troubles(delivery)
    yield BY_HAND


def _dead(delivery: Delivery, now: float | None, window: float) -> Words:
    yield Message(
        "Not sent: workers stopped midway again and again (times: %(n)s)",
        {"n": delivery.redeliveries},
    )
    yield Message("The server's log says why; look for the event id there.")
    yield BY_HAND


def _rehearsed(delivery: Delivery, now: float | None, window: float) -> Words:
    took = timeline.took(delivery)
    if took is None:
        yield Message("Rehearsal: everything but the send")
    else:
        yield Message("Rehearsal: everything but the send, in %(took)s s", {"took": seconds(took / 1000)})
    yield Message("Nothing was sent, and it is not counted.")


def _unannounced(delivery: Delivery, now: float | None, window: float) -> Words:
    yield Message("Not greeted: WeCom sent no notification of this customer")
    yield Message("The nightly comparison found the two as contacts.")
    yield BY_HAND


def _not_transferred(delivery: Delivery, now: float | None, window: float) -> Words:
    why = failed_for(delivery)
    yield Message(_NOT_TRANSFERRED.get(why, "Not handed over to this member"))
    yield after_transfer(why)
    yield Message("Nothing can be sent: the member and the customer are not contacts.")


def after_transfer(why: str) -> Message:
    """What to do about a hand-over that failed. `why`: WeCom's FailReason; docs 92125, 94081."""
    return Message(_AFTER_TRANSFER.get(why, "Hand the customer over again in WeCom, or to another member."))


def _unheard_of(delivery: Delivery, now: float | None, window: float) -> Words:
    yield Message("Outcome %(outcome)s, of another release", {"outcome": delivery.outcome})


def note(delivery: Delivery) -> Message | None:
    """The few words that a list has room for, beside the outcome; None where it says all."""
    outcome, code = delivery.outcome, delivery.errcode
    if outcome == "sent":
        if delivery.left_out:
            return Message("without attachment %(numbers)s", {"numbers": _numbers(delivery)})
        return Message("on try %(n)s", {"n": delivery.attempts}) if delivery.attempts > 1 else None
    if outcome == "expired":
        longest = max(timeline.bars(delivery), key=lambda bar: bar.took, default=None)
        if longest is None:
            return None
        step = Message(STEPS[longest.kind], {"number": longest.number})
        return Message("%(step)s %(took)s", {"step": step, "took": duration(longest.took / 1000)})
    if outcome == "stale":
        return Message("%(time)s late", {"time": duration(_late_by(delivery))})
    if outcome == "lost" and delivery.reason is not None and delivery.reason.kind is Kind.SAME_CODE:
        return Message("the same welcome code as another event")
    if outcome == "no_template":
        return Message("no welcome is published") if delivery.revision is None else None
    if outcome in ("refused", "failed") and code is not None:
        return Message(
            "%(meaning)s (%(code)s)", {"meaning": errcode(code, errmsg_of(delivery.reason))[0], "code": code}
        )
    return Message("tries: %(n)s", {"n": delivery.attempts}) if outcome == "failed" else None


_SAYS: Mapping[str, Callable[[Delivery, float | None, float], Words]] = {
    "open": _open,
    "sent": _sent,
    "unconfirmed": _unconfirmed,
    "lost": _lost,
    "no_code": _no_code,
    "no_template": _no_template,
    "expired": _expired,
    "stale": _stale,
    "refused": _refused,
    "failed": _failed,
    "dead": _dead,
    "rehearsed": _rehearsed,
    "unannounced": _unannounced,
    "not_transferred": _not_transferred,
}
