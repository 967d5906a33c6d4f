"""WeCom's limits on what a book may hold, as numbers and as sentences that say what to do. Pure. Docs 92137, 92366."""

from tasks.messages import Message

TEXT_LIMIT = 4000  # bytes of UTF-8; doc 92137
GROUP_TEXT_LIMIT = 3000  # bytes; doc 92366 says 3000 for adding and 4000 for editing
ATTACHMENTS_LIMIT = 9  # doc 92137
GROUP_WELCOMES_LIMIT = 100  # of a corp, doc 92366
TITLE_LIMIT = 128  # bytes of a link's title, doc 92137
DESC_LIMIT = 512  # bytes
URL_LIMIT = 2048  # bytes; doc 92135 has it for group messages, doc 92137 has none
MINIPROGRAM_TITLE_LIMIT = 64  # bytes, doc 92137
PAGE_LIMIT = 1024  # bytes; none is documented
REMARK_LIMIT = 20  # characters, doc 92115
TAG_LIMIT = 30  # characters of a tag's or a group's name, doc 92117
NAME_LIMIT = 64  # characters of a template's or rule's name; ours


def too_many_bytes(what: Message, text: str, limit: int) -> Message | None:
    """What is wrong with a text that has more bytes of UTF-8 than WeCom takes."""
    size = len(text.encode())
    if size <= limit:
        return None
    return Message.of(
        "%(what)s has %(size)s bytes, %(excess)s more than the %(limit)s that WeCom takes"
        " (a Chinese character has 3); shorten it",
        what=what,
        size=size,
        excess=size - limit,
        limit=limit,
    )


def too_many_characters(what: Message, text: str, limit: int) -> Message | None:
    """What is wrong with a text that has more characters than WeCom takes."""
    if len(text) <= limit:
        return None
    return Message.of(
        "%(what)s has %(size)s characters, %(excess)s more than the %(limit)s that fit; shorten it",
        what=what,
        size=len(text),
        excess=len(text) - limit,
        limit=limit,
    )
