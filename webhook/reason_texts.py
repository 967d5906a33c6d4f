"""Reasons (`tasks.reasons`) in words: English here, Chinese in the console's catalogue. Pure.

Words are for people. Nothing reads them back: to change one changes what is shown, and nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tasks.changes.failed_transfers import LIMIT, REFUSED
from tasks.ledger.delivery import Delivery, LeftOut, LeftOutBecause
from tasks.media_renewal import MediaStatus
from tasks.messages import Message
from tasks.reasons import Kind, Reason
from tasks.wecom.errors import FAILURES, Failure
from webhook.durations import duration

WECOM_SAYS, WECOM_SAYS_FROM = "%(errcode)s %(errmsg)s", "%(errcode)s %(errmsg)s (from %(address)s)"  # its own words
FAILURE_TEXTS: Mapping[Failure, Message] = {one: Message(words) for one, words in FAILURES.items()}
_TEXTS: Mapping[Kind, Message] = {  # kind → its words, with the reason's parameters for %(name)s
    Kind.INVALID_REQUEST: Message("%(field)s: %(value)s, %(limit)s"),
    Kind.UNEXPECTED: Message("%(error)s"),
    Kind.WORKERS_DIED: Message("a worker stopped midway, %(redeliveries)s times"),
    Kind.NO_WELCOME_CODE: Message("WeCom gave no welcome code"),
    Kind.SAME_CODE: Message("the same welcome code as event %(event)s, and one code is one greeting"),
    Kind.WORKER_DIED_IN_TRY: Message("a worker stopped during a try, and the answer is lost"),
    Kind.ANSWER_LOST: Message("an answer was lost, and then the window was over"),
    Kind.CODE_USED_AFTER_LOST_ANSWER: Message("an answer was lost, and now WeCom says that the code is used"),
    Kind.CODE_USED_ELSEWHERE: Message("the code was used already, by another process of ours or by another app"),
    Kind.CODE_USED_AFTER_ERROR: Message("WeCom failed in an earlier try, and now says that the code is used"),
    Kind.OTHER_APP_SENDING: Message("another app was sending its welcome to the end"),
    Kind.OTHER_APP_SENDING_AFTER_LOST_ANSWER: Message("an answer was lost, and to the end a welcome was being sent"),
    Kind.APP_NOT_CONFIGURED: Message("no app %(app)s is configured"),
    Kind.NO_BOOK: Message("no welcome book is stored for this app"),
    Kind.NO_RULE: Message("no rule of the welcome book applies"),
    Kind.REHEARSED: Message("everything but the send"),
    Kind.UNFINISHED_IN_BACKUP: Message("it was unfinished when the backup was made"),
    Kind.BOOK_GONE: Message("the revision of the welcome book that it was greeted with is not kept any more"),
    Kind.BOOK_UNREADABLE: Message("the welcome book cannot be read: %(problems)s"),
    Kind.AWAITS_FULL_ADD: Message("waits for the full add: %(cause)s"),
    Kind.GIVEN_UP: Message("given up after %(tries)s tries: %(cause)s"),
    Kind.INTERRUPTED_TOO_OFTEN: Message("workers stopped midway again and again"),
    Kind.MEMBER_NOT_VISIBLE: Message("not in the app's visible range"),
    Kind.MEMBER_NOT_LICENSED: Message("no interface licence"),
    Kind.NO_TIME_LEFT: Message("no time was left: press the button again"),
    Kind.REFUSED_IN_MESSAGE: Message("WeCom refused it in a message"),
    Kind.ON_ITS_WAY: Message("it is on its way"),
    Kind.IMAGE_QUOTA_USED: Message(
        "the corp has uploaded its %(per_day)s permanent images of a day, or %(per_month)s of a month"
    ),
    Kind.FILE_NOT_KEPT: Message("the file is not kept any more: import the book again"),
    Kind.ANSWER_WITHOUT_MEDIA: Message("WeCom's answer names neither URL nor media id"),
    Kind.MEDIA_NOT_READY: Message("its media is not at WeCom yet"),
    Kind.GONE_FROM_WECOM: Message("gone from WeCom: %(cause)s"),
    Kind.CHANGED_AT_WECOM: Message("changed at WeCom: %(fields)s"),
    Kind.CHANGE_UNKNOWN: Message("not known whether it has changed: %(cause)s"),
    Kind.MAY_EXIST_TWICE: Message("%(cause)s; WeCom may have made one that is not known here"),
    Kind.QUERY_INCOMPLETE: Message("the query has no %(names)s: not from WeCom, or a proxy drops the query string"),
    Kind.NO_CIPHERTEXT: Message(
        "there is no ciphertext (echostr or Encrypt): not from WeCom, or a proxy changes the request"
    ),
    Kind.QUERY_MANGLED: Message(
        "the query was mangled on its way (+ or % decoded twice): let the proxy pass it on unchanged"
    ),
    Kind.WRONG_PATH: Message(
        "it came to the path %(path)s, where nothing is: enter the URL with the path %(right)s in 接收消息 → "
        "设置API接收, or let the proxy pass the path on unchanged"
    ),
    Kind.NOT_AN_ECHO: Message(
        "a verification whose echo is not one: somebody sent a captured callback to have it decrypted"
    ),
    Kind.WRONG_AES_KEY: Message(
        "the Token is right, the EncodingAESKey is not: copy WECOM_ENCODING_AES_KEY from WeCom's page again"
    ),
    Kind.WRONG_CORP: Message("Token and EncodingAESKey are right, the corp id is not: WeCom writes to %(corp)s"),
    Kind.WRONG_TOKEN_AND_KEY: Message(
        "neither Token nor EncodingAESKey fits: another app's callback, or not from WeCom"
    ),
    Kind.WRONG_TOKEN: Message(
        "the EncodingAESKey is right, the Token is not: copy WECOM_TOKEN from WeCom's page again"
    ),
    Kind.WRONG_TOKEN_AND_CORP: Message(
        "the EncodingAESKey is right, Token and corp id are not: compare both with WeCom's page"
    ),
    Kind.NOTHING_WRONG: Message("nothing is wrong"),
    Kind.TEXT: Message("%(text)s"),
}


def describe(reason: Reason) -> Message:
    """A reason in words."""
    special = _SPECIAL.get(reason.kind)
    if special is not None:
        return special(reason)
    text = _TEXTS[reason.kind]
    values = {name: _shown(value) for name, value in reason.params.items()}
    if reason.cause is not None:
        values["cause"] = describe(reason.cause)
    return Message(text.msgid, values)


def describe_all(delivery: Delivery) -> list[Message]:
    """Why a delivery became what it is, and why attachments were left out: each in words."""
    found = [describe(delivery.reason)] if delivery.reason else []
    absent = [one for one in delivery.left_out if one.because is LeftOutBecause.NOT_UPLOADED and one.file]
    if absent:
        names = ", ".join(f"attachment {one.number} ({one.msgtype} {one.file})" for one in absent)
        found.append(Message.of("without %(attachments)s: not at WeCom yet", attachments=names))
    refused = _refusal(delivery.left_out)
    if refused is not None:
        found.append(Message.of("without attachments that WeCom refused: %(why)s", why=describe(refused)))
    return found


def media_alarms(status: MediaStatus) -> list[Message]:
    """What somebody should look into about the media of an app's book, in words."""
    hours = f"{max(0.0, status.left or 0) / 3600:.1f}"
    lines = [
        Message.of("%(path)s is not at WeCom: %(why)s", path=path, why=describe(why))
        for path, why in status.absent.items()
    ]
    lines += [
        Message.of(
            "%(path)s cannot be renewed, its id ends in %(hours)s h at the earliest: %(why)s",
            path=path,
            hours=hours,
            why=describe(why),
        )
        for path, why in status.failing.items()
    ]
    if status.is_ending:
        lines.append(Message.of("media ends in %(hours)s h and is not renewed: is `role upkeep` running?", hours=hours))
    return lines


