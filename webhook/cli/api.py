"""`wecom-welcome api METHOD`: every call of the WeCom client from the command line.

METHOD is the path below /cgi-bin/. Its options are the parameters of the client's method, and its help the docstring.
"""

import functools
import inspect
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from tasks.spelling import nearest
from tasks.wecom import WeComClient, WeComError
from tasks.wecom.calls import DownloadedFile
from tasks.wecom.catalogue import Entry, calls
from webhook.cli import api_options
from webhook.cli.common import CommandFailure, in_a_line
from webhook.cli.terminal import say, say_json

Connect = Callable[[str | None], WeComClient]  # (--app's value) → the client of that app
Called = Callable[[str | None, str], None]  # (--app's value, path): told of each call that may have been made

PROGRESS = 2.0  # seconds between two lines of progress

HELP = """Call WeCom's API as one of your apps, and print what it answers as JSON.

METHOD is the path below /cgi-bin/; its options are its parameters. An option that is given again makes a list; an
object is JSON, or @FILE for JSON in a file.

\b
Example:  wecom-welcome api externalcontact/get --external_userid wmAAAA
          wecom-welcome api externalcontact/send_welcome_msg --template @welcome.json
          wecom-welcome api externalcontact/batch/get_by_user --userid_list a --userid_list b
          wecom-welcome api externalcontact/contact_list --all
          wecom-welcome api media/upload --type image --media @hello.png
"""


class Api(click.Group):
    """A command for each call, made when it is asked for."""

    def __init__(self, connect: Connect, called: Called) -> None:
        super().__init__(
            "api",
            help=HELP,
            subcommand_metavar="METHOD [--name value ...]",
            context_settings={"token_normalize_func": lambda name: name.strip("/").replace("-", "_")},
            params=[_list_option()],
        )
        self._connect = connect
        self._called = called

    @functools.cached_property
    def _calls(self) -> dict[str, Entry]:
        return calls()

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._calls)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self._calls.get(cmd_name)
        return None if entry is None else _command(entry, self._connect, self._called)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name = args[0].strip("/")
        if not name.startswith("-") and name not in self._calls:
            raise CommandFailure(
                f"no such method: {name}; `wecom-welcome api --list` shows all{_like(name, self._calls)}"
            )
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            command = error.ctx.info_name if error.ctx else "METHOD"
            raise CommandFailure(f"{error.format_message()} `wecom-welcome api {command} --help` shows more") from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """None: there are more than a screen holds, so `--list` shows them."""


def _list_option() -> click.Option:
    def show(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
        if wanted:
            entries = calls().values()
            width = max(len(entry.path) for entry in entries)
            for entry in entries:
                say(f"{entry.path:<{width}}  {entry.summary}")
            ctx.exit()

    return click.Option(
        ["--list"], is_flag=True, is_eager=True, expose_value=False, callback=show, help="Show all methods, and exit."
    )


def _like(name: str, known: Mapping[str, Entry]) -> str:
    near = [path for path in known if path.endswith(f"/{name.rpartition('/')[2]}")]
    near = near or list(filter(None, [nearest(name, known, 0.75)]))
    return f". Did you mean {' or '.join(near[:3])}?" if near else ""


# ------------------------------------------------------------------------------------------------ a method's command


def _command(entry: Entry, connect: Connect, called: Called) -> click.Command:
    help_, options = api_options.of(entry)
    downloads = inspect.signature(entry.method).return_annotation is DownloadedFile
    if entry.iterator is not None:
        options.append(click.Option(["--all"], is_flag=True, help="Every page: one JSON item a line."))
    if downloads:
        options.append(click.Option(["--output"], required=True, metavar="FILE", help="Where it goes; - prints it."))
    options.append(click.Option(["--app", "app_name"], metavar="NAME", help="Which app, where several are configured."))

    def run(app_name: str | None, all: bool = False, output: str = "", **given: Any) -> None:
        arguments = {name: value for name, value in given.items() if value is not None or name in entry.required}
        client = connect(app_name)
        try:
            if all:
                _print_each(entry.bind_iterator(client)(**arguments))
            elif downloads:
                _save(entry.bind(client)(**arguments), output)
            else:
                _print(entry.bind(client)(**arguments))
        except WeComError as error:
            raise CommandFailure(in_a_line(error)) from None
        finally:
            client.close()
            called(app_name, entry.path)

    return click.Command(
        entry.path, params=list(options), callback=run, help=help_, epilog=f"\b\n{api_options.example(entry)}"
    )


def _print(value: object) -> None:
    say_json(value, indent=2 if sys.stdout.isatty() else None)


def _print_each(items: Iterable[object]) -> None:
    """A line each; on stderr how far it is, when it takes long."""
    count, told_at = 0, time.monotonic()
    for item in items:
        say_json(item)
        count += 1
        if time.monotonic() - told_at > PROGRESS:
            told_at = time.monotonic()
            say(f"{count} so far", err=True)
    say(f"{count} in all", err=True)


def _save(file: DownloadedFile, output: str) -> None:
    if output == "-":
        sys.stdout.buffer.write(file.content)
        return
    try:
        Path(output).write_bytes(file.content)
    except OSError as error:
        raise CommandFailure(f"cannot write {output}: {error.strerror}") from None
    _print({"filename": file.filename, "content_type": file.content_type, "size": file.size, "output": output})
