"""The file's name in a Content-Disposition. Pure. RFC 6266, RFC 8187, and what servers send instead."""

import re
from collections.abc import Mapping
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from urllib.parse import unquote_to_bytes

_PARAMETER = re.compile(r'(?:^|;)\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')


def filename(disposition: str) -> str:
    """The name, without folders: that in filename*=…, else that in filename=…; "" when there is none.

    A header's bytes come as latin-1. WeCom sends the plain name as raw UTF-8; others send GBK or an encoded word.
    """
    parameters = {found[1].lower(): _unquoted(found[2].strip()) for found in _PARAMETER.finditer(disposition)}
    name = _extended(parameters.get("filename*", "")) or _plain(parameters.get("filename", "")) or _parts(parameters)
    return name.replace("\\", "/").rpartition("/")[2]


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    return re.sub(r'\\(["\\])', r"\1", value[1:].removesuffix('"'))


def _plain(value: str) -> str:
    if value.startswith("=?"):
        try:
            return str(make_header(decode_header(value)))
        except (HeaderParseError, LookupError, ValueError):
            return value
    try:
        raw = value.encode("latin-1")
    except UnicodeEncodeError:
        return value
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return value


def _extended(value: str) -> str:
    """charset'language'percent-encoded; "" when it is not so, or the charset does not fit."""
    charset, apostrophe, rest = value.partition("'")
    encoded = rest.partition("'")[2]
    if not apostrophe or not encoded:
        return ""
    try:
        return unquote_to_bytes(encoded).decode(charset or "utf-8")
    except (LookupError, UnicodeDecodeError):
        return ""


def _parts(parameters: Mapping[str, str]) -> str:
    """A name in several parameters, RFC 2231: filename*0, filename*1 …; with a * at the end percent-encoded."""
    value, extended = "", False
    for number in range(100):
        plain, encoded = parameters.get(f"filename*{number}"), parameters.get(f"filename*{number}*")
        if plain is None and encoded is None:
            break
        extended |= encoded is not None
        value += encoded if encoded is not None else plain or ""
    return _extended(value) if extended else _plain(value)
