"""Renders a template with a contact's names → the message that is sent. Pure.

    {customer}            the value, or nothing if it is unknown
    {customer|朋友}        the value, or 朋友
    {crm.level|会员}       of an installed package's hook (tasks.placeholders): the name has a dot
    {{ and }}             literal braces

Replaced in one pass: a value that contains {member} stays as it is. Values are cut to their limit, the author's text
never. Only texts and remarks have placeholders; attachments and tags are sent as written.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tasks.messages import Message
from tasks.templates import media_kind
from tasks.templates.model import (
    MSGTYPES,
    Attachment,
    Book,
    File,
    Image,
    Link,
    Media,
    MediaID,
    MiniProgram,
    PicURL,
    Template,
    Video,
    source,
)
from tasks.templates.problems import did_you_mean
from tasks.visible_text import head, plain, trimmed
from tasks.wecom.message_limits import REMARK, TEXT

CUSTOMER_CHARACTERS = 32
VALUE_BYTES = 64
HOOK_BYTES = 512  # of a hook's value at the very most; each placeholder of one declares its own limit
PLACEHOLDERS = ("customer", "member", "alias", "department", "position", "state", "corp", "date", "time")
ABOUT_CUSTOMER = frozenset({"customer"})
ABOUT_MEMBER = frozenset({"member", "alias", "position", "department"})
ALWAYS_KNOWN = frozenset({"date", "time"})

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}|]*)(?:\|([^{}]*))?\}|[{}]")
_OF_HOOK = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*", re.ASCII)
_LOOKS_LIKE_ONE = re.compile(rf"\{{(?:{'|'.join(PLACEHOLDERS)})(?:\|[^{{}}]*)?\}}")
_LONGEST = {"customer": 4 * CUSTOMER_CHARACTERS, "date": len("2026-10-01"), "time": len("21:30")}
# bytes of UTF-8, four for each character of a customer's name; all others: VALUE_BYTES


Known = Mapping[str, int]  # the placeholders of installed hooks, such as "crm.level" → bytes of the longest value

# ------------------------------------------------------------------------------------------------ text


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One {name|fallback} of a text; `fallback` "" when there is none."""

    name: str
    fallback: str


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something in a text that looks like a placeholder but is not one: `{name}`, or for an empty `name` a `brace`.

    `at` counts characters from 1. `known`: the placeholders of hooks that there are.
    """

    at: int
    name: str = ""
    brace: str = ""
    known: tuple[str, ...] = ()

    @property
    def sentence(self) -> Message:
        """The mistake as a message that says what to do."""
        if self.brace:
            return Message.of(
                "a single %(brace)s at character %(at)s; write %(twice)s for a brace that is to be sent",
                brace=self.brace,
                at=self.at,
                twice=self.brace * 2,
            )
        known = (*PLACEHOLDERS, *self.known)
        near = did_you_mean(self.name.strip().lower(), known)
        if of_hook(self.name) and not near:
            return Message.of(
                "no installed package provides {%(name)s}: install the one that does wherever wecom-welcome runs, or"
                " take the placeholder out; there are %(known)s",
                name=self.name,
                known=", ".join(known),
            )
        return Message.of(
            "no placeholder {%(name)s}; there are %(known)s%(near)s", name=self.name, known=", ".join(known), near=near
        )


def of_hook(name: str) -> bool:
    """Whether a placeholder's name is one that a hook may have."""
    return _OF_HOOK.fullmatch(name) is not None


def mistakes(text: str, known: Known | None = None) -> Iterator[Mistake]:
    """All mistakes of a text, in order. `known`: None for a stored text, whose hooks need not be installed any more."""
    for token in _TOKEN.finditer(text):
        if token.group() in ("{{", "}}"):
            continue
        if token.group(1) is None:
            yield Mistake(token.start() + 1, brace=token.group())
        elif (name := token.group(1)) not in PLACEHOLDERS and not (of_hook(name) if known is None else name in known):
            yield Mistake(token.start() + 1, name=name, known=tuple(known or ()))


