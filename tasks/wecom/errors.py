"""What can go wrong with a call of WeCom's API, sorted by what the caller can do about it.

    WeComError
    ├── InvalidRequest     rejected before it was sent: WeCom cannot accept it       → fix the request
    ├── Unanswered         no answer of WeCom's API; `failure` says what came instead
    │   ├── NotSent        nothing was sent: no address, connection, TLS or time     → try again
    │   ├── HTTPRefused    HTTP 3xx or 4xx: a gateway, or no such path               → check path and address
    │   └── NoAnswer       sent, but the answer is lost or unusable, HTTP 5xx too    → try again; it may be done already
    └── WeComAPIError      WeCom answered with an errcode other than 0
        ├── Busy           WeCom is overloaded, or two callers collided              → try again soon
        ├── Limited        a frequency limit, lifted after its unit of time          → try again later
        ├── TokenRefused   the access token has expired or was revoked               → renew it, try again once
        ├── MediaRefused   a media id or mini-program is not accepted                → renew or drop it, try again
        ├── Misconfigured  the set-up: secret, permission, IP, visible range         → a person must act
        ├── BadRequest     the request's content                                     → fix the request
        └── Final          the state of things; trying again changes nothing         → give up

Messages carry the path, the errcode and WeCom's errmsg; never a token, a secret, a query or a body; tracebacks end
above the frames that have token and secret. Errors can be pickled.
Codes: docs 90313, 90455; `CODES` has the meaning and the cure of each, for `check` and the console.
"""

import functools
import ipaddress
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Failure(StrEnum):
    """What came instead of an answer. The values are stored and compared; the words are for people."""

    NO_ADDRESS = "no_address"
    ADDRESS_NOT_ALLOWED = "address_not_allowed"
    CONNECTION_REFUSED = "connection_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    ANSWER_TIMEOUT = "answer_timeout"
    NO_TLS = "no_tls"
    CONNECTION_CUT = "connection_cut"
    NO_TIME_LEFT = "no_time_left"
    NO_TOKEN_IN_TIME = "no_token_in_time"
    NO_TOKEN = "no_token"
    REFUSED_AGAIN = "refused_again"
    PROXY_UNREACHABLE = "proxy_unreachable"
    PROXY_REFUSED = "proxy_refused"  # detail: the HTTP status that the proxy answers with
    PROXY_NO_ANSWER = "proxy_no_answer"
    HTTP_STATUS = "http_status"  # detail: the status
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    NOT_A_FILE = "not_a_file"
    REPEATED_CURSOR = "repeated_cursor"
    LIMITED = "limited"


FAILURES: Mapping[Failure, str] = {
    Failure.NO_ADDRESS: "the host's name has no address",
    Failure.ADDRESS_NOT_ALLOWED: "the host's name has no address that may be reached",
    Failure.CONNECTION_REFUSED: "the connection is refused",
    Failure.CONNECT_TIMEOUT: "no connection in time",
    Failure.ANSWER_TIMEOUT: "no answer in time",
    Failure.NO_TLS: "no TLS connection",
    Failure.CONNECTION_CUT: "the connection was cut",
    Failure.NO_TIME_LEFT: "no time left",
    Failure.NO_TOKEN_IN_TIME: "no token in time",
    Failure.NO_TOKEN: "the answer holds no token",
    Failure.REFUSED_AGAIN: "the renewed access token is refused too",
    Failure.PROXY_UNREACHABLE: "no connection to the outbound proxy",
    Failure.PROXY_REFUSED: "the outbound proxy refuses: HTTP {detail}",
    Failure.PROXY_NO_ANSWER: "the outbound proxy gives no usable answer in time",
    Failure.HTTP_STATUS: "HTTP {detail}",
    Failure.TOO_LARGE: "the answer is too large",
    Failure.NOT_JSON: "the answer is not WeCom's JSON",
    Failure.NOT_A_FILE: "the answer is no file",
    Failure.REPEATED_CURSOR: "a cursor came twice: the pages do not end",
    Failure.LIMITED: "calls of this API are held back for WeCom's limit",
}


