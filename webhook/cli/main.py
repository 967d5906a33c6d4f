"""The command line: `wecom-welcome`. Each command says in one line on stderr what to do when it fails."""

import io
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import click
import redis

from tasks import logs, settings
from tasks.audit import Act
from tasks.settings import SettingsError
from tasks.storage import connections
from tasks.storage.embedded import EmbeddedError
from tasks.wecom import WeComClient
from webhook.cli.alert import alert
from webhook.cli.api import Api
from webhook.cli.audit import audit
from webhook.cli.channels import channels
from webhook.cli.check import check
from webhook.cli.common import CommandFailure, Group, one_app, record_if_possible, redis_failure, with_redis
from webhook.cli.completion import completion
from webhook.cli.deliveries import deliveries
from webhook.cli.forwards import forwards
from webhook.cli.missed import missed
from webhook.cli.misuse import misuse
from webhook.cli.roles import role, up
from webhook.cli.simulate import simulate
from webhook.cli.state import backup, forget, restore
from webhook.cli.templates import templates
from webhook.cli.tokens import tokens


def _write_anything() -> None:
    """stdout and stderr take every character, whatever the locale (GBK, C).

    On a terminal, what it cannot show becomes a `?`. A file or a pipe gets UTF-8: it may be imported again.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            asked = stream.isatty() or "PYTHONIOENCODING" in os.environ
            stream.reconfigure(encoding=None if asked else "utf-8", errors="replace")


class _Group(Group):
    """Turns what commands raise into one line."""

    _typed: Sequence[str] = ()

    def main(self, *args: Any, **kwargs: Any) -> Any:
        _write_anything()
        return super().main(*args, **kwargs)

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **kwargs: Any) -> click.Context:
        self._typed = tuple(args)
        try:
            return super().make_context(info_name, args, *more, **kwargs)
        except click.UsageError as error:
            raise misuse(error, self, self._typed) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise misuse(error, self, self._typed) from None
        except SettingsError as error:
            raise CommandFailure(*(f"settings: {problem}" for problem in error.problems)) from None
        except EmbeddedError as error:
            raise CommandFailure(str(error)) from None
        except redis.RedisError as error:
            raise redis_failure(error) from None
        except KeyboardInterrupt:
            raise click.exceptions.Exit(128 + signal.SIGINT) from None
        except BrokenPipeError:  # `| head` has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left would fail at the end
            return None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="wecom-welcome")
def main() -> None:
    """Greets every customer who adds an employee on WeCom, inside the 20 seconds that its welcome code lives.

    Settings come from the environment and from .env in the working directory; deploy/README.md lists them.

    \b
    Example:  wecom-welcome up
              wecom-welcome templates import book.yaml
              wecom-welcome check
              wecom-welcome simulate
              wecom-welcome deliveries --since 1d
    """
    logs.escape_warnings()
    if logging.lastResort is not None:
        logging.lastResort.setLevel(logging.ERROR)  # a command's own line says what failed, and no warning beside it


def _client(app_name: str | None) -> WeComClient:
    """The client of the app that --app names, or of the only one. It shares its token where Redis is known."""
    config = settings.load()
    app = one_app(config, app_name)
    try:
        shared = connections.connect(str(with_redis(config).redis_url), timeout=2)
    except CommandFailure:
        shared = None
    return WeComClient(app.corp_id, app.secret, config.api_base, shared, proxy=config.proxy)


def _called(app_name: str | None, path: str) -> None:
    """Put a call into the audit trail, where Redis is known."""
    config = settings.load()
    record_if_possible(config, Act.CALLED_API, one_app(config, app_name).name, path)


for command in (
    up,
    role,
    check,
    simulate,
    deliveries,
    missed,
    forwards,
    templates,
    channels,
    backup,
    restore,
    forget,
    audit,
    tokens,
    completion,
    alert,
    Api(_client, _called),
):
    main.add_command(command)
