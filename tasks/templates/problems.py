"""Problems of a book: what is wrong, and where. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from tasks.messages import Message
from tasks.spelling import nearest

Path: TypeAlias = tuple[str | int, ...]  # keys and indexes from the root to a value


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem in a book. `line` and `column` count from 1.

    `path`: of the value, such as ("templates", "default", "attachments", 0, "link", "title"), also of a missing one;
    () for the whole book.
    """

    line: int
    column: int
    what: Message
    path: Path = ()

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.what}"


class BookError(ValueError):
    """A book is invalid. `problems`: all of its problems, from top to bottom."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def problem_at(mark: Any, what: Message, path: Path = ()) -> Problem:
    """A problem at a PyYAML mark; at line 1, column 1 where there is no mark."""
    return Problem(mark.line + 1, mark.column + 1, what, path) if mark else Problem(1, 1, what, path)


def did_you_mean(given: str, known: Iterable[str]) -> Message | str:
    """`; did you mean …?` where one of the known names is close, else ""."""
    meant = nearest(given, known)
    return "" if meant is None else Message.of("; did you mean %(name)s?", name=meant)
