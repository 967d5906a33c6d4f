"""A sentence that is said in more than one language: English on the terminal, the operator's in the console."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sentence:
    """An English text with %(name)s for each of `values`; without values it is taken as it stands, as gettext does.

    A value that is itself a Sentence is said in the same language.
    """

    msgid: str
    values: Mapping[str, object] = field(default_factory=dict, hash=False)  # a mapping has none

    def __str__(self) -> str:
        return self.msgid % self.values if self.values else self.msgid


def said(msgid: str, /, **values: object) -> Sentence:
    """Marks `msgid` for translation and takes its values: what `_()` is to a page, for code that knows no language."""
    return Sentence(msgid, values)


def reason(error: Exception) -> Sentence:
    """What an exception was raised with: a Sentence, or any words."""
    first = error.args[0] if error.args else ""
    return first if isinstance(first, Sentence) else Sentence(str(error))
