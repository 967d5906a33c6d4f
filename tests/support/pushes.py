"""Builders of what WeCom sends to a callback: an event's document, encrypted and signed."""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

from tests.support.builders import AES_KEY, CORP, ENVIRONMENT
from webhook.callback.crypto import Envelope, signature

TOKEN = ENVIRONMENT["WECOM_TOKEN"]
ENVELOPE = Envelope.of(TOKEN, AES_KEY, CORP)


def an_event(**different: str | None) -> dict[str, str]:
    """The fields of an added contact; a field that is None is left out."""
    fields: dict[str, str | None] = {
        "ToUserName": CORP,
        "FromUserName": "sys",
        "CreateTime": str(int(time.time())),
        "MsgType": "event",
        "Event": "change_external_contact",
        "ChangeType": "add_external_contact",
        "UserID": "zhangsan",
        "ExternalUserID": f"wm{secrets.token_hex(8)}",
        "WelcomeCode": secrets.token_urlsafe(32),
    }
    return {name: value for name, value in (fields | different).items() if value is not None}


def xml(fields: Mapping[str, str]) -> bytes:
    return f"<xml>{''.join(f'<{name}>{escape(value)}</{name}>' for name, value in fields.items())}</xml>".encode()


def as_json(fields: Mapping[str, str]) -> bytes:
    return json.dumps(dict(fields), ensure_ascii=False).encode()


@dataclass(frozen=True)
class Push:
    """One POST."""

    query: Mapping[str, str]
    body: bytes


def a_push(message: bytes | None = None, envelope: Envelope = ENVELOPE) -> Push:
    """A message, by default of a new customer, as WeCom pushes it: with its own timestamp, nonce and prefix."""
    query, ciphertext = sealed(xml(an_event()) if message is None else message, envelope)
    return Push(query, xml({"ToUserName": envelope.receive_id, "AgentID": "", "Encrypt": ciphertext}))


def a_verification(echo: bytes, envelope: Envelope = ENVELOPE) -> dict[str, str]:
    """The query with which WeCom verifies a callback URL."""
    query, ciphertext = sealed(echo, envelope)
    return query | {"echostr": ciphertext}


def sealed(message: bytes, envelope: Envelope = ENVELOPE) -> tuple[dict[str, str], str]:
    """(query, ciphertext)."""
    timestamp, nonce = str(int(time.time())), secrets.token_hex(5)
    ciphertext, given = envelope.seal(message, timestamp, nonce)
    return {"msg_signature": given, "timestamp": timestamp, "nonce": nonce}, ciphertext


def signed(ciphertext: str, envelope: Envelope = ENVELOPE) -> Push:
    """Any ciphertext, with a valid signature."""
    query = {"msg_signature": signature(envelope.token, "1", "2", ciphertext), "timestamp": "1", "nonce": "2"}
    return Push(query, xml({"Encrypt": ciphertext}))
