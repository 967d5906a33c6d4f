"""`wecom-welcome deliveries`: the ledger on the terminal."""

import signal
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain, islice

import click

from tasks import settings
from tasks.audit import Act
from tasks.ledger.delivery import OUTCOMES, Delivery, FollowUpState, Outcome
from tasks.ledger.ledger import Ledger
from tasks.messages import translate
from tasks.services import Services, build_services
from tasks.settings import Settings
from webhook import timeline
from webhook.cli.common import APP, AS_JSON, CommandFailure, moment, named_app, not_empty, record, with_redis
from webhook.cli.shutdown_signal import ShutdownSignal
from webhook.cli.terminal import Colour, Painted, padded, say, say_json
from webhook.delivery_record import record as as_record
from webhook.errcode_texts import explained
from webhook.outcomes import BAD, OK, UNKNOWN, WARN, outcome_text

COLOURS = {OK: Colour.FINE, WARN: Colour.REMARK, UNKNOWN: Colour.REMARK, BAD: Colour.WRONG}


@click.command()
@click.option(
    "--outcome",
    type=click.Choice([*map(str, OUTCOMES), "open"]),
    help=f"Only this one: {', '.join(map(str, OUTCOMES))}, or `open` for none yet.",
    metavar="O",
)
@click.option("--member", metavar="USERID", callback=not_empty, help="Only this member's userid.")
@click.option(
    "--since", metavar="TIME", help="Only events received since: 30m, 2h, 7d, 2026-11-22 or 2026-11-22T10:30."
)
@click.option(
    "--limit", metavar="N", default=50, show_default=True, type=click.IntRange(1), help="At most so many, newest first."
)
@click.option("--follow", is_flag=True, help="Go on showing new ones as they get their outcome, until Ctrl-C.")
@AS_JSON
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
    config = with_redis(settings.load())
    app = named_app(config, app_name)
    services = build_services(config)
    if retry_followup is not None:
        _retry(services, retry_followup)
        return
    start = moment(since, config)

    def wanted(row: Delivery) -> bool:
        return (
            (app is None or row.app == app.name)
            and (member is None or row.user_id == member)
            and (outcome is None or (row.outcome or "open") == outcome)
        )

    ledger, life = services.ledger, int(config.window + 60) * 1000
    told = _with_outcome(ledger, life) if follow else set()  # before the list: what ends meanwhile is shown too
    rows: Iterator[Delivery] = islice(filter(wanted, ledger.deliveries(since=start)), limit)
    if follow:
        rows = chain(_noting(rows, told), filter(wanted, _new_outcomes(ledger, told, life)))
    _show(rows, config, as_json, header_first=follow)


def _retry(services: Services, event: str) -> None:
    if not services.follow_ups.again(event):
        raise CommandFailure(f"event {event} has no follow-up that failed or waits; `deliveries` shows the ids")
    record(services, Act.FOLLOW_UPS_RETRIED, number=1)
    say(f"{event}: its follow-up is done within seconds; `deliveries` shows how it ends")


def _show(rows: Iterator[Delivery], config: Settings, as_json: bool, header_first: bool) -> None:
    """Print them, one per line. `header_first`: print the header even if there are none yet."""
    if as_json:
        for row in rows:
            say_json(as_record(row))
        return
    first = None if header_first else next(rows, None)
    if first is None and not header_first:
        say("No deliveries match. `wecom-welcome simulate` makes a rehearsal.", err=True)
        return
    say(_header(config))
    for row in rows if first is None else chain([first], rows):
        say(_line(row, config))


def _with_outcome(ledger: Ledger, life: int) -> set[str]:
    """The ids of the events of the last `life` ms that have an outcome."""
    return {row.id for row in ledger.deliveries(since=ledger.now() - life) if row.outcome}


def _noting(rows: Iterable[Delivery], told: set[str]) -> Iterator[Delivery]:
    """The rows; the ids of those with an outcome are added to `told`."""
    for row in rows:
        if row.outcome:
            told.add(row.id)
        yield row


def _new_outcomes(ledger: Ledger, told: set[str], life: int) -> Iterator[Delivery]:
    """Rows that get their outcome, each once, until Ctrl-C. `life`: ms until every row has one."""
    ending = ShutdownSignal(signal.SIGINT)  # an exception could be lost in a library's clean-up
    while not ending.wait():
        rows = list(ledger.deliveries(since=ledger.now() - life))
        told.intersection_update(row.id for row in rows)
        yield from _noting((row for row in reversed(rows) if row.outcome and row.id not in told), told)
        ending.wait(1)


def _header(config: Settings) -> str:
    columns = _columns(config, "app", "member", "customer", "State", "welcome", "event id")
    return f"{'time':<14}  {'outcome':<11}  {'took':>9}  {columns}what happened"


def _line(row: Delivery, config: Settings) -> tuple[str, ...]:
    at = datetime.fromtimestamp(row.received_at, config.timezone)
    took = timeline.took(row)
    found = outcome_text(row, config.window, time.time())
    has_more = row.outcome is not Outcome.SENT or len(found.more) > 1
    why = [translate(one) for one in found.more[:1]] if has_more else []
    columns = _columns(
        config,
        row.app,
        row.user_id,
        row.external_user_id,
        row.state or "-",
        row.template or "-",
        row.id,
    )
    return (
        f"{at:%m-%d %H:%M:%S}  ",
        Painted(f"{row.outcome or 'open':<11}", COLOURS.get(found.tone)),
        f"  {'-' if took is None else f'{took / 1000:.3f} s':>9}  {columns}",
        ". ".join([translate(found.headline), *why]),
        _then(row.follow_up),
    )


def _columns(config: Settings, app: str, *rest: str) -> str:
    """The columns from the app, which is there only where there are several, up to the words at the line's end."""
    apps = [padded(app, 10)] if len(config.apps) > 1 else []
    return "  ".join([*apps, *map(padded, rest, (12, 32, 12, 12, 32)), ""])


def _then(follow_up: FollowUpState | None) -> str:
    if follow_up is None:
        return ""
    return f"  then {follow_up.status}" + (f" ({translate(explained(follow_up.reason))})" if follow_up.reason else "")
