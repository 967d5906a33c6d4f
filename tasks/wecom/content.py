"""What a message to customers may hold: one text, and attachments or (the older form) one item beside the text.

For send_welcome_msg (doc 92137), add_msg_template (doc 92135), group welcomes (doc 92366) and the conclusions of a
temporary chat (doc 92572). Keys that are not named here pass through.
"""

from collections.abc import Mapping
from typing import Any

from .limits import LimitExceeded, an_object, entries, one_of, utf8_bytes
from .message_limits import ATTACHMENTS, FIELDS, TEXT, Limit

BESIDE_TEXT = ("image", "link", "miniprogram")  # the older form; the first that is given is the one that is sent
IN_GROUPS = (*BESIDE_TEXT, "file", "video")  # the same for group welcomes


def message(template: Mapping[str, Any]) -> None:
    """A text and at most nine attachments, or a text and one item beside it; not all of them empty."""
    text(template)
    if template.get("attachments") is None:
        beside(template, BESIDE_TEXT)
        return
    attachments = template["attachments"]
    entries("attachments", attachments, ATTACHMENTS.most)
    for number, attachment in enumerate(attachments):
        where = f"attachments[{number}]"
        kind = an_object(where, attachment).get("msgtype", "none")
        one_of(f"{where}.msgtype", kind, *FIELDS)
        item(f"{where}.{kind}", kind, attachment.get(kind))
    if not attachments:
        beside(template, ())


def beside(template: Mapping[str, Any], kinds: tuple[str, ...]) -> None:
    """The one item beside the text that takes effect; there must be one if the text is empty."""
    for kind in kinds:
        if template.get(kind) is not None:
            item(kind, kind, template[kind])
            return
    if not (template.get("text") or {}).get("content"):
        raise LimitExceeded(", ".join(("text", *(kinds or ("attachments",)))), "all empty", "at least one is required")


def text(template: Mapping[str, Any], limit: Limit = TEXT) -> None:
    if template.get("text") is not None:
        utf8_bytes("text.content", an_object("text", template["text"]).get("content"), limit.most)


def item(where: str, kind: str, value: object) -> None:
    """An image, link, mini-program, video or file."""
    given = an_object(where, value)
    for name, field in FIELDS[kind].items():
        if field.required and not given.get(name):
            raise LimitExceeded(f"{where}.{name}", "empty", "it is required")
        if field.limit is not None:
            utf8_bytes(f"{where}.{name}", given.get(name), field.limit.most)
    if kind == "image" and not given.get("media_id") and not given.get("pic_url"):
        raise LimitExceeded(f"{where}.media_id, {where}.pic_url", "both empty", "one is required")
