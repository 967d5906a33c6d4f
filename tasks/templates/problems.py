"""What is wrong with a book, and where. Pure."""

from dataclasses import dataclass
from typing import Any

from tasks.messages import Message


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


def problem_at(mark: Any, what: Message) -> Problem:
    """A problem at a mark of PyYAML's; at the beginning where there is none."""
    return Problem(mark.line + 1, mark.column + 1, what) if mark else Problem(1, 1, what)
