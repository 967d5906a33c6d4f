"""All that commands print, in one place: what comes from outside ends no line and steers no terminal.

Names, States, messages of WeCom's and what was typed stand in lines of output; each is spelled as
`tasks.visible_text.escaped` has it. Commands print in no other way, but for the bytes of a file
that `api` downloads to stdout.
"""

import json
import sys

import click

from tasks.visible_text import escaped


def say(*lines: object, err: bool = False) -> None:
    """Print each as one line, whatever is in it: on stdout, or on stderr with `err`."""
    for line in lines:
        click.echo(escaped(str(line)), err=err)


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
