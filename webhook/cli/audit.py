"""`wecom-welcome audit`: who did what, in the console or with a command."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

import click

from tasks import settings
from tasks.audit import Entry
from tasks.messages import translate
from tasks.services import build_services
from tasks.settings import Settings
from webhook.audit_texts import describe
from webhook.cli.common import APP, AS_JSON, moment, named_app, with_redis
from webhook.cli.terminal import padded, say, say_json


@click.command()
@click.option("--since", metavar="TIME", help="Only what was done since: 30m, 2h, 7d, 2026-11-22 or 2026-11-22T10:30.")
@click.option(
    "--limit", metavar="N", default=50, show_default=True, type=click.IntRange(1), help="At most so many, newest first."
)
@AS_JSON
@APP
def audit(since: str | None, limit: int, as_json: bool, app_name: str | None) -> None:
    """Who did what: signed in, published, changed or deleted a channel or media, paused, exported, erased, restored.

    The console and the command line are both in it. Each line has the time, the name of the sign-in or the account on
    the host, where it was done, and what; no customer's name. It is kept for 400 days.

    \b
    Example:  wecom-welcome audit --since 7d
    """
    config = with_redis(settings.load())
    app = named_app(config, app_name)
    since_ms = moment(since, config)
    entries = (
        one for one in build_services(config).audit.entries(since=since_ms) if app is None or one.app in ("", app.name)
    )
    shown = 0
    for one in islice(entries, limit):
        if as_json:
            say_json(_values(one))
        else:
            say(_line(one, config))
        shown += 1
    _say_rest(entries, shown, as_json)


def _say_rest(entries: Iterator[Entry], shown: int, as_json: bool) -> None:
    if shown and next(entries, None) is not None:
        say(f"These are the newest {shown}; --limit shows more.", err=True)
    elif not shown and not as_json:
        say("Nothing was done.", err=True)


def _values(entry: Entry) -> dict[str, object]:
    """An entry for machines; the time in Unix seconds."""
    return {
        "id": entry.id,
        "at": entry.at,
        "who": entry.who,
        "via": entry.via,
        "address": entry.address or None,
        "act": entry.act,
        "app": entry.app or None,
        "target": entry.target or None,
        "number": entry.number,
    }


def _line(entry: Entry, config: Settings) -> str:
    at = datetime.fromtimestamp(entry.at, config.timezone)
    where = entry.address or "command line"
    apps = padded(entry.app or "-", 10) + "  " if len(config.apps) > 1 else ""
    return f"{at:%Y-%m-%d %H:%M:%S}  {padded(entry.who, 16)}  {where:<15}  {apps}{translate(describe(entry))}"
