"""Checks of a book's texts: what WeCom would refuse, or would send differently than the author meant. Pure.

Each function yields messages that say what to do. The book's reader shows them by line, the console by field.
`known`: the placeholders of installed hooks; None for a stored text, whose hooks need not be installed any more.
"""

import re
import unicodedata
from collections.abc import Iterator

from tasks.messages import Message
from tasks.templates import limits
from tasks.templates.model import Tag
from tasks.templates.render import Known, barest, literal, longest, looks_like_placeholder, mistakes
from tasks.wecom.message_limits import GROUP_TEXT, REMARK, TAG, TEXT

NICKNAME = "%NICKNAME%"  # what WeCom itself replaces in a group welcome, doc 92366
UNSENDABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")  # controls but tab and line ends; surrogates
TAG_GROUP = "欢迎语"  # of a tag that is written without a group


def wrong_in_welcome(text: str, known: Known | None = None) -> Iterator[Message]:
    """The problems of a welcome's text, which may have placeholders."""
    wrong = [mistake.sentence for mistake in mistakes(text, known)]
    yield from wrong
    if not text.strip():
        yield Message.of("the text is empty; write one")
    elif not wrong and not barest(text).strip():
        yield Message.of("without a name the text would be empty; add a word, or a fallback to the placeholder")
    size = longest(text, known)
    if size > TEXT.most:
        yield Message.of(
            "the text has up to %(size)s bytes with the longest names, %(excess)s more than the %(limit)s that WeCom"
            " takes; shorten it by about %(characters)s Chinese characters (3 bytes each)",
            size=size,
            excess=size - TEXT.most,
            limit=TEXT.most,
            characters=limits.chinese_characters(size - TEXT.most),
        )


def wrong_in_group_welcome(text: str, known: Known | None = None) -> Iterator[Message]:
    """The problems of a group welcome's text, in which WeCom replaces only NICKNAME."""
    found = looks_like_placeholder(text, known)
    if found is not None:
        yield Message.of(
            "%(found)s would be sent just as it stands: in groups only %(word)s is replaced",
            found=found,
            word=NICKNAME,
        )
    long = limits.too_long(Message.of("the text"), text, GROUP_TEXT)
    if long is not None:
        yield long


def wrong_in_remark(text: str, known: Known | None = None) -> Iterator[Message]:
    """The problems of a remark, which may have placeholders, and is cut where names make it too long."""
    wrong = [mistake.sentence for mistake in mistakes(text, known)]
    if not text.strip():
        wrong.append(Message.of("the remark is empty; leave `remark` out"))
    long = limits.too_long(Message.of("the remark"), literal(text), REMARK)
    yield from wrong or ([] if long is None else [long])


def tag(text: str) -> Tag:
    """The Tag of a text: `group/tag`, or a tag alone."""
    group, slash, name = text.partition("/")
    return Tag(group.strip(), name.strip()) if slash else Tag(TAG_GROUP, group.strip())


def wrong_in_tag(text: str, known: Known | None = None) -> Iterator[Message]:
    """The problems of a tag as written."""
    literally = wrong_literally(text, known)
    if literally is not None:
        yield literally
    read = tag(text)
    if not read.group or not read.name:
        yield Message.of("a tag is written group/tag, or tag alone; this is “%(tag)s”", tag=text)
    for what, part in (
        (Message.of("the tag's group “%(group)s”", group=read.group), read.group),
        (Message.of("the tag “%(tag)s”", tag=read.name), read.name),
    ):
        long = limits.too_long(what, part, TAG)
        if long is not None:
            yield long


def wrong_in_name(name: str) -> Message | None:
    """The problem of a name of a template, group welcome or rule, which records, metrics and lines of text contain."""
    if not name.strip():
        return Message.of("give it a name that is not empty")
    if "|" in name or any(unicodedata.category(character).startswith("C") for character in name):
        return Message.of("the name has a | or an invisible control character; leave it out")
    return limits.too_long(Message.of("the name"), name, limits.NAME)


def wrong_literally(text: str, known: Known | None = None) -> Message | None:
    """The problem of a text that is sent as written but looks as if it had a placeholder."""
    found = looks_like_placeholder(text, known)
    if found is None:
        return None
    return Message.of(
        "%(found)s would be sent just as it stands: placeholders work in texts and remarks only", found=found
    )
