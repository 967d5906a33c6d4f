"""Messages for people, in English with their values; translated where they are shown. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Message:
    """An English text with %(name)s for each of `values`; without values it is taken as it stands, as gettext does.

    A value that is itself a Message is translated too.
    """

    msgid: str
    values: Mapping[str, object] = field(default_factory=dict, hash=False)  # a mapping has none

    @classmethod
    def of(cls, msgid: str, /, **values: object) -> "Message":
        """Marks `msgid` for translation and takes its values: what `_()` is to a page, for code without a language."""
        return cls(msgid, values)

    def __str__(self) -> str:
        return self.msgid % self.values if self.values else self.msgid


def reason(error: Exception) -> Message:
    """What an exception was raised with: a Message, or any words."""
    first = error.args[0] if error.args else ""
    return first if isinstance(first, Message) else Message(str(error))


def translate(what: object, gettext: Callable[[str], str] = str) -> str:
    """A message in words: English, or what `gettext` makes of its msgid. Anything else is what it is."""
    if not isinstance(what, Message):
        return str(what)
    text = gettext(what.msgid)
    return text % {name: translate(value, gettext) for name, value in what.values.items()} if what.values else text
