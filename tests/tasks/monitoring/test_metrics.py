"""Counts of every process in one place, and Prometheus' text format out of it."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tasks.counters import BUCKETS, LATENCY, CallbackResult, Counters, count, latency
from tasks.ledger.delivery import OF_NO_EVENT, Outcome
from tasks.ledger.ledger import Acceptance, Ledger
from tasks.ledger.pauses import FOLLOW_UPS, QueuePauses
from tasks.media_renewal import quota_keys
from tasks.missed.comparison_run import ComparisonRun
from tasks.monitoring import jobs, metrics
from tasks.monitoring.heartbeat import Heartbeat
from tasks.monitoring.metrics import FROM_ZERO, HELP, exposition
from tasks.monitoring.queue_status import Queues
from tasks.storage import keys
from tasks.storage.connections import Redis, connect
from tests.support.forwarding import an_installation
from tests.support.ledger import missed, settled
from tests.support.servers import Server, silent

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


APPS = {"default": "ww-1", "sales": "ww-1", "service": "ww-2"}  # app → corp id


def exposed(client: Redis, apps: Mapping[str, str] | None = None) -> Samples:
    """Every sample, read by Prometheus' own parser. `apps`: those that are configured, with their corp ids."""
    return read(exposition(client, Queues(client, {}, corps=apps)).decode())


def read(text: str) -> Samples:
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


def test_a_damaged_count_begins_anew_and_adds_nothing_to_the_others_twice(redis_client: Redis) -> None:
    fine, damaged = (count("api_errors_total", app="default", path="p", code=code) for code in (1, 2))
    redis_client.hset(keys.COUNTERS, damaged, "not a number")
    counters = Counters(redis_client)
    for _ in range(3):
        counters.add(fine)
        counters.add(damaged)
        counters.flush()
    assert redis_client.hmget(keys.COUNTERS, [fine, damaged]) == ["3", "3"]


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


def test_what_is_on_its_way_to_other_systems_is_told_by_target_and_of_no_customer(
    redis_url: str, redis_client: Redis, tmp_path: Path
) -> None:
    url = "https://crm.example.com/hook?token=SECRET-1"
    services = an_installation(redis_url, tmp_path, ("sales", url, ""), ("sales", "https://crm.example.com/b", ""))
    first, second = services.forwards.status("sales")
    event = settled(services.ledger, app="sales")
    services.forwards.route()
    (entry,) = services.forwards.claim("sales", first, 1)
    services.forwards.parked(entry)
    text = exposition(redis_client, services.queues, (), services.forwards.statuses(["sales"])).decode()
    samples = read(text)
    for target, waiting, parked in ((first, 0, 1), (second, 1, 0)):
        labels = {"app": "sales", "target": target, "host": "crm.example.com"}
        assert value(samples, "forwards_waiting", **labels) == waiting
        assert value(samples, "forwards_parked", **labels) == parked
        assert (value(samples, "forwards_oldest_seconds", **labels) or 0.0) >= 0
    assert not [word for word in ("SECRET-1", event.external_user_id, event.id) if word in text]


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


# ------------------------------------------------------------------------------------------------ from zero


def test_a_counter_is_there_at_zero_before_its_first_count(redis_client: Redis) -> None:
    samples = exposed(redis_client, APPS)
    for app in APPS:
        for result in CallbackResult:
            assert value(samples, "callbacks_total", app=app, result=result) == 0
        for outcome in Outcome:
            known = outcome not in {Outcome.REHEARSED, *OF_NO_EVENT}
            assert value(samples, "outcomes_total", app=app, outcome=outcome) == (0 if known else None)
        for name in ("recoveries_total", "limited_total", "overloaded_total", "greeting_seconds_count"):
            assert value(samples, name, app=app) == 0
        assert value(samples, "greeting_seconds_bucket", app=app, le="+Inf") == 0
        assert [value(samples, "followups_total", app=app, result=one) for one in ("done", "failed")] == [0, 0]


def test_refused_tokens_are_of_no_app(redis_client: Redis) -> None:
    assert value(exposed(redis_client, APPS), "api_tokens_refused_total") == 0
    redis_client.hincrby(keys.COUNTERS, count("api_tokens_refused_total"), 3)
    assert value(exposed(redis_client, APPS), "api_tokens_refused_total") == 3


