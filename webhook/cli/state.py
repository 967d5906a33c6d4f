"""`wecom-welcome backup`, `restore`, `forget`: state as a whole, and one customer's part of it."""

import signal
import sys
from pathlib import Path

import click
import redis

from tasks import lifeboat, settings
from tasks.audit import Act
from tasks.lifeboat.journal import has_events
from tasks.services import Services, build_services
from tasks.state import backup as storage
from tasks.state import erasure
from webhook.cli.common import APP, APP_OF_ALL, CommandFailure, named_app, record, with_redis
from webhook.cli.terminal import Progress, counted, say

PATIENCE = 30.0  # seconds for an answer of Redis: some values are files
STDOUT = Path("-")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE if it is there already.")
@APP_OF_ALL
def backup(file: Path, force: bool, app_name: str | None) -> None:
    """Write everything that is state to FILE: books with their history and media, the ledger, totals.

    Tokens and welcome codes are not in it. Customers' names and ids are: only its owner can read it, so keep it where
    that stays so. It may be made while everything runs. FILE is there whole or not at all. With - it goes to stdout.

    \b
    Example:  wecom-welcome backup welcome-2026-11-22.zip
              wecom-welcome backup - | ssh backups 'umask 077; cat > welcome.zip'
    """
    if file == STDOUT and sys.stdout.isatty():
        raise CommandFailure("a backup is no text for a terminal: `wecom-welcome backup FILE`, or pipe it on")
    services = _services(app_name)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # no half file stays
    try:
        with Progress("backing up") as progress:
            if file == STDOUT:
                count = storage.write(services.redis, sys.stdout.buffer, progress)
            else:
                count = storage.backup(services.redis, file, force, progress)
    except FileExistsError:
        raise CommandFailure(f"{file} exists already; choose another name, or replace it with --force") from None
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandFailure(f"{file}: {error.strerror}") from None
    record(services, Act.BACKED_UP, target=file.name, number=count)
    to_stdout = file == STDOUT
    say(f"{'stdout' if to_stdout else file}: {count} entries", err=to_stdout)
    if has_events(lifeboat.folder(services.settings)):
        said = "the lifeboat has events that are not in the ledger yet, and so not in this backup: make another soon"
        say(said, err=to_stdout)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace the state that is there already.")
@APP_OF_ALL
def restore(file: Path, force: bool, app_name: str | None) -> None:
    """Put a backup's state in place. Refused where there is state already, unless forced.

    Every value is checked before anything is replaced, and roles may go on running. Events that were unfinished when
    the backup was made come back as `expired`.

    \b
    Example:  wecom-welcome restore welcome-2026-11-22.zip
    """
    services = _services(app_name)
    try:
        with Progress("restoring") as progress:
            count = storage.restore(services.redis, file, force, progress)
    except KeyboardInterrupt:
        say("wecom-welcome: interrupted; run `restore --force` again, since a part may be in place", err=True)
        raise
    except storage.BackupError as error:
        raise CommandFailure(str(error)) from None
    except OSError as error:
        raise CommandFailure(f"{file}: {error.strerror}") from None
    except redis.OutOfMemoryError:
        raise CommandFailure("Redis is full: give it more memory, and run restore --force again") from None
    record(services, Act.RESTORED, target=file.name, number=count)
    say(f"{count} entries restored")


@click.command()
@click.argument("external_userid")
@APP
def forget(external_userid: str, app_name: str | None) -> None:
    """Erase what is kept about a customer, in every app unless --app names one. Totals stay.

    Backups that were made before still have it.

    \b
    Example:  wecom-welcome forget wmqfasd1e1927831291723123109r
    """
    services = _services(app_name)
    erased = erasure.forget(services.redis, external_userid, app_name)
    record(services, Act.FORGOT, app_name or "", number=erased)
    if not erasure.rewrite_log(services.redis):
        say(
            "! Redis' append-only file has it until it is rewritten: run BGREWRITEAOF, or have the provider do it",
            err=True,
        )
    say(f"{counted(erased, 'row')} erased" if erased else "nothing is kept about this customer")


def _services(app_name: str | None) -> Services:
    config = settings.load()
    named_app(config, app_name)
    return build_services(with_redis(config), timeout=PATIENCE)
