"""The envelope against what others published, against a second implementation, and against junk."""

import base64
import contextlib
import hmac
import json
import struct
from pathlib import Path
from typing import Any

import pytest
import xmltodict
from Crypto.Cipher import AES
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.enterprise.crypto import WeChatCrypto

from tests.support.builders import AES_KEY, CORP
from tests.support.pushes import ENVELOPE, TOKEN
from webhook.callback import crypto
from webhook.callback.crypto import Envelope, EnvelopeError, NotSigned, Unreadable, WrongReceiver, decode_key, signature

VECTORS = [
    pytest.param(vector, id=f"{file.stem}-{vector['name']}")
    for file in sorted(Path(__file__).parents[2].joinpath("vectors").glob("*.json"))
    for vector in json.loads(file.read_text("utf-8"))["vectors"]
]
SIGNED = [vector for vector in VECTORS if "msg_signature" in vector.values[0]]
WITH_KNOWN_PREFIX = [vector for vector in VECTORS if "prefix" in vector.values[0]]

WITNESS = WeChatCrypto(TOKEN, AES_KEY, CORP)
KEY = decode_key(AES_KEY)
UNUSED_BITS = "BCDxyz19"  # some of the characters of Base64 whose last two bits are not zero

texts = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("您好，张三🎉\n<]]>")), max_size=500)
anything = st.text(st.characters(), max_size=80)  # surrogates too
characters_of_base64 = st.text(
    st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="), max_size=200
)
prefixes = st.binary(min_size=16, max_size=16)


def envelope_of(vector: dict[str, Any]) -> Envelope:
    return Envelope.of(vector.get("token", ""), vector["encoding_aes_key"], vector["receive_id"])


def encrypted(plain: bytes, pad: bytes) -> str:
    """Base64 of a plaintext with any padding."""
    return base64.b64encode(AES.new(KEY, AES.MODE_CBC, KEY[:16]).encrypt(plain + pad)).decode()


def plaintext_of(ciphertext: str) -> bytes:
    """Padding included."""
    return AES.new(KEY, AES.MODE_CBC, KEY[:16]).decrypt(base64.b64decode(ciphertext))


# --- what others published


@pytest.mark.parametrize("vector", VECTORS)
def test_a_published_envelope_opens(vector):
    assert envelope_of(vector).open(vector["ciphertext"]) == vector["message"].encode()


@pytest.mark.parametrize("vector", SIGNED)
def test_a_published_signature_holds(vector):
    envelope = envelope_of(vector)
    signed = (vector["timestamp"], vector["nonce"], vector["ciphertext"])
    envelope.check(vector["msg_signature"], *signed)
    with pytest.raises(NotSigned):
        envelope.check(vector["msg_signature"][::-1], *signed)


@pytest.mark.parametrize("vector", WITH_KNOWN_PREFIX)
def test_a_published_envelope_is_sealed_anew_byte_for_byte(vector):
    prefix = vector["prefix"].encode()
    ciphertext, _ = envelope_of(vector).seal(vector["message"].encode(), "1", "2", prefix)
    assert ciphertext == vector["ciphertext"]


@pytest.mark.parametrize("vector", SIGNED)
def test_a_published_envelope_is_not_for_another_corp(vector):
    stranger = Envelope.of(vector["token"], vector["encoding_aes_key"], vector["receive_id"] + "0")
    with pytest.raises(WrongReceiver):
        stranger.open(vector["ciphertext"])


def test_the_vectors_hold_the_traps_they_are_there_for():
    pads, prefixes = set(), set()
    for vector in (param.values[0] for param in VECTORS):
        key = decode_key(vector["encoding_aes_key"])
        plain = AES.new(key, AES.MODE_CBC, key[:16]).decrypt(base64.b64decode(vector["ciphertext"]))
        pads.add(plain[-1])
        prefixes.add(plain[:16])
    assert max(pads) > 16  # AES' own block would not do
    assert any(not prefix.isascii() for prefix in prefixes)
    assert any(not vector.values[0]["message"].isascii() for vector in VECTORS)


# --- a second implementation as witness


@given(message=texts, prefix=prefixes)
def test_what_we_seal_the_witness_opens(message, prefix):
    ciphertext, signed = ENVELOPE.seal(message.encode(), "1409659589", "263014780", prefix)
    assert WITNESS.check_signature(signed, "1409659589", "263014780", ciphertext) == message


