"""WeCom's limits on what customers are sent, each once: how much, counted in what, and which page of its docs says so.

The client checks them before it sends anything (`content`, `media`); editors of messages can read them here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

MB = 1 << 20


class Unit(Enum):
    BYTES = "bytes"  # of UTF-8: a Chinese character has three
    CHARACTERS = "characters"
    ENTRIES = "entries"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many. `doc`: the page of WeCom's documentation, 0 where none is documented."""

    most: int
    unit: Unit
    doc: int = 0

    def size(self, text: str) -> int:
        """How much of it a text takes."""
        return len(text.encode(errors="replace")) if self.unit is Unit.BYTES else len(text)


@dataclass(frozen=True, slots=True)
class Field:
    """A text of an attachment. `limit` None: WeCom documents none."""

    required: bool = True
    limit: Limit | None = None


TEXT = Limit(4000, Unit.BYTES, 92137)
GROUP_TEXT = Limit(3000, Unit.BYTES, 92366)  # the page says 3000 for adding and 4000 for editing
ATTACHMENTS = Limit(9, Unit.ENTRIES, 92137)
GROUP_WELCOMES = Limit(100, Unit.ENTRIES, 92366)  # of a corp
URL = Limit(2048, Unit.BYTES, 92135)  # of group messages; taken to hold for their sisters too
REMARK = Limit(20, Unit.CHARACTERS, 92115)
TAG = Limit(30, Unit.CHARACTERS, 92117)  # a tag's name, and a group's

FIELDS: Mapping[str, Mapping[str, Field]] = {  # kind of attachment → its fields, doc 92137
    "image": {"media_id": Field(required=False), "pic_url": Field(required=False)},  # one of the two
    "link": {
        "title": Field(limit=Limit(128, Unit.BYTES, 92137)),
        "url": Field(limit=URL),
        "picurl": Field(required=False, limit=URL),
        "desc": Field(required=False, limit=Limit(512, Unit.BYTES, 92137)),
    },
    "miniprogram": {
        "title": Field(limit=Limit(64, Unit.BYTES, 92137)),
        "pic_media_id": Field(),
        "appid": Field(),
        "page": Field(),
    },
    "video": {"media_id": Field()},
    "file": {"media_id": Field()},
}

FILE_LEAST = 6  # bytes: more than five, doc 90253
FILE_MOST: Mapping[str, int] = {  # type of material → bytes, doc 90253
    "image": 10 * MB,
    "voice": 2 * MB,
    "video": 10 * MB,
    "file": 20 * MB,
}
PERMANENT_IMAGE_MOST = 2 * MB  # bytes of an image that gets a permanent URL, doc 90256
