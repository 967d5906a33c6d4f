"""The command line: `wecom-welcome`. Each command says in one line on stderr what to do when it fails."""

import json
import logging
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import click
import redis

from tasks import logs, settings
from tasks.ledger.delivery import OUTCOMES, Delivery, FollowUpState, Outcome
from tasks.media.uploads import MediaFull
from tasks.messages import translate
from tasks.settings import App, Settings, SettingsError
from tasks.storage import connections
from tasks.storage.embedded import EmbeddedError
from tasks.wecom import WeComClient
from webhook.cli.api import Api
from webhook.cli.channels import channels
from webhook.cli.common import APP, CommandFailure, Misuse, named_app, one_app, read_book, with_redis
from webhook.cli.missed import missed
from webhook.cli.shutdown_signal import ShutdownSignal
from webhook.cli.state import backup, forget, restore
from webhook.cli.templates import templates
from webhook.delivery_record import reason_text, record
from webhook.reason_texts import describe


class _Group(click.Group):
    """Turns what commands raise into one line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:  # click's own takes three lines
            command = error.ctx.command_path if error.ctx else "wecom-welcome"
            raise Misuse(f"{error.format_message()} See `{command} --help`.") from None
        except SettingsError as error:
            raise CommandFailure("\n".join(f"settings: {problem}" for problem in error.problems)) from None
        except EmbeddedError as error:
            raise CommandFailure(str(error)) from None
        except redis.RedisError as error:
            raise CommandFailure(
                f"Redis does not answer ({type(error).__name__}): is it running, is REDIS_URL right?"
            ) from None
        except BrokenPipeError:
            sys.stderr.close()
            return None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="wecom-welcome")
def main() -> None:
    """Greets every customer who adds an employee on WeCom, inside the 20 seconds that its welcome code lives.

    Settings come from the environment and from .env in the working directory; deploy/README.md lists them.

    \b
    Example:  wecom-welcome up
    """


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="The port.")
@APP
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
    logs.set_up(config.log_level, config.log_format, "up", config.timezone)
    try:
        supervisor.up(config, host, port, announce=lambda line: click.echo(line, err=True))
    except supervisor.StartError as error:
        raise CommandFailure(str(error)) from None


@main.command()
@click.argument("name", metavar="web|welcome|upkeep|beat", type=click.Choice(["web", "welcome", "upkeep", "beat"]))
@click.option("--host", default="127.0.0.1", show_default=True, help="web: the address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="web: the port.")
@APP
def role(name: str, host: str, port: int, app_name: str | None) -> None:
    """One role in the foreground: what compose, systemd and Kubernetes start.

    web takes WeCom's callbacks, welcome greets, upkeep does all that is slow, beat keeps the schedule. They meet in
    Redis alone: set REDIS_URL to the same server for all four.

    \b
    Example:  wecom-welcome role welcome
    """
    config = with_redis(settings.load())
    named_app(config, app_name)
    logs.set_up(config.log_level, config.log_format, name, config.timezone)
    if name == "web":
        from webhook.server.web import serve

        serve(config, host, port)
        return
    from tasks import workers

    _check_books(config)
    try:
        {"welcome": workers.welcome, "upkeep": workers.upkeep_worker, "beat": workers.beat}[name](config)
    except MediaFull as error:
        raise CommandFailure(f"the welcome book cannot be imported: {error}") from None


@main.command()
@APP
def check(app_name: str | None) -> None:
    """The set-up doctor: what is right, what is wrong, and the cure. Exit code 1 if something would stop a welcome.

    \b
    Example:  wecom-welcome check
    """
    from webhook import doctor

    try:
        config = settings.load()
    except SettingsError as error:
        for problem in error.problems:
            click.echo(f"✗ settings: {problem}")
        raise CommandFailure(f"{len(error.problems)} settings are missing or malformed; see above") from None
    click.echo("✓ settings")
    logging.getLogger().addHandler(logging.NullHandler())  # the findings say it
    failures = 0
    for app in [one_app(config, app_name)] if app_name else config.apps.values():
        for finding in doctor.examine(config, app):
            failures += finding.stops
            click.echo(str(finding))
    if failures:
        raise CommandFailure(f"{failures} of these would stop a welcome; the cures are above")


@main.command()
@click.option("--url", help="The callback URL. Default: WELCOME_PUBLIC_URL, else port 8000 of this machine.")
@click.option("--count", default=1, show_default=True, type=click.IntRange(1, 10_000), help="How many customers.")
@click.option("--rate", default=1.0, show_default=True, type=click.FloatRange(0.1, 200), help="How many a second.")
@click.option("--member", default="rehearsal", show_default=True, help="The userid of the member who is added.")
@click.option("--state", default="", help="The channel's State.")
@APP
def simulate(url: str | None, count: int, rate: float, member: str, state: str, app_name: str | None) -> None:
    """Rehearse: send signed, encrypted add-contact events to a callback URL.

    Everything runs but the send. The outcome is `rehearsed`; rehearsals stay out of the metrics.

    \b
    Example:  wecom-welcome simulate --count 20 --rate 5 --member zhangsan --state douyin-1
    """
    from webhook.rehearsal import Delivered, rehearse

    config = settings.load()
    app = one_app(config, app_name)
    url = url or _callback_url(config, app)
    ledger = _ledger_if_reachable(config)

    def one(number: int) -> Delivered:
        time.sleep(max(0.0, started + number / rate - time.monotonic()))
        return rehearse(app, url, member, state)

    failures = unanswered = 0
    started = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        for delivered in pool.map(one, range(count)):
            answer = delivered.reason if delivered.status is None else f"HTTP {delivered.status}"
            line = f"{delivered.event.id}  {answer} in {delivered.seconds * 1000:.0f} ms"
            if delivered.status != 200:
                failures += 1
                unanswered += 1
            elif ledger is not None:
                outcome = _await_outcome(ledger, delivered.event.id, config.window)
                failures += outcome is None or not outcome.startswith("rehearsed")
                line += f"  {outcome or f'no outcome after {config.window:g} s'}"
            click.echo(line)
    if failures:
        cure = f"is {url} right, and is `up` running with these settings?" if unanswered else "`deliveries` says why"
        raise CommandFailure(f"{failures} of {count} rehearsals failed: {cure}")


@main.command()
@click.option(
    "--outcome", type=click.Choice([*map(str, OUTCOMES), "open"]), help="Only this one; `open`: none yet.", metavar="O"
)
@click.option("--member", help="Only this member's userid.")
@click.option("--since", help="Only events received since: 30m, 2h, 7d, 2026-11-22 or 2026-11-22T10:30.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="At most so many, newest first.")
@click.option("--follow", is_flag=True, help="Go on showing new ones as they get their outcome, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--retry-followup", metavar="ID", help="Have this event's tags and remark done now, instead of a list.")
@APP
def deliveries(
    outcome: str | None,
    member: str | None,
    since: str | None,
    limit: int,
    follow: bool,
    as_json: bool,
    retry_followup: str | None,
    app_name: str | None,
) -> None:
    """What became of each added customer, newest first.

    The times are of WELCOME_TIMEZONE, `took` is from the receipt to the outcome. At the end of a line stands what
    happened and, where something went wrong, why; then how far its follow-up is: the tags and the remark that its
    template sets afterwards. /console/e/ID shows a delivery in full.

    \b
    Example:  wecom-welcome deliveries --outcome expired --since 2h
    """
    from tasks.services import build_services

    config = with_redis(settings.load())
    app = named_app(config, app_name)
    services = build_services(config)
    ledger = services.ledger
    if retry_followup is not None:
        if not services.follow_ups.again(retry_followup):
            raise CommandFailure(
                f"event {retry_followup} has no follow-up that failed or waits; `deliveries` shows the ids"
            )
        click.echo(f"{retry_followup}: its follow-up is done within seconds; `deliveries` shows how it ends")
        return
    start = _moment(since, config)

    def wanted(row: Delivery) -> bool:
        return (
            (app is None or row.app == app.name)
            and (member is None or row.user_id == member)
            and (outcome is None or (row.outcome or "open") == outcome)
        )

    def show(row: Delivery) -> None:
        click.echo(json.dumps(record(row), ensure_ascii=False) if as_json else _line(row, config))

    if follow and not as_json:
        click.echo(_header(config))
    shown = 0
    asked_at = ledger.now()
    for row in ledger.deliveries(since=start):
        if wanted(row):
            if not shown and not follow and not as_json:
                click.echo(_header(config))
            show(row)
            shown += 1
            if shown == limit:
                break
    if not shown and not follow and not as_json:
        click.echo("No deliveries match. `wecom-welcome simulate` makes a rehearsal.", err=True)
    if follow:
        for row in _new_outcomes(ledger, asked_at, int(config.window + 60) * 1000):
            if wanted(row):
                show(row)


for command in (missed, templates, channels, backup, restore, forget):
    main.add_command(command)


# --- what several commands need ---


def _client(app_name: str | None) -> WeComClient:
    """The client of the app that --app names, or of the only one. It shares its token where Redis is known."""
    config = settings.load()
    app = one_app(config, app_name)
    try:
        shared = connections.connect(str(with_redis(config).redis_url), timeout=2)
    except CommandFailure:
        shared = None
    return WeComClient(app.corp_id, app.secret, config.api_base, shared)


def _check_books(config: Settings) -> None:
    for app in config.apps.values():
        if app.book is not None:
            try:
                read_book(app.book)
            except CommandFailure as error:
                raise CommandFailure(f"WELCOME_BOOK of app {app.name}: {error.message}") from None


def _callback_url(config: Settings, app: App) -> str:
    return (config.public_url or "http://127.0.0.1:8000") + app.callback_path


def _ledger_if_reachable(config: Settings) -> Any:
    from tasks.services import build_services

    try:
        ledger = build_services(with_redis(config)).ledger
        ledger.now()
    except (CommandFailure, redis.RedisError):
        return None
    return ledger


def _await_outcome(ledger: Any, identity: str, patience: float) -> str | None:
    by = time.monotonic() + patience
    while time.monotonic() < by:
        row: Delivery | None = ledger.delivery(identity)
        if row and row.outcome:
            took = f" in {max(row.steps.values())} ms" if row.steps else ""
            return f"{row.outcome}{took}" + ("" if row.outcome is Outcome.REHEARSED else f": {reason_text(row)}")
        time.sleep(0.02)
    return None


def _new_outcomes(ledger: Any, since: int, life: int) -> Iterator[Delivery]:
    """Rows that get their outcome after `since` (ms), each once, until Ctrl-C. `life`: ms until every row has one."""
    ending = ShutdownSignal(signal.SIGINT)  # an exception could be lost in a library's clean-up
    done = {row.id for row in ledger.deliveries(since=since - life) if row.outcome}
    while not ending.wait():
        rows = list(ledger.deliveries(since=ledger.now() - life))
        for row in reversed(rows):
            if row.outcome and row.id not in done:
                yield row
        done = {row.id for row in rows if row.outcome}
        ending.wait(1)


def _moment(text: str | None, config: Settings) -> int:
    """ms of a --since value; 0 for none."""
    if text is None:
        return 0
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    try:
        if text[-1] in units and text[:-1].isdigit():
            at = datetime.now(config.timezone) - timedelta(seconds=int(text[:-1]) * units[text[-1]])
        else:
            at = datetime.fromisoformat(text)
            at = at if at.tzinfo else at.replace(tzinfo=config.timezone)
    except (ValueError, OverflowError, IndexError):
        raise CommandFailure("--since takes 30m, 2h, 7d, 2026-11-22 or 2026-11-22T10:30") from None
    return int(at.timestamp() * 1000)


def _header(config: Settings) -> str:
    names = ("time", "outcome", "took", "app", "member", "customer", "State", "welcome", "event id")
    return f"{_columns(config, *names)}what happened"


def _line(row: Delivery, config: Settings) -> str:
    from webhook import timeline
    from webhook.outcomes import outcome_text

    at = datetime.fromtimestamp(row.received_at, config.timezone)
    took = timeline.took(row)
    found = outcome_text(row, config.window, time.time())
    explained = row.outcome is not Outcome.SENT or len(found.more) > 1
    why = [translate(one) for one in found.more[:1]] if explained else []
    return (
        _columns(
            config,
            f"{at:%m-%d %H:%M:%S}",
            row.outcome or "open",
            "-" if took is None else f"{took / 1000:.3f} s",
            row.app,
            row.user_id,
            row.external_user_id,
            row.state or "-",
            row.template or "-",
            row.id,
        )
        + ". ".join([translate(found.headline), *why])
        + _then(row.follow_up)
    )


def _columns(config: Settings, at: str, outcome: str, took: str, app: str, *rest: str) -> str:
    """The columns of a line, up to the words at its end; the app's only where there are several."""
    member, customer, state, template, identity = rest
    apps = f"{app:<10}  " if len(config.apps) > 1 else ""
    return (
        f"{at:<14}  {outcome:<11}  {took:>9}  {apps}{member:<12}  {customer:<32}  {state:<12}  {template:<12}  "
        f"{identity:<32}  "
    )


def _then(follow_up: FollowUpState | None) -> str:
    if follow_up is None:
        return ""
    return f"  then {follow_up.status}" + (f" ({translate(describe(follow_up.reason))})" if follow_up.reason else "")


main.add_command(Api(_client))
