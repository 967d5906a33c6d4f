"""`wecom-welcome tokens …`: with which programs use the HTTP API."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import click

from tasks import settings
from tasks.audit import Act
from tasks.people.api_tokens import LONGEST_NAME, MOST, ApiToken, Scope, TooMany
from tasks.services import Services, build_services
from tasks.settings import Settings
from tasks.storage import clock
from tasks.visible_text import plain
from webhook.cli.common import AS_JSON, CommandFailure, Group, Misuse, account, named_app, record, with_redis
from webhook.cli.terminal import say, say_json, table

DAY = 86_400  # seconds
USUAL_LIFE, LONGEST_LIFE = 90, 3650  # days


@click.group(cls=Group)
def tokens() -> None:
    """Tokens with which programs use the HTTP API: each for some scopes and apps, and with an end.

    An admin does the same in the console: People, API tokens.

    \b
    Example:  wecom-welcome tokens create reports --scope numbers:read
    """


@tokens.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    metavar="SCOPE",
    multiple=True,
    required=True,
    type=click.Choice([str(one) for one in Scope]),
    help=f"What it may do; several: again. {', '.join(Scope)}.",
)
@click.option("--app", "app_names", metavar="NAME", multiple=True, help="For which app; several: again.")
@click.option("--all-apps", is_flag=True, help="For all apps, later ones too.")
@click.option(
    "--days",
    metavar="N",
    type=click.IntRange(1, LONGEST_LIFE),
    help=f"How long it is valid; {USUAL_LIFE} if it is not given.",
)
@click.option("--no-end", is_flag=True, help="It is valid until it is revoked.")
@AS_JSON
def create(
    name: str,
    scopes: tuple[str, ...],
    app_names: tuple[str, ...],
    all_apps: bool,
    days: int | None,
    no_end: bool,
    as_json: bool,
) -> None:
    """Make a token, and print it: this once.

    \b
    Example:  wecom-welcome tokens create reports --scope numbers:read --scope books:read --days 30
    """
    name = plain(name)
    if not name or len(name) > LONGEST_NAME:
        raise Misuse(f"a token has a name of at most {LONGEST_NAME} characters: which program will use it")
    if no_end and days is not None:
        raise Misuse("--days and --no-end exclude each other: give one of them")
    config = with_redis(settings.load())
    apps = _apps(config, app_names, all_apps)
    services = build_services(config)
    life = None if no_end else (days or USUAL_LIFE) * DAY
    try:
        token, secret = services.api_tokens.create(name, list(map(Scope, scopes)), apps, account(), life)
    except TooMany:
        raise CommandFailure(f"there are {MOST} tokens already; `tokens revoke ID` takes one away") from None
    record(services, Act.TOKEN_MADE, target=token.in_words)
    if as_json:
        say_json({"token": secret, **_values(token)})
        return
    say(secret)
    say(f"Its id is {token.id}. It is not shown again.", err=True)


@tokens.command("list")
@AS_JSON
def list_(as_json: bool) -> None:
    """The tokens there are: what each may do, who made it, when it was used and when it ends.

    \b
    Example:  wecom-welcome tokens list
    """
    services = build_services(with_redis(settings.load()))
    found = services.api_tokens.all()
    if as_json:
        for one in found:
            say_json(_values(one))
        return
    if not found:
        say("There are no tokens.", err=True)
        return
    say(*_lines(services, found))


@tokens.command()
@click.argument("identity", metavar="ID")
def revoke(identity: str) -> None:
    """Take a token away: its next request is refused. `tokens list` has the ids.

    \b
    Example:  wecom-welcome tokens revoke k3v9q0x2ab
    """
    services = build_services(with_redis(settings.load()))
    token = services.api_tokens.revoke(identity)
    if token is None:
        raise CommandFailure(f"there is no token {identity}; `tokens list` has the ids")
    record(services, Act.TOKEN_REVOKED, target=token.in_words)
    say(f"{token.name} is revoked.", err=True)


def _apps(config: Settings, names: Sequence[str], every: bool) -> Sequence[str]:
    """The apps of a new token; none are all there are."""
    if every and names:
        raise Misuse("--app and --all-apps exclude each other: give one of them")
    for name in names:
        named_app(config, name)
    if not names and not every and len(config.apps) > 1:
        some = ", ".join(config.apps)
        raise CommandFailure(f"several apps are configured; choose with --app, or give --all-apps: {some}")
    return names or (() if every else list(config.apps))


def _lines(services: Services, found: Sequence[ApiToken]) -> list[str]:
    zone, now = services.settings.timezone, clock.now_ms(services.redis) / 1000
    rows = []
    for one in found:
        used = "never used" if one.last_used_at is None else f"used {_day(one.last_used_at, zone)}"
        end = "no end" if one.expires_at is None else f"until {_day(one.expires_at, zone)}"
        end = end.replace("until", "expired") if one.has_expired(now) else end
        rows.append([one.id, one.name, ", ".join(one.apps) or "all apps", used, end, " ".join(sorted(one.scopes))])
    return table(rows)


def _day(seconds: int, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(seconds, zone):%Y-%m-%d}"


def _values(token: ApiToken) -> dict[str, object]:
    """A token for machines; times in Unix seconds."""
    return {
        "id": token.id,
        "name": token.name,
        "scopes": sorted(token.scopes),
        "apps": list(token.apps),
        "by": token.created_by,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
    }
