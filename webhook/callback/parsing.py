"""Decrypted XML or JSON → an event of `tasks.events`. Pure. Docs 90930 (envelope), 92130 (events).

    body       → ciphertext   `read_ciphertext`: the one authenticated field of the outer document
    plaintext  → event        `parse`: a table of readers by (Event, ChangeType)

Both documents are small and flat. They come from outside, so a limit stands before each parser: bytes, depth and
number of elements; a DTD (and with it every entity) is refused. XML is what WeCom sends; JSON of the same fields is
tolerated, with keys of any case, since the vendor's own samples differ.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from xml.parsers import expat

from tasks.events import CHANGES, ContactAdded

BODY_LIMIT = 64 * 1024  # bytes; a real callback is below 4 kB
DEPTH_LIMIT = 8
ELEMENT_LIMIT = 512
ID_LIMIT = 64  # bytes of a userid (doc 90196); external userids, codes and states are shorter than the next
TEXT_LIMIT = 1024
ECHO = "rehearsal-"  # how our own verifications begin: what they bring says nothing of WeCom


_TIME = re.compile(r"[0-9]{1,20}(\.[0-9]{0,20})?(e\+?[0-9]{1,2})?", re.IGNORECASE)
_NO_SECONDS = 10**12  # from here on it is milliseconds, or finer
_UNWANTED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")  # JSON can spell what XML cannot hold


class Malformed(ValueError):
    """Not a document that WeCom sends. The message says what is wrong, and holds nothing of the content."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A well-formed push that this product does not act on."""

    event: str
    change: str


def read_ciphertext(body: bytes) -> str:
    """The text of `Encrypt` of a callback's body. Raise Malformed."""
    ciphertext = _fields(body).get("encrypt", "")
    if not ciphertext:
        raise Malformed("the body has no Encrypt element")
    return ciphertext


def parse(app: str, plaintext: bytes, pushed_at: int | None = None) -> ContactAdded | Unknown:
    """The event in a decrypted message. `pushed_at`: the signed timestamp it came with. Raise Malformed."""
    fields = _fields(plaintext)
    kind = (fields.get("event", ""), fields.get("changetype", ""))
    reader = READERS.get(kind)
    if reader is None:
        return Unknown(kind[0] or fields.get("msgtype", ""), kind[1])
    return reader(app, fields, pushed_at)


def seconds(text: str) -> int | None:
    """Whole Unix seconds of a time as WeCom, or a gateway before us, may write it; None if it is none.

    With a fraction, in milliseconds or finer, or with blanks around it.
    """
    text = text.strip()
    if not _TIME.fullmatch(text):
        return None
    value = int(Decimal(text))
    while value >= _NO_SECONDS:
        value //= 1000
    return value


def _contact_added(app: str, fields: Mapping[str, str], pushed_at: int | None) -> ContactAdded:
    for name in ("tousername", "userid", "externaluserid", "createtime"):
        if not fields.get(name):
            raise Malformed(f"an added contact without {name}")
    if any(
        len(fields.get(n, "").encode()) > TEXT_LIMIT for n in ("tousername", "externaluserid", "welcomecode", "state")
    ):
        raise Malformed(f"an id, code or state of more than {TEXT_LIMIT} bytes")
    if len(fields["userid"].encode()) > ID_LIMIT:
        raise Malformed(f"a userid of more than {ID_LIMIT} bytes")
    created_at = seconds(fields["createtime"])
    if created_at is None:
        raise Malformed("a CreateTime that is no time")
    return ContactAdded(
        app=app,
        corp_id=fields["tousername"],
        change=CHANGES[fields["changetype"]],
        user_id=fields["userid"],
        external_user_id=fields["externaluserid"],
        created_at=created_at,
        welcome_code=fields.get("welcomecode", ""),
        state=fields.get("state", ""),
        rehearsal=fields.get("rehearsal", "") == "1",
        pushed_at=pushed_at,
    )


READERS: dict[tuple[str, str], Callable[[str, Mapping[str, str], int | None], ContactAdded]] = {
    # (Event, ChangeType), both: some change types occur under two events (docs 92130, 97299)
    ("change_external_contact", change): _contact_added
    for change in CHANGES
}


def _fields(document: bytes) -> dict[str, str]:
    """Lower-case name → text of the children of the root. Nested elements are left out."""
    if len(document) > BODY_LIMIT:
        raise Malformed(f"more than {BODY_LIMIT} bytes")
    try:
        document.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("not UTF-8") from None
    if b"\0" in document:
        raise Malformed("a NUL, as in UTF-16")
    start = document.removeprefix(b"\xef\xbb\xbf").lstrip()
    fields = _json_fields(start) if start.startswith(b"{") else _xml_fields(start)
    if any(_UNWANTED.search(text) for text in fields.values()):
        raise Malformed("a control character, or half a character")
    return fields


def _json_fields(document: bytes) -> dict[str, str]:
    try:
        value = json.loads(document)
    except (ValueError, RecursionError):
        raise Malformed("not well-formed JSON") from None
    return {
        key.lower(): str(item)
        for key, item in value.items()
        if (isinstance(item, str | int) and not isinstance(item, bool))
        or (isinstance(item, float) and key.lower() == "createtime")
    }


def _xml_fields(document: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    text: list[str] = []
    depth = elements = 0

    def start(name: str, _attributes: object) -> None:
        nonlocal depth, elements
        depth += 1
        elements += 1
        if depth > DEPTH_LIMIT or elements > ELEMENT_LIMIT:
            raise Malformed("more elements, or deeper ones, than WeCom sends")
        text.clear()

    def end(name: str) -> None:
        nonlocal depth
        if depth == 2:
            fields[name.lower()] = "".join(text).strip()
        depth -= 1
        text.clear()

    def refuse_dtd(*_: object) -> None:
        raise Malformed("a document type definition")

    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text.append
    parser.StartDoctypeDeclHandler = refuse_dtd
    try:
        parser.Parse(document, True)
    except expat.ExpatError:
        raise Malformed("not well-formed XML") from None
    return fields