def _refusal(left_out: Sequence[LeftOut]) -> Reason | None:
    return next((one.reason for one in reversed(left_out) if one.reason is not None), None)


def _shown(value: Any) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _wecom_error(reason: Reason) -> Message:
    if "address" in reason.params:
        return Message.of(WECOM_SAYS_FROM, **reason.params)
    return Message(WECOM_SAYS, dict(reason.params))


def _unanswered(reason: Reason) -> Message:
    failure, status = Failure(reason.params["failure"]), reason.params.get("detail", "")
    if failure is Failure.HTTP_STATUS:
        return Message("HTTP %(status)s", {"status": status})
    if failure is Failure.PROXY_REFUSED:
        return Message.of("the outbound proxy refuses: HTTP %(status)s", status=status)
    return FAILURE_TEXTS[failure]


def _not_transferred(reason: Reason) -> Message:
    why = reason.params.get("why")
    if why == REFUSED:
        return Message("the customer refused the hand-over")
    if why == LIMIT:
        return Message("the member has as many customers as WeCom allows")
    return Message.of("the hand-over failed: %(why)s", why=why) if why else Message("the hand-over failed")


def _announced_late(reason: Reason) -> Message:
    return Message.of("WeCom's notification came %(time)s late", time=duration(reason.params["seconds"]))


