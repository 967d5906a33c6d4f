"""The welcome book as a YAML file: text → Book, with line, column and cure for everything that is wrong. Pure.

Every scalar is read as text and converted by what it is for, so `001`, `yes` and `21:30` mean what they look like.
Aliases and tags are refused: a book is data of its author's, not a program.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from tasks.templates.model import Book, Rule, Template
from tasks.templates.render import TEXT_LIMIT, fill, longest, placeholders

BOOK_LIMIT = 1024 * 1024  # bytes
DEPTH_LIMIT = 16  # levels; YAML's own reader takes quadratic time for each
VERSION = "1"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a book. `line` and `column` count from 1."""

    line: int
    column: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.what}"


class BookError(ValueError):
    """`problems`: all that is wrong with a book."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def read(source: str) -> Book:
    """The book in a YAML text. Raises BookError."""
    if len(source.encode()) > BOOK_LIMIT:
        raise BookError([Problem(1, 1, f"more than {BOOK_LIMIT} bytes")])
    try:
        depth = 0
        for event in yaml.parse(source, Loader=yaml.SafeLoader):
            mark = event.start_mark
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEPTH_LIMIT:
                raise BookError([_problem(mark, f"more than {DEPTH_LIMIT} levels deep")])
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise BookError([_problem(mark, "aliases and anchors are not used in a book; write it out")])
            if getattr(event, "tag", None):
                raise BookError([_problem(mark, "tags are not used in a book; leave it out")])
        root = yaml.compose(source, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BookError([_problem(mark, f"not YAML: {error.problem or error.context}")]) from None
    except (yaml.YAMLError, RecursionError):
        raise BookError([Problem(1, 1, "not YAML")]) from None
    if root is None:
        raise BookError([Problem(1, 1, "the book is empty; it begins with `version: 1`")])
    reader = _Reader()
    book = reader.book(root)
    if reader.problems:
        raise BookError(sorted(reader.problems, key=lambda problem: (problem.line, problem.column)))
    return book


def _problem(mark: Any, what: str) -> Problem:
    return Problem(mark.line + 1, mark.column + 1, what) if mark else Problem(1, 1, what)


class _Reader:
    """Walks the nodes of one book and gathers its problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def book(self, root: yaml.Node) -> Book:
        parts = dict(self.entries(root, "the book", ("version", "templates", "rules")))
        if "version" not in parts or self.text(parts["version"]) != VERSION:
            self.wrong(parts.get("version", root), f"`version: {VERSION}` is required")
        for part in ("templates", "rules"):
            if part not in parts:
                self.wrong(root, f"`{part}` is missing")
        templates = dict(self.templates(parts["templates"])) if "templates" in parts else {}
        rules = tuple(self.rules(parts["rules"], templates)) if "rules" in parts else ()
        return Book(templates, rules)

    def templates(self, node: yaml.Node) -> Iterator[tuple[str, Template]]:
        for name, body in self.entries(node, "templates"):
            parts = dict(self.entries(body, f"template {name}", ("text",)))
            if "text" not in parts:
                self.wrong(body, f"template {name} has no text")
                continue
            text = self.text(parts["text"])
            try:
                placeholders(text)
            except ValueError as error:
                self.wrong(parts["text"], str(error))
                yield name, Template(name, text)
                continue
            if not fill(text, {}).strip():
                self.wrong(
                    parts["text"], f"the text of {name} is empty when no name is known; add a word or a fallback"
                )
            elif (size := longest(text)) > TEXT_LIMIT:
                self.wrong(
                    parts["text"],
                    f"the text of {name} has up to {size} bytes with the longest names, {size - TEXT_LIMIT} more than"
                    f" the {TEXT_LIMIT} that WeCom takes (a Chinese character has 3); shorten it",
                )
            yield name, Template(name, text)

    def rules(self, node: yaml.Node, templates: dict[str, Template]) -> Iterator[Rule]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self.wrong(node, "`rules` is a list of at least one rule, such as `- use: default`")
            return
        for item in node.value:
            parts = dict(self.entries(item, "a rule", ("name", "use")))
            if "use" not in parts:
                self.wrong(item, "a rule needs `use: TEMPLATE`")
                continue
            use = self.text(parts["use"])
            if use not in templates:
                self.wrong(parts["use"], f"no template is called {use}; there are {', '.join(templates) or 'none'}")
            yield Rule(use, self.text(parts["name"]) if "name" in parts else "")

    def entries(
        self, node: yaml.Node, what: str, known: tuple[str, ...] | None = None
    ) -> Iterator[tuple[str, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, f"{what} must be a mapping (name: value)")
            return
        seen = set()
        for key_node, value in node.value:
            key = self.text(key_node)
            if key in seen:
                self.wrong(key_node, f"{key} is given twice")
            elif known is not None and key not in known:
                self.wrong(key_node, f"{what} has no `{key}`; there are {', '.join(known)}")
            else:
                seen.add(key)
                yield key, value

    def text(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self.wrong(node, "must be a text")
            return ""
        return str(node.value)

    def wrong(self, node: yaml.Node, what: str) -> None:
        self.problems.append(_problem(node.start_mark, what))
