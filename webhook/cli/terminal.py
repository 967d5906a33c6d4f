"""All that commands print, in one place: what comes from outside ends no line and steers no terminal.

Names, States, messages of WeCom's and what was typed stand in lines of output; each is spelled as
`tasks.visible_text.escaped` has it. Commands print in no other way, but for the bytes of a file that goes to stdout.

Colours and progress are for people: on a terminal only, without colours where NO_COLOR says so, and with them in a file
where FORCE_COLOR does. With TERM=dumb there are neither.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from enum import Enum
from types import TracebackType
from typing import IO, Any

import click

from tasks.visible_text import escaped

_LIKE = {"✓": "√+", "✗": "×x"}  # for terminals without these signs, such as GBK: the marks must not look the same


class Colour(Enum):
    """What a colour says."""

    FINE = "green"
    REMARK = "yellow"
    WRONG = "red"


class Painted(str):
    """A part of a line in a colour. A mark that the terminal's encoding lacks becomes one that it has."""

    __slots__ = ("colour",)

    def __new__(cls, text: str, colour: Colour | None) -> "Painted":
        made = super().__new__(cls, text)
        made.colour = colour
        return made

    colour: Colour | None


def say(*lines: object, err: bool = False) -> None:
    """Print each as one line, whatever is in it: on stdout, or on stderr with `err`. A tuple is a line of parts."""
    stream = sys.stderr if err else sys.stdout
    coloured = _coloured(stream)
    for line in lines:
        parts = line if isinstance(line, tuple) else (line,)
        click.echo("".join(_part(one, coloured, stream.encoding) for one in parts), err=err, color=coloured)


def counted(number: int, noun: str) -> str:
    """The number and the noun, in the plural unless there is one.

    >>> counted(1, "rule"), counted(0, "rule")
    ('1 rule', '0 rules')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def marked(line: str) -> tuple[object, ...]:
    """A line that begins with one of the marks ✓ ✗ !, which has its colour; another as it is."""
    colour = {"✓": Colour.FINE, "✗": Colour.WRONG, "!": Colour.REMARK}.get(line[:1])
    return (line,) if colour is None else (Painted(line[0], colour), line[1:])


def say_json(value: object, indent: int | None = None) -> None:
    """Print a value as JSON on stdout: one line, unless it is indented. Read back it is the same value."""
    for line in json.dumps(value, ensure_ascii=False, indent=indent).split("\n"):
        click.echo(escaped(line))


def say_document(text: str) -> None:
    """Print a file's text: as it is where it is piped on, each of its lines escaped where it is looked at."""
    if not sys.stdout.isatty():
        click.echo(text, nl=not text.endswith("\n"))
        return
    for line in text.removesuffix("\n").split("\n"):
        click.echo("\t".join(map(escaped, line.split("\t"))))


def padded(text: str, width: int) -> str:
    """A column of so many places on a terminal, where a Chinese character takes two. What is longer stays whole."""
    line = escaped(text)
    return line + " " * (width - _places(line))


def _places(line: str) -> int:
    """How many places it takes on a terminal."""
    from wcwidth import wcswidth  # its tables take a while, and few commands print columns

    return max(0, wcswidth(line))


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines whose columns stand below each other; the last one is as long as it is. Each row has as many cells."""
    lines = [[escaped(cell) for cell in row] for row in rows]
    widths = [max(map(_places, column)) for column in list(zip(*lines, strict=True))[:-1]]
    return ["  ".join([*map(padded, line[:-1], widths), line[-1]]).rstrip() for line in lines]


class Progress:
    """How far long work is, on stderr where that is a terminal: one line, which goes at the end."""

    _EVERY = 0.2  # seconds

    def __init__(self, what: str, at_once: bool = False) -> None:
        """`at_once`: from the first call on; otherwise what is quick shows none."""
        self._what = what
        self._shown = sys.stderr.isatty() and not _is_dumb()
        self._next = time.monotonic() + (0 if at_once else self._EVERY)
        self._drawn = False

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._drawn:
            click.echo("\r\x1b[K", nl=False, err=True)

    def __call__(self, done: int, total: int | None = None) -> None:
        """Tell how much is done, of how much."""
        if not self._shown or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._EVERY
        self._drawn = True
        far = f"{done}" if not total else f"{min(100, 100 * done // total)} % ({done} of {max(done, total)})"
        click.echo(f"\r\x1b[K{self._what}: {far}", nl=False, err=True)


def _part(part: object, coloured: bool, encoding: str | None) -> str:
    text = escaped(str(part))
    if not isinstance(part, Painted):
        return text
    text = "".join(_like(one, encoding or "utf-8") for one in text)
    if part.colour is None or not coloured:
        return text
    styled: str = click.style(text, fg=part.colour.value, bold=True if part.colour is Colour.WRONG else None)
    return styled


def _like(character: str, encoding: str) -> str:
    """It, or something like it that the encoding has."""
    others: str = _LIKE.get(character, "")
    for one in character + others:
        try:
            one.encode(encoding)
        except UnicodeEncodeError:
            continue
        return one
    return "?"


def _coloured(stream: IO[Any]) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "") not in ("", "0"):
        return True
    return stream.isatty() and not _is_dumb()


def _is_dumb() -> bool:
    return os.environ.get("TERM") == "dumb"
