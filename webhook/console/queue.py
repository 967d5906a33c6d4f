"""Queue: whether whoever is added now will be greeted, and why not; who works, and on what. Lanes are paused here.

Every panel is one read of fixed keys, so it costs the same however long it all runs, and each fails alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from flask import Blueprint, Response, abort, flash, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext

from tasks import jobs, presence, tally
from tasks.assembly import Parts
from tasks.lanes import FOLLOW_UPS, LANES, MOST, WELCOME, Lanes, Pause
from tasks.ledger import EVENTS
from tasks.ledger.followups import FollowUps, Standing
from tasks.queues import Reading
from tasks.sentences import Sentence, said
from webhook.console import figures
from webhook.console.panels import Panel, Panels
from webhook.verdicts import BAD, OK, UNKNOWN, WARN, seconds

DAYS = 7  # of the causes
SLOW = 5.0  # seconds in the queue that are worth a word
LISTED = 20  # follow-ups shown
JOBS = {  # task → what it does
    "tasks.upkeep.refresh_tokens": lazy_gettext("Renew access tokens"),
    "tasks.upkeep.import_books": lazy_gettext("Store the first welcomes"),
    "tasks.upkeep.trim_ledger": lazy_gettext("Erase old records"),
    "tasks.upkeep.watch_memory": lazy_gettext("Watch the memory of Redis"),
    "tasks.upkeep.watch_media": lazy_gettext("Watch media"),
    "tasks.upkeep.sync_group_welcomes": lazy_gettext("Keep group welcomes in step"),
    "tasks.upkeep.compare_customers": lazy_gettext("See to the nightly comparison"),
    "tasks.upkeep.remind_members": lazy_gettext("Remind members"),
}
ROLES = {  # role → what it does
    "web": lazy_gettext("Callback and console"),
    "welcome": lazy_gettext("Sends greetings"),
    "upkeep": lazy_gettext("Follow-up tasks, media, scheduled jobs"),
    "beat": lazy_gettext("Keeps the schedule"),
}


@dataclass(frozen=True, slots=True)
class Flow:
    """What goes through the welcome lane. `rate`: added in the last minute, of all apps."""

    reading: Reading
    rate: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What stands on top of the page."""

    tone: str
    headline: Sentence
    more: Sentence | None = None


def verdict(flow: Flow | None, pause: Pause | None, half: str | None, window: float) -> Verdict:
    """Whether whoever is added now will be greeted. `flow` None: that cannot be read. `half`: seconds, in digits."""
    if flow is None:
        more = said("Until Redis answers, WeCom is told to send its notifications again")
        return Verdict(UNKNOWN, said("Cannot read: Redis does not answer"), more)
    reading = flow.reading
    if pause is not None and pause.holds:
        headline = said("The welcome lane is paused: whoever is added now may miss the greeting")
        left = seconds(pause.left or 0.0)
        return Verdict(
            BAD, headline, said("%(name)s paused it. It resumes by itself in %(n)s s", name=pause.by, n=left)
        )
    if not reading.consuming:
        silence = reading.silence
        headline = said("Whoever is added now will miss the greeting")
        if silence is None:
            return Verdict(BAD, headline, said("No worker has ever come: start `wecom-welcome up`, or `role welcome`"))
        return Verdict(BAD, headline, said("No word from the workers for %(n)s s", n=f"{silence:.0f}"))
    oldest = reading.oldest or 0.0
    if oldest > window:
        more = said("%(n)s s in the queue, past the window of %(window)s s", n=f"{oldest:.0f}", window=f"{window:.0f}")
        return Verdict(BAD, said("New customers are missing their greeting"), more)
    if oldest > SLOW:
        headline = said("Greetings are slow: the oldest has waited %(n)s s", n=seconds(oldest))
        return Verdict(WARN, headline, said("After %(n)s s it is too late", n=f"{window:.0f}"))
    if half is None:
        return Verdict(OK, said("Workers are ready. Nobody has been greeted today yet"))
    return Verdict(OK, said("Whoever is added now is greeted in about %(n)s s", n=seconds(oldest + float(half))))


