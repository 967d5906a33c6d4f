"""A self-signed certificate for 127.0.0.1 (RFC 5280), made for each run: there is no key in the repository."""

import base64
import ssl
from pathlib import Path

from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15

SHA256_WITH_RSA = "2a864886f70d01010b"  # object identifiers, as DER has them
COMMON_NAME = "550403"
SUBJECT_ALT_NAME = "551d11"
BASIC_CONSTRAINTS = "551d13"


def write(file: Path) -> Path:
    """Key and certificate as one PEM file, as `ssl.SSLContext.load_cert_chain` takes it. → the file"""
    key = RSA.generate(2048)
    algorithm = _sequence(_oid(SHA256_WITH_RSA), _der(0x05))
    name = _sequence(_der(0x31, _sequence(_oid(COMMON_NAME), _der(0x0C, b"127.0.0.1"))))
    life = _sequence(_der(0x17, b"200101000000Z"), _der(0x17, b"491231235959Z"))
    address = _sequence(_der(0x87, bytes([127, 0, 0, 1])))
    authority = _sequence(_der(0x01, b"\xff"))  # of its own
    extensions = _sequence(
        _sequence(_oid(SUBJECT_ALT_NAME), _der(0x04, address)),
        _sequence(_oid(BASIC_CONSTRAINTS), _der(0x04, authority)),
    )
    content = _sequence(
        _der(0xA0, _der(0x02, b"\x02")),  # version 3
        _der(0x02, b"\x01"),
        *(algorithm, name, life, name, key.public_key().export_key("DER")),
        _der(0xA3, extensions),
    )
    signature = pkcs1_15.new(key).sign(SHA256.new(content))
    certificate = base64.encodebytes(_sequence(content, algorithm, _der(0x03, b"\0" + signature))).decode()
    file.write_text(
        f"{key.export_key().decode()}\n-----BEGIN CERTIFICATE-----\n{certificate}-----END CERTIFICATE-----\n"
    )
    return file


def server_side(pem: Path) -> ssl.SSLContext:
    """TLS of a server that has this key and certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    length = bytes([size]) if size < 0x80 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def _sequence(*parts: bytes) -> bytes:
    return _der(0x30, *parts)


def _oid(encoded: str) -> bytes:
    return _der(0x06, bytes.fromhex(encoded))
