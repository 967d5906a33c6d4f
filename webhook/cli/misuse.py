"""A command that was typed wrongly, in one line: what is wrong, what was probably meant, where the help is.

click's own message takes three lines, and the whole help where a command's name is missing.
"""

from collections.abc import Iterable, Sequence

import click
from click.exceptions import NoArgsIsHelpError

from tasks.spelling import nearest
from webhook.cli.common import Misuse

_NUMBERS = (click.IntRange, click.FloatRange)


def misuse(error: click.UsageError, root: click.Group, typed: Sequence[str]) -> Misuse:
    """`typed`: the words after the program's name, which say in which command it is where click does not."""
    path, command = _command(root, typed)
    if error.ctx is not None:
        path, command = _path(error.ctx), error.ctx.command
    return Misuse(f"{_what(error, root, command)} See `{' '.join(('wecom-welcome', *path))} --help`.")


def _path(ctx: click.Context) -> list[str]:
    """The names of the commands, without the program's."""
    return [] if ctx.parent is None else [*_path(ctx.parent), str(ctx.info_name)]


def _command(root: click.Group, typed: Sequence[str]) -> tuple[list[str], click.Command]:
    """(its names, the innermost command that the words name)."""
    path: list[str] = []
    command: click.Command = root
    for word in typed:
        if not isinstance(command, click.Group) or word not in command.commands:
            break
        command = command.commands[word]
        path.append(word)
    return path, command


def _what(error: click.UsageError, root: click.Group, command: click.Command) -> str:
    if isinstance(error, NoArgsIsHelpError) and isinstance(command, click.Group):
        if not command.commands:  # `api`: too many to be listed
            return f"Which METHOD? `wecom-welcome {command.name} --list` shows all."
        return f"Which command? There are {', '.join(command.commands)}."
    if isinstance(error, click.NoSuchCommand) and isinstance(command, click.Group):
        return f"No such command {error.command_name!r}.{_meant(error.command_name, command.commands)}"
    if isinstance(error, click.NoSuchOption):
        known = [name for one in command.params for name in (*one.opts, *one.secondary_opts) if name.startswith("--")]
        if command is root and error.option_name in ("--app", "--json"):
            return f"The option {error.option_name} belongs after the command."
        return f"No such option {error.option_name}.{_meant(error.option_name, known)}"
    if isinstance(error, click.MissingParameter) and error.param is not None and not error.message:
        kind = error.param.type
        if isinstance(kind, click.Choice):
            return f"{_name(error)} needs one of {', '.join(map(str, kind.choices))}."
        return f"{_name(error)} is missing."
    if isinstance(error, click.BadParameter) and error.param is not None:
        return _wrong_value(error, error.param)
    said = " ".join(error.format_message().split())
    return said if said.endswith((".", "?", "!")) else f"{said}."


def _wrong_value(error: click.BadParameter, param: click.Parameter) -> str:
    kind, said = param.type, " ".join(error.message.split())
    if isinstance(kind, click.Choice) and "is not one of" in said:
        choices = [str(choice) for choice in kind.choices]
        given = said.partition(" is not one of")[0].strip("'")
        return f"{_name(error)} takes {', '.join(choices)}, and not {given!r}.{_meant(given, choices)}"
    if isinstance(kind, _NUMBERS) and ("is not a valid" in said or "is not in the range" in said):
        given = said.partition(" is not ")[0].strip("'")
        return f"{_name(error)} takes {_range(kind)}, and not {given!r}."
    return f"{_name(error)}: {said}"


def _range(kind: click.IntRange | click.FloatRange) -> str:
    whole = "a whole number" if isinstance(kind, click.IntRange) else "a number"
    if kind.min is not None and kind.max is not None:
        return f"{whole} from {kind.min} to {kind.max}"
    return f"{whole}, {kind.min} or more" if kind.min is not None else whole


def _name(error: click.BadParameter) -> str:
    """As it is typed: --port, FILE. Of an argument with choices the name of its command, which takes one of them."""
    param = error.param
    assert param is not None
    if isinstance(param, click.Option):
        return max(param.opts, key=len)
    if isinstance(param.type, click.Choice) and error.ctx is not None:
        return f"`{error.ctx.info_name}`"
    return param.make_metavar(error.ctx or click.Context(click.Command(None))).strip("[]")


def _meant(given: str, known: Iterable[str]) -> str:
    meant = nearest(given, known)
    return f" Did you mean {meant}?" if meant else ""
