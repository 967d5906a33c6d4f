"""Every call of the client under its path below /cgi-bin/, for tools that are given a path at run time."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from .calls import path_of
from .client import ResourceOf, WeComClient


@dataclass(frozen=True, slots=True)
class Entry:
    """One call. `resource`: the client's attribute that has it; "" for the client itself."""

    path: str
    resource: str
    name: str
    method: Callable[..., Any]
    iterator: Callable[..., Any] | None  # of a paged call

    @property
    def parameters(self) -> list[inspect.Parameter]:
        return list(inspect.signature(self.method).parameters.values())[1:]

    @property
    def required(self) -> list[str]:
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
        """(parameter → what the docstring says about it, the rest of the docstring without its first line)."""
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

    def bind(self, client: WeComClient) -> Callable[..., Any]:
        """The call of a client."""
        call: Callable[..., Any] = getattr(self._holder(client), self.name)
        return call

    def bind_iterator(self, client: WeComClient) -> Callable[..., Any]:
        """The iterator of a client's paged call."""
        iterator: Callable[..., Any] = getattr(self._holder(client), f"iter_{self.name}")
        return iterator

    def _holder(self, client: WeComClient) -> Any:
        return getattr(client, self.resource) if self.resource else client


def calls() -> dict[str, Entry]:
    """Path → call, sorted by path."""
    resources = {name: value.resource for name, value in vars(WeComClient).items() if isinstance(value, ResourceOf)}
    found = [entry for name, holder in {"": WeComClient, **resources}.items() for entry in _entries(name, holder)]
    return {entry.path: entry for entry in sorted(found, key=lambda entry: entry.path)}


def _entries(resource: str, holder: Any) -> list[Entry]:
    methods = [(name, getattr(holder, name)) for name in dir(holder) if not name.startswith("_")]
    return [
        Entry(path_of(method), resource, name, method, getattr(holder, f"iter_{name}", None))
        for name, method in methods
        if path_of(method)
    ]