class WeComError(Exception):
    """A call that brought no result. `path` is the path below /cgi-bin/."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        """By default an exception is unpickled by calling its class with `args`, which here is the message alone."""
        return _without_init, (type(self), *self.args), self.__dict__


class ClientClosed(RuntimeError):
    """A call of a client that was closed: a mistake in the program, and no WeComError."""


class InvalidRequest(WeComError, ValueError):
    """Not sent, since WeCom cannot accept it: `field` exceeds the `limit`.

    `value` measures what was given (`4003 bytes of UTF-8`, `11 entries`); it is quoted only where few are allowed.
    """

    def __init__(self, path: str, field: str, value: str, limit: str) -> None:
        super().__init__(path, f"{field}: {value}, {limit}")
        self.field, self.value, self.limit = field, value, limit


class Unanswered(WeComError):
    """No answer of WeCom's API: `failure` says what came instead, with a `detail` where it has one."""

    def __init__(self, path: str, failure: Failure, detail: str = "") -> None:
        super().__init__(path, FAILURES[failure].format(detail=detail))
        self.failure, self.detail = failure, detail

    @property
    def status(self) -> int | None:
        """The HTTP status that came instead; None if none did."""
        return int(self.detail) if self.failure in (Failure.HTTP_STATUS, Failure.PROXY_REFUSED) else None


class NotSent(Unanswered):
    """Nothing was sent."""


class HTTPRefused(Unanswered):
    """HTTP 3xx or 4xx instead of WeCom's JSON: the path does not exist (404), or a gateway does not let it through.

    `status` says which. The request did not take effect, unless the gateway refused to pass on the answer.
    """


class NoAnswer(Unanswered):
    """The request was sent, and no usable answer came: it may have taken effect. `status`: of HTTP 5xx."""


class WeComAPIError(WeComError):
    """WeCom answered with an errcode other than 0. `errmsg`: WeCom's, without its hint and addresses.

    `address`: this machine's, as WeCom sees it, where WeCom names it, as with 60020; else "".
    """

    def __init__(self, errcode: int, errmsg: str, path: str) -> None:
        super().__init__(path, f"{errcode} {_clean(errmsg)}")
        self.errcode = errcode
        self.errmsg = _clean(errmsg)
        self.address = _address(errmsg)


class Busy(WeComAPIError):
    """WeCom is overloaded for a moment, or two callers collided."""


class Limited(WeComAPIError):
    """A frequency limit; it is lifted after the same unit of time (minute, hour, day)."""


class TokenRefused(WeComAPIError):
    """The access token has expired or was revoked."""


class MediaRefused(WeComAPIError):
    """A media id, or a mini-program, is not accepted."""


class Misconfigured(WeComAPIError):
    """Secret, permission, IP allow-list or visible range: a person must act."""


class BadRequest(WeComAPIError):
    """WeCom does not accept the request's content."""


class Final(WeComAPIError):
    """The state of things: trying again changes nothing."""


@dataclass(frozen=True, slots=True)
class Code:
    """One errcode: what the caller can do, what it means, what a person does about it."""

    error: type[WeComAPIError]
    meaning: str
    cure: str


