"""WeCom's errcodes in words: what one means, what to do, and who can do it. Pure."""

from tasks.ledger.delivery import Attempt
from tasks.messages import Message
from tasks.reasons import Kind, Reason
from tasks.wecom.errors import (
    ADDRESS_NOT_ALLOWED,
    CODES,
    BadRequest,
    Busy,
    Failure,
    Limited,
    MediaRefused,
    Misconfigured,
    TokenRefused,
)
from webhook.reason_texts import WECOM_SAYS, WECOM_SAYS_FROM, describe

ADMIN = Message("the WeCom administrator")
AUTHOR = Message("whoever edits the welcome")
SERVER = Message("whoever runs the server")
MEMBER = Message("the member")
NOBODY = Message("nobody: it passes by itself")
SAID = (NOBODY, MEMBER)  # who need not be told: the cure says it

_BY_CLASS = {
    Misconfigured: ADMIN,
    BadRequest: AUTHOR,
    MediaRefused: AUTHOR,
    Busy: NOBODY,
    Limited: NOBODY,
    TokenRefused: NOBODY,
}
_BY_CODE = {
    **dict.fromkeys(
        (40001, 40013, 40056, 40080, 40082, 40083, 41002, 41004, 41011, 42009, 45031, 45033, 48005), SERVER
    ),
    **dict.fromkeys((48003, 710000), SERVER),
    **dict.fromkeys((40029, 40098, 41050, 41054), MEMBER),
    **dict.fromkeys((40003, 40050, 40068, 40071, 46004, 60111, 60123, 81013), AUTHOR),
    **dict.fromkeys((40007, 41051, 41053, 40100, 84061), NOBODY),
    **dict.fromkeys((41055, 41058, 41096), ADMIN),
}


def errcode(code: int, errmsg: str = "") -> tuple[Message, Message]:
    """(meaning, cure) of a WeCom errcode. `errmsg`: WeCom's own words, for a code that is not known."""
    known = CODES.get(code)
    if known is None:
        said = {"errmsg": errmsg or "?"}
        return Message("WeCom says “%(errmsg)s”", said), Message("look the number up in WeCom's list, doc 90313")
    return Message(known.meaning), Message(known.cure)


def cure_of(code: int, address: str = "") -> Message:
    """What to do about a WeCom errcode. `address`: this machine's, where WeCom named it."""
    if code == ADDRESS_NOT_ALLOWED and address:
        return Message.of("add %(address)s to 企业可信IP; it works a minute later", address=address)
    if code not in CODES:
        return Message.of("see doc 90313 for this errcode")
    return Message(CODES[code].cure)


def who(code: int) -> Message | None:
    """Who can do something about an errcode; None if that is not known."""
    known = CODES.get(code)
    return _BY_CODE.get(code) or (_BY_CLASS.get(known.error) if known else None)


def what_to_do(code: int, reason: Reason | None) -> Message:
    """The cure of the errcode of a reason, with who can do it."""
    by, (_, cure) = who(code), errcode(code, errmsg_of(reason))
    address = _param(reason, "address")
    if address:
        cure = cure_of(code, address)
    if by is None or by in SAID:
        return Message("What to do: %(cure)s.", {"cure": cure})
    return Message("What to do: %(cure)s (%(who)s).", {"cure": cure, "who": by})


def answered(attempt: Attempt) -> Message:
    """What came of one try."""
    return Message("accepted by WeCom") if attempt.reason is None else told(attempt.reason)


def told(reason: Reason) -> Message:
    """A reason in few words, with the meaning of WeCom's errcode in place of WeCom's words."""
    code = reason.errcode
    if code is not None:
        return Message("%(meaning)s (%(code)s)", {"meaning": errcode(code, errmsg_of(reason))[0], "code": code})
    unusable = reason.params.get("failure") == Failure.HTTP_STATUS
    if reason.kind in (Kind.NOT_SENT, Kind.NO_ANSWER) and not unusable:
        return describe(reason)
    return Message("no answer: %(reason)s", {"reason": describe(reason)})


def explained(reason: Reason) -> Message:
    """A reason in words, with the meanings of WeCom's errcodes in place of WeCom's words."""
    return in_our_words(describe(reason))


def in_our_words(what: Message) -> Message:
    """A text with the meanings of WeCom's errcodes in place of WeCom's words, however deep they are."""
    values = what.values
    if what.msgid in (WECOM_SAYS, WECOM_SAYS_FROM):
        code = int(str(values["errcode"]))
        return Message("%(meaning)s (%(code)s)", {"meaning": errcode(code, str(values["errmsg"]))[0], "code": code})
    return Message(
        what.msgid, {name: in_our_words(one) if isinstance(one, Message) else one for name, one in values.items()}
    )


def errmsg_of(reason: Reason | None) -> str:
    """WeCom's own words, where they are known."""
    return _param(reason, "errmsg")


def _param(reason: Reason | None, name: str) -> str:
    """A parameter of the answer of WeCom's that is the reason, or is inside it."""
    while reason is not None and reason.kind is not Kind.WECOM_ERROR:
        reason = reason.cause
    return "" if reason is None else str(reason.params.get(name, ""))
