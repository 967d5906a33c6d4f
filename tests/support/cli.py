"""The command line: its commands, and what they print, run in this process."""

from collections.abc import Iterator

import click
from click.testing import CliRunner, Result

from tasks.settings import VARIABLES
from webhook.cli.main import main

Words = tuple[str, ...]
SECRETS = (
    "WECOM_CORP_SECRET",
    "WECOM_TOKEN",
    "WECOM_ENCODING_AES_KEY",
    "CONSOLE_PASSWORD",
    "SECRET_KEY",
    "ALERT_WEBHOOK",
)


def all_commands(group: click.Group = main, path: Words = ()) -> Iterator[tuple[Words, click.Command]]:
    """(its words, it) of each command and each group, that of no words first; without the METHODs of `api`."""
    yield path, group
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from all_commands(command, (*path, name))
        else:
            yield (*path, name), command


def run(*arguments: str, **environ: str) -> Result:
    """Run a command with these settings and no others. Asserts that its output has no secret."""
    nothing: dict[str, str | None] = {variable.name: None for variable in VARIABLES}
    result = CliRunner().invoke(main, arguments, env=nothing | environ, prog_name="wecom-welcome")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    for secret in filter(None, map(environ.get, SECRETS)):
        assert secret not in result.stdout + result.stderr
    return result


def said(result: Result) -> list[str]:
    """The lines that a successful command prints to stdout."""
    assert result.exit_code == 0, result.stderr
    return result.stdout.splitlines()


def complaint(result: Result) -> str:
    """The message of a failing command: one line on stderr."""
    assert result.exit_code == 1, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("wecom-welcome: ")
    return line.removeprefix("wecom-welcome: ")


def complaints(result: Result) -> list[str]:
    """The messages of a failing command: a line on stderr for each mistake."""
    assert result.exit_code == 1, result.output
    lines = result.stderr.splitlines()
    assert all(line.startswith("wecom-welcome: ") for line in lines), lines
    return [line.removeprefix("wecom-welcome: ") for line in lines]


def failure(*arguments: str, **environ: str) -> str:
    return complaint(run(*arguments, **environ))