CODES: Mapping[int, Code] = {
    -1: Code(Busy, "WeCom is busy", "wait until WeCom has recovered"),
    6000: Code(Busy, "two changes at once", "nothing; it is tried again"),
    40001: Code(Misconfigured, "the secret is wrong", "compare WECOM_CORP_SECRET with the app's page"),
    40003: Code(Final, "no such userid", "check the member's id"),
    40004: Code(BadRequest, "the media type is not accepted", "use a type that WeCom lists"),
    40005: Code(BadRequest, "the type parameter is not accepted", "use a type that WeCom lists"),
    40006: Code(BadRequest, "the media's size is not accepted", "keep to WeCom's limits"),
    40007: Code(MediaRefused, "the media id is not valid, or older than three days", "it is renewed"),
    40008: Code(BadRequest, "the message type is not accepted", "use a type that WeCom lists"),
    40009: Code(BadRequest, "the image's size is not accepted", "at most 10 MB, 2 MB for permanent ones"),
    40011: Code(BadRequest, "the video's size is not accepted", "at most 10 MB"),
    40013: Code(Misconfigured, "the corp id is wrong", "compare WECOM_CORP_ID with 我的企业 → 企业信息"),
    40014: Code(TokenRefused, "the access token is not valid", "it is renewed"),
    40029: Code(BadRequest, "the sign-in's code is not valid, or was used", "sign in again"),
    40031: Code(BadRequest, "one of the userids is not valid", "check the members' ids"),
    40033: Code(BadRequest, "characters that WeCom does not accept", "send real UTF-8"),
    40050: Code(Final, "no such group chat", "check the chat_id, and whether its owner is in the app's range"),
    40056: Code(Misconfigured, "the agentid is not accepted", "compare WECOM_AGENT_ID with the app's page"),
    40058: Code(BadRequest, "a parameter is not accepted", "see WeCom's message"),
    40063: Code(BadRequest, "a required parameter is empty", "see WeCom's message"),
    40066: Code(BadRequest, "one of the departments is not valid", "check the departments' ids"),
    40068: Code(BadRequest, "no such tag", "read the tags again: get_corp_tag_list"),
    40070: Code(BadRequest, "none of the members and departments is valid", "check the ids"),
    40071: Code(BadRequest, "the tag's name is not accepted, or taken", "choose another name"),
    40072: Code(BadRequest, "the tag's name is too long, or empty", "at most 30 characters"),
    40080: Code(Misconfigured, "the suite's secret is wrong", "compare it with the provider's console"),
    40082: Code(TokenRefused, "the suite's access token is not valid", "it is renewed by whoever gives the token"),
    40083: Code(Misconfigured, "no such suite", "compare the suite id with the provider's console"),
    40084: Code(Misconfigured, "the permanent code is not valid", "the corp authorises the app again"),
    40085: Code(Busy, "the suite ticket is not valid any more", "wait for the next one, every ten minutes"),
    40088: Code(Final, "no such job", "check the jobid"),
    40096: Code(Final, "no such external_userid", "check the customer's id"),
    40097: Code(Final, "the member has not left the corp", "use transfer_customer"),
    40098: Code(Final, "the member is not real-name verified", "the member completes it in WeCom"),
    40099: Code(Final, "the member has as many customers as WeCom allows", "choose another member"),
    40100: Code(Final, "the customer is already being transferred", "nothing; transfer_result shows the state"),
    40123: Code(BadRequest, "the image's content is not accepted", "use a JPG or PNG"),
    40126: Code(Final, "the corp has as many tags as WeCom allows", "delete some that nobody uses"),
    40128: Code(Final, "the customer was transferred twice in 90 days already", "wait until the 90 days are over"),
    40129: Code(Final, "the customer is already being transferred", "nothing; transfer_result shows the state"),
    40130: Code(Final, "the two members are the same one", "choose another member"),
    40131: Code(Final, "the customer is not this member's", "check the customer's id"),
    40132: Code(Final, "a team account cannot do this", "choose another member"),
    40143: Code(Final, "the member is blocked", "choose another member"),
    40201: Code(BadRequest, "the content was blocked as sensitive", "change the words"),
    41001: Code(TokenRefused, "no access token was sent", "it is renewed"),
    41002: Code(Misconfigured, "no corp id was sent", "set WECOM_CORP_ID"),
    41004: Code(Misconfigured, "no secret was sent", "set WECOM_CORP_SECRET"),
    41006: Code(BadRequest, "no media id was sent", "give a media id"),
    41009: Code(BadRequest, "no userid was sent", "give a userid"),
    41011: Code(Misconfigured, "no agentid was sent", "set WECOM_AGENT_ID"),
    41035: Code(BadRequest, "no external_userid was sent", "give the customer's id"),
    41037: Code(BadRequest, "no type was sent", "1 one member, 2 several"),
    41038: Code(BadRequest, "no scene was sent", "1 in a mini-program, 2 by QR code"),
    41039: Code(BadRequest, "the type is not accepted", "1 one member, 2 several"),
    41040: Code(BadRequest, "the scene is not accepted", "1 in a mini-program, 2 by QR code"),
    41041: Code(BadRequest, "too many members use this code", "at most 100, those of its departments included"),
    41042: Code(BadRequest, "the style is not accepted", "see doc 92572"),
    41043: Code(BadRequest, "no config_id was sent", "give the id that add_contact_way returned"),
    41044: Code(Final, "no such contact way", "it was deleted, or another app made it"),
    41045: Code(Final, "the corp has as many contact ways as WeCom allows", "delete some that nobody uses"),
    41046: Code(BadRequest, "no id of a group message was sent", "give the msgid"),
    41047: Code(Final, "no such group message", "check the msgid"),
    41048: Code(Final, "there is no customer to send it to", "choose other customers"),
    41049: Code(BadRequest, "no welcome code was sent", "see doc 92137"),
    41050: Code(Final, "the welcome code is used, not valid, or older than 20 seconds", "the member greets by hand"),
    41051: Code(Final, "already greeted, or already chatting", "nothing; let only one app greet"),
    41052: Code(Final, "sending is not allowed at this time", "see doc 90313"),
    41053: Code(Final, "the customer has not agreed to the chat archive", "a new code comes with the consent"),
    41054: Code(Final, "the member is not activated", "the member signs in to WeCom"),
    41055: Code(Final, "the corp has 100 group welcomes", "delete one"),
    41056: Code(BadRequest, "the external_userid is of another kind", "take the ids that this app itself gets"),
    41058: Code(Final, "another app made this group welcome", "only that app can edit it"),
    41060: Code(Final, "no such moment", "check the moment_id"),
    41061: Code(Final, "the moment is not this member's", "check the userid"),
    41062: Code(Final, "the member has not posted the moment yet", "ask again once it is posted"),
    41063: Code(Busy, "the group message is still being distributed", "ask again a little later"),
    41064: Code(BadRequest, "too many attachments", "at most nine"),
    41065: Code(BadRequest, "an attachment's type is not accepted", "image, link, miniprogram, video or file"),
    41070: Code(Final, "no such rule", "read the rules again: get_intercept_rule_list"),
    41071: Code(Final, "the rule was deleted", "read the rules again: get_intercept_rule_list"),
    41072: Code(BadRequest, "the file was uploaded for something else", "upload it anew: for a moment or for an album"),
    41074: Code(Final, "the album was deleted", "read the albums again: get_product_album_list"),
    41075: Code(Final, "no such album", "read the albums again: get_product_album_list"),
    41078: Code(Busy, "too many moments are being created", "try again a little later"),
    41079: Code(Busy, "the moment is still being distributed", "ask again a little later"),
    41080: Code(BadRequest, "the file is too large", "keep to WeCom's limits"),
    41081: Code(BadRequest, "the image has too many pixels", "keep to WeCom's limits"),
    41082: Code(BadRequest, "the video is too long", "keep to WeCom's limits"),
    41088: Code(BadRequest, "the attachments are empty", "leave the list out"),
    41089: Code(BadRequest, "text and attachments are both empty", "write a text"),
    41091: Code(BadRequest, "too many group chats", "at most five"),
    41093: Code(Final, "the group message was cancelled", "send another one"),
    41094: Code(Limited, "the members were reminded three times within a day", "wait a day"),
    41095: Code(Final, "the corp has as many links as WeCom allows", "delete some that nobody uses"),
    41096: Code(Busy, "another app is sending its welcome", "let only one app greet"),
    42001: Code(TokenRefused, "the access token has expired", "it is renewed"),
    42009: Code(TokenRefused, "the suite's access token has expired", "it is renewed by whoever gives the token"),
    44001: Code(BadRequest, "the media is empty", "upload a file of more than 5 bytes"),
    44004: Code(BadRequest, "the text is empty", "write a text"),
    45001: Code(BadRequest, "the media is too large", "keep to WeCom's limits"),
    45002: Code(BadRequest, "the text is too long", "at most 4000 bytes"),
    45009: Code(Limited, "too many calls", "it recovers by itself; spread the load if it is common"),
    45029: Code(BadRequest, "the answer would be too large", "ask for less at once"),
    45031: Code(Misconfigured, "the secret is not safe enough", "reset it on the app's page"),
    45033: Code(Busy, "too many calls at once", "lower WELCOME_CONCURRENCY if it is common"),
    45035: Code(Busy, "two changes at once", "nothing; it is tried again"),
    46004: Code(Final, "no such member", "check the member's id"),
    48001: Code(Misconfigured, "the app may not use this API", "check the app's permissions"),
    48002: Code(Misconfigured, "the app is not allowed to call", "tick it in 客户联系 → 可调用接口的应用"),
    48003: Code(
        Misconfigured, "the suite id does not fit the token", "compare the suite id with the provider's console"
    ),
    48004: Code(Misconfigured, "the corp has withdrawn the authorisation", "the corp authorises the app again"),
    48005: Code(Final, "the API is retired", "update wecom-welcome"),
    48006: Code(Misconfigured, "the permission was withdrawn", "request it again in WeCom's console"),
    48009: Code(Misconfigured, "contact sync may not read from a new IP", "read with the app's own secret"),
    49008: Code(Final, "the group chat was dissolved", "read the chats again: groupchat/list"),
    50001: Code(Misconfigured, "the page's domain is not registered", "enter it in the app's 授权登录 and 可信域名"),
    50002: Code(Misconfigured, "the member is out of the app's range", "widen the app's 可见范围"),
    50003: Code(Misconfigured, "the app is disabled", "enable it in 应用管理"),
    50100: Code(BadRequest, "the paging cursor is not valid", "start from the first page"),
    60003: Code(Final, "no such department", "check the department's id"),
    60011: Code(Misconfigured, "the member is out of range", "widen the app's 可见范围"),
    60020: Code(Misconfigured, "this server's IP is not allowed", "add it to 企业可信IP; it works a minute later"),
    60021: Code(Misconfigured, "the member is out of the app's visible range", "widen the app's 可见范围"),
    60111: Code(Final, "no such member", "check the member's id"),
    60123: Code(Final, "no such department", "check the department's id"),
    81013: Code(Final, "none of the recipients is valid", "check the ids"),
    81017: Code(BadRequest, "too many group owners", "give at most 100 in owner_filter"),
    82001: Code(BadRequest, "no recipient was given", "give a member, a department or a tag"),
    84061: Code(Final, "the two are not contacts", "nothing; the member or the customer removed the other"),
    84074: Code(Misconfigured, "no permission for customer contact", "give the member 客户联系"),
    84083: Code(Final, "the member does not serve customers", "give the member 客户联系"),
    85002: Code(BadRequest, "the text has words that are not allowed", "change the words"),
    86003: Code(Final, "no such group chat", "check the chat_id, and whether its owner is in the app's range"),
    90206: Code(MediaRefused, "the mini-program is not linked to the corp", "link it to the corp, or drop it"),
    90207: Code(MediaRefused, "the mini-program's appid is not accepted", "link it to the corp, or drop it"),
    90208: Code(MediaRefused, "the mini-program does not match", "link it to the corp, or drop it"),
    90500: Code(Final, "the group's owner has not left the corp", "use groupchat/onjob_transfer"),
    90501: Code(Final, "this is not a group chat with customers", "check the chat_id"),
    90502: Code(Final, "the group's owner has left the corp", "use groupchat/transfer"),
    90503: Code(Final, "the group is full, and nobody can be removed", "the owner transfers it in WeCom"),
    90504: Code(Final, "the group has this owner already", "choose another member"),
    90507: Code(Final, "the group is already being transferred", "wait until it is done"),
    90508: Code(Final, "the group was transferred already", "nothing; it is done"),
    90511: Code(Final, "no such opengid", "check the opengid"),
    93000: Code(Misconfigured, "no group robot has this key", "copy the robot's Webhook URL anew into ALERT_WEBHOOK"),
    301002: Code(Misconfigured, "no right to use the app", "check the app and its secret"),
    600018: Code(
        BadRequest, "the period is not accepted", "at most 30 days of the last 180; of group chats, not today"
    ),
    701008: Code(Misconfigured, "the member has no licence", "buy or assign one"),
    710000: Code(Misconfigured, "the corp id is not one of this provider's", "take the corp id of the authorisation"),
    830002: Code(BadRequest, "the media is larger than 20 MB", "read it in ranges"),
}


