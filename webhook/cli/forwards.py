"""`wecom-welcome forwards`: events that other systems of the corp are to get, and have not got."""

from collections.abc import Mapping
from datetime import datetime

import click

from tasks import settings
from tasks.audit import Act
from tasks.forwards.store import Entry, TargetStatus
from tasks.messages import translate
from tasks.services import Services, build_services
from tasks.settings import App, Settings
from webhook.cli.common import APP, AS_JSON, CommandFailure, Misuse, moment, one_app, record, with_redis
from webhook.cli.terminal import counted, padded, say, say_json
from webhook.reason_texts import describe

ALL = "all"  # in place of an id
NOT_FORWARDING = "app {app} forwards nothing: add [[apps.{app}.forward]] with url and secret to WELCOME_CONFIG"


@click.command()
@click.option("--retry", metavar="ID", help="Try the event of this id now, given up or not; `all`: every one.")
@click.option("--replay", is_flag=True, help="Forward what happened since --since once more, under the same ids.")
@click.option("--since", metavar="TIME", help="With --replay: 30m, 2h, 7d, 2026-11-22 or 2026-11-22T10:30.")
@click.option("--until", metavar="TIME", help="With --replay: only what happened until then; as --since.")
@click.option(
    "--limit", metavar="N", default=50, show_default=True, type=click.IntRange(1), help="At most so many of a kind."
)
@AS_JSON
@APP
def forwards(
    retry: str | None,
    replay: bool,
    since: str | None,
    until: str | None,
    limit: int,
    as_json: bool,
    app_name: str | None,
) -> None:
    """Events on their way to the corp's other systems that failed: given up after a day, or tried again later.

    An event is sent again for a day, with growing waits, and later ones of the same customer wait for it; then it is
    given up, and kept for 8 days. --retry sends either kind now. A receiver tells by the header webhook-id what it
    has had already.

    --replay forwards the adds of a period, and what became of contacts in it, as far as the row of the add is kept.

    \b
    Example:  wecom-welcome forwards
              wecom-welcome forwards --retry 3f9a0c5d7e1b2a4f3f9a0c5d7e1b2a4f
              wecom-welcome forwards --retry all
              wecom-welcome forwards --replay --since 2h
    """
    if retry is not None and replay:
        raise Misuse("--retry and --replay do different things: give one of them")
    if replay and since is None:
        raise Misuse("--replay needs --since TIME")
    if not replay and (since is not None or until is not None):
        raise Misuse("--since and --until belong to --replay")
    config = with_redis(settings.load())
    app = one_app(config, app_name)
    if not app.forwards:
        raise CommandFailure(NOT_FORWARDING.format(app=app.name))
    services = build_services(config)
    if retry is not None:
        _retry(services, app, retry)
    elif replay:
        now = services.ledger.now()
        begin, end = moment(since, config), min(now, moment(until, config, "--until")) if until is not None else now
        if end < begin:
            raise Misuse("--until is before --since")
        sent = services.forwards.replay(app.name, begin, end)
        record(services, Act.FORWARDED_AGAIN, app.name, number=sent)
        say(f"{counted(sent, 'event')} will be forwarded once more.", err=True)
    else:
        _list(services, app, limit, as_json)


def _retry(services: Services, app: App, identity: str) -> None:
    if identity == ALL:
        number = services.forwards.retry_all(app.name)
        record(services, Act.FORWARDED_AGAIN, app.name, number=number)
        say(f"{counted(number, 'event')} tried again now.", err=True)
        return
    if not services.forwards.retry(app.name, identity):
        raise CommandFailure(f"no event {identity} of app {app.name} failed; `forwards` lists them")
    record(services, Act.FORWARD_RETRIED, app.name, identity)
    say("It is tried again now.", err=True)


def _list(services: Services, app: App, limit: int, as_json: bool) -> None:
    hosts = {target.id: target.host for target in app.forwards}
    entries = services.forwards.listed(app.name, limit)
    if as_json:
        for entry in entries:
            say_json(_values(entry, hosts))
        return
    for target, status in services.forwards.status(app.name).items():
        say(_status(hosts[target], status))
    for entry in entries:
        say(_line(entry, hosts, services.settings))


def _status(host: str, status: TargetStatus) -> str:
    told = [
        f"{status.delivered} delivered",
        f"{status.waiting} on their way",
        f"{status.parked} given up",
    ]
    if status.failures and status.why is not None:
        told.append(f"does not answer: {translate(describe(status.why))}")
    return f"{host}: {', '.join(told)}"


def _line(entry: Entry, hosts: Mapping[str, str], config: Settings) -> str:
    at = datetime.fromtimestamp(entry.at, config.timezone)
    why = "" if entry.why is None else translate(describe(entry.why))
    became = "given up" if entry.parked_at is not None else f"failed {entry.tries}×, tried again{_next(entry, config)}"
    return f"{at:%m-%d %H:%M:%S}  {entry.id}  {entry.change:<20}  {padded(hosts[entry.target], 24)}  {became}: {why}"


def _next(entry: Entry, config: Settings) -> str:
    at = None if entry.next_at is None else datetime.fromtimestamp(entry.next_at, config.timezone)
    return "" if at is None else f" from {at:%m-%d %H:%M:%S}"


def _values(entry: Entry, hosts: Mapping[str, str]) -> dict[str, object]:
    """An event for machines; times in Unix seconds. Nothing of its content."""
    return {
        "id": entry.id,
        "app": entry.app,
        "change": entry.change,
        "host": hosts[entry.target],
        "at": entry.at,
        "tries": entry.tries,
        "given_up": entry.parked_at is not None,
        "next_at": None if entry.parked_at is not None else entry.next_at,
        "reason": None if entry.why is None else translate(describe(entry.why)),
    }
