"""Queue: whether a customer who is added now will be greeted; queues are paused here.

Every panel is one read of fixed keys, so its cost does not grow, and each fails independently.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from tasks.audit import Act
from tasks.directory import lookup
from tasks.followups.store import FollowUpSummary
from tasks.ledger import samples, statistics
from tasks.ledger.delivery import Delivery
from tasks.ledger.pauses import FOLLOW_UPS, MOST, QUEUES, WELCOME, Pause
from tasks.messages import Message
from tasks.monitoring.queue_status import Reading
from tasks.rate_limits.limiter import Status
from tasks.rate_limits.limits import TOO_MANY_AT_ONCE
from tasks.storage import keys
from webhook.console import current, figures, last_hour, statistics_summary
from webhook.console.charts import Chart
from webhook.console.panels import Panels
from webhook.console.recent_failures import NONE, RecentFailures, recent_failures
from webhook.durations import duration
from webhook.outcomes import BAD, OK, UNKNOWN, WARN

SLOW = 5.0  # seconds in the queue that are worth a word
TOO_MANY = 0.9  # of the window: who waited as long while workers take all they can waits for others
LISTED = 20  # follow-ups shown


@dataclass(frozen=True, slots=True)
class Flow:
    """The welcome queue. `rate`: customers added in the last minute, of all apps. `failures`: of the newest.

    calls: greetings of the app's corp, against WeCom's limits.
    """

    reading: Reading
    rate: int
    failures: RecentFailures = NONE
    calls: Status | None = None


@dataclass(frozen=True, slots=True)
class QueueVerdict:
    """The headline of the page."""

    tone: str
    headline: Message
    more: Message | None = None


def verdict(flow: Flow | None, pause: Pause | None, half: str | None, window: float) -> QueueVerdict:
    """Whether a customer added now will be greeted. `flow` None: not known. `half`: the median, seconds in digits."""
    if flow is None:
        more = Message.of("Until Redis is back, WeCom is asked to send its notifications again")
        return QueueVerdict(UNKNOWN, Message.of("Cannot read: Redis is not responding"), more)
    reading = flow.reading
    if pause is not None and pause.holds:
        headline = Message.of("The welcome lane is paused: new customers may miss their greeting")
        left = duration(pause.left or 0.0)
        return QueueVerdict(
            BAD, headline, Message.of("Paused by %(name)s. It resumes by itself in %(time)s", name=pause.by, time=left)
        )
    if not reading.consuming:
        silence = reading.silence
        headline = Message.of("New customers are not being greeted")
        if silence is None:
            return QueueVerdict(
                BAD, headline, Message.of("No worker has started yet: start `wecom-welcome up`, or `role welcome`")
            )
        if reading.is_nearly_full:
            return QueueVerdict(BAD, headline, Message.of("Redis is nearly full: workers cannot take anything from it"))
        return QueueVerdict(
            BAD, headline, Message.of("The workers have not responded for %(time)s", time=duration(silence))
        )
    oldest = reading.oldest or 0.0
    if flow.calls is not None and flow.calls.is_held:
        return _limited(flow.calls, oldest)
    if oldest > window:
        more = Message.of(
            "The longest wait is %(time)s; the limit is %(window)s s", time=duration(oldest), window=f"{window:.0f}"
        )
        return QueueVerdict(BAD, Message.of("New customers are missing their greeting"), more)
    if oldest > TOO_MANY * window:
        headline = Message.of("More customers than can be greeted")
        more = Message.of(
            "The longest wait is %(time)s. Add a worker, or raise WELCOME_CONCURRENCY", time=duration(oldest)
        )
        return QueueVerdict(BAD, headline, more)
    if oldest > SLOW:
        headline = Message.of("Greetings are slow: the longest wait is %(time)s", time=duration(oldest))
        return QueueVerdict(WARN, headline, Message.of("The limit is %(n)s s", n=f"{window:.0f}"))
    failing = flow.failures.message
    if failing is not None:
        return QueueVerdict(BAD, Message.of("New customers are missing their greeting"), failing)
    if half is None:
        return QueueVerdict(OK, Message.of("Ready. Nobody has been greeted today yet"))
    return QueueVerdict(
        OK, Message.of("New customers are greeted in about %(time)s", time=duration(oldest + float(half)))
    )


def _limited(calls: Status, oldest: float) -> QueueVerdict:
    """What is said while WeCom's limits hold greetings back."""
    counts = {"n": f"{calls.minute:,}", "limit": f"{calls.limits.minute:,}"}
    if calls.errcode == TOO_MANY_AT_ONCE:
        headline = Message.of("Greetings are waiting: too many at once for WeCom (%(errcode)s)", errcode=calls.errcode)
        return QueueVerdict(BAD if oldest > SLOW else WARN, headline, Message.of("Fewer are sent at once for a minute"))
    if calls.errcode:
        headline = Message.of("Greetings are waiting: WeCom's rate limit (%(errcode)s)", errcode=calls.errcode)
        if calls.minute * 2 < calls.limits.minute:
            more = Message(
                "Only %(n)s of %(limit)s were sent in the last minute: another program may call the same API", counts
            )
        else:
            more = Message(
                "%(n)s of %(limit)s were sent in the last minute. One call at a time tests the limit", counts
            )
        return QueueVerdict(BAD, headline, more)
    headline = Message.of("Greetings are waiting: WeCom's rate limit is reached")
    if calls.hour >= calls.limits.hour:
        counts = {"n": f"{calls.hour:,}", "limit": f"{calls.limits.hour:,}"}
        return QueueVerdict(BAD, headline, Message("%(n)s of %(limit)s were sent in the last hour", counts))
    more = Message("%(n)s of %(limit)s were sent in the last minute", counts)
    return QueueVerdict(BAD if oldest > SLOW else WARN, headline, more)


