"""`wecom-welcome simulate`: rehearsals, sent to a callback URL."""

import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import click
import redis

from tasks import settings
from tasks.ledger.delivery import Outcome
from tasks.ledger.ledger import Ledger
from tasks.services import build_services
from tasks.settings import App, Settings
from webhook.cli.common import APP, CommandFailure, not_empty, one_app, with_redis
from webhook.cli.terminal import say
from webhook.delivery_record import reason_text


@click.command()
@click.option(
    "--url", metavar="URL", help="The callback URL. Default: WELCOME_PUBLIC_URL where it answers, else this machine's."
)
@click.option(
    "--count", metavar="N", default=1, show_default=True, type=click.IntRange(1, 10_000), help="How many customers."
)
@click.option(
    "--rate", metavar="N", default=1.0, show_default=True, type=click.FloatRange(0.1, 200), help="How many a second."
)
@click.option(
    "--member",
    metavar="USERID",
    default="rehearsal",
    show_default=True,
    callback=not_empty,
    help="The userid of the member who is added.",
)
@click.option("--state", metavar="STATE", default="", help="The channel's State.")
@APP
def simulate(url: str | None, count: int, rate: float, member: str, state: str, app_name: str | None) -> None:
    """Rehearse: send signed, encrypted add-contact events to a callback URL.

    Everything runs but the send. The outcome is `rehearsed`; rehearsals stay out of the metrics. They go to
    WELCOME_PUBLIC_URL; where it does not answer from here, to the `up` or `role web` on this machine, which is said.

    \b
    Example:  wecom-welcome simulate --count 20 --rate 5 --member zhangsan --state douyin-1
    """
    from webhook.rehearsal import Delivered, rehearse

    config = settings.load()
    app = one_app(config, app_name)
    url = url or _callback_url(config, app)
    ledger = _ledger_if_reachable(config)

    ended = threading.Event()

    def one(number: int) -> Delivered:
        if ended.wait(max(0.0, started + number / rate - time.monotonic())):
            raise CancelledError
        return rehearse(app, url, member, state)

    failures = unanswered = 0
    started = time.monotonic()
    pool = ThreadPoolExecutor(16)
    try:
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
            say(line)
    finally:
        ended.set()  # after Ctrl-C: no further one
        pool.shutdown(cancel_futures=True)
    if failures:
        cure = f"is {url} right, and is `up` running with these settings?" if unanswered else "`deliveries` says why"
        raise CommandFailure(f"{failures} of {count} rehearsals failed: {cure}")


def _callback_url(config: Settings, app: App) -> str:
    """The public one, if it answers; else the local one, and a line that says so."""
    import requests

    from webhook import local_address
    from webhook.rehearsal import verify

    here = local_address.recorded(config.data_dir) + app.callback_path
    if config.public_url is None:
        return here
    public = config.public_url + app.callback_path
    try:
        answer = verify(app, public)
        why = None if answer is None else f"{public} {answer}"
    except requests.RequestException as error:
        why = f"{public} does not answer from here ({type(error).__name__})"
    if why is None or local_address.verified(config, app) is None:
        return public
    say(f"! {why}; used {here}, on this machine", err=True)
    return here


def _ledger_if_reachable(config: Settings) -> Ledger | None:
    try:
        ledger = build_services(with_redis(config)).ledger
        ledger.now()
    except (CommandFailure, redis.RedisError):
        return None
    return ledger


def _await_outcome(ledger: Ledger, identity: str, patience: float) -> str | None:
    by = time.monotonic() + patience
    while time.monotonic() < by:
        row = ledger.delivery(identity)
        if row and row.outcome:
            took = f" in {max(row.steps.values())} ms" if row.steps else ""
            return f"{row.outcome}{took}" + ("" if row.outcome is Outcome.REHEARSED else f": {reason_text(row)}")
        time.sleep(0.02)
    return None
