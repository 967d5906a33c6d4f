"""What a customer sees of a welcome: the messages, one after the other, as WeChat shows them. Pure.

The text comes from the worker's own renderer (tasks.templates.render), so that what is previewed is what is sent.
Each text and each attachment is a message of its own (doc 92137). pages/welcomes/_phone.html draws them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from tasks.templates.limits import chinese_characters
from tasks.templates.model import MSGTYPES, Attachment, GroupWelcome, Link, Media, MediaID, MiniProgram, PicURL, source
from tasks.templates.model import Template as Welcome
from tasks.templates.render import Known, longest, welcome_text
from tasks.templates.texts import NICKNAME
from tasks.wecom.message_limits import GROUP_TEXT, TEXT

AT_WECOM = "WeCom"  # where a picture is that has a media_id
NEARLY = 0.9  # of a limit: from here on it is worth a warning

_KEPT_INLINE = ("JPG", "PNG")  # kinds that a page shows as a picture


# ------------------------------------------------------------------------------------------------ messages


@dataclass(frozen=True, slots=True)
class Bubble:
    """One message. `kind`: text, image, link, miniprogram, video or file.

    `text` is what is read: the text itself, a title, a file's name. `detail`: a link's description, a file's kind.
    `picture`: sha256 of a picture that is kept here, "" for none; `elsewhere`: the host that has it, or AT_WECOM.
    `target`: where a tap leads: a link's host, a mini-program's page. `size`: bytes of a file, 0 if not known.
    """

    kind: str
    text: str = ""
    detail: str = ""
    picture: str = ""
    elsewhere: str = ""
    target: str = ""
    size: int = 0


def bubbles(template: Welcome, values: Mapping[str, str]) -> list[Bubble]:
    """The messages of a welcome, in the order in which they arrive.

    values: placeholder → value, as `Lookup.values` gives them; what is missing gives its fallback.
    """
    return list(_messages(welcome_text(template, values), template.attachments))


def group_bubbles(welcome: GroupWelcome, nickname: str) -> list[Bubble]:
    """The same for a group welcome, whose only placeholder is WeCom's own %NICKNAME%."""
    items = () if welcome.item is None else (welcome.item,)
    return list(_messages(welcome.text.replace(NICKNAME, nickname), items))


def _messages(text: str, attachments: Iterable[Attachment]) -> Iterator[Bubble]:
    if text.strip():
        yield Bubble("text", text)
    for attachment in attachments:
        yield _bubble(attachment)


def _bubble(attachment: Attachment) -> Bubble:
    kind = MSGTYPES[type(attachment)]
    if isinstance(attachment, Link):
        elsewhere = host(attachment.picurl)
        return Bubble(kind, attachment.title, attachment.desc, "", elsewhere, host(attachment.url))
    shown = source(attachment)
    media = shown if isinstance(shown, Media) else None
    picture = media.sha256 if media is not None and media.kind in _KEPT_INLINE and kind != "file" else ""
    elsewhere = host(shown.url) if isinstance(shown, PicURL) else ""
    if isinstance(shown, MediaID) and shown.media_id:
        elsewhere = AT_WECOM
    if isinstance(attachment, MiniProgram):
        return Bubble(kind, attachment.title, attachment.appid, picture, elsewhere, attachment.page)
    name, what, size = (media.name, media.kind, media.size) if media is not None else ("", "", 0)
    return Bubble(kind, name, what, picture, elsewhere, size=size)


def host(url: str) -> str:
    """The host of a URL; "" for what has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


# ------------------------------------------------------------------------------------------------ customers


MEMBER: Mapping[str, str] = {
    "member": "张伟",
    "alias": "小张",
    "department": "华东销售部",
    "position": "客户经理",
    "corp": "某某公司",
    "state": "douyin-0801",
}
LONGEST_NAME = "阳光总在风雨后🌸平凡之路一直走🌈岁月静好不负韶华🎉愿你我都好呀呀"  # CUSTOMER_CHARACTERS of them
CUSTOMERS: Mapping[str, str] = {"ordinary": "王芳", "nameless": "", "longest": LONGEST_NAME}


def samples(at: datetime, own: Mapping[str, str] | None = None) -> dict[str, dict[str, str]]:
    """ordinary, nameless, longest → the values of a customer with a name, without one, and with the longest one.

    own: examples of placeholders of packages, which know nothing of a customer without a name.
    """
    moment = {"date": at.date().isoformat(), "time": at.strftime("%H:%M")}
    return {
        key: {**MEMBER, **moment, **((own or {}) if name else {}), "customer": name} for key, name in CUSTOMERS.items()
    }


# ------------------------------------------------------------------------------------------------ counting


@dataclass(frozen=True, slots=True)
class TextLength:
    """How much of a limit of WeCom's a text takes, in bytes of UTF-8."""

    size: int
    limit: int

    @property
    def over(self) -> int:
        return max(0, self.size - self.limit)

    @property
    def characters_over(self) -> int:
        """How many Chinese characters have to go: three bytes each."""
        return chinese_characters(self.over)

    @property
    def tone(self) -> str:
        return "bad" if self.over else "warn" if self.size >= NEARLY * self.limit else "plain"


def count(text: str, known: Known | None = None) -> TextLength:
    """The worst case of a welcome's text: with the longest names or fallbacks. `known`: placeholders of packages."""
    return TextLength(longest(text, known), TEXT.most)


def group_count(text: str) -> TextLength:
    """Of a group welcome's text, without the name that WeCom puts in."""
    return TextLength(GROUP_TEXT.size(text), GROUP_TEXT.most)
