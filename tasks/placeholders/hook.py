"""A hook: placeholders that an installed package adds, and its function that gives their values. Pure.

`{crm.level}` is the placeholder `level` of the hook `crm`. What a package has to provide for it is described in
tasks/templates/README.md, "Placeholders of your own".
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tasks.messages import Message
from tasks.templates.model import Book
from tasks.templates.render import HOOK_BYTES, PLACEHOLDERS, VALUE_BYTES, placeholders
from tasks.visible_text import plain

MOST = 32  # placeholders of a hook
LABEL = 24  # characters of what the editor calls one
KEYS = ("bytes", "zh", "en", "example")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Request:
    """What a hook is asked about: a customer who was added. Never a welcome code, a token or a person's name.

    `names`: of the hook's placeholders that are wanted, such as "level". `add_way`: None where nothing else has asked
    WeCom for it (doc 92114). `received_at` has a time zone, WELCOME_TIMEZONE.
    """

    app: str
    corp_id: str
    user_id: str
    external_user_id: str
    state: str
    change: str  # one of tasks.events.CHANGES
    add_way: int | None
    received_at: datetime
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Declared:
    """A placeholder of a hook. `most`: bytes of its longest value. `zh`, `en`: its label in the editor."""

    most: int
    zh: str
    en: str
    example: str = ""


@dataclass(frozen=True, slots=True)
class Hook:
    """`package`: its distribution and version. `values`: see `read`; code of somebody else's, which may do anything."""

    name: str
    package: str
    placeholders: Mapping[str, Declared]  # by name, such as "level"
    values: Callable[[Request, float], Any] = field(repr=False)  # of an object that may show its secrets

    @property
    def full_names(self) -> Mapping[str, Declared]:
        """The placeholders by the name that texts have, such as "crm.level"."""
        return {f"{self.name}.{name}": one for name, one in self.placeholders.items()}


def used(book: Book) -> frozenset[str]:
    """The placeholders of hooks that a book's texts and remarks use, such as "crm.level"."""
    texts = (text for template in book.templates.values() for text in (template.text, template.then.remark))
    return frozenset(one.name for text in texts for one in placeholders(text)) - frozenset(PLACEHOLDERS)


def hook_of(name: str) -> str:
    """The hook of a placeholder: "crm" of "crm.level"."""
    return name.partition(".")[0]


def read(name: str, package: str, given: object) -> Hook:
    """The hook of what an entry point names. ValueError with a Message says what is wrong with it.

    given: has `placeholders`, a mapping of names to mappings with some of KEYS, and `values(request, seconds)`, which
    returns a mapping of names to texts.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            Message.of("the entry point's name has to be a to z, digits and _ after a letter, 32 characters at most")
        )
    declared, values = getattr(given, "placeholders", None), getattr(given, "values", None)
    if not isinstance(declared, Mapping) or not 0 < len(declared) <= MOST:
        raise ValueError(Message.of("`placeholders` has to be a mapping of 1 to %(most)s names", most=MOST))
    if not callable(values):
        raise ValueError(Message.of("`values(request, seconds)` is missing"))
    return Hook(name, package, {str(key): _declared(name, key, about) for key, about in declared.items()}, values)


def _declared(hook: str, name: object, about: object) -> Declared:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            Message.of("placeholder %(name)s: a name has a to z, digits and _ after a letter", name=str(name)[:40])
        )
    if not isinstance(about, Mapping) or set(about) - set(KEYS):
        known = ", ".join(KEYS)
        raise ValueError(Message.of("placeholder %(name)s: it is a mapping with %(known)s", name=name, known=known))
    most = about.get("bytes", VALUE_BYTES)
    if type(most) is not int or not 1 <= most <= HOOK_BYTES:
        raise ValueError(
            Message.of("placeholder %(name)s: `bytes` has to be 1 to %(most)s", name=name, most=HOOK_BYTES)
        )
    words = {key: about.get(key, "") for key in ("zh", "en", "example")}
    for key, text in words.items():
        if not isinstance(text, str) or (key != "example" and len(text) > LABEL):
            raise ValueError(
                Message.of(
                    "placeholder %(name)s: `%(key)s` has to be a text of up to %(most)s characters",
                    name=name,
                    key=key,
                    most=LABEL,
                )
            )
    zh, en = plain(words["zh"]), plain(words["en"])
    full = f"{hook}.{name}"
    return Declared(most, zh or en or full, en or zh or full, plain(words["example"]))