WRONG_SECRET = 40001
ADDRESS_NOT_ALLOWED = 60020


def from_status(status: int, path: str) -> Unanswered:
    """The error for an answer whose HTTP status is not 200: WeCom's own errors come with 200.

    What is behind a gateway may have done it where that one says 5xx, or no error at all.
    """
    kind = HTTPRefused if 300 <= status < 500 else NoAnswer
    return kind(path, Failure.HTTP_STATUS, str(status))


def from_answer(errcode: int, errmsg: str, path: str) -> WeComAPIError:
    """The error for an errcode other than 0. One that is not in CODES is Final: an unknown failure is not retried."""
    known = CODES.get(errcode)
    return (known.error if known else Final)(errcode, errmsg, path)


def read_answer(path: str, status: int, body: bytes) -> tuple[dict[str, Any], int, str]:
    """(WeCom's JSON, its errcode, its errmsg) of an answer. Raises Unanswered for what is no answer of WeCom's API."""
    if status != 200:
        raise from_status(status, path)
    try:
        result: dict[str, Any] = json.loads(body)
        return result, int(result.get("errcode", 0)), str(result.get("errmsg", ""))
    except (ValueError, AttributeError, TypeError, OverflowError, RecursionError):
        raise NoAnswer(path, Failure.NOT_JSON) from None


