"""A method of the WeCom client as a command: its docstring becomes the help, its parameters become options. Pure."""

import inspect
import json
import re
import textwrap
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from tasks.wecom.catalogue import Entry

WIDTH = 96  # columns of 100: help is indented
FULL = 95  # columns from which on a line of a docstring goes on in the next


def of(entry: Entry) -> tuple[str, list[click.Option]]:
    """(help, options). A docstring with a layout of its own stays as it is; else each option has its part of it."""
    about, rest = entry.described()
    laid_out = any("\n    " in text for text in about.values())
    if laid_out:
        help_ = "\b\n" + _narrow(entry.doc).replace("\n\n", "\n\n\b\n")
    else:
        help_ = "\n\n".join((entry.summary, *re.split(r"\n(?=Errors: )", rest)))
    return help_, [_option(p, "" if laid_out else about.get(p.name, "")) for p in entry.parameters]


def example(entry: Entry) -> str:
    """The command with the options that must be given, each with a value of its type."""
    values = {"boolean": "true", "integer": "1", _Object.name: "@body.json", _FileName.name: "@hello.png"}
    types_ = {p.name: _type(_element(p.annotation)).name for p in entry.parameters if p.name in entry.required}
    options = "".join(f" --{name} {values.get(type_, 'TEXT')}" for name, type_ in types_.items())
    line = f"Example:  wecom-welcome api {entry.path}{options}"
    return " \\\n".join(textwrap.wrap(line, WIDTH - 2, subsequent_indent=" " * 12, break_on_hyphens=False))


def _narrow(doc: str) -> str:
    """Its lines at most WIDTH wide: sentences are wrapped again, short lines stay."""
    lines = [""]
    full = True
    for line in doc.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        goes_on = full and line and not line.startswith(("→", "Errors: "))
        whole = f"{lines.pop()} {line.lstrip()}".lstrip() if goes_on else line
        lines += textwrap.wrap(whole, WIDTH, subsequent_indent=indent) or [""]
        full = len(line) > FULL
    return "\n".join(lines)


def _option(parameter: inspect.Parameter, about: str) -> click.Option:
    listed = _list_of(parameter.annotation) is not None
    needed = parameter.default is inspect.Parameter.empty and type(None) not in _kinds(parameter.annotation)
    default = {} if parameter.default in (None, inspect.Parameter.empty) else {"default": parameter.default}
    help_ = " ".join((*about.split(), *(["May be given again."] if listed else [])))
    return click.Option(
        [f"--{parameter.name}", parameter.name],
        type=_type(_element(parameter.annotation)),
        required=needed,
        multiple=listed,
        show_default=True,
        **default,
        callback=(lambda ctx, option, values: list(values) or None) if listed else None,
        help=help_[:1].upper() + help_[1:],
    )


# ------------------------------------------------------------------------------------------------ annotations


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the one type."""
    unions = (types.UnionType, typing.Union)
    return typing.get_args(annotation) if typing.get_origin(annotation) in unions else (annotation,)


def _list_of(annotation: Any) -> Any:
    """The type of the entries, None for what is no list."""
    lists = [kind for kind in _kinds(annotation) if typing.get_origin(kind) is Sequence]
    return typing.get_args(lists[0])[0] if lists else None


def _element(annotation: Any) -> tuple[Any, ...]:
    """The types of one value of the option."""
    listed = _list_of(annotation)
    return _kinds(annotation) if listed is None else (listed,)


def _type(kinds: tuple[Any, ...]) -> click.ParamType[Any]:
    if any(typing.get_origin(kind) is Mapping for kind in kinds):
        return _Object()
    if bytes in kinds:
        return _FileName()
    return click.BOOL if bool in kinds else click.INT if int in kinds else click.STRING


class _Object(click.ParamType[Any]):
    """JSON, or @FILE for JSON in a file."""

    name = "json|@file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            found = json.loads(Path(value[1:]).read_text("utf-8") if value.startswith("@") else value)
        except OSError as error:
            self.fail(f"cannot read {value[1:]}: {error.strerror}.", param, ctx)
        except ValueError as error:
            self.fail(f"not JSON: {error}.", param, ctx)
        if not isinstance(found, dict):
            self.fail("must be a JSON object.", param, ctx)
        return found


class _FileName(click.ParamType[Any]):
    """@FILE, or FILE."""

    name = "@file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(value.removeprefix("@"))
        if not path.is_file():
            self.fail(f"no file {path}.", param, ctx)
        return path
