"""Reads the nodes of a book's YAML, and collects all their problems. Pure.

Every scalar is read as text and converted by its use, so `001`, `yes` and `21:30` mean what they look like.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

import yaml

from tasks.messages import Message, reason
from tasks.templates.keys import KEYS
from tasks.templates.problems import BookError, Path, Problem, did_you_mean, problem_at
from tasks.templates.texts import UNSENDABLE

T = TypeVar("T")


def line_of(node: yaml.Node) -> int:
    """The line of a node, from 1; 0 for a node that is not from a file."""
    return int(node.start_mark.line) + 1 if node.start_mark else 0


class Nodes:
    """Reads the nodes below a root, and collects their problems."""

    def __init__(self, root: yaml.Node) -> None:
        self.problems: list[Problem] = []
        self._root = root
        self._paths: dict[int, Path] = {}

    def parts(self, node: yaml.Node, kind: str, what: Message) -> dict[str, yaml.Node]:
        """The entries of a mapping whose keys KEYS lists under `kind`."""
        return dict(self.entries(node, what, KEYS[kind]))

    def entries(
        self, node: yaml.Node, what: Message, known: tuple[str, ...] | None = None
    ) -> Iterator[tuple[str, yaml.Node]]:
        """The entries of a mapping, in order; `known`: the keys that it may have."""
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, Message.of("%(what)s must be a mapping (name: value)", what=what))
            return
        seen = set()
        for key_node, value in node.value:
            key = self.text(key_node)
            if key in seen:
                self.wrong(key_node, Message.of("%(key)s is given twice", key=key))
            elif known is not None and key not in known:
                near = did_you_mean(key, known)
                self.wrong(
                    key_node,
                    Message.of(
                        "%(what)s has no `%(key)s`; there are %(known)s%(near)s",
                        what=what,
                        key=key,
                        known=", ".join(known),
                        near=near,
                    ),
                )
            else:
                seen.add(key)
                yield key, value

    def items(self, node: yaml.Node) -> list[yaml.Node]:
        """The items of a list; a single value is a list of one."""
        return list(node.value) if isinstance(node, yaml.SequenceNode) else [node]

    def text(self, node: yaml.Node) -> str:
        """A scalar as written; "", and a problem, for another node."""
        if not isinstance(node, yaml.ScalarNode):
            self.wrong(node, Message.of("must be a text"))
            return ""
        value = str(node.value)
        if UNSENDABLE.search(value):
            self.wrong(node, Message.of("a control character or half a character; WeCom takes neither, leave it out"))
            return ""
        return value

    def converted(self, node: yaml.Node, convert: Callable[[str], T]) -> T | None:
        """A scalar converted; None, and a problem, when `convert` raises ValueError."""
        if not isinstance(node, yaml.ScalarNode):
            self.wrong(node, Message.of("must be a single value"))
            return None
        if UNSENDABLE.search(str(node.value)):
            self.wrong(node, Message.of("a control character or half a character; leave it out"))
            return None
        try:
            return convert(str(node.value))
        except ValueError as error:
            self.wrong(node, reason(error))
            return None

    def wrong(self, node: yaml.Node, what: Message | None, *below: str | int) -> None:
        """Record a problem at a node; None: no problem. `below`: the rest of the path to a missing value."""
        if what is not None:
            self.problems.append(problem_at(node.start_mark, what, (*self._path(node), *below)))

    def _path(self, node: yaml.Node) -> Path:
        if not self._paths:
            self._paths = dict(_paths(self._root, ()))
        return self._paths[id(node)]

    def raise_problems(self) -> None:
        """Raise BookError if anything was wrong."""
        if self.problems:
            raise BookError(sorted(self.problems, key=lambda problem: (problem.line, problem.column)))


def _paths(node: yaml.Node, path: Path) -> Iterator[tuple[int, Path]]:
    """(id, path) of a node and of all below it; a key has its value's path."""
    yield id(node), path
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _paths(key, (*path, str(key.value)))
            yield from _paths(value, (*path, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _paths(item, (*path, number))
