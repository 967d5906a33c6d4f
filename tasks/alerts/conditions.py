"""What alerts are about, and whether each of them is so: from a reading, without touching anything. Pure.

    judge          what Redis tells, which one process of all reads      → a Finding for each alert, of each app
    judge_locally  what a web process knows by itself, without Redis     → the same

The names are those of the Prometheus rules (deploy/prometheus) and of the runbook's sections.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from tasks.monitoring.jobs import Job


class Alert(StrEnum):
    GREETINGS_MISSED = "GreetingsMissed"
    CALLBACKS_SILENT = "CallbacksSilent"
    WORKERS_SILENT = "WorkersSilent"
    QUEUE_BEHIND = "QueueBehind"
    TOKEN_REFUSED = "TokenRefused"
    MEDIA_FAILING = "MediaFailing"
    LIMIT_REACHED = "LimitReached"
    JOB_LATE = "JobLate"
    FORWARDS_FAILING = "ForwardsFailing"
    PLACEHOLDERS_FAILING = "PlaceholdersFailing"
    REDIS_MEMORY_HIGH = "RedisMemoryHigh"
    LIFEBOAT_IN_USE = "LifeboatInUse"
    INTAKE_FAILING = "IntakeFailing"


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds. after: how long it must last before people are told; steady: how long it must be over."""

    after: float = 0.0
    steady: float = 5.0


PATIENCE: Mapping[Alert, Patience] = {
    Alert.GREETINGS_MISSED: Patience(steady=0.0),  # its own condition waits
    Alert.CALLBACKS_SILENT: Patience(steady=0.0),
    Alert.WORKERS_SILENT: Patience(),
    Alert.QUEUE_BEHIND: Patience(15.0, 30.0),
    Alert.TOKEN_REFUSED: Patience(),
    Alert.MEDIA_FAILING: Patience(120.0, 60.0),  # a new book's files are on their way for a while
    Alert.LIMIT_REACHED: Patience(60.0, 60.0),
    Alert.JOB_LATE: Patience(),
    Alert.FORWARDS_FAILING: Patience(steady=60.0),
    Alert.PLACEHOLDERS_FAILING: Patience(120.0, 60.0),  # a package is installed process by process
    Alert.REDIS_MEMORY_HIGH: Patience(60.0, 60.0),
    Alert.LIFEBOAT_IN_USE: Patience(15.0),  # a restart or a failover of Redis takes less
    Alert.INTAKE_FAILING: Patience(15.0),
}

CALM = 600.0  # seconds after the last missed greeting at which that is over
SILENT = 20.0  # seconds without a worker: whoever was added meanwhile may have missed the greeting
BEHIND = 0.5  # of the window: the oldest has waited so long
MEMORY = 0.85  # of what Redis may use
JOB_LEAST, JOB_RUNS = 900.0, 3  # seconds, or so many times the time between two runs, whichever is longer
QUIET = 3600.0  # seconds without a callback below which nobody asks what is usual
FORWARD_LATE = 3600.0  # seconds for which an event for another system has waited; and after one was given up
UNWATCHED = 30.0  # seconds without a reading, more than were meant, after which what was before it counts for nothing


@dataclass(frozen=True, slots=True)
class TargetReading:
    """Another system that events are forwarded to. parked_at: when the last of the parked was given up (Unix)."""

    host: str
    oldest: float = 0.0  # seconds for which the first event on its way has been
    parked: int = 0
    parked_at: float | None = None


