"""All counters and the queues' status in Prometheus' text format, read from Redis at scrape time.

All names start with `wecom_welcome_`; values are in base units.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tasks.counters import BUCKETS, LATENCY
from tasks.monitoring import heartbeat
from tasks.monitoring.queue_status import Queues, Reading
from tasks.rate_limits.limiter import Status
from tasks.storage import keys, replies
from tasks.storage.connections import Redis

NAMESPACE = "wecom_welcome_"
HELP = {
    "callbacks_total": "Callbacks answered, by result",
    "outcomes_total": "What became of the added customers",
    "variants_total": "What became of them, by rule and variant, where a rule has several",
    "followups_total": "Follow-ups (tags, remarks) that were done or given up",
    "recoveries_total": "Events taken over from a worker that died",
    "limited_total": "Customers who were not greeted since WeCom's limits held calls back",
    "overloaded_total": "Customers who were not greeted since there were more than could be",
    "lifeboat_total": "What became of the customers who were added while Redis did not take events",
    "api_errors_total": "Failed calls of WeCom's API, by path and errcode or error",
}


def exposition(client: Redis, queues: Queues, of_the_process: Sequence[Metric] = ()) -> bytes:
    """All metrics in Prometheus' text format; `of_the_process`: further ones. Raises redis.RedisError."""
    counts = replies.fields(client.hgetall(keys.COUNTERS))
    parsed = [(*_parse(field), int(value)) for field, value in counts.items()]
    return text([*_counters(parsed), _histogram(parsed), *_gauges(queues.read()), *_processes(client), *of_the_process])


def text(metrics: Sequence[Metric]) -> bytes:
    """Metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Ready(list(metrics)))
    return generate_latest(registry)


class _Ready(Collector):
    """A collector of metrics that were made already."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _parse(field: str) -> tuple[str, dict[str, str]]:
    name, *labels = field.split("|")
    return name, dict(label.partition("=")[::2] for label in labels)


def _counters(fields: list[tuple[str, dict[str, str], int]]) -> Iterator[Metric]:
    for name, text in HELP.items():
        rows = [(labels, value) for other, labels, value in fields if other == name]
        keys = sorted({key for labels, _ in rows for key in labels})
        family = CounterMetricFamily(NAMESPACE + name.removesuffix("_total"), text, labels=keys)
        for labels, value in rows:
            family.add_metric([labels.get(key, "") for key in keys], value)
        yield family


def _histogram(fields: list[tuple[str, dict[str, str], int]]) -> Metric:
    family = HistogramMetricFamily(NAMESPACE + LATENCY, "From receipt of the event to WeCom's ok", labels=["app"])
    sums = {labels["app"]: value / 1000 for name, labels, value in fields if name == f"{LATENCY}_sum_ms"}
    for app, total in sums.items():
        found = {labels["le"]: v for name, labels, v in fields if name == LATENCY and labels["app"] == app}
        buckets, running = [], 0
        for limit in (*map(str, BUCKETS), "+Inf"):
            running += found.get(limit, 0)
            buckets.append((limit, running))
        family.add_metric([app], buckets=buckets, sum_value=total)
    return family


def _processes(client: Redis) -> Iterator[Metric]:
    processes = heartbeat.read(client)

    def gauge(name: str, text: str, value: Callable[[heartbeat.Process], float | None]) -> Metric:
        family = GaugeMetricFamily(NAMESPACE + name, text, labels=["role", "host", "pid"])
        for process in processes:
            found = value(process)
            if found is not None:
                family.add_metric([process.role, process.host, str(process.pid)], found)
        return family

    yield gauge("process_silence_seconds", "Since the process' last heartbeat", lambda one: one.silence)
    yield gauge("process_tasks", "Greetings or tasks that the process has, at its last heartbeat", lambda one: one.busy)
    yield gauge("process_greetings_limit", "How many greetings it may have at once", lambda one: one.limit)


def _gauges(reading: Reading) -> Iterator[Metric]:
    def gauge(name: str, text: str, value: float | None) -> Metric:
        family = GaugeMetricFamily(NAMESPACE + name, text)
        if value is not None:  # an unknown value is left out, never zero
            family.add_metric([], value)
        return family

    yield gauge("queue_waiting", "Events that no worker has taken yet", reading.waiting)
    yield gauge("queue_in_flight", "Events that a worker has", reading.in_flight)
    yield gauge("queue_oldest_seconds", "Age of the oldest event that no worker has taken", reading.oldest)
    yield gauge("worker_silence_seconds", "Since a worker last took a message from the queue", reading.silence)
    yield gauge("upkeep_waiting", "Messages on the slow queue", reading.upkeep)
    yield gauge("redis_memory_bytes", "Memory that Redis uses", reading.memory)
    tokens = GaugeMetricFamily(NAMESPACE + "token_left_seconds", "Life left of the access token", labels=["app"])
    for app, left in reading.tokens.items():
        if left is not None:
            tokens.add_metric([app], left)
    yield tokens
    left_of_media = GaugeMetricFamily(
        NAMESPACE + "media_left_seconds", "Until the first media id of the welcome book ends", labels=["app"]
    )
    failing = GaugeMetricFamily(
        NAMESPACE + "media_failing", "Files of the welcome book that are not at WeCom, or not renewed", labels=["app"]
    )
    for app, media in reading.media.items():
        failing.add_metric([app], len(media.absent) + len(media.failing))
        if media.left is not None:
            left_of_media.add_metric([app], media.left)
    yield left_of_media
    yield failing
    yield from _calls(reading.calls)


def _calls(calls: Mapping[str, Status]) -> Iterator[Metric]:
    begun = GaugeMetricFamily(
        NAMESPACE + "calls", "Greetings sent to WeCom, that count for its limit", labels=["app", "per"]
    )
    allowed = GaugeMetricFamily(NAMESPACE + "calls_limit", "How many may be sent", labels=["app", "per"])
    held = GaugeMetricFamily(
        NAMESPACE + "calls_held", "1 while greetings wait for WeCom's limits, else 0", labels=["app"]
    )
    for app, one in calls.items():
        for per, number, limit in (("minute", one.minute, one.limits.minute), ("hour", one.hour, one.limits.hour)):
            begun.add_metric([app, per], number)
            allowed.add_metric([app, per], limit)
        held.add_metric([app], int(one.is_held))
    yield from (begun, allowed, held)
