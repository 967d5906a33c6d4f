"""Signed, encrypted add-contact events for a callback URL: what `wecom-welcome simulate` sends.

A rehearsal: the signed inner document carries <Rehearsal>1</Rehearsal>, so everything runs but the send.
"""

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from tasks.events import ContactAdded
from tasks.messages import Message
from tasks.settings import App
from webhook.callback.crypto import Envelope
from webhook.callback.parsing import ECHO

if TYPE_CHECKING:
    import requests

TIMEOUT = 5.0  # seconds; WeCom waits as long


@dataclass(frozen=True, slots=True)
class Delivered:
    """How the callback answered. `status` None: it did not."""

    event: ContactAdded
    status: int | None
    seconds: float
    reason: str = ""


def rehearse(app: App, url: str, member: str, state: str) -> Delivered:
    """Send one rehearsal for a customer that does not exist."""
    import requests  # 4 MB: here, since the web role seldom sends one

    event = ContactAdded(
        app=app.name,
        corp_id=app.corp_id,
        change="add",
        user_id=member,
        external_user_id=f"rehearsal-{secrets.token_hex(8)}",
        created_at=int(time.time()),
        state=state,
        rehearsal=True,
    )
    envelope = Envelope.of(app.token, app.encoding_aes_key, app.corp_id)
    timestamp, nonce = str(event.created_at), secrets.token_hex(8)
    ciphertext, signature = envelope.seal(_document(event).encode(), timestamp, nonce)
    started = time.monotonic()
    try:
        response = _direct().post(
            url,
            params={"msg_signature": signature, "timestamp": timestamp, "nonce": nonce},
            data=f"<xml><ToUserName>{app.corp_id}</ToUserName><Encrypt>{ciphertext}</Encrypt></xml>",
            headers={"Content-Type": "text/xml"},
            timeout=TIMEOUT,
            allow_redirects=False,
        )
    except requests.RequestException as error:
        return Delivered(event, None, time.monotonic() - started, type(error).__name__)
    return Delivered(event, response.status_code, time.monotonic() - started)


def _direct() -> "requests.Session":
    """Without the outbound proxy, which HTTPS_PROXY names for WeCom's API: the callback is this system's own."""
    import requests

    session = requests.Session()
    session.trust_env = False
    return session


def verify(app: App, url: str) -> Message | None:
    """Verify a callback URL as WeCom does when it is saved: None if it answers as it must, else what it does instead.

    Raises requests.RequestException if nobody answers.
    """
    echo = ECHO + secrets.token_hex(8)
    timestamp, nonce = str(int(time.time())), secrets.token_hex(8)
    envelope = Envelope.of(app.token, app.encoding_aes_key, app.corp_id)
    ciphertext, signature = envelope.seal(echo.encode(), timestamp, nonce)
    query = {"msg_signature": signature, "timestamp": timestamp, "nonce": nonce, "echostr": ciphertext}
    response = _direct().get(url, params=query, timeout=TIMEOUT, allow_redirects=False)
    if response.status_code != 200:
        return Message.of("answers HTTP %(status)s", status=response.status_code)
    return None if response.text == echo else Message.of("answers something else than the decrypted echo")


def _document(event: ContactAdded) -> str:
    fields = {
        "ToUserName": event.corp_id,
        "FromUserName": "sys",
        "CreateTime": str(event.created_at),
        "MsgType": "event",
        "Event": "change_external_contact",
        "ChangeType": "add_external_contact",
        "UserID": event.user_id,
        "ExternalUserID": event.external_user_id,
        "State": event.state,
        "Rehearsal": "1",
    }
    return "<xml>" + "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items()) + "</xml>"