def may_pass(error: Exception) -> bool:
    """Whether the same call may succeed later: not if WeCom's documents rule it out, or one of its limits does."""
    if isinstance(error, WeComAPIError):
        return error.errcode not in CODES or not isinstance(error, BadRequest | Final)  # what nobody lists may
    return not isinstance(error, InvalidRequest)


def is_token_refused(error: WeComAPIError) -> bool:
    """Whether a call other than gettoken failed for its access token, so that it is worth repeating with a new one.

    40001 means a wrong secret only where one is sent; elsewhere it is "invalid credential", said of the token.
    """
    return isinstance(error, TokenRefused) or (error.errcode == WRONG_SECRET and error.path != "gettoken")


def without_frames(call: Callable[P, R]) -> Callable[P, R]:
    """A decorator: WeComErrors leave the call without the frames below it and without what was raised there.

    Their local variables have the token, the secret and the request: error trackers record those.
    """

    @functools.wraps(call)
    def without(*args: P.args, **kwargs: P.kwargs) -> R:
        handled = sys.exception()  # by the caller, which calls in an `except` block
        try:
            return call(*args, **kwargs)
        except WeComError as error:
            error.__cause__, error.__context__, error.__suppress_context__ = None, handled, False
            error.__traceback__ = None
            raise

    return without


def _without_init(kind: type[WeComError], *args: object) -> WeComError:
    return kind.__new__(kind, *args)


def _address(errmsg: str) -> str:
    """The caller's address in `…, from ip: 203.0.113.9, more info at …`, if it is one."""
    named = re.search(r"from ip:\s*\[?([0-9A-Fa-f.:]+)", errmsg)
    try:
        return str(ipaddress.ip_address(named[1].rstrip(".:"))) if named else ""
    except ValueError:
        return ""


def _clean(errmsg: str) -> str:
    """WeCom's message without hint, address and help link, which identify this machine and the request."""
    return re.split(r",? ?(?:hint|from ip|more info)\b", errmsg, maxsplit=1)[0][:200]
