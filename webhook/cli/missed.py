"""`wecom-welcome missed`: who was not greeted and is to be greeted by hand, as the console's page Missed has it."""

import time
from datetime import datetime

import click

from tasks import settings
from tasks.audit import Act
from tasks.ledger.delivery import Delivery
from tasks.messages import translate
from tasks.missed.comparison import ComparisonInProgress, comparison_status
from tasks.missed.comparison_run import ComparisonRun
from tasks.missed.reminders import reminder_status
from tasks.missed.transfer_pair import PAIRS, Answer, TransferPair, problem
from tasks.missed.transfer_results import TooManyPairs
from tasks.services import Services, build_services
from tasks.settings import Settings
from webhook.cli.common import APP, AS_JSON, CommandFailure, account, one_app, record, with_redis
from webhook.cli.terminal import Progress, counted, padded, say, say_json
from webhook.delivery_record import reason_text
from webhook.errcode_texts import explained
from webhook.outcomes import outcome_text
from webhook.transfer_texts import not_told

TURNS = 120  # of at most a minute each, for a comparison that is run here
PATIENCE = 30.0  # seconds of a turn that reads a hand-over
WRONG = {
    "empty": "a name is empty: give two userids, such as zhangsan lisi.",
    "long": "that is no userid.",
    "same": "that is one member: give who had the customers, and who takes them over.",
}


def two_members(_: click.Context, __: click.Parameter, value: tuple[str, str] | None) -> tuple[str, str] | None:
    """A click callback: refuses what cannot be two members."""
    if value is None:
        return None
    handover, takeover = (one.strip() for one in value)
    if wrong := problem(handover, takeover):
        raise click.BadParameter(WRONG[wrong])
    return handover, takeover


@click.command()
@click.option("--done", is_flag=True, help="Those that were ticked off instead.")
@click.option(
    "--limit", metavar="N", default=50, show_default=True, type=click.IntRange(1), help="At most so many, newest first."
)
@AS_JSON
@click.option(
    "--transfer",
    nargs=2,
    metavar="FROM TO",
    callback=two_members,
    help="First ask WeCom what became of the customers who are handed over from one member to another.",
)
@click.option("--compare", is_flag=True, help="First run the nightly comparison with WeCom's customers, now and here.")
@APP
def missed(
    done: bool, limit: int, as_json: bool, transfer: tuple[str, str] | None, compare: bool, app_name: str | None
) -> None:
    """Customers who were not greeted, newest first: to be greeted by hand, since their welcome codes have expired.

    WeCom's notifications are not guaranteed, so a comparison every night at 3:00 adds those of whom none came. Who was
    not handed over to a member is here too; WeCom is asked again every night while customers are waiting.

    \b
    Example:  wecom-welcome missed --compare
              wecom-welcome missed --transfer zhangsan lisi
    """
    config = with_redis(settings.load())
    app = one_app(config, app_name)
    services = build_services(config)
    if compare:
        with Progress("customers compared", at_once=True) as progress:
            run = _compared(services, app.name, progress)
        said = f"{counted(run.customers, 'customer')} of {counted(run.members, 'member')} compared: {run.new} new, "
        say(said + f"{run.found} never announced, {counted(run.left_out, 'member')} left out", err=True)
    if transfer is not None:
        say(_transfer_line(_asked(services, app.name, *transfer), config), err=True)
    work = services.app(app.name).work_list
    cursor: str | None = None
    shown = 0
    while shown < limit:
        page = work.page(done, cursor, min(limit - shown, 50))
        for row in page.rows:
            if as_json:
                say_json(_values(row))
            else:
                say(_line(row, config))
        shown += len(page.rows)
        cursor = page.older
        if cursor is None:
            break
    if not shown and not as_json:
        say("Nobody was ticked off." if done else "Nobody is waiting to be greeted by hand.", err=True)


