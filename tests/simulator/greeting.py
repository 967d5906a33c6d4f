"""The field rules of send_welcome_msg. Pure. Doc 92137; error codes: doc 90313."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TEXT_LIMIT = 4000  # bytes of UTF-8
ATTACHMENT_LIMIT = 9
URL_LIMIT = 2048  # bytes; not given for this API, the sister API add_msg_template has it (doc 92135)

WARNING = "Warning: wrong json format"  # errcode 0, yet nothing reaches the customer

KINDS: dict[str, dict[str, tuple[bool, int]]] = {  # msgtype → field → (required, limit in bytes)
    "image": {},  # media_id or pic_url, see below
    "link": {"title": (True, 128), "url": (True, URL_LIMIT), "picurl": (False, URL_LIMIT), "desc": (False, 512)},
    "miniprogram": {
        "title": (True, 64),
        "pic_media_id": (True, 512),
        "appid": (True, 64),
        "page": (True, URL_LIMIT),
    },
    "video": {"media_id": (True, 512)},
    "file": {"media_id": (True, 512)},
}
MEDIA = {  # the one field of a kind that names uploaded material → the type it must have been uploaded as
    "image": ("media_id", "image"),
    "miniprogram": ("pic_media_id", "image"),
    "video": ("media_id", "video"),
    "file": ("media_id", "file"),
}
LEGACY = ("image", "link", "miniprogram")  # one of them at top level, in this precedence: the form before attachments

_ESCAPED = re.compile(rb"(?<!\\)(?:\\\\)*\\u[0-9a-fA-F]{4}")


class Refused(Exception):
    """The call breaks a rule: the errcode that WeCom answers."""

    def __init__(self, errcode: int, errmsg: str) -> None:
        super().__init__(errcode, errmsg)
        self.errcode, self.errmsg = errcode, errmsg


@dataclass(frozen=True, slots=True)
class Greeting:
    """A call that breaks no field rule. With `warning` set WeCom says errcode 0, and the customer sees nothing."""

    welcome_code: str
    text: str = ""
    attachments: list[dict[str, Any]] = field(default_factory=list)
    warning: bool = False


def read_json(body: bytes) -> dict[str, Any]:
    """The JSON object of a request. Refused: 40033 for escapes instead of UTF-8, 40058 for any other error."""
    if b"\\u" in body and _ESCAPED.search(body):
        raise Refused(40033, "invalid request chars, use UTF-8 instead of \\uxxxx")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(40058, "invalid Request Parameter, not json") from None
    if not isinstance(value, dict):
        raise Refused(40058, "invalid Request Parameter, not an object")
    return value


def read(body: bytes, usable: Callable[[str, str], bool], uploaded: Callable[[str], bool]) -> Greeting:
    """The greeting in a request's body, or Refused.

    `usable(media_id, type)`: is it living material of that type? `uploaded(url)`: does it come from media/uploadimg?
    """
    call = read_json(body)
    code = call.get("welcome_code")
    if not isinstance(code, str) or not code:
        raise Refused(41049, "missing welcome_code")
    if _empty_of_wrong_type(call):
        return Greeting(code, warning=True)
    return Greeting(code, **content(call, usable, uploaded))


def content(
    call: dict[str, Any], usable: Callable[[str, str], bool], uploaded: Callable[[str], bool]
) -> dict[str, Any]:
    """{"text", "attachments"} of a message that a member sends to customers, or Refused. Parameters as of `read`."""
    text = _object(call, "text").get("content", "")
    if not isinstance(text, str):
        raise Refused(40058, "invalid Request Parameter, text.content")
    if len(text.encode("utf-8", "surrogatepass")) > TEXT_LIMIT:
        raise Refused(45002, "content size out of limit")

    attachments = _attachments(call)
    if not text and not attachments:
        if "attachments" in call:
            raise Refused(41088, "attachments empty")
        raise Refused(*((44004, "empty content") if "text" in call else (40063, "some parameters are empty")))
    for attachment in attachments:
        _check(attachment["msgtype"], attachment[attachment["msgtype"]], usable, uploaded)
    return {"text": text, "attachments": attachments}


def _empty_of_wrong_type(call: dict[str, Any]) -> bool:
    """Whether there is an item like `"link": []`, which WeCom accepts with a warning, and sends nothing."""
    wanted = {"text": dict, "attachments": list, **dict.fromkeys(LEGACY, dict)}
    return any(not call[k] and not isinstance(call[k], kind) for k, kind in wanted.items() if k in call)


def _object(holder: dict[str, Any], name: str) -> dict[str, Any]:
    value = holder.get(name, {})
    if not isinstance(value, dict):
        raise Refused(40058, f"invalid Request Parameter, {name}")
    return value


def _attachments(call: dict[str, Any]) -> list[dict[str, Any]]:
    """The attachments, the legacy form included; each names its msgtype and has the object of that name."""
    if "attachments" not in call:
        return [{"msgtype": kind, kind: _object(call, kind)} for kind in LEGACY if call.get(kind)][:1]
    given = call["attachments"]
    if not isinstance(given, list):
        raise Refused(40058, "invalid Request Parameter, attachments")
    if len(given) > ATTACHMENT_LIMIT:
        raise Refused(41064, "attachments over limit")
    for attachment in given:
        if not isinstance(attachment, dict) or attachment.get("msgtype") not in KINDS:
            raise Refused(41065, "invalid attachment msgtype")
        if not attachment.get(attachment["msgtype"]):
            raise Refused(40063, f"some parameters are empty, {attachment['msgtype']}")
        _object(attachment, attachment["msgtype"])
    return given


def _check(
    kind: str, item: dict[str, Any], usable: Callable[[str, str], bool], uploaded: Callable[[str], bool]
) -> None:
    for name, (required, limit) in KINDS[kind].items():
        value = item.get(name, "")
        if not isinstance(value, str):
            raise Refused(40058, f"invalid Request Parameter, {kind}.{name}")
        if required and not value:
            raise Refused(40063, f"some parameters are empty, {kind}.{name}")
        if len(value.encode("utf-8", "surrogatepass")) > limit:
            raise Refused(40058, f"invalid Request Parameter, {kind}.{name} too long")
    if kind == "image" and not item.get("media_id"):  # media_id wins if both are given
        if not item.get("pic_url"):
            raise Refused(40063, "some parameters are empty, image.media_id")
        if not uploaded(str(item["pic_url"])):
            raise Refused(40058, "invalid Request Parameter, image.pic_url is not from media/uploadimg")
    elif kind in MEDIA:
        name, type_ = MEDIA[kind]
        if not usable(str(item[name]), type_):
            raise Refused(40007, "invalid media_id")
