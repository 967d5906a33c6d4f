"""Today: whether greetings are sent, what needs attention, the day's counts, and the latest ten deliveries."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase

from flask import Blueprint, render_template
from flask_babel import gettext as _
from flask_babel import ngettext

from tasks.directory.lookup import known_members
from tasks.ledger import statistics
from tasks.ledger.delivery import GREETED, Delivery, Outcome
from tasks.ledger.pauses import FOLLOW_UPS, WELCOME, Pause
from tasks.ledger.statistics import Tallies
from tasks.messages import Message
from tasks.monitoring.queue_status import Reading
from tasks.templates.model import Book
from webhook import timeline
from webhook.console import current, statistics_summary, usual
from webhook.console.heat import Hours
from webhook.console.layout import cut
from webhook.console.panels import Panels
from webhook.console.queue import Flow, QueueVerdict
from webhook.console.queue import verdict as of_the_queue
from webhook.console.recent_failures import recent_failures
from webhook.console.statistics_summary import OutcomeCount
from webhook.outcomes import BAD, OK, WARN

HOUR = 3600_000  # ms
LATEST = 10
CHANNELS = 3  # without a rule that are named


@dataclass(frozen=True, slots=True)
class ToDo:
    """Something that needs attention, and the page (endpoint, values) where it is dealt with. tone: bad | warn."""

    tone: str
    what: str
    action: str
    endpoint: str
    values: Mapping[str, str] = field(default_factory=dict)  # of its address


def without_rule(book: Book, channels: dict[str, int]) -> list[tuple[str, int]]:
    """(State, adds) of the channels that no rule names, if any rule names channels. Pure."""
    patterns = [pattern for rule in book.rules for pattern in rule.when.state]
    if not patterns:
        return []
    bare = [
        (state, number)
        for state, number in channels.items()
        if state and not any(fnmatchcase(state, pattern) for pattern in patterns)
    ]
    return sorted(bare, key=lambda one: -one[1])


def verdict(
    flow: Flow | None, pause: Pause | None, half: str | None, window: float, hour: OutcomeCount | None
) -> QueueVerdict:
    """Whether greetings are sent, judged by the queue and by the last hour. `hour` None: not known."""
    found = of_the_queue(flow, pause, half, window)
    if found.tone != OK or hour is None:
        return found
    if not hour.added:
        return QueueVerdict(OK, Message.of("Ready for new customers"), Message.of("No new customers in the last hour"))
    tone, headline = OK, Message.of("Greetings are going out")
    if hour.missed * 10 > hour.added:
        tone, headline = BAD, Message.of("Many customers were missed in the last hour")
    elif hour.missed:
        tone, headline = WARN, Message.of("Greetings are going out, but some customers were missed")
    more = Message.of("Last hour: %(added)s new customers, %(sent)s sent", added=hour.added, sent=hour.sent)
    return QueueVerdict(tone, headline, more)


blueprint = Blueprint("today", __name__)


@blueprint.get("/")
def show() -> str:
    """The page. Each panel fails independently."""
    services, app, panels = current.services(), current.app(), Panels()
    flow, paused, hour = panels.read(_flow), panels.read(services.queue_pauses.last), panels.read(_last_hour)
    day, before = panels.read(_today), panels.read(_before)
    pause = paused.value.get(WELCOME) if paused.value else None
    half = statistics_summary.half_within(day.value) if day.value else None
    window = services.settings.window
    return render_template(
        "today/show.html",
        verdict=verdict(flow.value, pause, half, window, hour.value),
        window=window,
        latency=statistics_summary.latency(day.value) if day.value else None,
        first=panels.read(_first_steps),
        todo=panels.read(lambda: list(_things_to_do(flow.value, paused.value or {}, day.value or {}))),
        count=statistics_summary.total(day.value) if day.value is not None else None,
        day=day,
        hours=_hours(day.value) if day.value else None,
        usual=usual.usual(before.value or (), datetime.now(current.zone())),
        usually=usual.by_hour(before.value or ()),
        change=usual.change,
        open=panels.read(lambda: services.ledger.count(app.name)[""]),
        latest=panels.read(_latest),
        day_of_page=current.today(),
    )


def _flow() -> Flow:
    services, app = current.services(), current.app().name
    reading = services.queues.read()
    return Flow(reading, 0, recent_failures(services.ledger, app), reading.calls.get(app))


def _last_hour() -> OutcomeCount:
    ledger = current.services().ledger
    counts = ledger.count(current.app().name, since=ledger.now() - HOUR)
    tallies: Tallies = {("total", "", outcome): n for outcome, n in counts.items() if outcome not in ("", "rehearsed")}
    return statistics_summary.total(tallies)


def _today() -> Tallies:
    dimensions = ["total", "hour", "latency", "pace", "channel"]
    found = statistics.read(current.services().redis, current.app().name, [current.today()], dimensions)
    (tallies,) = found.values()
    return tallies


def _before() -> list[Hours | None]:
    """The same weekday of the last weeks."""
    return usual.read(current.services().redis, current.app().name, current.today())


@dataclass(frozen=True, slots=True)
class Latest:
    """One of the newest deliveries. `customer`, `member`: names, "" where they are not known; `took`: ms."""

    delivery: Delivery
    customer: str
    member: str
    took: int | None


def _latest() -> list[Latest]:
    services, app = current.services(), current.app().name
    rows = services.ledger.page(app, limit=LATEST).rows
    members = known_members(services.redis, app, {row.user_id for row in rows})
    found = []
    for row in rows:
        names = row.names or {}
        member = names.get("member") or members.get(row.user_id, ("", ""))[0]
        took = timeline.took(row) if row.outcome in GREETED else None
        found.append(Latest(row, names.get("customer", ""), member, took))
    return found


def _first_steps() -> dict[str, bool] | None:
    """Which of the three first steps are done; None once a customer was added."""
    services, app = current.services(), current.app().name
    rows = services.ledger.page(app, limit=LATEST).rows
    if any(not row.rehearsal for row in rows):
        return None
    verified = services.verifications.last(app)
    return {
        "callback": verified is not None and verified.problem is None,
        "welcome": services.books.current(app) is not None,
        "rehearsal": any(row.outcome is Outcome.REHEARSED for row in rows),
    }


# ------------------------------------------------------------------------------------------------ what is to be done


def _things_to_do(flow: Flow | None, paused: Mapping[str, Pause], day: Tallies) -> Iterator[ToDo]:
    """What needs attention, the most urgent first. Raises redis.RedisError."""
    services, app = current.services(), current.app()
    if FOLLOW_UPS in paused and paused[FOLLOW_UPS].holds:
        by = paused[FOLLOW_UPS].by
        yield ToDo(WARN, _("%(name)s has paused the follow-up tasks", name=by), _("To the queue"), "queue.show")
    if services.books.current(app.name) is None:
        yield ToDo(BAD, _("No welcome is published: nobody is greeted"), _("Write one"), "welcomes.show")
    missed = app.work_list.counts()[0]
    if missed:
        what = ngettext("%(num)s customer was missed", "%(num)s customers were missed", missed)
        yield ToDo(BAD, what, _("Follow up"), "missed.show")
    verified = services.verifications.last(app.name)
    if verified is not None and verified.problem is not None:
        yield ToDo(BAD, _("The last request to the callback was refused"), _("To Set-up"), "setup.show")
    if flow is not None:
        yield from _at_wecom(flow.reading, app.name)
    failed = services.follow_ups.summary(app.name).failures
    if failed:
        what = ngettext("%(num)s follow-up was given up", "%(num)s follow-ups were given up", failed)
        yield ToDo(WARN, what, _("To the queue"), "queue.show")
    yield from _bare_channels(day)


def _at_wecom(reading: Reading, app: str) -> Iterator[ToDo]:
    """What is missing at WeCom: the token, files."""
    if reading.tokens.get(app) is None:
        yield ToDo(BAD, _("No access token: nothing can be sent"), _("To Set-up"), "setup.show")
    media = reading.media.get(app)
    if media is not None and media.needs_attention:
        number = media.troubled or media.files
        what = ngettext(
            "%(num)s file of the welcomes is missing at WeCom, or ends soon",
            "%(num)s files of the welcomes are missing at WeCom, or end soon",
            number,
        )
        yield ToDo(WARN, what, _("To the media"), "media.show")


def _bare_channels(day: Tallies) -> Iterator[ToDo]:
    """Channels with customers today that no rule names."""
    book = current.live_book()
    if book is None:
        return
    counts = {str(state): count.added for state, count in statistics_summary.counted(day, "channel").items() if state}
    for state, number in without_rule(book, counts)[:CHANNELS]:
        what = _("No rule for the channel %(state)s (%(n)s adds today)", state=cut(state, 24), n=number)
        yield ToDo(WARN, what, _("Add a rule"), "rules.add", {"state": state})


def _hours(tallies: Tallies) -> list[int]:
    """Customers added in each hour of the day."""
    counts = statistics_summary.counted(tallies, "hour")
    return [counts.get(f"{hour:02}", OutcomeCount()).added for hour in range(24)]