@given(message=texts)
def test_what_the_witness_seals_we_open(message):
    reply = xmltodict.parse(WITNESS.encrypt_message(message, "263014780", "1409659589"))["xml"]
    ENVELOPE.check(reply["MsgSignature"], reply["TimeStamp"], reply["Nonce"], reply["Encrypt"])
    assert ENVELOPE.open(reply["Encrypt"]) == message.encode()


@pytest.mark.parametrize("vector", SIGNED)
def test_the_witness_reads_the_published_envelopes_as_we_do(vector):
    witness = WeChatCrypto(vector["token"], vector["encoding_aes_key"], vector["receive_id"])
    given = (vector["msg_signature"], vector["timestamp"], vector["nonce"], vector["ciphertext"])
    assert witness.check_signature(*given) == vector["message"]


# --- traps: padding, prefix, length, key


@given(message=st.binary(max_size=200), prefix=prefixes)
def test_any_bytes_survive_sealing_and_opening(message, prefix):
    ciphertext, signed = ENVELOPE.seal(message, "1", "2", prefix)
    ENVELOPE.check(signed, "1", "2", ciphertext)
    assert ENVELOPE.open(ciphertext) == message


@pytest.mark.parametrize("pad", range(1, 33))
def test_padding_is_1_to_32_bytes_and_a_full_block_where_nothing_is_missing(pad):
    message = b"x" * ((-(20 + len(CORP)) - pad) % 32)
    ciphertext, _ = ENVELOPE.seal(message, "1", "2")
    plain = plaintext_of(ciphertext)
    assert plain[-pad:] == bytes([pad]) * pad
    assert len(plain) == 20 + len(message) + len(CORP) + pad
    assert len(plain) % 32 == 0
    assert ENVELOPE.open(ciphertext) == message


@pytest.mark.parametrize(
    "pad",
    [
        pytest.param(bytes([33]) * 33 + b"\0" * 31, id="33-in-the-middle"),
        pytest.param(b"\0" * 32, id="zero"),
        pytest.param(bytes([33]) * 32, id="more-than-the-block"),
        pytest.param(bytes([255]) * 32, id="255"),
        pytest.param(b"\x01" * 31 + b"\x20", id="not-uniform"),
        pytest.param(b"\x10" * 16, id="a-block-of-16"),
    ],
)
def test_other_padding_is_unreadable(pad):
    message = b"x" * (-(20 + len(CORP)) % 32)
    plain = b"p" * 16 + struct.pack(">I", len(message)) + message + CORP.encode()
    assert len(plain) % 32 == 0
    with pytest.raises(Unreadable):
        ENVELOPE.open(encrypted(plain, pad))


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x80000000, 1000, 33])
def test_a_length_beyond_the_end_is_unreadable(length):
    plain = b"p" * 16 + struct.pack(">I", length) + b"m" * 12
    with pytest.raises(Unreadable):
        ENVELOPE.open(encrypted(plain, bytes([32]) * 32))


@pytest.mark.parametrize("size", [0, 1, 15, 16, 19])
def test_a_plaintext_too_short_for_a_length_is_unreadable(size):
    pad = 32 - size
    with pytest.raises(Unreadable):
        ENVELOPE.open(encrypted(b"p" * size, bytes([pad]) * pad))


def test_the_length_counts_bytes_not_characters():
    ciphertext, _ = ENVELOPE.seal("您好，张三🎉".encode(), "1", "2")
    assert struct.unpack(">I", plaintext_of(ciphertext)[16:20]) == (19,)


def test_an_empty_message_is_a_message():
    ciphertext, _ = ENVELOPE.seal(b"", "1", "2")
    assert ENVELOPE.open(ciphertext) == b""


@pytest.mark.parametrize("last", UNUSED_BITS)
def test_unused_bits_of_the_43rd_character_are_ignored(last):
    lenient = AES_KEY[:42] + last
    strict = base64.b64encode(decode_key(lenient)).decode()[:43]
    assert strict != lenient
    assert decode_key(strict) == decode_key(lenient)


def test_wecoms_own_sample_key_has_unused_bits():
    assert base64.b64encode(KEY).decode()[:43] != AES_KEY


@pytest.mark.parametrize(
    "key",
    [
        "",
        AES_KEY[:42],
        AES_KEY + "A",
        AES_KEY[:42] + "$",
        AES_KEY[:42] + " ",
        AES_KEY[:39] + "$$$$",
        AES_KEY[:42] + "密",
        "\ud800" * 43,
        pytest.param(
            AES_KEY[:42] + "=",
            id="published by go-workwx: a needless =",
        ),
    ],
)
def test_what_is_not_43_characters_of_base64_is_no_key(key):
    with pytest.raises(ValueError, match="EncodingAESKey"):
        decode_key(key)


