"""Why a callback was not accepted: which of token, AES key, corp id or a mangled query is to blame. Pure.

The most frequent complaint of this field. The sender of a bad callback learns nothing of it; the operator does.
"""

from collections.abc import Mapping
from urllib.parse import unquote

from tasks.reasons import Kind, Reason
from webhook.callback.crypto import Envelope, EnvelopeError, NotSigned, Unreadable, decrypt

SIGNED = ("msg_signature", "timestamp", "nonce")

PROVING = frozenset({Kind.WRONG_AES_KEY, Kind.WRONG_CORP})
"""What only WeCom can cause: a valid signature over a ciphertext as it came, which is not ours to open.

The others are to be had with what somebody captured on its way: a ciphertext of WeCom's with any signature looks like a
wrong Token, a whole push with a + turned to a blank, or sent as a verification or to another path, is signed."""
FRESH = 3600  # seconds: a push that was captured before the AES key was changed is older


def diagnose(envelope: Envelope, query: Mapping[str, str], ciphertext: str) -> Reason:
    """What is wrong. Holds nothing of what was sent but another corp's id."""
    missing = [name for name in SIGNED if not query.get(name)]
    if missing:
        return Reason.of(Kind.QUERY_INCOMPLETE, names=missing)
    if not ciphertext:
        return Reason.of(Kind.NO_CIPHERTEXT)
    if not is_signed(envelope, query, ciphertext):
        repaired = unquote(ciphertext).replace(" ", "+")
        if repaired != ciphertext and is_signed(envelope, query, repaired):
            return Reason.of(Kind.QUERY_MANGLED)
        return _unsigned(envelope, repaired)
    try:
        envelope.open(ciphertext)
    except Unreadable:
        return Reason.of(Kind.WRONG_AES_KEY)
    except EnvelopeError:
        return Reason.of(Kind.WRONG_CORP, corp=_receiver(envelope, ciphertext))
    return Reason.of(Kind.NOTHING_WRONG)


def is_signed(envelope: Envelope, query: Mapping[str, str], ciphertext: str) -> bool:
    """Whether the query signs a ciphertext for this app."""
    given, timestamp, nonce = (query.get(name, "") for name in SIGNED)
    try:
        envelope.check(given, timestamp, nonce, ciphertext)
    except NotSigned:
        return False
    return True


def is_proven(problem: Reason, age: float = 0.0) -> bool:
    """Whether it was WeCom that was refused. `age`: seconds since the signed timestamp, give or take a wrong clock."""
    return problem.kind in PROVING and abs(age) < FRESH


def _unsigned(envelope: Envelope, ciphertext: str) -> Reason:
    try:
        _, receiver = decrypt(envelope.key, ciphertext)
    except Unreadable:
        return Reason.of(Kind.WRONG_TOKEN_AND_KEY)
    ours = receiver == envelope.receive_id.encode()
    return Reason.of(Kind.WRONG_TOKEN if ours else Kind.WRONG_TOKEN_AND_CORP)


def _receiver(envelope: Envelope, ciphertext: str) -> str:
    return decrypt(envelope.key, ciphertext)[1][:64].decode("ascii", "replace") or "nobody"
