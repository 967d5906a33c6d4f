"""What several commands need: failures in one line, the app that is meant, Redis where it runs, a book of a file."""

import contextlib
import os
import pwd
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import click
import redis

from tasks import settings
from tasks.audit import Act, AuditTrail, Via
from tasks.books.files import Bundle, load
from tasks.services import AppServices, Services, build_services, reachable
from tasks.settings import App, Settings
from tasks.storage import connections, formats, redis_url, troubles
from tasks.storage.embedded import EmbeddedError, not_yours
from tasks.templates.model import Book
from tasks.templates.problems import BookError
from tasks.wecom import WeComAPIError, WeComError
from tasks.wecom.errors import CODES, HTTPRefused, NoAnswer, NotSent
from webhook.cli.terminal import say

Given = TypeVar("Given", str, str | None, tuple[str, ...])


def not_empty(_: click.Context, __: click.Parameter, value: Given) -> Given:
    """A click callback: refuses an option that is given, and empty, as an unset variable of a shell makes it."""
    given = value if isinstance(value, tuple) else (value,)
    if any(one is not None and not one.strip() for one in given):
        raise click.BadParameter("it is empty: give a member's userid, such as zhangsan.")
    return value


APP = click.option("--app", "app_name", metavar="NAME", help="Which app, where several are configured.")
APP_OF_ALL = click.option("--app", "app_name", metavar="NAME", help="Without effect: this is about all apps.")


AS_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


class Group(click.Group):
    """Lists its commands with their whole first sentences, on several lines where need be; click's own cuts them."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one.get_short_help_str(limit=1000)) for name, one in commands if one is not None]
            )


class CommandFailure(click.ClickException):
    """A failed command: one line on stderr, one for each mistake in settings or in a book; exit code 1."""

    def __init__(self, message: str, *further: str) -> None:
        super().__init__(message)
        self.lines = (message, *further)

    def show(self, file: Any = None) -> None:
        say(*(f"wecom-welcome: {line}" for line in self.lines), err=True)


class Misuse(CommandFailure):
    """A command that was typed wrongly: exit code 2, as click's own."""

    exit_code = click.UsageError.exit_code


def one_app(config: Settings, name: str | None) -> App:
    """The app that --app names, or the only one."""
    app = named_app(config, name)
    if app is not None:
        return app
    if len(config.apps) > 1:
        raise CommandFailure(f"several apps are configured; choose one with --app: {', '.join(config.apps)}")
    return next(iter(config.apps.values()))


def named_app(config: Settings, name: str | None) -> App | None:
    """The app that --app names; None if it was not given."""
    if name is not None and name not in config.apps:
        raise CommandFailure(f"no app {name} is configured; there are {', '.join(config.apps)}")
    return config.apps[name] if name is not None else None


def with_redis(config: Settings) -> Settings:
    """Settings with a REDIS_URL, as `found_redis`. Raises CommandFailure if a later release's state is there."""
    found = found_redis(config)
    with contextlib.suppress(redis.RedisError), connections.connect(str(found.redis_url), timeout=2, retries=0) as one:
        try:
            formats.refuse_later(one)
        except formats.FormatRefused as error:
            raise CommandFailure(str(error)) from None
    return found


def found_redis(config: Settings) -> Settings:
    """Settings with a REDIS_URL: the one that is set, or that of a running `up` in the data directory."""
    try:
        found = reachable(config)
    except EmbeddedError as error:
        raise CommandFailure(str(error)) from None
    if found is None:
        raise CommandFailure("no Redis: set REDIS_URL, or start `wecom-welcome up` with this data directory first")
    return found


def redis_failure(error: redis.RedisError, config: Settings | None = None) -> CommandFailure:
    """What is wrong with Redis, at which address, in the server's own words, and the cure."""
    config = config or settings.load()
    trouble = troubles.of(error)
    if config.redis_url is None and trouble.passes and not troubles.words(error):
        return CommandFailure(f"the embedded server {trouble.fault}; start `wecom-welcome up` with this data directory")
    if config.redis_url is None and not trouble.passes and not troubles.words(error):  # its socket is shut
        return CommandFailure(not_yours(config.data_dir))
    where = "the embedded server" if config.redis_url is None else f"Redis at {redis_url.read(config.redis_url)}"
    return CommandFailure(f"{where} {troubles.line(error)}; {trouble.cure}")


def connect(app_name: str | None) -> AppServices:
    """The services of the app that --app names, or of the only one."""
    config = with_redis(settings.load())
    return build_services(config).app(one_app(config, app_name).name)


def record(services: Services, act: Act, app: str = "", target: str = "", number: int | None = None) -> None:
    """Put what a command has done into the audit trail. `app` "": it was about all."""
    services.audit.record(act, account(), Via.COMMAND, app, target, number)


def record_if_possible(config: Settings, act: Act, app: str = "", target: str = "") -> None:
    """As `record`, for a command that needs no Redis: nothing is recorded where none is known. Never raises."""
    try:
        shared = connections.connect(str(with_redis(config).redis_url), timeout=2)
    except CommandFailure:
        return
    AuditTrail(shared).record(act, account(), Via.COMMAND, app, target)


def account() -> str:
    """Who runs the command: the account on this host, and who became it with sudo."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's number without a name
        name = str(os.getuid())
    before = os.environ.get("SUDO_USER")
    return f"{before} ({name})" if before and before != name else name


def moment(text: str | None, config: Settings, option: str = "--since") -> int:
    """ms of the value of --since, or of an option like it; 0 for none."""
    if text is None:
        return 0
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    try:
        if text[-1] in units and text[:-1].isdigit():
            at = datetime.now(config.timezone) - timedelta(seconds=int(text[:-1]) * units[text[-1]])
        else:
            at = datetime.fromisoformat(text)
            at = at if at.tzinfo else at.replace(tzinfo=config.timezone)
        return max(0, int(at.timestamp() * 1000))
    except (ValueError, OverflowError, IndexError):
        raise CommandFailure(f"{option} takes 30m, 2h, 7d, 2026-11-22 or 2026-11-22T10:30") from None


def current_revision(app: AppServices) -> int:
    """The number of the app's current book."""
    number = app.shared.books.current(app.name)
    if number is None:
        raise CommandFailure(f"no welcome book is stored for {app.name}; `templates import FILE` stores one")
    return number


def read_book(file: Path, lenient: bool = False) -> tuple[Book, Bundle]:
    """A book with its files, from a .yaml or .zip. `lenient`: see `load`."""
    try:
        return load(file, lenient)
    except OSError as error:
        raise CommandFailure(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandFailure(f"{file} is not UTF-8") from None
    except BookError as error:
        raise CommandFailure(*(f"{file}: {problem}" for problem in error.problems)) from None


def in_a_line(error: WeComError, cures: Mapping[int, str] = MappingProxyType({}), unsure: str = "try again") -> str:
    """What went wrong in a call of WeCom's API, and what to do about it.

    cures: of a command's own, by errcode; unsure: what to do where nobody knows whether it was done.
    """
    if isinstance(error, WeComAPIError):
        known = CODES.get(error.errcode)
        words = f"{known.meaning}: {known.cure}" if known else "doc 90313 lists the errcodes"
        return f"{error} ({cures.get(error.errcode, words)})"
    if isinstance(error, NotSent):
        return f"{error} (let this machine reach WECOM_API_BASE, or try again)"
    if isinstance(error, HTTPRefused):
        return f"{error} (there is no such path, or a gateway refuses: compare WECOM_API_BASE and the proxy)"
    return f"{error} ({unsure})" if isinstance(error, NoAnswer) else str(error)
