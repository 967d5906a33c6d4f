"""Why a callback was not accepted: which of token, AES key, corp id or a mangled query is to blame. Pure.

The most frequent complaint of this field. Whoever sends a bad callback learns nothing of it; the operator does.
"""

from collections.abc import Mapping
from urllib.parse import unquote

from webhook.crypto import Envelope, EnvelopeError, NotSigned, Unreadable, decrypt

SIGNED = ("msg_signature", "timestamp", "nonce")


def diagnose(envelope: Envelope, query: Mapping[str, str], ciphertext: str) -> str:
    """One sentence with the cure. Holds nothing of what was sent but another corp's id."""
    missing = [name for name in SIGNED if not query.get(name)]
    if missing:
        return f"the query has no {', '.join(missing)}: not from WeCom, or a proxy drops the query string"
    if not ciphertext:
        return "there is no ciphertext (echostr or Encrypt): not from WeCom, or a proxy changes the request"
    given, timestamp, nonce = (query[name] for name in SIGNED)
    try:
        envelope.check(given, timestamp, nonce, ciphertext)
    except NotSigned:
        repaired = unquote(ciphertext).replace(" ", "+")
        if repaired != ciphertext and _signed(envelope, given, timestamp, nonce, repaired):
            return "the query was mangled on its way (+ or % decoded twice): let the proxy pass it on unchanged"
        return _unsigned(envelope, repaired)
    try:
        envelope.open(ciphertext)
    except Unreadable:
        return "the Token is right, the EncodingAESKey is not: copy WECOM_ENCODING_AES_KEY from WeCom's page again"
    except EnvelopeError:
        return (
            f"Token and EncodingAESKey are right, the corp id is not: WeCom writes to {_receiver(envelope, ciphertext)}"
        )
    return "nothing is wrong"


def is_proven(verdict: str) -> bool:
    """Whether it was WeCom that was refused: only who holds our Token or our AES key can cause such a verdict."""
    return not verdict.startswith(("neither", "the query has no", "there is no"))


def _unsigned(envelope: Envelope, ciphertext: str) -> str:
    try:
        _, receiver = decrypt(envelope.key, ciphertext)
    except Unreadable:
        return "neither Token nor EncodingAESKey fits: another app's callback, or not from WeCom"
    if receiver == envelope.receive_id.encode():
        return "the EncodingAESKey is right, the Token is not: copy WECOM_TOKEN from WeCom's page again"
    return "the EncodingAESKey is right, Token and corp id are not: compare both with WeCom's page"


def _signed(envelope: Envelope, given: str, timestamp: str, nonce: str, ciphertext: str) -> bool:
    try:
        envelope.check(given, timestamp, nonce, ciphertext)
    except NotSigned:
        return False
    return True


def _receiver(envelope: Envelope, ciphertext: str) -> str:
    return decrypt(envelope.key, ciphertext)[1][:64].decode("ascii", "replace") or "nobody"
