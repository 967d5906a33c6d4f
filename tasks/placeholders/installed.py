"""The hooks of the packages that are installed beside us: entry points of the group `wecom_welcome.templates`.

They are loaded once in each process. One that cannot be loaded costs the values of its placeholders, nothing else.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from queue import Empty, SimpleQueue

from tasks.messages import Message
from tasks.placeholders.hook import Declared, Hook, read, used
from tasks.placeholders.raised import where
from tasks.templates.model import Book

log = logging.getLogger(__name__)

GROUP = "wecom_welcome.templates"
PATIENCE = 5.0  # seconds for the import of a package


@dataclass(frozen=True, slots=True)
class Installed:
    """The hooks by name, and those that cannot be used: entry point's name → what is wrong."""

    hooks: Mapping[str, Hook] = field(default_factory=dict)
    broken: Mapping[str, Message] = field(default_factory=dict)

    @property
    def declared(self) -> Mapping[str, Declared]:
        """The placeholders that are provided, by the name that texts have, such as "crm.level"."""
        return {name: one for hook in self.hooks.values() for name, one in hook.full_names.items()}

    @property
    def known(self) -> Mapping[str, int]:
        """The bytes of the longest value of each."""
        return {name: one.most for name, one in self.declared.items()}


@cache
def installed() -> Installed:
    """What is installed. Imports the packages when it is called first."""
    return load(metadata.entry_points(group=GROUP))


def unprovided(book: Book | None, live: Book | None) -> tuple[str, ...]:
    """The placeholders that a book uses and no package here provides, without those that the live book uses already:
    customers would get their fallbacks from now on.
    """
    wanted = used(book) if book is not None else frozenset()
    return tuple(sorted(wanted - installed().known.keys() - (used(live) if live is not None else frozenset())))


def load(points: Iterable[metadata.EntryPoint]) -> Installed:
    """The hooks of these entry points. What is wrong with one is logged, and raises nothing."""
    named: defaultdict[str, list[metadata.EntryPoint]] = defaultdict(list)
    for point in points:
        named[point.name].append(point)
    hooks: dict[str, Hook] = {}
    broken: dict[str, Message] = {}
    for name, found in sorted(named.items()):
        try:
            if len(found) > 1:
                packages = ", ".join(sorted(_package(one) for one in found))
                raise ValueError(Message.of("several packages have this name: %(packages)s", packages=packages))
            hooks[name] = _loaded(found[0])
        except ValueError as error:
            broken[name] = error.args[0]
            log.error("the placeholders of %s cannot be used: %s", name, error)
    return Installed(hooks, broken)


def _loaded(point: metadata.EntryPoint) -> Hook:
    """Its hook, imported in a thread, since an import may hang. ValueError with a Message says what is wrong."""
    answer: SimpleQueue[Hook | Message] = SimpleQueue()

    def work() -> None:
        try:
            given = point.load()
        except BaseException as error:  # noqa: BLE001 - code of somebody else's
            answer.put(Message.of("its import fails: %(error)s", error=where(error)))
            return
        try:
            answer.put(read(point.name, _package(point), given))
        except BaseException as error:  # noqa: BLE001 - asking a strange object for an attribute runs its code
            own = [one for one in error.args if isinstance(one, Message)]
            answer.put(own[0] if own else Message.of("its import fails: %(error)s", error=where(error)))

    threading.Thread(target=work, name=f"import {point.name}", daemon=True).start()
    try:
        found = answer.get(timeout=PATIENCE)
    except Empty:
        found = Message.of("its import takes longer than %(seconds)s s", seconds=f"{PATIENCE:.0f}")
    if isinstance(found, Message):
        raise ValueError(found)
    return found


def _package(point: metadata.EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value
