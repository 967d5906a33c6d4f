"""The callback envelope: check, open, seal. No I/O, no clock. Doc 90968.

    plaintext   16 random bytes ‖ length of the message, 4 bytes big-endian ‖ message ‖ receive id
    padded      PKCS#7 with a block of 32 (not AES' 16): 1 to 32 bytes, each holding their number
    ciphertext  AES-256-CBC, the key is Base64-decode(EncodingAESKey + "="), the IV its first 16 bytes
    signature   SHA-1 in hex over token, timestamp, nonce and the ciphertext's Base64 text, sorted and joined

The signature authenticates the ciphertext, so it is checked before anything is decrypted: no padding oracle.

    EnvelopeError
    ├── NotSigned      the signature does not match: not from WeCom, or another token
    ├── Unreadable     signed, yet not an envelope: Base64, length, padding, or another AES key
    └── WrongReceiver  signed and readable, but meant for another corp
"""

import base64
import binascii
import hashlib
import hmac
import os
import struct
from dataclasses import dataclass, field

from Crypto.Cipher import AES

BLOCK = 32  # of the padding; doc 90968
PREFIX = 16  # random bytes before the length; they may be binary
KEY_CHARACTERS = 43


class EnvelopeError(Exception):
    """An envelope that is not accepted. The message says what is wrong, and holds nothing of the content."""


class NotSigned(EnvelopeError):
    """The signature does not match token, timestamp, nonce and ciphertext."""


class Unreadable(EnvelopeError):
    """The ciphertext does not decrypt to an envelope."""


class WrongReceiver(EnvelopeError):
    """The envelope names another receiver than this app's corp."""


def decode_key(encoding_aes_key: str) -> bytes:
    """The 32 bytes of a 43-character EncodingAESKey. ValueError if it is not one.

    The last character may carry unused bits that are not zero, as in WeCom's own sample key: they are ignored.
    """
    if len(encoding_aes_key) != KEY_CHARACTERS or not encoding_aes_key.isascii():
        raise ValueError(f"an EncodingAESKey has {KEY_CHARACTERS} characters, this one {len(encoding_aes_key)}")
    try:
        key = base64.b64decode(encoding_aes_key + "=", validate=True)
    except binascii.Error:
        raise ValueError("an EncodingAESKey has only letters and digits") from None
    if len(key) != 32:
        raise ValueError("an EncodingAESKey decodes to 32 bytes, this one does not")
    return key


def signature(token: str, timestamp: str, nonce: str, ciphertext: str) -> str:
    """SHA-1 in lower-case hex over the four texts, sorted and joined without a separator."""
    return hashlib.sha1("".join(sorted((token, timestamp, nonce, ciphertext))).encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True, slots=True)
class Envelope:
    """One app's side of the callback: its token, its key, and who it is (`receive_id`, the corp id)."""

    token: str = field(repr=False)
    key: bytes = field(repr=False)
    receive_id: str

    @classmethod
    def of(cls, token: str, encoding_aes_key: str, receive_id: str) -> "Envelope":
        return cls(token, decode_key(encoding_aes_key), receive_id)

    def check(self, given: str, timestamp: str, nonce: str, ciphertext: str) -> None:
        """Raise NotSigned unless `given` is the signature of the other three. Constant time."""
        wanted = signature(self.token, timestamp, nonce, ciphertext)
        if not hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace")):
            raise NotSigned("the signature does not match")

    def open(self, ciphertext: str) -> bytes:
        """The message inside. Raise Unreadable or WrongReceiver. Call `check` first."""
        message, receive_id = decrypt(self.key, ciphertext)
        if not hmac.compare_digest(receive_id, self.receive_id.encode()):
            raise WrongReceiver("the envelope names another corp")
        return message

    def seal(self, message: bytes, timestamp: str, nonce: str, prefix: bytes | None = None) -> tuple[str, str]:
        """(ciphertext, signature) of a message, as WeCom makes them. `prefix`: 16 bytes, random unless given."""
        ciphertext = encrypt(self.key, message, self.receive_id, os.urandom(PREFIX) if prefix is None else prefix)
        return ciphertext, signature(self.token, timestamp, nonce, ciphertext)


def encrypt(key: bytes, message: bytes, receive_id: str, prefix: bytes) -> str:
    """Base64 of the encrypted envelope."""
    plain = prefix + struct.pack(">I", len(message)) + message + receive_id.encode()
    pad = BLOCK - len(plain) % BLOCK
    return base64.b64encode(AES.new(key, AES.MODE_CBC, key[:16]).encrypt(plain + bytes([pad]) * pad)).decode()


def decrypt(key: bytes, ciphertext: str) -> tuple[bytes, bytes]:
    """(message, receive id) of an envelope. Raise Unreadable, always with the same message."""
    unreadable = Unreadable("the ciphertext is not an envelope under this AES key")
    try:
        data = base64.b64decode(ciphertext, validate=True)
    except (binascii.Error, ValueError):
        raise unreadable from None
    if not data or len(data) % BLOCK:
        raise unreadable
    plain = AES.new(key, AES.MODE_CBC, key[:16]).decrypt(data)
    pad = plain[-1]
    if not 1 <= pad <= BLOCK or plain[-pad:] != bytes([pad]) * pad:
        raise unreadable
    body = plain[PREFIX:-pad]
    if len(body) < 4:
        raise unreadable
    (length,) = struct.unpack(">I", body[:4])
    if 4 + length > len(body):
        raise unreadable
    return body[4 : 4 + length], body[4 + length :]