def _compared(services: Services, app: str, progress: Progress) -> ComparisonRun:
    progress(0)
    comparison = services.app(app).comparison
    comparison.request("")
    record(services, Act.COMPARED, app)
    for _ in range(TURNS):
        try:
            run = comparison.advance()
        except ComparisonInProgress as error:
            raise CommandFailure(str(error)) from None
        if run is None:  # another process has ended it
            run = comparison_status(services.redis, app).good
            if run is not None:
                return run
            break
        if run.ended_at is not None:
            return run
        progress(run.customers)
        if run.not_before > time.time():
            failed = comparison_status(services.redis, app).failed
            at = datetime.fromtimestamp(run.not_before, services.settings.timezone)
            reason = translate(explained(failed.reason)) if failed else "WeCom gave no answer"
            raise CommandFailure(
                f"the comparison cannot go on: {reason}; the upkeep role goes on with it at {at:%H:%M}"
            )
    raise CommandFailure("the comparison is not done yet; the upkeep role goes on with it")


def _asked(services: Services, app: str, handover: str, takeover: str) -> TransferPair:
    """What WeCom answers about a hand-over, now and here."""
    results = services.app(app).transfer_results
    try:
        pair = results.ask(handover, takeover, account())
    except TooManyPairs:
        raise CommandFailure(f"{PAIRS} hand-overs are being asked about already; each ends within a week") from None
    record(services, Act.TRANSFER_ASKED, app, f"{handover} → {takeover}")
    for _ in range(TURNS):
        pair = results.read(pair, time.monotonic() + PATIENCE)
        if pair.failed is not None:
            why, *cure = map(translate, not_told(pair))
            again = (
                "" if pair.next_at is None else f"; the upkeep role asks again {_at(pair.next_at, services.settings)}"
            )
            raise CommandFailure(". ".join((f"WeCom does not tell what became of the hand-over: {why}{again}", *cure)))
        if pair.answer is not None:
            return pair
    raise CommandFailure("the hand-over is not read yet; the upkeep role goes on with it")


def _transfer_line(pair: TransferPair, settings: Settings) -> str:
    """What WeCom has answered about a hand-over."""
    one = pair.answer or Answer()
    if not one.customers:
        return f"{pair.handover} → {pair.takeover}: WeCom knows of no customer who was to be handed over"
    said = f"{one.done} handed over, {one.waiting} waiting, {one.refused} refused, {one.limit} without room"
    again = "" if pair.next_at is None else f"; asked again {_at(pair.next_at, settings)}"
    return f"{pair.handover} → {pair.takeover}: {said}{again}"


def _at(at: int, settings: Settings) -> str:
    return f"{datetime.fromtimestamp(at, settings.timezone):%m-%d at %H:%M}"


def _values(row: Delivery) -> dict[str, object]:
    """A row for machines: ids, times in Unix seconds, no person's name."""
    return {
        "id": row.id,
        "app": row.app,
        "user_id": row.user_id,
        "external_user_id": row.external_user_id,
        "state": row.state,
        "at": row.received_at,
        "outcome": row.outcome,
        "errcode": row.errcode,
        "reason": reason_text(row),
        "reminder": reminder_status(row, time.time()),
        "reminded_at": row.reminder.at if row.reminder else None,
        "ticked_by": row.tick.by if row.tick else None,
        "ticked_at": row.tick.at if row.tick else None,
    }


def _line(row: Delivery, settings: Settings) -> str:
    at = datetime.fromtimestamp(row.received_at, settings.timezone)
    told = reminder_status(row, time.time())
    why = reason_text(row) or translate(outcome_text(row, settings.window).headline)
    notes = [why, f"reminder {told}" if told else "", f"ticked off by {row.tick.by}" if row.tick else ""]
    said = "; ".join(filter(None, notes))
    columns = f"{row.outcome:<12} {padded(row.user_id, 16)} {padded(row.external_user_id, 34)} "
    return f"{at:%m-%d %H:%M:%S}  {columns}{row.id}  {said}"
