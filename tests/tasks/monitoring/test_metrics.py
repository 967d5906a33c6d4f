"""Counts of every process in one place, and Prometheus' text format out of it."""

import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tasks.counters import BUCKETS, Counters, count, latency
from tasks.ledger.ledger import Ledger
from tasks.monitoring.metrics import HELP, exposition
from tasks.monitoring.queue_status import Queues
from tasks.storage import keys
from tasks.storage.connections import Redis, connect
from tests.support.ledger import settled
from tests.support.servers import Server, silent

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def exposed(client: Redis) -> Samples:
    """Every sample, read by Prometheus' own parser."""
    text = exposition(client, Queues(client, {})).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"wecom_welcome_{name}", frozenset(labels.items())))


def test_what_processes_counted_adds_up(redis_client: Redis) -> None:
    web, worker = Counters(redis_client), Counters(redis_client)
    for counters in (web, web, worker):
        counters.add(count("callbacks_total", app="sales", result="accepted"))
    worker.add(count("api_errors_total", app="sales", path="user/get", code=-1))
    web.flush()
    worker.flush()
    web.flush()
    samples = exposed(redis_client)
    assert value(samples, "callbacks_total", app="sales", result="accepted") == 3
    assert value(samples, "api_errors_total", app="sales", path="user/get", code="-1") == 1


def test_no_count_is_lost_or_doubled_between_threads(redis_client: Redis) -> None:
    counters = Counters(redis_client)

    def work() -> None:
        for n in range(500):
            counters.add("n")
            if n % 50 == 0:
                counters.flush()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counters.flush()
    assert redis_client.hget(keys.COUNTERS, "n") == "2000"


def test_what_cannot_be_written_is_kept_for_the_next_time(redis_client: Redis) -> None:
    counters = Counters(redis_client)
    counters.add("n")
    with Server(silent) as away:
        counters._redis = connect(f"redis://127.0.0.1:{away.port}", timeout=0.05)
        counters.flush()
    counters.add("n")
    counters._redis = redis_client
    counters.flush()
    assert redis_client.hgetall(keys.COUNTERS) == {"n": "2"}


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, "0.1"), (0.1, "0.1"), (0.11, "0.25"), (20.0, "20"), (20.01, "+Inf"), (300.0, "+Inf")]
)
def test_a_latency_falls_into_one_bucket(seconds: float, bucket: str) -> None:
    assert latency("sales", seconds) == {
        f"greeting_seconds|app=sales|le={bucket}": 1,
        "greeting_seconds_sum_ms|app=sales": round(seconds * 1000),
    }


def test_the_histogram_is_cumulative_and_has_its_sum(redis_client: Redis, ledger: Ledger) -> None:
    for seconds in (0.05, 0.2, 0.2, 19.0, 25.0):
        settled(ledger, counts=latency("default", seconds))
    samples = exposed(redis_client)
    buckets = [value(samples, "greeting_seconds_bucket", app="default", le=str(limit)) for limit in BUCKETS]
    assert buckets == [1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4]
    assert value(samples, "greeting_seconds_bucket", app="default", le="+Inf") == 5
    assert value(samples, "greeting_seconds_count", app="default") == 5
    assert value(samples, "greeting_seconds_sum", app="default") == pytest.approx(44.45)


def test_apps_are_told_apart(redis_client: Redis) -> None:
    for app, seconds in (("sales", 1), ("service", 2)):
        for field, amount in latency(app, seconds).items():
            redis_client.hincrby(keys.COUNTERS, field, amount)
    samples = exposed(redis_client)
    assert value(samples, "greeting_seconds_sum", app="sales") == 1
    assert value(samples, "greeting_seconds_sum", app="service") == 2


def test_what_is_not_known_is_left_out_and_never_zero(redis_client: Redis) -> None:
    samples = exposed(redis_client)
    assert value(samples, "worker_silence_seconds") is None
    assert not any(name.startswith("wecom_welcome_token_left") for name, _ in samples)
    assert value(samples, "queue_waiting") == 0


def test_every_name_is_the_products_and_has_its_help(redis_client: Redis) -> None:
    redis_client.hset(keys.COUNTERS, mapping={count(name, app="a"): 1 for name in HELP} | latency("a", 1.0))
    families = list(text_string_to_metric_families(exposition(redis_client, Queues(redis_client, {})).decode()))
    assert all(family.name.startswith("wecom_welcome_") and family.documentation for family in families)
    assert {f"wecom_welcome_{name}" for name in HELP} <= {s.name for family in families for s in family.samples}