def placeholders(text: str) -> list[Placeholder]:
    """The placeholders of a text, in order. ValueError names what is not one."""
    for mistake in mistakes(text):
        raise ValueError(mistake.sentence)
    found = (token for token in _TOKEN.finditer(text) if token.group() not in ("{{", "}}"))
    return [Placeholder(token.group(1), token.group(2) or "") for token in found]


def wanted(template: Template) -> frozenset[str]:
    """The names of the placeholders that a template's text uses."""
    return frozenset(placeholder.name for placeholder in placeholders(template.text))


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its placeholders replaced, by the fallback where a value is missing or shows nothing."""

    def replace(token: re.Match[str]) -> str:
        if token.group() in ("{{", "}}"):
            return token.group()[0]
        name = token.group(1)
        return cut(name, values.get(name, "")) or token.group(2) or ""

    return _TOKEN.sub(replace, text)


def cut(name: str, value: str) -> str:
    """A value cut to its limit: 32 characters for a customer's name, 64 bytes for all others but those of hooks.

    The values of hooks have been cut to the limits of their own before.
    Removes control characters, since WeCom answers 40033 to JSON escapes such as \\u0007, and characters that reorder
    the text after them. "" when nothing of the value is visible.
    """
    value = plain(value)
    if name == "customer":
        return trimmed(head(value, CUSTOMER_CHARACTERS))
    return trimmed(head(value, HOOK_BYTES if name and "." in name else VALUE_BYTES, lambda text: len(text.encode())))


def longest(text: str, known: Known | None = None) -> int:
    """The size of a text in bytes of UTF-8 with the longest possible values or fallbacks.

    known: None for a stored text: it was held to what its hooks declared then, so their values count for nothing.
    """
    limits = {**_LONGEST, **(known or {})}

    def most(name: str) -> int:
        return 0 if known is None and of_hook(name) else limits.get(name, VALUE_BYTES)

    def size(token: re.Match[str]) -> str:
        if token.group() in ("{{", "}}"):
            return "{"
        fallback = (token.group(2) or "").encode()
        return "x" * max(most(token.group(1) or ""), len(fallback))

    return len(_TOKEN.sub(size, text).encode())


def barest(text: str) -> str:
    """The text when nothing is known about member and customer: with fallbacks, and the date and time."""
    return fill(text, dict.fromkeys(ALWAYS_KNOWN, "0"))


def literal(text: str) -> str:
    """The author's own words in a text, without placeholders and their fallbacks."""
    return _TOKEN.sub(lambda token: token.group()[0] if token.group() in ("{{", "}}") else "", text)


def looks_like_placeholder(text: str, known: Known | None = None) -> str | None:
    """The first placeholder in a text that is sent as written; None if there is none."""
    found = _LOOKS_LIKE_ONE.search(text)
    if found is None and known:
        found = next((token for token in _TOKEN.finditer(text) if token.group(1) in known), None)
    return found.group() if found else None


def welcome_text(template: Template, values: Mapping[str, str]) -> str:
    """A template's text as a customer gets it. Doc 92137.

    Where it would be too long, it does without the values of hooks: a package that gives longer ones than it declared
    when the book was checked, or that declares longer ones by now, costs its own values and not the welcome.
    """
    filled = fill(template.text, values)
    if TEXT.size(filled) > TEXT.most:
        return fill(template.text, {name: value for name, value in values.items() if "." not in name})
    return filled


def remark(template: Template, values: Mapping[str, str]) -> str:
    """A template's remark, cut to WeCom's 20 characters; "" when there is none, or nothing of it shows. Doc 92115."""
    return trimmed(head(fill(template.then.remark, values).strip(), REMARK.most))


# ------------------------------------------------------------------------------------------------ attachments


