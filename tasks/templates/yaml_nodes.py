"""A YAML text → nodes with their places, and all that is wrong with them at once. Pure.

Every scalar is read as text and converted by what it is for, so `001`, `yes` and `21:30` mean what they look like.
Aliases and tags are refused: a book is data of its author's, not a program.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml

from tasks.messages import Message, reason

BOOK_LIMIT = 512 * 1024  # bytes, of which PyYAML reads some 400 000 a second; a book with a thousand rules has 200 000
DEPTH_LIMIT = 12  # of what lies in what; a book needs 7, and YAML's scanner is quadratic in it

TOO_DEEP = Message.of("deeper than %(limit)s levels; no book is", limit=DEPTH_LIMIT)

T = TypeVar("T")
_UNSENDABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")  # beside tab and line ends


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a book. `line` and `column` count from 1."""

    line: int
    column: int
    what: Message

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.what}"


class BookError(ValueError):
    """`problems`: all that is wrong with a book, from top to bottom."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


class _Loader(yaml.SafeLoader):
    """Composes nodes, and refuses what no book has: depth in the scanner already, which looks far ahead."""

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self._depth = 0

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        if self.flow_level >= DEPTH_LIMIT:
            raise BookError([_problem(self.get_mark(), TOO_DEEP)])
        super().fetch_flow_collection_start(token)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise BookError(
                [_problem(event.start_mark, Message.of("aliases and anchors are not used in a book; write it out"))]
            )
        if getattr(event, "tag", None):
            raise BookError([_problem(event.start_mark, Message.of("tags are not used in a book; leave it out"))])
        if self._depth >= DEPTH_LIMIT:
            raise BookError([_problem(event.start_mark, TOO_DEEP)])
        self._depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


def compose(source: str) -> yaml.Node:
    """The root node of a YAML text. Raises BookError for what is not YAML, or not a book's YAML."""
    if len(source.encode(errors="replace")) > BOOK_LIMIT:
        raise BookError([Problem(1, 1, Message.of("more than %(limit)s bytes", limit=BOOK_LIMIT))])
    try:
        root: yaml.Node | None = _Loader(source).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BookError([_problem(mark, Message.of("not YAML: %(why)s", why=error.problem or error.context))]) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, BookError):
            raise
        raise BookError([Problem(1, 1, Message.of("not YAML"))]) from None
    if root is None:
        raise BookError([Problem(1, 1, Message.of("the book is empty; it begins with `version: 1`"))])
    return root


def _problem(mark: Any, what: Message) -> Problem:
    return Problem(mark.line + 1, mark.column + 1, what) if mark else Problem(1, 1, what)


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
            self.problems.append(_problem(node.start_mark, what))

    def done(self) -> None:
        """Raise BookError if anything was wrong."""
        if self.problems:
            raise BookError(sorted(self.problems, key=lambda problem: (problem.line, problem.column)))
