"""All counters and gauges in Prometheus' text format, read from Redis at scrape time.

All names start with `wecom_welcome_`; values are in base units. A counter has a sample for every app and every outcome
or result from the start, at zero: `increase()` sees nothing of one that appears with its first count.
"""

import platform
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib import metadata
from itertools import product

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tasks.counters import BUCKETS, LATENCY, CallbackResult
from tasks.forwards.store import TargetStatus
from tasks.ledger.delivery import OUTCOMES, FollowUpStatus, Outcome
from tasks.monitoring import gauges, snapshot
from tasks.monitoring.gauges import NAMESPACE
from tasks.monitoring.queue_status import Queues
from tasks.settings import Target
from tasks.storage import damage, keys, replies
from tasks.storage.connections import Redis
from tasks.storage.unreadable import readable

HELP = {
    "callbacks_total": "Callbacks answered, by result",
    "outcomes_total": "What became of the added customers",
    "variants_total": "What became of them, by rule and variant, where a rule has several",
    "followups_total": "Follow-ups (tags, remarks) that were done or given up",
    "forwards_total": "Events passed on to other systems: tries that failed, events delivered or given up",
    "recoveries_total": "Events taken over from a worker that died",
    "limited_total": "Customers who were not greeted since WeCom's limits held calls back",
    "overloaded_total": "Customers who were not greeted since there were more than could be",
    "lifeboat_total": "What became of the customers who were added while Redis did not take events",
    "placeholder_calls_total": "Calls of installed packages for placeholders, by hook",
    "api_errors_total": "Failed calls of WeCom's API, by path and errcode or error",
    "api_tokens_refused_total": "Requests to the HTTP API with a token that is none",
}
OF_NO_APP = ("api_tokens_refused_total",)
_OUTCOMES = tuple(one for one in OUTCOMES if one is not Outcome.REHEARSED)
FROM_ZERO: Mapping[str, Mapping[str, Sequence[str]]] = {  # counter → its labels beside `app`, with all their values
    "callbacks_total": {"result": tuple(CallbackResult)},
    "outcomes_total": {"outcome": _OUTCOMES},
    "followups_total": {"result": (FollowUpStatus.DONE, FollowUpStatus.FAILED)},
    "forwards_total": {"result": ("delivered", "failed", "parked")},
    "recoveries_total": {},
    "limited_total": {},
    "overloaded_total": {},
    "lifeboat_total": {"outcome": _OUTCOMES},
}

Counts = Mapping[str, Sequence[tuple[dict[str, str], int]]]  # name → (labels, value) of each of its samples


def exposition(
    client: Redis,
    queues: Queues,
    of_the_process: Sequence[Metric] = (),
    forwards: Sequence[tuple[str, Target, TargetStatus]] = (),
) -> bytes:
    """All metrics in Prometheus' text format; `of_the_process`: further ones; `forwards`: how each target is.

    Keys of another type are left out, and counted. Raises redis.RedisError.
    """
    with damage.left_out() as damaged:
        metrics = [*_stored(client, queues), *gauges.of_forwards(forwards), *of_the_process]
    what = "Keys in Redis of another type than they should be, that these metrics do without"
    return text([*metrics, gauges.single("damaged_keys", what, len(damaged))])


def _stored(client: Redis, queues: Queues) -> list[Metric]:
    stored = replies.fields(client.hgetall(keys.COUNTERS))
    counts = _by_name(stored)
    apps = tuple(queues.corps)
    now = snapshot.read(client, queues.corps)
    return [
        *_counters(counts, apps),
        _histogram(counts, apps),
        *gauges.of_queues(queues.read(), queues.refusals()),
        *gauges.of_apps(now),
        *gauges.of_processes(now),
    ]


def of_this_process(redis_is_up: bool) -> list[Metric]:
    """What a process says of itself, with Redis or without. `redis_is_up`: whether it takes writes."""
    build = (metadata.version("wecom-welcome"), platform.python_version())
    return [
        gauges.gauge("build_info", "The release, and its Python; always 1", ("version", "python"), [(build, 1)]),
        gauges.single("redis_up", "1 if Redis takes this process' writes, else 0", redis_is_up),
    ]


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


def _by_name(stored: Mapping[str, str]) -> Counts:
    counts: defaultdict[str, list[tuple[dict[str, str], int]]] = defaultdict(list)
    for field, value in stored.items():
        name, *labels = field.split("|")
        number = readable(f"the counter {name}", partial(int, value))
        if number is not None:
            counts[name].append((dict(label.partition("=")[::2] for label in labels), number))
    return counts


def _zeros(name: str, apps: Sequence[str]) -> Iterator[dict[str, str]]:
    """The labels of each sample that a counter has from the start."""
    if name in OF_NO_APP:
        yield {}
    if (labels := FROM_ZERO.get(name)) is not None:
        yield from (dict(zip(("app", *labels), values, strict=True)) for values in product(apps, *labels.values()))


def _counters(counts: Counts, apps: Sequence[str]) -> Iterator[Metric]:
    for name, text in HELP.items():
        counted = list(counts.get(name, ()))
        known = {frozenset(labels.items()) for labels, _ in counted}
        rows = counted + [(labels, 0) for labels in _zeros(name, apps) if frozenset(labels.items()) not in known]
        keys = sorted({key for labels, _ in rows for key in labels})
        family = CounterMetricFamily(NAMESPACE + name.removesuffix("_total"), text, labels=keys)
        for labels, value in rows:
            family.add_metric([labels.get(key, "") for key in keys], value)
        yield family


def _histogram(counts: Counts, apps: Sequence[str]) -> Metric:
    family = HistogramMetricFamily(NAMESPACE + LATENCY, "From receipt of the event to WeCom's ok", labels=["app"])
    sums = {labels["app"]: value / 1000 for labels, value in counts.get(f"{LATENCY}_sum_ms", ())}
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)  # app → limit → how many
    for labels, value in counts.get(LATENCY, ()):
        found[labels["app"]][labels["le"]] = value
    for app, total in (dict.fromkeys(apps, 0.0) | sums).items():
        buckets, running = [], 0
        for limit in (*map(str, BUCKETS), "+Inf"):
            running += found[app].get(limit, 0)
            buckets.append((limit, running))
        family.add_metric([app], buckets=buckets, sum_value=total)
    return family