@dataclass(frozen=True, slots=True, order=True)
class Upload:
    """A file that has to be uploaded to WeCom before a message can show it, and the way of uploading it.

    `how`: "url" through media/uploadimg, a permanent URL; "image", "video", "file" through media/upload by that type,
    a media id for three days. `name` is the file's name where a customer sees it (`how` "file"), else "".
    """

    sha256: str
    how: str
    name: str = ""

    @property
    def key(self) -> str:
        return f"{self.sha256}:{self.how}" + (f":{self.name}" if self.name else "")


Ready = Mapping[Upload, str]  # upload → URL or media id that can be sent now


def uploads(attachment: Attachment) -> tuple[Upload, ...]:
    """The possible uploads of an attachment's file, the best first; () when it needs no upload by us."""
    media = source(attachment)
    if not isinstance(media, Media):
        return ()
    if isinstance(attachment, File):
        return (Upload(media.sha256, "file", media.name),)
    if isinstance(attachment, Video):
        return (Upload(media.sha256, "video"),)
    temporary = Upload(media.sha256, "image")
    if isinstance(attachment, Image) and media_kind.fits_permanently(media):
        return (Upload(media.sha256, "url"), temporary)
    return (temporary,)


def stand_in(upload: Upload) -> Upload:
    """The upload of the media id that is shown as long as an image has no permanent URL."""
    return Upload(upload.sha256, "image")


def needed(book: Book) -> dict[Upload, Media]:
    """Every upload that a book needs → its file, in the book's order."""
    wanted: dict[Upload, Media] = {}
    for attachment in book.attachments():
        media = source(attachment)
        for upload in uploads(attachment)[:1]:
            if isinstance(media, Media):
                wanted.setdefault(upload, media)
    return wanted


def attached(attachment: Attachment, ready: Ready) -> dict[str, object] | None:
    """An attachment in WeCom's form (doc 92137); None while its file is not ready."""
    msgtype = MSGTYPES[type(attachment)]
    if isinstance(attachment, Link):
        optional = {"desc": attachment.desc, "picurl": attachment.picurl}
        link = {"title": attachment.title, "url": attachment.url} | {k: v for k, v in optional.items() if v}
        return {"msgtype": msgtype, msgtype: link}
    shown = _shown(attachment, ready)
    if shown is None:
        return None
    if isinstance(attachment, MiniProgram):
        program = {"title": attachment.title, "pic_media_id": shown["media_id"]}
        return {"msgtype": msgtype, msgtype: program | {"appid": attachment.appid, "page": attachment.page}}
    return {"msgtype": msgtype, msgtype: shown}


def _shown(attachment: Attachment, ready: Ready) -> dict[str, str] | None:
    given = source(attachment)
    if isinstance(given, PicURL):
        return {"pic_url": given.url}
    if isinstance(given, MediaID):
        return {"media_id": given.media_id}
    for upload in uploads(attachment):
        if upload in ready:
            return {"pic_url" if upload.how == "url" else "media_id": ready[upload]}
    return None


# ------------------------------------------------------------------------------------------------ message


def message(template: Template, values: Mapping[str, str], ready: Ready | None = None) -> dict[str, object]:
    """The body of `send_welcome_msg` without the welcome code; leaves out attachments that are not ready. Doc 92137."""
    body: dict[str, object] = {"text": {"content": welcome_text(template, values)}}
    attachments = [one for one in (attached(each, ready or {}) for each in template.attachments) if one is not None]
    if attachments:  # an empty list is refused
        body["attachments"] = attachments
    return body


def left_out(template: Template, ready: Ready) -> Iterator[str]:
    """A text for each attachment that is not ready: its number, type and file."""
    for number, attachment in enumerate(template.attachments, 1):
        media = source(attachment)
        if isinstance(media, Media) and attached(attachment, ready) is None:
            yield f"attachment {number} ({MSGTYPES[type(attachment)]} {media.path})"
