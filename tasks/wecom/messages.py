"""应用消息: messages from the app to members. Docs 90236, 94867, 94888."""

from collections.abc import Mapping
from typing import Any

from .calls import POST, Fields, Resource
from .limits import LimitExceeded, an_object, at_least_one, one_of, utf8_bytes

KINDS = (
    "text",
    "image",
    "voice",
    "video",
    "file",
    "textcard",
    "news",
    "mpnews",
    "markdown",
    "miniprogram_notice",
    "template_card",
)
RECIPIENTS = {"touser": 1000, "toparty": 100, "totag": 100}  # field → at most so many ids


class Messages(Resource):
    """Calls below message/."""

    @POST("message/send")
    def send(self, message: Mapping[str, Any]) -> Fields:
        """Send members a message from the app. Doc 90236.

        message: {"agentid": the app's, a number, "msgtype": kind, kind: {…}} and the recipients, not all empty, each a
        text with `|` between the ids:
            touser   at most 1000 members; @all is everyone in the app's range
            toparty  at most 100 departments
            totag    at most 100 tags
        Kinds: text and markdown {"content": at most 2048 bytes; a longer text is cut}, image, voice, file {"media_id"},
        video {"media_id", "title" ≤ 128 bytes, "description" ≤ 512 bytes}, textcard {"title", "description", "url"},
        news, mpnews, miniprogram_notice, template_card.
        → {"msgid", "invaliduser", "invalidparty", "invalidtag", "unlicenseduser"}: errcode is 0 if at least one
        recipient is valid; a member receives at most 30 per minute, the rest are dropped.
        Errors: Final 81013 when no recipient is valid, Misconfigured 301002 for another app's agentid.
        """
        at_least_one(**{name: message.get(name) for name in RECIPIENTS})
        for name, most in RECIPIENTS.items():
            _recipients(name, message.get(name), most)
        kind = message.get("msgtype", "none")
        one_of("msgtype", kind, *KINDS)
        value = an_object(kind, message.get(kind))
        if kind == "markdown":
            utf8_bytes("markdown.content", value.get("content"), 2048)
        if kind == "video":
            utf8_bytes("video.title", value.get("title"), 128)
            utf8_bytes("video.description", value.get("description"), 512)
        return dict(message)

    @POST("message/recall")
    def recall(self, msgid: str) -> Fields:
        """Recall a message within 24 hours. Doc 94867.

        msgid: as returned by send, to the same app.
        → {} with errcode 0.
        Errors: BadRequest 40058 for another app's message.
        """
        return {"msgid": msgid}

    @POST("message/update_template_card")
    def update_template_card(self, card: Mapping[str, Any]) -> Fields:
        """Update a card that was sent with send. Doc 94888.

        card: {"userids": [userid], "partyids": [id], "tagids": [id], "atall": 0 | 1, "agentid", "response_code": from
        send or from the event; valid for 72 hours, works once} and "button" or "template_card".
        → {"invaliduser": [userid]}
        """
        at_least_one(response_code=card.get("response_code"))
        return dict(card)


def _recipients(name: str, value: object, most: int) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        raise LimitExceeded(name, f"a {type(value).__name__}", "must be a text, with | between the ids")
    if len(value.split("|")) > most:
        raise LimitExceeded(name, f"{len(value.split('|'))} entries", f"at most {most}")
