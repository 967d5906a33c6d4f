"""Decrypted XML or JSON → an event of `tasks.events`. Pure. Docs 90930 (envelope), 92130 (events).

    body       → ciphertext   `read_ciphertext`: the one authenticated field of the outer document
    plaintext  → event        `parse`: a table of readers by (Event, ChangeType)

Both documents are flat. They come from outside, so a limit stands before each parser: bytes and depth, and for the
outer one, which nobody has signed yet, the number of elements; a DTD (and with it every entity) is refused. XML is what
WeCom sends; JSON of the same fields is tolerated, with keys of any case, since the vendor's own samples differ.

The outer document is taken strictly. The inner one is WeCom's own word, so a customer is not lost for a flaw in a part
that hardly matters: what is not UTF-8, as a State that was cut inside a character, is mended, and of an event of no
concern only the kind is read, whatever else it holds.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from xml.parsers import expat

from tasks.events import CHANGES, LATER_CHANGES, ContactAdded, ContactChanged

BODY_LIMIT = 512 * 1024
"""Bytes of a body. An added contact has less than 4 kB. The largest event is a group chat's with a list of its members:
2000 of them, four times what a customer group holds, with ids of 64 bytes (doc 90196) are 180 kB of XML and 240 kB in
Base64. Reading twice as much costs 10 ms and 3 MB."""
DEPTH_LIMIT = 32
ELEMENT_LIMIT = 512  # of the outer document, which has three
ID_LIMIT = 64  # bytes of a userid (doc 90196); external userids, codes and states are shorter than the next
TEXT_LIMIT = 1024
DETAIL_LIMIT = 64  # characters of why a contact was removed or not handed over: WeCom's words have 23 at most
ECHO = "rehearsal-"  # how our own verifications begin: what they bring says nothing of WeCom


_EXACT = ("tousername", "userid", "externaluserid", "welcomecode")  # of no use unless they are right to the last byte
_ECHO = re.compile(rb"[0-9A-Za-z._~=-]{1,64}")
_TIME = re.compile(r"[0-9]{1,20}(\.[0-9]{0,20})?(e\+?[0-9]{1,2})?", re.IGNORECASE)
_NO_SECONDS = 10**11  # from here on, the year 5138, it is milliseconds, or finer
_OUTER = frozenset({"encrypt"})  # the fields that are read, in lower case
_INNER = frozenset(
    {*_EXACT, "event", "changetype", "msgtype", "createtime", "state", "rehearsal", "source", "failreason"}
)
_CHINESE = re.compile(rb"""<\?xml[^>]{0,100}encoding=["'](gbk|gb2312|gb18030|big5)["']""", re.IGNORECASE)
_BROKEN = "\ufffd"  # what stands for bytes that are no character
_NO_XML = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_UNWANTED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # JSON can spell what XML cannot hold


class Malformed(ValueError):
    """Not a document that WeCom sends. The message says what is wrong, and holds nothing of the content."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A well-formed push that this product does not act on."""

    event: str
    change: str


def is_echo(message: bytes) -> bool:
    """Whether a decrypted `echostr` is one: WeCom's is a short random number (doc 90930).

    A captured push is signed and encrypted alike: sent as a verification, it would be decrypted for the sender.
    """
    return _ECHO.fullmatch(message) is not None


def read_ciphertext(body: bytes) -> str:
    """The text of `Encrypt` of a callback's body. Raise Malformed."""
    fields = _fields(body, _OUTER, ELEMENT_LIMIT)
    ciphertext = fields.get("encrypt", "")
    if _UNWANTED.search(ciphertext):
        raise Malformed("a control character, or half a character")
    if not ciphertext:
        raise Malformed("the body has no Encrypt element")
    return ciphertext


def parse(app: str, plaintext: bytes, pushed_at: int | None = None) -> ContactAdded | ContactChanged | Unknown:
    """The event in a decrypted message. `pushed_at`: the signed timestamp it came with. Raise Malformed."""
    try:
        fields = _fields(plaintext, _INNER)
    except Malformed:
        mended = _mended(plaintext)
        if mended == plaintext:
            raise
        fields = _fields(mended, _INNER)
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
    value = int(text) if text.isdigit() else int(Decimal(text))
    while value >= _NO_SECONDS:
        value //= 1000
    return value


def _contact_added(app: str, fields: Mapping[str, str], pushed_at: int | None) -> ContactAdded:
    created_at = _checked(fields)
    state = _UNWANTED.sub("", fields.get("state", "")).rstrip(_BROKEN)  # which WeCom cuts at 64 bytes (doc 97297)
    if len(state.encode()) > TEXT_LIMIT:
        raise Malformed(f"a state of more than {TEXT_LIMIT} bytes")
    return ContactAdded(
        app=app,
        corp_id=fields["tousername"],
        change=CHANGES[fields["changetype"]],
        user_id=fields["userid"],
        external_user_id=fields["externaluserid"],
        created_at=created_at,
        welcome_code=fields.get("welcomecode", ""),
        state=state,
        rehearsal=fields.get("rehearsal", "") == "1",
        pushed_at=pushed_at,
    )


def _contact_changed(app: str, fields: Mapping[str, str], pushed_at: int | None) -> ContactChanged:
    created_at = _checked(fields)
    detail = _UNWANTED.sub("", fields.get("source") or fields.get("failreason") or "")
    return ContactChanged(
        app=app,
        corp_id=fields["tousername"],
        change=fields["changetype"],
        user_id=fields["userid"],
        external_user_id=fields["externaluserid"],
        created_at=created_at,
        detail=detail[:DETAIL_LIMIT],
        pushed_at=pushed_at,
    )


def _checked(fields: Mapping[str, str]) -> int:
    """What is asked of every event of a contact. → its time, Unix seconds. Raises Malformed."""
    for name in ("tousername", "userid", "externaluserid", "createtime"):
        if not fields.get(name):
            raise Malformed(f"an event of a contact without {name}")
    if any(_BROKEN in fields.get(n, "") or _UNWANTED.search(fields.get(n, "")) for n in _EXACT):
        raise Malformed("an id or code with a control character, or half a character")
    if any(len(fields.get(n, "").encode()) > TEXT_LIMIT for n in _EXACT):
        raise Malformed(f"an id or code of more than {TEXT_LIMIT} bytes")
    if len(fields["userid"].encode()) > ID_LIMIT:
        raise Malformed(f"a userid of more than {ID_LIMIT} bytes")
    created_at = seconds(fields["createtime"])
    if created_at is None:
        raise Malformed("a CreateTime that is no time")
    return created_at


Reader = Callable[[str, Mapping[str, str], int | None], ContactAdded | ContactChanged]
READERS: dict[tuple[str, str], Reader] = {
    # (Event, ChangeType), both: some change types occur under two events (docs 92130, 97299)
    **{("change_external_contact", change): _contact_added for change in CHANGES},
    **{("change_external_contact", change): _contact_changed for change in LATER_CHANGES},
}


def _mended(document: bytes) -> bytes:
    """A signed document as UTF-8 without what no document may hold; bytes that are no character become U+FFFD.

    The document itself, where there is nothing to mend.
    """
    if b"\0" in document:
        return document
    text = document.decode("utf-8", "replace")
    declared = _CHINESE.match(document)
    if declared and _BROKEN in text:
        wider = "big5" if declared[1].lower() == b"big5" else "gb18030"  # holds the other two
        text = document.decode(wider, "replace")
    return _NO_XML.sub("", text).encode()


def _fields(document: bytes, names: Collection[str], elements: int | None = None) -> dict[str, str]:
    """Lower-case name → text of these children of the root. Nested elements are left out.

    elements: at most so many in all; None: as many as a body holds.
    """
    if len(document) > BODY_LIMIT:
        raise Malformed(f"more than {BODY_LIMIT} bytes")
    try:
        document.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("not UTF-8") from None
    if b"\0" in document:
        raise Malformed("a NUL, as in UTF-16")
    start = document.removeprefix(b"\xef\xbb\xbf").lstrip()
    return _json_fields(start, names) if start.startswith(b"{") else _xml_fields(start, names, elements)


def _json_fields(document: bytes, names: Collection[str]) -> dict[str, str]:
    try:
        value = json.loads(document)
    except (ValueError, RecursionError):
        raise Malformed("not well-formed JSON") from None
    return {
        key.lower(): str(item)
        for key, item in value.items()
        if key.lower() in names
        and (
            (isinstance(item, str | int) and not isinstance(item, bool))
            or (isinstance(item, float) and key.lower() == "createtime")
        )
    }


def _xml_fields(document: bytes, names: Collection[str], elements: int | None) -> dict[str, str]:
    fields: dict[str, str] = {}
    text: list[str] = []
    depth = count = 0

    def start(name: str, _attributes: object) -> None:
        nonlocal depth, count
        depth += 1
        count += 1
        if depth > DEPTH_LIMIT or (elements is not None and count > elements):
            raise Malformed("more elements, or deeper ones, than WeCom sends")
        text.clear()

    def end(name: str) -> None:
        nonlocal depth
        if depth == 2 and name.lower() in names:
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