@dataclass(frozen=True, slots=True)
class AppReading:
    """One app, at a moment."""

    missed: Mapping[str, int] = field(default_factory=dict)  # outcome → customers that were not greeted, ever
    called_at: float | None = None  # when WeCom last sent it an event; None: not known
    has_token: bool = True
    refused: int | None = None  # WeCom's errcode, while it refuses a token
    media: int = 0  # files that are not at WeCom, or not renewed
    limit: int | None = None  # None: nothing is held back; else WeCom's errcode, 0 if its limits are kept by waiting
    targets: tuple[TargetReading, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """The whole installation, at a moment: `now`, and all times, in Unix seconds of Redis' clock."""

    now: float
    window: float  # seconds
    consumed_at: float | None = None  # when a worker last took a message
    oldest: float = 0.0  # seconds for which the oldest event has waited
    memory: float | None = None  # share of what Redis may use; None: not known, or no limit
    jobs: tuple[Job, ...] = ()
    hooks: tuple[str, ...] = ()  # those that fail, hang, or are missing in some process
    apps: Mapping[str, AppReading] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Local:
    """What a web process knows without Redis. away: seconds since Redis took its last write; 0: it takes them."""

    away: float = 0.0
    in_use: bool = False  # the lifeboat, by any process of this host
    can_take: bool = False  # whether it would take the next customer


@dataclass(frozen=True, slots=True)
class Counts:
    """What earlier readings of an app have shown.

    missed_at: when the count of missed greetings last grew; None: never yet. missed_before: the counts before it first
    did, after a time of CALM.
    """

    missed: Mapping[str, int]
    missed_at: float | None = None
    missed_before: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered between two readings. at: the last one; watched_from: since when they came without a gap."""

    watched_from: float
    at: float
    apps: Mapping[str, Counts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether something is so. holds None: not known, so that it stays as it was. facts: for the text.

    since: when it began (Unix seconds), where the reading tells.
    """

    alert: Alert
    holds: bool | None
    app: str = ""  # "": the whole installation
    facts: Mapping[str, object] = field(default_factory=dict)
    since: float | None = None


def remembered(past: Past | None, reading: Reading, pause: float = 0.0) -> Past:
    """What to remember after a reading. Counts that fell are another Redis': they begin anew.

    pause: seconds that were left to pass between the last two readings.
    """
    now = reading.now
    watched_from = past.watched_from if past is not None and 0 <= now - past.at <= pause + UNWATCHED else now
    apps = {
        name: _counts(past.apps.get(name) if past is not None else None, app, now) for name, app in reading.apps.items()
    }
    return Past(watched_from, now, apps)


def _counts(before: Counts | None, app: AppReading, now: float) -> Counts:
    if before is None or sum(app.missed.values()) < sum(before.missed.values()):
        return Counts(app.missed)
    if sum(app.missed.values()) == sum(before.missed.values()):
        return replace(before, missed=app.missed)
    calm = before.missed_at is None or now - before.missed_at >= CALM
    return Counts(app.missed, now, before.missed if calm else before.missed_before)


def judge(reading: Reading, past: Past, usual: Mapping[str, int | None]) -> Iterator[Finding]:
    """The findings. `past`: with this reading (`remembered`). usual: by app, see `callbacks`; for those that are asked.

    Nothing counts as silent or late for longer than it has been watched: a start after a night is no alarm.
    """
    yield from _of_all(reading, past)
    for name, app in reading.apps.items():
        yield _missed(name, past.apps[name], reading.now)
        yield _callbacks(name, app, past, usual.get(name))
        token: bool | None = True if app.refused is not None else False if app.has_token else None
        yield Finding(Alert.TOKEN_REFUSED, token, name, {"errcode": app.refused})
        yield Finding(Alert.MEDIA_FAILING, app.media > 0, name, {"files": app.media})
        yield Finding(Alert.LIMIT_REACHED, app.limit is not None, name, {"errcode": app.limit or None})
        yield _forwards(name, app.targets, reading.now)


def _of_all(reading: Reading, past: Past) -> Iterator[Finding]:
    since = max(reading.consumed_at or 0.0, past.watched_from)
    is_silent = reading.now - since > SILENT
    ever = {"seconds": round(reading.now - reading.consumed_at)} if reading.consumed_at is not None else {}
    yield Finding(Alert.WORKERS_SILENT, is_silent, facts=ever, since=since)
    behind = reading.oldest > BEHIND * reading.window and not is_silent  # which says more
    yield Finding(Alert.QUEUE_BEHIND, behind, facts={"waited": round(reading.oldest)})
    late = [job for job in reading.jobs if _is_late(job, reading.now, past.watched_from)]
    names = ", ".join(job.short_name for job in late)
    late_since = min((max(job.fine_at or 0.0, past.watched_from) for job in late), default=None)
    yield Finding(Alert.JOB_LATE, bool(late), facts={"jobs": names}, since=late_since)
    yield Finding(Alert.PLACEHOLDERS_FAILING, bool(reading.hooks), facts={"hooks": list(reading.hooks)})
    if reading.memory is not None:
        facts = {"percent": round(100 * reading.memory)}
        yield Finding(Alert.REDIS_MEMORY_HIGH, reading.memory > MEMORY, facts=facts)


def _is_late(job: Job, now: float, watched_from: float) -> bool:
    return now - max(job.fine_at or 0.0, watched_from) > max(JOB_LEAST, JOB_RUNS * job.every)


def _missed(app: str, counts: Counts, now: float) -> Finding:
    holds = counts.missed_at is not None and now - counts.missed_at < CALM
    grown = {name: number - counts.missed_before.get(name, 0) for name, number in counts.missed.items()}
    facts = {"outcomes": {name: number for name, number in grown.items() if number > 0}} if holds else {}
    return Finding(Alert.GREETINGS_MISSED, holds, app, facts)


def _forwards(app: str, targets: Sequence[TargetReading], now: float) -> Finding:
    """Events have waited for long, or were given up lately: those that nobody retries are not told for days."""
    given_up = [one for one in targets if one.parked_at is not None and now - one.parked_at < FORWARD_LATE]
    behind = [one for one in targets if one.oldest > FORWARD_LATE]
    facts = {
        "hosts": sorted({one.host for one in (*given_up, *behind)}),
        "waited": max((round(one.oldest) for one in behind), default=None),
        "parked": sum(one.parked for one in given_up),
    }
    return Finding(Alert.FORWARDS_FAILING, bool(given_up or behind), app, facts)


def quiet_since(app: AppReading, past: Past) -> float:
    """When the silence began that was watched."""
    return max(app.called_at or 0.0, past.watched_from)


def _callbacks(name: str, app: AppReading, past: Past, usual: int | None) -> Finding:
    """It is over with the first callback, and not when hours begin in which few are usual."""
    if app.called_at is not None and past.at - app.called_at < QUIET:
        return Finding(Alert.CALLBACKS_SILENT, False, name)
    holds, since = True if usual is not None else None, app.called_at or past.watched_from
    facts = {"usual": usual, "seconds": round(past.at - since)}
    return Finding(Alert.CALLBACKS_SILENT, holds, name, facts, since)


def judge_locally(local: Local) -> Iterator[Finding]:
    """The findings of one host."""
    is_away = local.away > 0
    yield Finding(Alert.LIFEBOAT_IN_USE, local.in_use or (is_away and local.can_take))
    yield Finding(Alert.INTAKE_FAILING, is_away and not local.can_take)  # though it may have events of before
