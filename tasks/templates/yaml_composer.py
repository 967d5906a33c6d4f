"""Parses YAML text → nodes with their positions; refuses what is not YAML, or not a book's. Pure.

Aliases and tags are refused: a book is its author's data, not a program.
"""

import re
from collections.abc import Callable
from typing import Any

import yaml
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner

from tasks.messages import Message
from tasks.templates.problems import BookError, Problem, problem_at

try:
    from yaml._yaml import CParser
except ImportError:  # PyYAML was built without libyaml
    CParser = None  # type: ignore[misc, assignment]

BOOK_LIMIT = 512 * 1024  # bytes; a book with a thousand rules has 200 000
DEPTH_LIMIT = 12  # levels of nesting; a book needs 7, and YAML's scanner is quadratic in it

_ANOTHER = "but found another document"
_TOO_DEEP = Message.of("deeper than %(limit)s levels; no book is", limit=DEPTH_LIMIT)
_READ_DIFFERENTLY = re.compile(  # by libyaml: tabs, rare line ends, `? key`, a comment right after a block's indicator
    r"[\t\ufeff\x85\u2028\u2029]|(?:^|[\s\[{,:-])\?(?=\s|$|[\[\]{},])|[|>][-+\d]*#", re.MULTILINE
)


def compose(source: str) -> yaml.Node:
    """The root node of a YAML text. Raises BookError for what is not YAML, or not a book's YAML.

    libyaml, where PyYAML has it, is ten times as fast. It is used for valid books only: what it refuses, and what the
    two read differently, goes to PyYAML's own parser, so that a book is read alike everywhere, and refused with the
    same message at the same position.
    """
    if len(source.encode(errors="replace")) > BOOK_LIMIT:
        raise BookError([Problem(1, 1, Message.of("more than %(limit)s bytes", limit=BOOK_LIMIT))])
    root = _with_libyaml(source) or _in_python(source)
    if root is None:
        raise BookError([Problem(1, 1, Message.of("the book is empty; it begins with `version: 1`"))])
    return root


def _with_libyaml(source: str) -> yaml.Node | None:
    """The root node; None where PyYAML's own parser has to read it."""
    source = source.removeprefix("\ufeff")
    if CParser is None or _READ_DIFFERENTLY.search(source):
        return None
    try:
        root = _FastComposer(CParser(source)).root()
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    return root if isinstance(root, yaml.MappingNode) else None


def _in_python(source: str) -> yaml.Node | None:
    """The root node; None when there is no document. Raises BookError."""
    try:
        return _Composer(_PythonParser(source)).root()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BookError(
            [problem_at(mark, Message.of("not YAML: %(why)s", why=error.problem or error.context))]
        ) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, BookError):
            raise
        raise BookError([Problem(1, 1, Message.of("not YAML"))]) from None


# ------------------------------------------------------------------------------------------------ the parsers


class _PythonParser(Reader, Scanner, Parser):
    """A YAML text → events, by PyYAML's own parser."""

    def __init__(self, source: str) -> None:
        Reader.__init__(self, source)
        Scanner.__init__(self)
        Parser.__init__(self)

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        """Ends the text after a bracket nested too deep, which `_Composer` refuses: the scanner looks far ahead."""
        if self.flow_level > DEPTH_LIMIT:
            self.fetch_stream_end()
        else:
            super().fetch_flow_collection_start(token)


class _Composer:
    """Events → nodes without tags, since each scalar is read as text. Raises BookError for what no book has."""

    def __init__(self, parser: Any) -> None:
        self._next: Callable[[], Any] = parser.get_event

    def root(self) -> yaml.Node | None:
        """The root node of the only document; None when there is none."""
        self._next()  # the stream begins
        begun = self._next()
        if isinstance(begun, yaml.StreamEndEvent):
            return None
        node = self._node(self._next(), 0, in_flow=False)
        self._next()  # the document ends
        another = self._next()
        if not isinstance(another, yaml.StreamEndEvent):
            raise BookError([problem_at(another.start_mark, Message.of("not YAML: %(why)s", why=_ANOTHER))])
        return node

    def _node(self, event: Any, depth: int, in_flow: bool) -> yaml.Node:
        _refuse(event, depth)
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event, in_flow)
        flow_style, start = bool(event.flow_style), event.start_mark
        in_flow, depth = in_flow or flow_style, depth + 1
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(following := self._next(), yaml.SequenceEndEvent):
                items.append(self._node(following, depth, in_flow))
            end: Any = following.end_mark
            return yaml.SequenceNode("", items, start, end, flow_style=flow_style)
        entries = []
        while not isinstance(following := self._next(), yaml.MappingEndEvent):
            key = self._node(following, depth, in_flow)
            entries.append((key, self._node(self._next(), depth, in_flow)))
        end = following.end_mark
        return yaml.MappingNode("", entries, start, end, flow_style=flow_style)

    def scalar(self, event: Any, in_flow: bool) -> yaml.ScalarNode:
        """A text. `in_flow`: between brackets or braces."""
        return yaml.ScalarNode("", event.value, event.start_mark, event.end_mark, style=event.style)


class _FastComposer(_Composer):
    """The same from libyaml's events; raises ValueError where PyYAML's own parser would give others."""

    def scalar(self, event: Any, in_flow: bool) -> yaml.ScalarNode:
        if in_flow and not event.style and (not event.value or "?" in event.value):
            raise ValueError("PyYAML's own parser reads this differently")
        return super().scalar(event, in_flow)


def _refuse(event: Any, depth: int) -> None:
    """Raise BookError for a node that no book has."""
    if isinstance(event, yaml.AliasEvent) or event.anchor:
        raise BookError(
            [problem_at(event.start_mark, Message.of("aliases and anchors are not used in a book; write it out"))]
        )
    if event.tag:
        raise BookError([problem_at(event.start_mark, Message.of("tags are not used in a book; leave it out"))])
    if depth >= DEPTH_LIMIT:
        raise BookError([problem_at(event.start_mark, _TOO_DEEP)])