def _window_over(reason: Reason) -> Message:
    seconds = f"{reason.params['seconds']:.1f}"
    if reason.params["where"] == "tries":
        return _paused(reason, Message.of("%(seconds)s s in tries", seconds=seconds))
    return _paused(reason, Message.of("%(seconds)s s in the queue", seconds=seconds))


def _calls_limited(reason: Reason) -> Message:
    if not reason.params.get("errcode"):
        return Message.of("as many were greeted as WeCom allows, and this one waited to the end")
    return Message.of(
        "WeCom refused greetings for its limit (%(errcode)s), and this one waited to the end",
        errcode=reason.params["errcode"],
    )


def _overloaded(reason: Reason) -> Message:
    return Message.of(
        "more customers than can be greeted: %(seconds)s s in the queue", seconds=f"{reason.params['seconds']:.1f}"
    )


def _time_used_up(reason: Reason) -> Message:
    return _paused(reason, Message("the names, or Redis, took the rest of the time"))


def _paused(reason: Reason, late: Message) -> Message:
    by = reason.params.get("paused_by")
    return Message.of("%(late)s: %(by)s had paused the queue", late=late, by=by) if by else late


def _tries_failed(reason: Reason) -> Message:
    cause = describe(reason.cause) if reason.cause else Message("?")
    number = reason.params["tries"]
    last = Message.of("1 try, the last: %(cause)s", cause=cause)
    if number != 1:
        last = Message.of("%(n)s tries, the last: %(cause)s", n=number, cause=cause)
    return Message.of("%(last)s; an answer may be lost", last=last) if reason.params.get("in_doubt") else last


def _facts_unknown(reason: Reason) -> Message:
    facts = " and ".join(reason.params["facts"])
    if reason.params["asked_by"] == "remark":
        return Message.of("the remark has %(facts)s, and WeCom does not tell", facts=facts)
    return Message.of("a rule asks for %(facts)s, and WeCom does not tell", facts=facts)


_SPECIAL: Mapping[Kind, Callable[[Reason], Message]] = {  # kinds whose words depend on their parameters
    Kind.WECOM_ERROR: _wecom_error,
    Kind.NOT_SENT: _unanswered,
    Kind.NO_ANSWER: _unanswered,
    Kind.ANNOUNCED_LATE: _announced_late,
    Kind.NOT_TRANSFERRED: _not_transferred,
    Kind.WINDOW_OVER: _window_over,
    Kind.CALLS_LIMITED: _calls_limited,
    Kind.OVERLOADED: _overloaded,
    Kind.TIME_USED_UP: _time_used_up,
    Kind.TRIES_FAILED: _tries_failed,
    Kind.FACTS_UNKNOWN: _facts_unknown,
}