blueprint = Blueprint("queue", __name__)


@blueprint.get("/queue")
def show() -> str:
    """The page."""
    services, app, panels = current.services(), current.app(), Panels()
    flow, paused, latency = panels.read(read_flow), panels.read(services.queue_pauses.last), panels.read(_latency)
    later = panels.read(lambda: services.follow_ups.summary(app.name))
    pause = paused.value.get(WELCOME) if paused.value else None
    half = latency.value.half if latency.value else None
    listed = _listed(later.value) if later.value else []
    return render_template(
        "queue/show.html",
        verdict=verdict(flow.value, pause, half, services.settings.window),
        flow=flow,
        lanes=paused,
        WELCOME=WELCOME,
        FOLLOW_UPS=FOLLOW_UPS,
        minutes=round(MOST / 60),
        latency=latency,
        took=figures.took(latency.value, services.settings.window) if latency.value else None,
        hour=panels.read(_last_hour),
        window=services.settings.window,
        later=later,
        listed=listed,
        members=panels.read(lambda: _names(listed)).value or {},
    )


def read_flow() -> Flow:
    """The queue now. Raises redis.RedisError."""
    services = current.services()
    now = services.ledger.now()
    rate = int(services.redis.zcount(keys.EVENTS, now - 60_000, "+inf"))
    reading, app = services.queues.read(), current.app().name
    return Flow(reading, rate, recent_failures(services.ledger, app), reading.calls.get(app))


@dataclass(frozen=True, slots=True)
class LastHour:
    """The queue in the last hour: two charts, and the table that says the same."""

    depth: Chart
    rates: Chart
    spans: Sequence[last_hour.Span]


def _last_hour() -> LastHour | None:
    """None if nobody has taken a sample."""
    taken, zone = samples.read(current.services().redis), current.zone().key
    if not taken:
        return None
    return LastHour(last_hour.depth(taken, zone), last_hour.rates(taken, zone), last_hour.spans(taken))


def _latency() -> statistics_summary.Latency | None:
    """Today's latency; None if nothing was sent."""
    found = statistics.read(current.services().redis, current.app().name, [current.today()], ["latency", "pace"])
    (tallies,) = found.values()
    return statistics_summary.latency(tallies)


def _listed(status: FollowUpSummary) -> Sequence[Delivery]:
    """The follow-ups that are shown: given up first, then those that are tried again."""
    return [*status.failed, *status.retried][:LISTED]


def _names(rows: Sequence[Delivery]) -> dict[str, str]:
    """userid → name of the members of these rows, as far as it is known."""
    known = lookup.known_members(current.services().redis, current.app().name, {row.user_id for row in rows})
    return {user_id: name for user_id, (name, _department) in known.items()}


@blueprint.post("/queue/lanes/<lane>/pause")
def pause(lane: str) -> ResponseReturnValue:
    """Pause a queue."""
    if lane not in QUEUES:
        abort(404)
    paused = current.services().queue_pauses.pause(lane, current.operator())
    if paused:
        current.record(Act.PAUSED, lane, of_app=False)
    if not paused:
        flash(_("The lane was paused already"))
    elif lane == WELCOME:
        flash(_("The welcome lane is paused. It resumes by itself in %(n)s minutes", n=round(MOST / 60)))
    else:
        flash(_("The lane of follow-up tasks is paused until somebody resumes it"))
    return _back()


@blueprint.post("/queue/lanes/<lane>/resume")
def resume(lane: str) -> ResponseReturnValue:
    """Resume a queue."""
    if lane not in QUEUES:
        abort(404)
    resumed = current.services().queue_pauses.resume(lane, current.operator())
    if resumed:
        current.record(Act.RESUMED, lane, of_app=False)
    flash(_("The lane is resumed") if resumed else _("The lane had been resumed already"))
    return _back()


@blueprint.post("/queue/follow-ups/retry")
def retry() -> ResponseReturnValue:
    """Retry the selected follow-ups."""
    ids = list(dict.fromkeys(request.form.getlist("id")))[:LISTED]
    done = sum(_is_ours(one) and current.services().follow_ups.again(one) for one in ids)
    if done:
        current.record(Act.FOLLOW_UPS_RETRIED, number=done)
    flash(ngettext("%(num)s follow-up is tried again now", "%(num)s follow-ups are tried again now", done))
    if done < len(ids):
        flash(
            ngettext(
                "%(num)s was finished meanwhile",
                "%(num)s were finished meanwhile",
                len(ids) - done,
            )
        )
    return _back()


def _is_ours(identity: str) -> bool:
    """Whether an event belongs to the page's app."""
    row = current.services().ledger.delivery(identity)
    return row is not None and row.app == current.app().name


def _back() -> ResponseReturnValue:
    return redirect(url_for("queue.show"))
