"""`wecom-welcome api METHOD`: every call of the WeCom client from the command line.

METHOD is the path below /cgi-bin/. Its options are the parameters of the client's method, and its help the docstring.
"""

import functools
import inspect
import json
import re
import sys
import textwrap
import time
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from tasks.wecom import WeComAPIError, WeComClient, WeComError
from tasks.wecom.calls import File
from tasks.wecom.catalogue import Entry, calls
from tasks.wecom.errors import CODES, NoAnswer, NotSent

Connect = Callable[[str | None], WeComClient]  # (--app's value) → the client of that app

PROGRESS = 2.0  # seconds between two lines of progress


class Failed(click.ClickException):
    """A call that failed: one line on stderr, exit code 1."""

    def show(self, file: Any = None) -> None:
        click.echo(f"wecom-welcome: {self.format_message()}", err=True)


class Api(click.Group):
    """A command for each call, made when it is asked for."""

    def __init__(self, connect: Connect) -> None:
        super().__init__(
            "api",
            help=_HELP,
            subcommand_metavar="METHOD [--name value ...]",
            context_settings={"token_normalize_func": lambda name: name.strip("/").replace("-", "_")},
            params=[_list_option()],
        )
        self._connect = connect

    @functools.cached_property
    def _calls(self) -> dict[str, Entry]:
        return calls()

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._calls)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self._calls.get(cmd_name)
        return None if entry is None else _command(entry, self._connect)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name = args[0].strip("/")
        if not name.startswith("-") and name not in self._calls:
            raise Failed(f"no such method: {name}; `wecom-welcome api --list` shows all{_like(name, self._calls)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise Failed(f"{error.format_message()} `wecom-welcome api METHOD --help` shows them all") from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """None: there are more than a screen holds, so `--list` shows them."""


_HELP = """Call WeCom's API as one of your apps, and print what it answers as JSON.

METHOD is the path below /cgi-bin/, and the options are its parameters. An option that is given again makes a list; an
object is JSON, or @FILE for JSON in a file.

\b
Examples:  wecom-welcome api --list
           wecom-welcome api externalcontact/get --help
           wecom-welcome api externalcontact/get --external_userid wmAAAA
           wecom-welcome api externalcontact/batch/get_by_user --userid_list zhangsan --userid_list lisi --all
           wecom-welcome api externalcontact/send_welcome_msg --template @welcome.json
           wecom-welcome api media/upload --type image --media @hello.png
"""


def _list_option() -> click.Option:
    def show(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
        if wanted:
            entries = calls().values()
            width = max(len(entry.path) for entry in entries)
            for entry in entries:
                click.echo(f"{entry.path:<{width}}  {entry.summary}")
            ctx.exit()

    return click.Option(["--list"], is_flag=True, is_eager=True, expose_value=False, callback=show, help="All methods.")


def _like(name: str, known: Mapping[str, Entry]) -> str:
    near = [path for path in known if path.endswith(f"/{name.rpartition('/')[2]}")]
    return f". Do you mean {' or '.join(near[:3])}?" if near else ""


# ------------------------------------------------------------------------------------------------ a method's command


class _Method(click.Command):
    """Shows its help in the lines in which it is written."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write("\n" + textwrap.indent(self.help or "", "  ") + "\n")


def _command(entry: Entry, connect: Connect) -> click.Command:
    about, rest = entry.described()
    laid_out = any("\n    " in text for text in about.values())  # then it is read as it is, above the options
    options = [_option(parameter, "" if laid_out else about.get(parameter.name, "")) for parameter in entry.parameters]
    needed = [parameter.name for parameter in entry.parameters if parameter.default is inspect.Parameter.empty]
    downloads = inspect.signature(entry.method).return_annotation is File
    if entry.each is not None:
        options.append(click.Option(["--all"], is_flag=True, help="Every page: one JSON item a line."))
    if downloads:
        options.append(
            click.Option(["--output"], required=True, metavar="FILE", help="Where the file goes; - prints it.")
        )
    options.append(click.Option(["--app", "app_name"], metavar="NAME", help="Which app, where several are configured."))

    def run(app_name: str | None, all: bool = False, output: str = "", **given: Any) -> None:
        arguments = {name: value for name, value in given.items() if value is not None or name in needed}
        client = connect(app_name)
        try:
            if all:
                _print_each(entry.of(client, every=True)(**arguments))
            elif downloads:
                _save(entry.of(client)(**arguments), output)
            else:
                _print(entry.of(client)(**arguments))
        except WeComError as error:
            raise Failed(_line(error)) from None
        finally:
            client.close()

    return _Method(
        entry.path, params=list(options), callback=run, help=entry.doc if laid_out else f"{entry.summary}\n\n{rest}"
    )


def _print(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=None if not sys.stdout.isatty() else 2))