def test_what_is_counted_takes_the_place_of_its_zero(redis_client: Redis) -> None:
    before = exposed(redis_client, APPS)
    for app, outcome, number in (("sales", "sent", 3), ("sales", "of a later release", 2), ("gone", "sent", 1)):
        redis_client.hincrby(keys.COUNTERS, count("outcomes_total", app=app, outcome=outcome), number)
    samples = exposed(redis_client, APPS)
    assert value(samples, "outcomes_total", app="sales", outcome="sent") == 3
    assert value(samples, "outcomes_total", app="sales", outcome="of a later release") == 2
    assert value(samples, "outcomes_total", app="gone", outcome="sent") == 1
    assert value(samples, "outcomes_total", app="service", outcome="sent") == 0
    assert len(samples) == len(before) + 2


def test_every_result_of_a_callback_has_its_zero() -> None:
    assert {one.value for one in Acceptance} <= set(CallbackResult)
    assert set(FROM_ZERO["callbacks_total"]["result"]) == set(CallbackResult)


# ------------------------------------------------------------------------------------------------ what is so now


def test_when_wecom_last_sent_an_event_is_known_and_no_forgery_or_rehearsal_counts(redis_client: Redis) -> None:
    counters = Counters(redis_client)
    for result in CallbackResult:
        counters.answered("sales", result) if result.is_of_wecom else counters.answered("service", result)
    counters.flush()
    samples = exposed(redis_client, APPS)
    now = redis_client.time()[0]
    assert value(samples, "last_callback_timestamp_seconds", app="sales") == pytest.approx(now, abs=5)
    assert value(samples, "last_callback_timestamp_seconds", app="service") is None
    assert value(samples, "callbacks_total", app="service", result="forged") == 1
    assert value(samples, "callbacks_total", app="sales", result="stored") == 1


def test_the_time_of_a_callback_is_kept_until_redis_is_back(redis_client: Redis) -> None:
    counters = Counters(redis_client)
    counters.answered("sales", CallbackResult.UNAVAILABLE)
    with Server(silent) as away:
        counters._redis = connect(f"redis://127.0.0.1:{away.port}", timeout=0.05)
        counters.flush()
    counters._redis = redis_client
    counters.flush()
    samples = exposed(redis_client, APPS)
    assert value(samples, "last_callback_timestamp_seconds", app="sales") is not None
    assert value(samples, "callbacks_total", app="sales", result="unavailable") == 1


def test_the_missed_are_counted_and_since_when_the_first_of_them_waits(redis_client: Redis) -> None:
    now = redis_client.time()[0]
    for ago in (7200, 60):
        missed(redis_client, ago=ago)
    samples = exposed(redis_client, APPS)
    assert value(samples, "missed_open", app="default") == 2
    assert value(samples, "missed_oldest_timestamp_seconds", app="default") == pytest.approx(now - 7200, abs=5)
    assert value(samples, "missed_open", app="sales") == 0
    assert value(samples, "missed_oldest_timestamp_seconds", app="sales") is None


def test_follow_ups_that_wait_and_how_long_the_first_is_overdue(redis_client: Redis, ledger: Ledger) -> None:
    assert value(exposed(redis_client), "followups_oldest_seconds") == 0
    now = redis_client.time()[0]
    redis_client.zadd(keys.FOLLOWUP_DUE, {"later": (now + 900) * 1000})
    samples = exposed(redis_client)
    assert (value(samples, "followups_waiting"), value(samples, "followups_oldest_seconds")) == (1, 0)
    redis_client.zadd(keys.FOLLOWUP_DUE, {"overdue": (now - 900) * 1000})
    samples = exposed(redis_client)
    assert value(samples, "followups_waiting") == 2
    assert value(samples, "followups_oldest_seconds") == pytest.approx(900, abs=5)


def test_a_paused_queue_is_one(redis_client: Redis) -> None:
    QueuePauses(redis_client).pause(FOLLOW_UPS, "somebody")
    samples = exposed(redis_client)
    assert value(samples, "queue_paused", queue="follow-ups") == 1
    assert value(samples, "queue_paused", queue="welcome") == 0


def test_the_images_of_a_corp_are_shown_for_each_of_its_apps(redis_client: Redis) -> None:
    day, month = quota_keys("ww-1")
    redis_client.mset({day: 12, month: 40})
    samples = exposed(redis_client, APPS)
    for app in ("default", "sales"):
        assert value(samples, "image_uploads", app=app, per="day") == 12
        assert value(samples, "image_uploads", app=app, per="month") == 40
    assert value(samples, "image_uploads", app="service", per="month") == 0
    assert value(samples, "image_uploads_limit", app="service", per="day") == 1000


