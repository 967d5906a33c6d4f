"""Every call of the client by its path below /cgi-bin/, for tools that are given the path from outside."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from tasks.wecom.calls import path_of
from tasks.wecom.client import ChapterOf, WeComClient


@dataclass(frozen=True, slots=True)
class Entry:
    """One call. `chapter` is "" for the client's own calls."""

    path: str
    chapter: str
    name: str
    method: Callable[..., Any]
    each: Callable[..., Any] | None  # the iterator beside it, where it has pages

    @property
    def parameters(self) -> list[inspect.Parameter]:
        return list(inspect.signature(self.method).parameters.values())[1:]

    @property
    def needed(self) -> list[str]:
        """The names of the parameters without a default."""
        return [parameter.name for parameter in self.parameters if parameter.default is inspect.Parameter.empty]

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.method) or ""

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return self.doc.partition("\n")[0]

    def described(self) -> tuple[dict[str, str], str]:
        """(parameter → what the docstring says of it, the rest of the docstring without its first line)."""
        _, _, body = self.doc.partition("\n")
        about, arrow, rest = body.strip().partition("→")
        names = "|".join(re.escape(parameter.name) for parameter in self.parameters)
        heads = list(re.finditer(rf"(?:^|(?<=[.;]\s))((?:{names})(?:,\s(?:{names}))*):\s", about)) if names else []
        found = {
            name.strip(): about[head.end() : after.start() if after else None].strip()
            for head, after in zip_longest(heads, heads[1:])
            for name in head[1].split(",")
        }
        return found, arrow + rest

    def of(self, client: WeComClient, every: bool = False) -> Callable[..., Any]:
        """The call, or with `every` the iterator beside it, bound to a client."""
        holder = getattr(client, self.chapter) if self.chapter else client
        return getattr(holder, f"iter_{self.name}" if every else self.name)  # type: ignore[no-any-return]


def calls() -> dict[str, Entry]:
    """Path → call, in the order of the paths."""
    holders = {name: value.kind for name, value in vars(WeComClient).items() if isinstance(value, ChapterOf)}
    found = [entry for chapter, kind in {"": WeComClient, **holders}.items() for entry in _entries(chapter, kind)]
    return {entry.path: entry for entry in sorted(found, key=lambda entry: entry.path)}


def _entries(chapter: str, kind: Any) -> list[Entry]:
    methods = [(name, getattr(kind, name)) for name in dir(kind) if not name.startswith("_")]
    return [
        Entry(path_of(method), chapter, name, method, getattr(kind, f"iter_{name}", None))
        for name, method in methods
        if path_of(method)
    ]
