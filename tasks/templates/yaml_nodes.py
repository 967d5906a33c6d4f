"""Reads the nodes of a book's YAML, and gathers all that is wrong with them. Pure.

Every scalar is read as text and converted by what it is for, so `001`, `yes` and `21:30` mean what they look like.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import yaml

from tasks.messages import Message, reason
from tasks.templates.problems import BookError, Problem, problem_at

T = TypeVar("T")
_UNSENDABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")  # beside tab and line ends


def did_you_mean(given: str, known: Iterable[str]) -> Message | str:
    """`; did you mean …?` where one of the known names is close, else ""."""
    close = difflib.get_close_matches(given, list(known), n=1, cutoff=0.6)
    return Message.of("; did you mean %(name)s?", name=close[0]) if close else ""


def place(node: yaml.Node) -> int:
    """The line of a node, counted from 1."""
    return int(node.start_mark.line) + 1


class Nodes:
    """Reads nodes, and gathers what is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

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
        """A scalar as it is written; "" for what is none."""
        if not isinstance(node, yaml.ScalarNode):
            self.wrong(node, Message.of("must be a text"))
            return ""
        value = str(node.value)
        if _UNSENDABLE.search(value):
            self.wrong(node, Message.of("a control character or half a character; WeCom takes neither, leave it out"))
            return ""
        return value

    def converted(self, node: yaml.Node, convert: Callable[[str], T]) -> T | None:
        """A scalar converted; None, and a problem, when `convert` raises ValueError."""
        if not isinstance(node, yaml.ScalarNode):
            self.wrong(node, Message.of("must be a single value"))
            return None
        if _UNSENDABLE.search(str(node.value)):
            self.wrong(node, Message.of("a control character or half a character; leave it out"))
            return None
        try:
            return convert(str(node.value))
        except ValueError as error:
            self.wrong(node, reason(error))
            return None

    def wrong(self, node: yaml.Node, what: Message | None) -> None:
        """Note a problem at a node; None is none."""
        if what is not None:
            self.problems.append(problem_at(node.start_mark, what))

    def done(self) -> None:
        """Raise BookError if anything was wrong."""
        if self.problems:
            raise BookError(sorted(self.problems, key=lambda problem: (problem.line, problem.column)))