def test_roles_have_as_many_processes_as_send_heartbeats(redis_client: Redis) -> None:
    now = redis_client.time()[0]
    for pid, silence in ((1, 0), (2, 1), (3, 60)):
        about = json.dumps({"since": 1, "busy": 0, "doing": [], "skew": 2.5, "clock": now + 1})
        redis_client.hset(keys.PROCESSES, f"welcome|a|{pid}", f"{(now - silence) * 1000}|{about}")
    samples = exposed(redis_client)
    roles = {role: value(samples, "processes", role=role) for role in ("web", "welcome", "upkeep", "beat")}
    assert roles == {"web": 0, "welcome": 2, "upkeep": 0, "beat": 0}
    assert value(samples, "clock_skew_seconds", role="welcome", host="a", pid="1") == 2.5
    assert value(samples, "redis_clock_skew_seconds") == pytest.approx(1.5, abs=1.1)


def test_no_clock_is_known_before_wecom_has_told_the_time(redis_client: Redis) -> None:
    Heartbeat(redis_client, "web").beat()
    assert not [name for name, _ in exposed(redis_client) if "skew" in name]


def test_a_job_has_its_last_success_and_its_last_failure(redis_client: Redis) -> None:
    samples = exposed(redis_client)
    assert value(samples, "job_interval_seconds", task="trim_ledger") == 600
    assert value(samples, "job_last_success_timestamp_seconds", task="trim_ledger") is None
    with pytest.raises(OSError, match="disk"), jobs.recorded(redis_client, "tasks.upkeep.trim_ledger"):
        raise OSError("disk")
    samples = exposed(redis_client)
    assert value(samples, "job_last_failure_timestamp_seconds", task="trim_ledger") == pytest.approx(time.time(), abs=5)
    assert value(samples, "job_last_success_timestamp_seconds", task="trim_ledger") is None
    with jobs.recorded(redis_client, "tasks.upkeep.trim_ledger"):
        pass
    samples = exposed(redis_client)
    assert value(samples, "job_last_success_timestamp_seconds", task="trim_ledger") == pytest.approx(time.time(), abs=5)
    assert value(samples, "job_last_failure_timestamp_seconds", task="trim_ledger") is not None


def test_when_the_comparison_was_last_completed(redis_client: Redis) -> None:
    run = ComparisonRun(since=1, until=2, started_at=1_700_000_000, by="")
    redis_client.hset(keys.comparison("sales"), "good", json.dumps(asdict(run)))
    samples = exposed(redis_client, APPS)
    assert value(samples, "comparison_last_success_timestamp_seconds", app="sales") == 1_700_000_000
    assert value(samples, "comparison_last_success_timestamp_seconds", app="service") is None


def test_what_a_scrape_asks_redis_does_not_grow_with_what_it_holds(redis_client: Redis, ledger: Ledger) -> None:
    def commands() -> int:
        before = redis_client.info("stats")["total_commands_processed"]
        exposed(redis_client, APPS)
        return int(redis_client.info("stats")["total_commands_processed"] - before)

    few = commands()
    for _ in range(30):
        missed(redis_client)
        settled(ledger)
    assert commands() == few


class Passes(list[tuple[dict[str, str], int]]):
    """A counter's samples, which know how often somebody has gone through them."""

    times = 0

    def __iter__(self) -> Iterator[tuple[dict[str, str], int]]:
        self.times += 1
        return super().__iter__()


def test_a_scrape_goes_through_the_latencies_as_often_for_many_apps_as_for_one() -> None:
    def passes(apps: int) -> int:
        names = [f"app{number}" for number in range(apps)]
        latencies = Passes(({"app": name, "le": str(limit)}, 1) for name in names for limit in BUCKETS)
        (*_, last) = metrics._histogram({LATENCY: latencies}, names).samples
        assert last.labels["app"] == names[-1]
        return latencies.times

    assert passes(50) == passes(1)


def test_what_a_later_release_stored_stops_no_metrics(redis_client: Redis, caplog: pytest.LogCaptureFixture) -> None:
    Heartbeat(redis_client, "welcome").beat()
    redis_client.hset(
        keys.PROCESSES,
        mapping={"web|later|7": "v2:1", "web|later|8|eu": "1|{}", "web|later|9": '1|{"since": 1, "busy": "no"}'},
    )
    redis_client.hset(keys.job("tasks.upkeep.watch_media"), mapping={"at": "soon"})
    redis_client.hset(keys.LAST_CALLBACK, "default", '{"at": 1}')
    redis_client.hset(keys.comparison("default"), "good", '{"began": 1}')
    redis_client.set(quota_keys("ww-1")[0], "many")
    for _ in range(2):
        samples = exposed(redis_client, APPS)
    assert value(samples, "missed_open", app="default") == 0
    assert len([one for one in caplog.messages if "web|later|7" in one]) == 1, "once"