def queue(parts: Parts) -> Blueprint:
    """The page, and what can be done on it."""
    blueprint = Blueprint("queue", __name__)
    lanes, follow_ups = Lanes(parts.redis), FollowUps(parts.redis)

    def today() -> date:
        return datetime.now(parts.settings.timezone).date()

    def flow() -> Flow:
        now = parts.ledger.now()
        return Flow(parts.queues.read(), int(parts.redis.zcount(EVENTS, now - 60_000, "+inf")))

    def days() -> dict[date, tally.Tallies]:
        asked = [today() - timedelta(n) for n in reversed(range(DAYS))]
        return tally.read(parts.redis, g.app.name, asked, ["cause"])

    def times() -> figures.Latency | None:
        (tallies,) = tally.read(parts.redis, g.app.name, [today()], ["latency"]).values()
        return figures.latency(tallies)

    @blueprint.get("/queue")
    def show() -> str:
        panels = Panels()
        stands, paused, latency = panels.read(flow), panels.read(lanes.last), panels.read(times)
        later, why = panels.read(lambda: follow_ups.standing(g.app.name)), panels.read(days)
        pause = paused.value.get(WELCOME) if paused.value else None
        half = latency.value.half if latency.value else None
        chosen: Panel[list[figures.Cause]] = Panel(figures.causes(why.value.values()) if why.value else None, why.why)
        return render_template(
            "queue/show.html",
            verdict=verdict(stands.value, pause, half, parts.settings.window),
            flow=stands,
            lanes=paused,
            WELCOME=WELCOME,
            FOLLOW_UPS=FOLLOW_UPS,
            minutes=round(MOST / 60),
            latency=latency,
            later=later,
            listed=_listed(later.value) if later.value else [],
            causes=chosen,
            days=list(why.value or ()),
            processes=panels.read(lambda: presence.read(parts.redis)),
            jobs=panels.read(lambda: jobs.read(parts.redis, jobs.SCHEDULE)),
            job_names=JOBS,
            roles=ROLES,
            refusal=panels.read(lambda: parts.clients[g.app.name].tokens.refusal()),
        )

    @blueprint.post("/queue/lanes/<lane>/pause")
    def pause(lane: str) -> Response:
        if lane not in LANES:
            abort(404)
        if not lanes.pause(lane, g.operator):
            flash(_("The lane was paused already"))
        elif lane == WELCOME:
            flash(_("The welcome lane is paused. It resumes by itself in %(n)s minutes", n=round(MOST / 60)))
        else:
            flash(_("The lane of follow-up tasks is paused until somebody resumes it"))
        return _back()

    @blueprint.post("/queue/lanes/<lane>/resume")
    def resume(lane: str) -> Response:
        if lane not in LANES:
            abort(404)
        flash(_("The lane is resumed") if lanes.resume(lane, g.operator) else _("The lane was not paused any more"))
        return _back()

    @blueprint.post("/queue/follow-ups/retry")
    def retry() -> Response:
        asked = list(dict.fromkeys(request.form.getlist("id")))[:LISTED]
        done = sum(_is_of(parts, one) and follow_ups.again(one) for one in asked)
        flash(ngettext("%(num)s follow-up is tried again now", "%(num)s follow-ups are tried again now", done))
        if done < len(asked):
            left = len(asked) - done
            flash(
                ngettext(
                    "%(num)s was done meanwhile, and left alone", "%(num)s were done meanwhile, and left alone", left
                )
            )
        return _back()

    return blueprint


def _listed(standing: Standing) -> Sequence[Mapping[str, str]]:
    """The follow-ups that are shown: given up first, then those that are tried again."""
    return [*standing.failed, *standing.retried][:LISTED]


def _is_of(parts: Parts, identity: str) -> bool:
    """Whether an event is one of the chosen app."""
    row = parts.ledger.row(identity)
    return row is not None and row["app"] == g.app.name


def _back() -> Response:
    return redirect(url_for("queue.show"))  # type: ignore[return-value]
