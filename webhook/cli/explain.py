"""`wecom-welcome templates explain`: who would get what, and why."""

from dataclasses import replace
from datetime import datetime
from datetime import time as clock
from pathlib import Path

import click

from tasks import settings
from tasks.events import CHANGES
from tasks.services import AppServices, build_services
from tasks.settings import App, Settings
from tasks.templates.conditions import CUSTOMER_TYPES
from tasks.templates.model import Book
from webhook import records
from webhook.cli.common import APP, CommandFailure, connect, current_revision, not_empty, one_app, read_book, with_redis
from webhook.cli.terminal import marked, say, say_json
from webhook.explaining import Question, answer, in_zone

PATIENCE = 5.0  # seconds for what is looked up at WeCom
NOWHERE = "redis://127.0.0.1:1"  # where no Redis is: questions to WeCom need none


@click.command()
@click.option(
    "--member", metavar="USERID", required=True, callback=not_empty, help="The userid of the member who is added."
)
@click.option("--state", metavar="STATE", default="", help="The channel's State.")
@click.option("--at", "moment", metavar="TIME", help="When: 21:30 (today), 2026-11-22T21:30. Default: now.")
@click.option("--customer-type", type=click.Choice(list(CUSTOMER_TYPES.values())), help="Unknown if it is not given.")
@click.option(
    "--add-way", metavar="N", type=click.IntRange(0), help="How they met, such as 1 for a QR code (doc 92114)."
)
@click.option("--customer", metavar="NAME", default="", help="The customer's name.")
@click.option(
    "--customer-id", metavar="ID", default="", help="An external_userid: packages are asked for their placeholders."
)
@click.option(
    "--change",
    metavar="CHANGE",
    default="add",
    show_default=True,
    type=click.Choice(list(CHANGES.values())),
    help=f"How the customer was added: {', '.join(CHANGES.values())}.",
)
@click.option(
    "--file", type=click.Path(path_type=Path), metavar="FILE", help="A book's file, instead of the current book."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@APP
def explain(
    member: str,
    state: str,
    moment: str | None,
    customer_type: str | None,
    add_way: int | None,
    customer: str,
    customer_id: str,
    change: str,
    file: Path | None,
    as_json: bool,
    app_name: str | None,
) -> None:
    """Who would get what, and why: the rule that wins, why the earlier ones do not, the rendered greeting.

    \b
    Example:  wecom-welcome templates explain --member zhangsan --state douyin-1 --at 21:30
    """
    config = settings.load()
    app, book = _app_and_book(config, one_app(config, app_name), file)
    at = _moment(moment, config)
    asked_about = Question(member, at, state, change, customer_type, add_way, customer, customer_id)
    found = answer(app, book, asked_about, PATIENCE)
    say(*(marked(f"! {hook} gives no values: {why}") for hook, why in app.shared.hooks.failures().items()), err=True)
    if as_json:
        asked = {"app": app.name, "member": member, "state": state, "change": change, "at": at.timestamp()}
        say_json(asked | records.explanation(found))
        return
    say(f"{member} is added at {at:%Y-%m-%d %H:%M} ({change}, {f'State {state}' if state else 'no State'}):")
    say(*map(marked, found.lines()))


def _app_and_book(config: Settings, app: App, file: Path | None) -> tuple[AppServices, Book]:
    """The services, and the file's book (Redis is not needed then) or the current one."""
    if file is None:
        services = connect(app.name)
        return services, services.shared.books.book(app.name, current_revision(services))
    book, _ = read_book(file)
    try:
        config = with_redis(config)
    except CommandFailure:
        config = replace(config, redis_url=NOWHERE)
    return build_services(config).app(app.name), book


def _moment(text: str | None, config: Settings) -> datetime:
    now = datetime.now(config.timezone)
    if text is None:
        return now
    try:
        if ":" in text and "-" not in text:
            return datetime.combine(now.date(), clock.fromisoformat(text), config.timezone)
        return in_zone(datetime.fromisoformat(text), config.timezone)
    except ValueError:
        raise CommandFailure("--at takes 21:30, 2026-11-22 or 2026-11-22T21:30") from None
