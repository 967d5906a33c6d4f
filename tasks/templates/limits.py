"""How long the texts of a book may be, and the messages about longer ones. Pure.

WeCom's limits come from the client's table, tasks.wecom.message_limits; those below are our own.
"""

from tasks.messages import Message
from tasks.wecom.message_limits import FIELDS, Limit, Unit

NAME = Limit(64, Unit.CHARACTERS)  # of a template, group welcome or rule, in records and metrics
_OURS = {  # fields of an attachment that WeCom's documentation has no limit for
    "appid": Limit(64, Unit.BYTES),
    "page": Limit(1024, Unit.BYTES),
    "pic_url": Limit(2048, Unit.BYTES),
    "media_id": Limit(2048, Unit.BYTES),
}


def of_field(kind: str, name: str) -> Limit:
    """The limit of a field of an attachment, such as "link" and "title"."""
    return FIELDS[kind][name].limit or _OURS[name]


def too_long(what: Message, text: str, limit: Limit) -> Message | None:
    """What is wrong with a text that is longer than its limit; None if it is not."""
    size = limit.size(text)
    if size <= limit.most:
        return None
    if limit.unit is Unit.CHARACTERS:
        return Message.of(
            "%(what)s has %(size)s characters, %(excess)s more than the %(limit)s that fit; shorten it",
            what=what,
            size=size,
            excess=size - limit.most,
            limit=limit.most,
        )
    return Message.of(
        "%(what)s has %(size)s bytes, %(excess)s more than the %(limit)s that WeCom takes;"
        " shorten it by about %(characters)s Chinese characters (3 bytes each)",
        what=what,
        size=size,
        excess=size - limit.most,
        limit=limit.most,
        characters=chinese_characters(size - limit.most),
    )


def chinese_characters(size: int) -> int:
    """The number of Chinese characters (3 bytes each) that `size` bytes make, rounded up."""
    return -(-size // 3)
