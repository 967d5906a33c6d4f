"""`wecom-welcome up` and `role`: the whole system under supervision, or one role of it in the foreground."""

import contextlib
import logging
import os
import sys
import time
from importlib import metadata

import click
import redis

from tasks import logs, settings
from tasks.books.media_store import MediaFull
from tasks.liveness import Stamp, open_stamp
from tasks.settings import Settings
from tasks.storage import connections, formats, keys, redis_url, troubles
from webhook.cli.common import APP_OF_ALL, CommandFailure, found_redis, named_app, read_book, redis_failure
from webhook.cli.terminal import say

log = logging.getLogger(__name__)

LISTEN_WITHIN = 2.0  # seconds for the web role before this one to let go of the port


@click.command()
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", metavar="PORT", default=8000, show_default=True, type=click.IntRange(1, 65535), help="The port."
)
@APP_OF_ALL
def up(host: str, port: int, app_name: str | None) -> None:
    """The whole system on one machine, supervised.

    Starts an embedded Redis (unless REDIS_URL is set), the web side, the workers and the schedule. A process that dies
    is back within two seconds. SIGTERM or Ctrl-C: no new events, what is in flight is finished, then it ends.

    \b
    Example:  wecom-welcome up --host 0.0.0.0 --port 8000
    """
    from webhook.cli import supervisor

    config = settings.load()
    named_app(config, app_name)
    _check_books(config)
    _refuse_useless_redis(config)
    logs.set_up(config.log_level, config.log_format, "up", config.timezone)
    try:
        supervisor.up(config, host, port, lambda line: say(line, err=True), _role_of_up, _stamp(config))
    except supervisor.StartError as error:
        raise CommandFailure(*map(str, error.args)) from None


@click.command()
@click.argument("name", metavar="web|welcome|upkeep|beat", type=click.Choice(["web", "welcome", "upkeep", "beat"]))
@click.option(
    "--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="web: the address to listen on."
)
@click.option(
    "--port", metavar="PORT", default=8000, show_default=True, type=click.IntRange(1, 65535), help="web: the port."
)
@APP_OF_ALL
def role(name: str, host: str, port: int, app_name: str | None) -> None:
    """One role in the foreground: what compose, systemd and Kubernetes start.

    web takes WeCom's callbacks, welcome greets, upkeep does all that is slow, beat keeps the schedule. They meet in
    Redis alone: set REDIS_URL to the same server for all four.

    \b
    Example:  wecom-welcome role welcome
    """
    config = found_redis(settings.load())
    named_app(config, app_name)
    _refuse_wrong_redis(config)
    if name == "web":
        _refuse_taken_place(config, host, port)
    else:
        _check_books(config)
    _play(name, config, host, port, _stamp(config), beginning(name, config, host, port))


def beginning(name: str, config: Settings, host: str, port: int) -> str:
    """What a role says first; for a log that would else be empty until a customer comes."""
    from webhook.server.addresses import places

    begins = f"role {name} of wecom-welcome {metadata.version('wecom-welcome')} begins"
    if name == "web":
        begins += " on " + ", ".join(dict.fromkeys(f"http://{place}" for place, _ in places(config, host, port)))
    return begins if config.redis_url is None else f"{begins}, with Redis at {redis_url.read(config.redis_url)}"


def _role_of_up(name: str, config: Settings, host: str, port: int, stamp: Stamp) -> None:
    """A role in a process that `up` has forked. Ends it with what would be the command's exit code."""
    try:
        _play(name, config, host, port, stamp)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


def _play(name: str, config: Settings, host: str, port: int, stamp: Stamp, begins: str = "") -> None:
    logs.set_up(config.log_level, config.log_format, name, config.timezone)
    if begins:
        log.info("%s", begins)
    if name == "web":
        for line in settings.unknown():
            log.warning("%s", line)
        for file in settings.exposed():  # here, and once: every installation has this role
            log.warning("every user of this host can read or write %s, which has secrets: chmod o= %s", file, file)
        os.environ["WEB_CONCURRENCY"] = str(config.web_processes)  # an empty one ends gunicorn's import
        with stamp.starting():
            from gunicorn import util

            from webhook import local_address
            from webhook.server.web import serve

        local_address.record(config.data_dir, host, port)
        util._setproctitle = _keep_title
        serve(config, host, port, stamp)
        return
    with stamp.starting():
        from celery import platforms

        from tasks import workers

    platforms._setproctitle = None
    try:
        {"welcome": workers.welcome, "upkeep": workers.upkeep_worker, "beat": workers.beat}[name](config, stamp)
    except MediaFull as error:
        raise CommandFailure(f"the welcome book cannot be imported: {error}") from None


def _keep_title(_: str) -> None:
    """In place of gunicorn's own, and Celery's: with theirs, no list of processes says which role one plays."""


def _stamp(config: Settings) -> Stamp:
    """Where this process shows that it works. Raises CommandFailure if that is a file which cannot be written."""
    try:
        file = open_stamp(config.liveness_file) if config.liveness_file is not None else None
    except OSError as error:
        said = f"WELCOME_LIVENESS_FILE: cannot write {config.liveness_file} ({error.strerror})"
        raise CommandFailure(said) from None
    return Stamp(file, config.notify_socket)


def _refuse_taken_place(config: Settings, host: str, port: int) -> None:
    """Raises CommandFailure if the web role cannot listen, unless one that ends just now lets go of the port."""
    from webhook.server.addresses import refused_place

    by = time.monotonic() + LISTEN_WITHIN
    while (taken := refused_place(config, host, port)) is not None:
        if time.monotonic() > by:
            raise CommandFailure(taken)
        time.sleep(0.1)


def _refuse_wrong_redis(config: Settings) -> None:
    """Raises CommandFailure for a cluster or a later release's state. Whatever else is wrong is waited out.

    The web role greets meanwhile; each role looks again at the state once Redis answers (`Services.regularly`).
    """
    with contextlib.suppress(redis.RedisError):
        _look_at_redis(config)


def _refuse_useless_redis(config: Settings) -> None:
    """Raises CommandFailure for one that needs another REDIS_URL or other users before it is of use.

    One that is away, or full, or a replica for the moment, is waited for.
    """
    try:
        _look_at_redis(config)
    except redis.RedisError as error:
        if not troubles.of(error).passes:
            raise redis_failure(error, config) from None


def _look_at_redis(config: Settings) -> None:
    """Settle the format of what is stored. Raises CommandFailure for a cluster, and for a later release's state.

    Raises redis.RedisError for one that takes no write.
    """
    if config.redis_url is None:
        return
    with connections.connect(config.redis_url, timeout=1, retries=0) as client:
        if connections.is_cluster(client):
            raise CommandFailure(connections.CLUSTER)
        try:
            formats.settle(client)
        except formats.FormatRefused as error:
            raise CommandFailure(str(error)) from None
        client.set(keys.PROBE, 1, ex=60)


def _check_books(config: Settings) -> None:
    for app in config.apps.values():
        if app.book is not None:
            try:
                read_book(app.book, lenient=True)  # a package that is missing must not keep anybody from greeting
            except CommandFailure as error:
                raise CommandFailure(*(f"WELCOME_BOOK of app {app.name}: {line}" for line in error.lines)) from None
