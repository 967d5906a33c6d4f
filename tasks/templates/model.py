"""The welcome book as values. "Template" always means a message to a customer. Pure.

Book ── templates ── Template ── attachments ── Image | Link | MiniProgram | Video | File ── Media | PicURL | MediaID
     │                        └─ then ── FollowUp: tags, remark
     ├─ rules ── Rule ── when ── When: conditions, each () unless the rule has it
     │                └─ variants: what it uses
     └─ group_welcomes ── GroupWelcome
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from typing import TypeAlias

DEFAULT = "default"  # the template for customers that match no rule

# ------------------------------------------------------------------------------------------------ attachments


@dataclass(frozen=True, slots=True)
class Media:
    """A file of a book, by content: `kind` comes from its bytes (tasks.templates.media_kind), not its name."""

    path: str  # relative to the book, with /
    sha256: str  # 64 hex digits
    kind: str
    size: int  # bytes

    @property
    def name(self) -> str:
        """The file's name, which is the part of the path that a customer sees."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class PicURL:
    """An image's permanent URL, of media/uploadimg. Doc 90256."""

    url: str


@dataclass(frozen=True, slots=True)
class MediaID:
    """Temporary material that the author uploaded; it lives three days. Doc 90253."""

    media_id: str


@dataclass(frozen=True, slots=True)
class Image:
    source: Media | PicURL | MediaID


@dataclass(frozen=True, slots=True)
class Link:
    """`desc` and `picurl` are "" when there is none."""

    title: str
    url: str
    desc: str = ""
    picurl: str = ""


@dataclass(frozen=True, slots=True)
class MiniProgram:
    title: str
    appid: str
    page: str
    cover: Media | MediaID


@dataclass(frozen=True, slots=True)
class Video:
    source: Media | MediaID


@dataclass(frozen=True, slots=True)
class File:
    source: Media | MediaID


Attachment: TypeAlias = Image | Link | MiniProgram | Video | File
MSGTYPES: Mapping[type, str] = {  # WeCom's names (doc 92137), and the book's
    Image: "image",
    Link: "link",
    MiniProgram: "miniprogram",
    Video: "video",
    File: "file",
}


def source(attachment: Attachment) -> Media | PicURL | MediaID | None:
    """The file or image of an attachment, which has to be uploaded to WeCom; None for a link."""
    if isinstance(attachment, Link):
        return None
    return attachment.cover if isinstance(attachment, MiniProgram) else attachment.source


# ------------------------------------------------------------------------------------------------ templates


@dataclass(frozen=True, slots=True)
class Tag:
    group: str
    name: str


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What is done after the greeting. `remark` is "" when there is none; like a text it may have placeholders."""

    tags: tuple[Tag, ...] = ()
    remark: str = ""


NOTHING = FollowUp()


@dataclass(frozen=True, slots=True)
class Template:
    """A welcome: what the customer is sent."""

    name: str
    text: str
    attachments: tuple[Attachment, ...] = ()
    then: FollowUp = NOTHING


@dataclass(frozen=True, slots=True)
class GroupWelcome:
    """入群欢迎语素材, doc 92366. `text` "" or `item` None, but not both. WeCom replaces %NICKNAME% by the name."""

    name: str
    text: str
    item: Attachment | None = None


# ------------------------------------------------------------------------------------------------ rules


@dataclass(frozen=True, slots=True)
class Hours:
    """From `start` to before `end`, which is on the next day unless it is later. `end` None: midnight."""

    start: time
    end: time | None

    @property
    def over_midnight(self) -> bool:
        return self.end is not None and self.end <= self.start

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{'24:00' if self.end is None else f'{self.end:%H:%M}'}"


@dataclass(frozen=True, slots=True)
class Dates:
    """From `first` to `last`, both included."""

    first: date
    last: date

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}..{self.last}"


@dataclass(frozen=True, slots=True)
class When:
    """A rule's conditions: all must hold, each for any one of its values. (): the rule does not have the condition."""

    member: tuple[str, ...] = ()
    department: tuple[int, ...] = ()
    state: tuple[str, ...] = ()  # shell-style patterns
    hours: tuple[Hours, ...] = ()
    weekdays: tuple[int, ...] = ()  # Monday is 0
    dates: tuple[Dates, ...] = ()
    customer_type: tuple[str, ...] = ()  # wechat, wecom
    add_way: tuple[int, ...] = ()  # an open list, doc 92114
    change: tuple[str, ...] = ()  # values of tasks.events.CHANGES

    @property
    def always(self) -> bool:
        return self == ALWAYS


ALWAYS = When()


@dataclass(frozen=True, slots=True)
class Variant:
    """A template, and its share among the variants of a rule."""

    template: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Rule:
    """Who gets which template. `name`: "" if unnamed; `line`: in the book's file, 0 if there is none."""

    variants: tuple[Variant, ...]
    name: str = ""
    when: When = ALWAYS
    line: int = field(default=0, compare=False)

    def label(self, number: int) -> str:
        """Its name, else its number in the book from 1: how records and metrics refer to it."""
        return self.name or str(number)


@dataclass(frozen=True, slots=True)
class Book:
    """Every template and, in order, every rule of one app. The first rule that matches wins."""

    templates: Mapping[str, Template]
    rules: tuple[Rule, ...]
    group_welcomes: Mapping[str, GroupWelcome] = field(default_factory=dict)

    def attachments(self) -> Iterator[Attachment]:
        """All of them, of templates and group welcomes, in the order of the book."""
        for template in self.templates.values():
            yield from template.attachments
        for welcome in self.group_welcomes.values():
            if welcome.item is not None:
                yield welcome.item

    def media(self) -> dict[str, Media]:
        """Path → file, for every file that the book shows."""
        found = (source(attachment) for attachment in self.attachments())
        return {one.path: one for one in found if isinstance(one, Media)}


@dataclass(frozen=True, slots=True)
class Choice:
    """The template that an event gets, and why.

    `rule` is the rule's label, "" for the template `default` when none matches; `variant` is the template's name where
    the rule has several, else "".
    """

    template: Template
    rule: str
    variant: str = ""