# --- junk gives an EnvelopeError and nothing else


@given(ciphertext=anything | characters_of_base64)
def test_junk_is_unreadable_and_nothing_else(ciphertext):
    with pytest.raises(EnvelopeError):
        ENVELOPE.open(ciphertext)


@given(data=st.integers(1, 8).flatmap(lambda blocks: st.binary(min_size=32 * blocks, max_size=32 * blocks)))
def test_well_formed_base64_of_junk_is_an_envelope_error(data):
    with pytest.raises(EnvelopeError):
        ENVELOPE.open(base64.b64encode(data).decode())


@given(plain=st.binary(max_size=100))
def test_junk_that_is_well_encrypted_and_padded_is_an_envelope_error(plain):
    pad = 32 - len(plain) % 32
    with pytest.raises(EnvelopeError):
        ENVELOPE.open(encrypted(plain, bytes([pad]) * pad))


@given(arguments=st.tuples(anything, anything, anything, anything))
def test_junk_is_not_signed_and_nothing_else(arguments):
    with pytest.raises(NotSigned):
        ENVELOPE.check(*arguments)


@given(message=st.binary(max_size=64), data=st.data())
def test_a_flipped_bit_anywhere_is_not_signed(message, data):
    ciphertext, signed = ENVELOPE.seal(message, "1409659589", "263014780")
    parts = [signed, "1409659589", "263014780", ciphertext]
    which = data.draw(st.integers(0, 3))
    at, bit = data.draw(st.integers(0, len(parts[which]) - 1)), data.draw(st.integers(0, 6))
    changed = list(parts[which])
    changed[at] = chr(ord(changed[at]) ^ (1 << bit))
    parts[which] = "".join(changed)
    with pytest.raises(NotSigned):
        ENVELOPE.check(*parts)


@given(message=st.binary(max_size=64), data=st.data())
def test_a_flipped_bit_of_the_ciphertext_never_gives_another_exception(message, data):
    ciphertext, _ = ENVELOPE.seal(message, "1", "2")
    raw = bytearray(base64.b64decode(ciphertext))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(EnvelopeError):
        assert ENVELOPE.open(base64.b64encode(raw).decode()) != message


@given(message=st.binary(max_size=64), spoilt=st.sampled_from(["\n", " ", "A", "-", "ＡＡＡＡ", "\ud800"]))
def test_base64_with_something_added_is_unreadable(message, spoilt):
    ciphertext, _ = ENVELOPE.seal(message, "1", "2")
    with pytest.raises(Unreadable):
        ENVELOPE.open(ciphertext + spoilt)


# --- the signature


def test_the_signature_is_lower_case_hex_over_the_sorted_parts():
    assert signature("b", "a", "d", "c") == "81fe8bfe87576c3ecb22426f8e57847382917acf"  # sha1 of "abcd"


def test_a_signature_in_capitals_is_not_wecoms():
    ciphertext, signed = ENVELOPE.seal(b"", "1", "2")
    with pytest.raises(NotSigned):
        ENVELOPE.check(signed.upper(), "1", "2", ciphertext)


def test_signatures_are_compared_in_constant_time(monkeypatch):
    compared = []
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or a == b)
    ciphertext, signed = ENVELOPE.seal(b"", "1", "2")
    ENVELOPE.check(signed, "1", "2", ciphertext)
    assert compared == [(signed.encode(), signed.encode())]


def test_an_envelope_error_says_nothing_of_what_was_sent():
    ciphertext, _ = ENVELOPE.seal("秘密".encode(), "1", "2")
    stranger = Envelope.of(TOKEN, AES_KEY, "wwSOMEBODYELSE")
    with pytest.raises(WrongReceiver) as wrong:
        stranger.open(ciphertext)
    with pytest.raises(Unreadable) as unreadable:
        ENVELOPE.open(ciphertext[:-8])
    for error in (wrong.value, unreadable.value):
        assert ciphertext[:-8] not in str(error)
        assert CORP not in str(error)


def test_neither_token_nor_key_is_in_an_envelopes_repr():
    assert repr(ENVELOPE) == f"Envelope(receive_id='{CORP}')"


def test_sealing_twice_gives_two_ciphertexts():
    assert crypto.encrypt(KEY, b"", CORP, b"a" * 16) != crypto.encrypt(KEY, b"", CORP, b"b" * 16)
    assert ENVELOPE.seal(b"", "1", "2")[0] != ENVELOPE.seal(b"", "1", "2")[0]
