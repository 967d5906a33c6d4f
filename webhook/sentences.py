"""Sentences (tasks.sentences) in a language."""

from collections.abc import Callable

from tasks.sentences import Sentence, said

__all__ = ["Sentence", "said", "say"]


def say(what: object, gettext: Callable[[str], str] = str) -> str:
    """A sentence in words: English, or what `gettext` makes of its msgid. Anything else is what it is."""
    if not isinstance(what, Sentence):
        return str(what)
    text = gettext(what.msgid)
    return text % {name: say(value, gettext) for name, value in what.values.items()} if what.values else text
