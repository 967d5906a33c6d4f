"""What is so now, as Prometheus' gauges: queues, tokens, media, limits, processes, jobs. Pure: values in, metrics out.

A value that is not known has no sample; it is never zero.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from tasks.forwards.store import TargetStatus
from tasks.monitoring.heartbeat import Process
from tasks.monitoring.jobs import Job
from tasks.monitoring.queue_status import Reading
from tasks.monitoring.snapshot import ROLES, Snapshot
from tasks.settings import Target

NAMESPACE = "wecom_welcome_"
Sample = tuple[tuple[str, ...], float | None]  # (values of the labels, value)


def gauge(name: str, text: str, labels: Iterable[str] = (), samples: Iterable[Sample] = ()) -> Metric:
    """A gauge with these samples, without those whose value is None."""
    family = GaugeMetricFamily(NAMESPACE + name, text, labels=tuple(labels))
    for values, value in samples:
        if value is not None:
            family.add_metric(values, value)
    return family


def single(name: str, text: str, value: float | None) -> Metric:
    """A gauge without labels."""
    return gauge(name, text, samples=[((), value)])


def of_queues(reading: Reading, refused: Mapping[str, bool]) -> Iterator[Metric]:
    """Queues, Redis' memory, tokens, media and WeCom's limits. `refused`: app → whether WeCom refuses its secret."""
    yield single("queue_waiting", "Events that no worker has taken yet", reading.waiting)
    yield single("queue_in_flight", "Events that a worker has", reading.in_flight)
    yield single("queue_oldest_seconds", "Age of the oldest event that no worker has taken", reading.oldest)
    yield single("worker_silence_seconds", "Since a worker last took a message from the queue", reading.silence)
    yield single("upkeep_waiting", "Messages on the slow queue", reading.upkeep)
    yield single("redis_memory_bytes", "Memory that Redis uses", reading.memory)
    yield single("redis_memory_limit_bytes", "Redis' maxmemory, where it has one", reading.memory_limit)
    yield _by_app("token_left_seconds", "Life left of the access token, while there is one", reading.tokens)
    yield _by_app("token_refused", "1 while WeCom refuses the app's secret, else 0", refused)
    media = reading.media
    yield _by_app(
        "media_left_seconds",
        "Until the first media id of the welcome book ends",
        {app: one.left for app, one in media.items()},
    )
    yield _by_app(
        "media_failing",
        "Files of the welcome book that are not at WeCom, or not renewed",
        {app: one.troubled for app, one in media.items()},
    )
    calls = [
        (app, per, number, limit)
        for app, one in reading.calls.items()
        for per, number, limit in (("minute", one.minute, one.limits.minute), ("hour", one.hour, one.limits.hour))
    ]
    labels = ("app", "per")
    sent = "Greetings sent to WeCom in the last minute and hour, which count for its limit"
    yield gauge("calls", sent, labels, (((app, per), number) for app, per, number, _ in calls))
    yield gauge("calls_limit", "How many may be sent", labels, (((app, per), limit) for app, per, _, limit in calls))
    held = {app: one.is_held for app, one in reading.calls.items()}
    yield _by_app("calls_held", "1 while greetings wait for WeCom's limits, else 0", held)


def of_apps(snapshot: Snapshot) -> Iterator[Metric]:
    """Missed customers, callbacks, images, pauses and follow-ups."""
    apps = snapshot.apps.items()
    yield _by_app("missed_open", "Missed customers whom nobody has ticked off", {app: one.missed for app, one in apps})
    yield _by_app(
        "missed_oldest_timestamp_seconds",
        "When the first of them was added",
        {app: one.oldest_missed for app, one in apps},
    )
    yield _by_app(
        "last_callback_timestamp_seconds",
        "When WeCom last sent an event",
        {app: one.last_callback for app, one in apps},
    )
    yield _by_app(
        "comparison_last_success_timestamp_seconds",
        "When the last completed comparison with WeCom's customers began",
        {app: one.compared for app, one in apps},
    )
    images = [(app, per, uploaded, allowed) for app, one in apps for per, (uploaded, allowed) in one.images.items()]
    labels = ("app", "per")
    text = "Permanent images that were uploaded for the app's corp today and this month"
    yield gauge("image_uploads", text, labels, (((app, per), number) for app, per, number, _ in images))
    text = "How many WeCom allows its corp"
    yield gauge("image_uploads_limit", text, labels, (((app, per), number) for app, per, _, number in images))
    paused = snapshot.paused.items()
    text = "1 while somebody has paused the queue, else 0"
    yield gauge("queue_paused", text, ("queue",), (((queue,), is_paused) for queue, is_paused in paused))
    yield single("followups_waiting", "Follow-ups (tags, remarks) that are not done yet", snapshot.follow_ups)
    text = "For how long the first of them is overdue; 0 while none is"
    yield single("followups_oldest_seconds", text, snapshot.follow_ups_oldest)


def of_forwards(statuses: Sequence[tuple[str, Target, TargetStatus]]) -> Iterator[Metric]:
    """What is on its way to other systems, or was given up: of each target of each app."""

    def each(name: str, text: str, value: Callable[[TargetStatus], float]) -> Metric:
        samples = (((app, target.id, target.host), value(status)) for app, target, status in statuses)
        return gauge(name, text, ("app", "target", "host"), samples)

    yield each("forwards_waiting", "Events on their way to another system", lambda one: one.waiting)
    text = "For how long the first of them has been; 0 while none is"
    yield each("forwards_oldest_seconds", text, lambda one: one.oldest)
    yield each("forwards_parked", "Events given up, which can be tried again", lambda one: one.parked)


def of_processes(snapshot: Snapshot) -> Iterator[Metric]:
    """Processes, their clocks, and the scheduled jobs."""

    def each(name: str, text: str, value: Callable[[Process], float | None]) -> Metric:
        samples = (((one.role, one.host, str(one.pid)), value(one)) for one in snapshot.processes)
        return gauge(name, text, ("role", "host", "pid"), samples)

    def each_job(name: str, text: str, value: Callable[[Job], float | None]) -> Metric:
        return gauge(name, text, ("task",), (((job.short_name,), value(job)) for job in snapshot.jobs))

    text = "Processes with a heartbeat within the last seconds"
    yield gauge("processes", text, ("role",), (((role,), snapshot.at_work(role)) for role in ROLES))
    yield each("process_silence_seconds", "Since the process' last heartbeat", lambda one: one.silence)
    yield each("process_tasks", "Greetings or tasks that the process has, at its last heartbeat", lambda one: one.busy)
    yield each("process_greetings_limit", "How many greetings it may have at once", lambda one: one.limit)
    yield each("clock_skew_seconds", "How far the process' clock is ahead of WeCom's", lambda one: one.skew)
    yield single("redis_clock_skew_seconds", "How far Redis' clock is ahead of WeCom's", snapshot.redis_skew)
    yield each_job("job_interval_seconds", "How often the scheduled job runs", lambda job: job.every)
    yield each_job("job_last_success_timestamp_seconds", "When it last succeeded", lambda job: job.fine_at)
    yield each_job("job_last_failure_timestamp_seconds", "When it last failed", lambda job: job.failed_at)


def _by_app(name: str, text: str, values: Mapping[str, float | None]) -> Metric:
    return gauge(name, text, ("app",), (((app,), value) for app, value in values.items()))
