"""Why a callback was not accepted: which of token, AES key, corp id or a mangled query is to blame. Pure.

The most frequent complaint of this field. Whoever sends a bad callback learns nothing of it; the operator does.
A verdict is kept as its English text; `sentence` finds what it says, so that it can be said in another language.
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote

from tasks.messages import Message
from webhook.callback.crypto import Envelope, EnvelopeError, NotSigned, Unreadable, decrypt

SIGNED = ("msg_signature", "timestamp", "nonce")

NO_QUERY = Message.of("the query has no %(names)s: not from WeCom, or a proxy drops the query string")
NO_CIPHERTEXT = Message.of(
    "there is no ciphertext (echostr or Encrypt): not from WeCom, or a proxy changes the request"
)
MANGLED = Message.of("the query was mangled on its way (+ or % decoded twice): let the proxy pass it on unchanged")
KEY = Message.of("the Token is right, the EncodingAESKey is not: copy WECOM_ENCODING_AES_KEY from WeCom's page again")
CORP = Message.of("Token and EncodingAESKey are right, the corp id is not: WeCom writes to %(corp)s")
NEITHER = Message.of("neither Token nor EncodingAESKey fits: another app's callback, or not from WeCom")
TOKEN = Message.of("the EncodingAESKey is right, the Token is not: copy WECOM_TOKEN from WeCom's page again")
TOKEN_AND_CORP = Message.of("the EncodingAESKey is right, Token and corp id are not: compare both with WeCom's page")
NOTHING = Message.of("nothing is wrong")
VERDICTS = (NO_QUERY, NO_CIPHERTEXT, MANGLED, KEY, CORP, NEITHER, TOKEN, TOKEN_AND_CORP, NOTHING)


def diagnose(envelope: Envelope, query: Mapping[str, str], ciphertext: str) -> str:
    """One sentence with the cure. Holds nothing of what was sent but another corp's id."""
    missing = [name for name in SIGNED if not query.get(name)]
    if missing:
        return NO_QUERY.msgid % {"names": ", ".join(missing)}
    if not ciphertext:
        return str(NO_CIPHERTEXT)
    given, timestamp, nonce = (query[name] for name in SIGNED)
    try:
        envelope.check(given, timestamp, nonce, ciphertext)
    except NotSigned:
        repaired = unquote(ciphertext).replace(" ", "+")
        if repaired != ciphertext and _signed(envelope, given, timestamp, nonce, repaired):
            return str(MANGLED)
        return _unsigned(envelope, repaired)
    try:
        envelope.open(ciphertext)
    except Unreadable:
        return str(KEY)
    except EnvelopeError:
        return CORP.msgid % {"corp": _receiver(envelope, ciphertext)}
    return str(NOTHING)


def sentence(verdict: str) -> Message:
    """What a verdict says; one that is none of ours (another release's) says what it says."""
    for one in VERDICTS:
        parts = re.split(r"%\((\w+)\)s", one.msgid)
        pattern = "".join(f"(?P<{part}>.*)" if at % 2 else re.escape(part) for at, part in enumerate(parts))
        if found := re.fullmatch(pattern, verdict):
            return Message.of(one.msgid, **found.groupdict())
    return Message("%(verdict)s", {"verdict": verdict})


def is_proven(verdict: str) -> bool:
    """Whether it was WeCom that was refused: only who holds our Token or our AES key can cause such a verdict."""
    return not verdict.startswith(("neither", "the query has no", "there is no"))


def _unsigned(envelope: Envelope, ciphertext: str) -> str:
    try:
        _, receiver = decrypt(envelope.key, ciphertext)
    except Unreadable:
        return str(NEITHER)
    return str(TOKEN if receiver == envelope.receive_id.encode() else TOKEN_AND_CORP)


def _signed(envelope: Envelope, given: str, timestamp: str, nonce: str, ciphertext: str) -> bool:
    try:
        envelope.check(given, timestamp, nonce, ciphertext)
    except NotSigned:
        return False
    return True


def _receiver(envelope: Envelope, ciphertext: str) -> str:
    return decrypt(envelope.key, ciphertext)[1][:64].decode("ascii", "replace") or "nobody"