def _print_each(items: Any) -> None:
    """A line each; on stderr how far it is, when it takes long."""
    count, told_at = 0, time.monotonic()
    for count, item in enumerate(items, 1):
        click.echo(json.dumps(item, ensure_ascii=False))
        if time.monotonic() - told_at > PROGRESS:
            told_at = time.monotonic()
            click.echo(f"{count} so far", err=True)
    click.echo(f"{count} in all", err=True)


def _save(file: File, output: str) -> None:
    if output == "-":
        sys.stdout.buffer.write(file.content)
        return
    try:
        Path(output).write_bytes(file.content)
    except OSError as error:
        raise Failed(f"cannot write {output}: {error.strerror}") from None
    _print({"filename": file.filename, "content_type": file.content_type, "size": file.size, "output": output})


def _line(error: WeComError) -> str:
    """What went wrong, and what to do about it."""
    cure = {NotSent: "let this machine reach WECOM_API_BASE, or try again", NoAnswer: "try again"}.get(type(error))
    if isinstance(error, WeComAPIError):
        known = CODES.get(error.errcode)
        cure = f"{known.meaning}: {known.cure}" if known else "see doc 90313 for this errcode"
    return f"{error}" + (f" ({cure})" if cure else "")


# ------------------------------------------------------------------------------------------------ options


def _option(parameter: inspect.Parameter, about: str) -> click.Option:
    wanted = _kinds(parameter.annotation)
    listed = next((kind for kind in wanted if typing.get_origin(kind) is Sequence), None)
    kind = _type(typing.get_args(listed) if listed else wanted)
    required = parameter.default is inspect.Parameter.empty and type(None) not in wanted
    shown = None if required or parameter.default is None else parameter.default

    def convert(ctx: click.Context, option: click.Parameter, value: Any) -> Any:
        return list(value) or None if listed else value

    return click.Option(
        [f"--{parameter.name}", parameter.name],
        type=kind,
        required=required,
        multiple=listed is not None,
        default=shown if listed is None else None,
        show_default=shown is not None,
        callback=convert,
        help=" ".join((*about.split(), *(["May be given again."] if listed else []))),
    )


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the one type."""
    return (
        typing.get_args(annotation)
        if typing.get_origin(annotation) in (types.UnionType, typing.Union)
        else (annotation,)
    )


def _type(kinds: tuple[Any, ...]) -> click.ParamType[Any]:
    if any(typing.get_origin(kind) is Mapping for kind in kinds):
        return _Object()
    if bytes in kinds:
        return _FileName()
    kind = kinds[0]
    return click.BOOL if kind is bool else click.INT if kind is int else click.STRING


class _Object(click.ParamType[Any]):
    """JSON, or @FILE for JSON in a file."""

    name = "json|@file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = value
        try:
            if value.startswith("@"):
                text = Path(value[1:]).read_text("utf-8")
            found = json.loads(text)
        except OSError as error:
            self.fail(f"cannot read {value[1:]}: {error.strerror}", param, ctx)
        except ValueError as error:
            self.fail(f"not JSON: {error}", param, ctx)
        if not isinstance(found, dict):
            self.fail('a JSON object is needed, such as {"text": {"content": "您好"}}', param, ctx)
        return found


class _FileName(click.ParamType[Any]):
    """@FILE, or FILE."""

    name = "@file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(re.sub("^@", "", value))
        if not path.is_file():
            self.fail(f"no file {path}", param, ctx)
        return path
