"""What supervisors, deploys, load balancers and Prometheus are told, and that it is true."""

import contextlib
import platform
import time
from dataclasses import replace
from importlib import metadata

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tasks.counters import count, latency
from tasks.ledger.pauses import WELCOME
from tasks.monitoring.heartbeat import Heartbeat
from tasks.monitoring.queue_status import SILENT
from tasks.rate_limits.limiter import SharedCalls
from tasks.rate_limits.limits import SEND, Limits
from tasks.services import build_services
from tasks.storage import keys
from tasks.templates.render import needed
from tasks.wecom import WeComError
from tests.simulator.world import App
from tests.support.ailing import full, gone, hanging, nearly_full, read_only
from tests.support.books import MP4, a_template
from tests.support.builders import AES_KEY, ENVIRONMENT, in_words, some_settings
from tests.support.ledger import refused_for_its_limit, settled
from tests.support.pushes import TOKEN, a_push, an_event, xml
from tests.support.until import until
from tests.support.web import Web
from webhook.doctor import examine


def worker_took_a_message(web, seconds_ago: float = 0) -> None:
    web.services.redis.set(keys.CONSUMED, web.services.ledger.now() - int(seconds_ago * 1000))


def token_is_fetched(web, wecom, lives: int = 7200) -> None:
    """By another process, as the upkeep worker does it."""
    settings = web.services.settings
    app = settings.apps["default"]
    wecom.settings(token_life_s=lives)
    wecom.register(App(corp_id=app.corp_id, secret=app.secret))
    build_services(replace(settings, api_base=wecom.base_url)).clients["default"].tokens.get(time.monotonic() + 5)


def metrics(web) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(name, labels) → value."""
    answer = web.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


# --- /healthz, /readyz


def test_a_process_is_alive_whatever_else_is_wrong(web):
    answer = web.get("/healthz")
    assert (answer.status_code, answer.data) == (200, b"ok")


@pytest.mark.parametrize(
    ("percent", "refused", "says"),
    [
        (97, True, "since WeCom refuses them for its limit (45009); 0 of 9700 in the last minute"),
        (
            1,
            False,
            "since as many were sent as WeCom allows; 100 of 100 in the last minute, 100 of 1500 in the last hour",
        ),
    ],
)
def test_what_wecoms_limits_hold_back_is_remarked_and_exported(web, redis_client, percent, refused, says):
    corp_id = web.services.settings.apps["default"].corp_id
    calls = SharedCalls(redis_client, corp_id, {corp_id}, Limits.of(percent))
    web.services.calls["default"].limits = Limits.of(percent)
    assert metrics(web)["wecom_welcome_calls_held", (("app", "default"),)] == 0
    if refused:
        refused_for_its_limit(redis_client, corp_id)
    else:
        assert calls.take(SEND, 100, Limits.of(percent))[0] == 100
        assert calls.take(SEND, 1, Limits.of(percent))[0] == 0
    (remark,) = (one for one in web.get("/readyz").json["remarks"] if "greetings wait" in one)
    assert says in remark
    calls.take(SEND, 1, Limits.of(percent))  # it goes on, however slow the machine
    found = metrics(web)
    assert found["wecom_welcome_calls_held", (("app", "default"),)] == 1
    number = 0 if refused else 100
    assert found["wecom_welcome_calls", (("app", "default"), ("per", "minute"))] == number
    assert found["wecom_welcome_calls_limit", (("app", "default"), ("per", "minute"))] == Limits.of(percent).minute


def test_a_lane_that_is_paused_is_remarked_without_a_name(web, wecom):
    worker_took_a_message(web)
    token_is_fetched(web, wecom)
    web.services.queue_pauses.pause(WELCOME, "李敏")
    answer = web.get("/readyz")
    assert answer.status_code == 200
    assert "the lane welcome is paused for" in " ".join(answer.json["remarks"])
    assert "李敏" not in answer.get_data(as_text=True)
    findings = [str(one) for one in examine(web.services.settings, web.services.settings.apps["default"])]
    assert any("李敏 has paused" in one for one in findings)


def test_with_a_consuming_worker_and_a_token_it_is_ready(web, wecom):
    worker_took_a_message(web)
    token_is_fetched(web, wecom)
    answer = web.get("/readyz")
    assert answer.status_code == 200
    assert answer.json == {
        "ready": True,
        "missing": [],
        "waiting": 0,
        "in_flight": 0,
        "oldest_seconds": 0,
        "media": [],
        "silent": [],
        "remarks": [
            "app default has no welcome book, so nobody is greeted: wecom-welcome templates import FILE",
            "upkeep has no process: is `role upkeep` running?",
            "beat has no process: is `role beat` running?",
        ],
    }


def test_a_role_without_any_process_is_remarked(web, wecom):
    """Its last heartbeat is forgotten within a minute where a process of the same host sees that it is gone."""
    for role in ("upkeep", "beat"):
        assert f"{role} has no process: is `role {role}` running?" in web.get("/readyz").json["remarks"]
        Heartbeat(web.services.redis, role).beat()
        assert f"{role} has no process" not in " ".join(web.get("/readyz").json["remarks"])


def test_workers_that_take_nothing_since_redis_is_nearly_full_are_not_said_to_be_away(web):
    worker_took_a_message(web, SILENT + 2)
    with nearly_full(web.services.redis):
        answer = web.get("/readyz")
        findings = [str(one) for one in examine(web.services.settings, web.services.settings.apps["default"])]
    line = "no welcome worker has taken a message for 8 s (allowed: 6): Redis is nearly full, see `wecom-welcome check`"
    assert line in answer.json["missing"]
    assert "Redis uses 97 % of its memory: when full, it takes no events" in answer.json["remarks"]
    (said,) = [one for one in findings if "of its memory" in one]
    assert said.startswith("! Redis: uses 97 % of its memory\n    → raise its `maxmemory`")
    assert "of its memory" not in web.get("/readyz").text


def test_a_process_that_is_silent_is_named_though_another_one_greets(web, wecom):
    worker_took_a_message(web)
    token_is_fetched(web, wecom)
    now = web.services.ledger.now()
    for pid, silence in ((101, 7.4), (102, 1.0)):
        about = '{"since": 1, "busy": 0, "doing": []}'
        web.services.redis.hset(keys.PROCESSES, f"welcome|db1|{pid}", f"{now - int(silence * 1000)}|{about}")
    answer = web.get("/readyz")
    assert answer.status_code == 200
    (silent,) = answer.json["silent"]
    assert (silent["role"], silent["host"], silent["pid"]) == ("welcome", "db1", 101)
    assert 7.4 <= silent["seconds"] < 17
    assert "welcome has been silent for" in " ".join(answer.json["remarks"])
    assert "process 101 on db1" in " ".join(answer.json["remarks"])
    labels = tuple(sorted({"role": "welcome", "host": "db1", "pid": "101"}.items()))
    assert metrics(web)[("wecom_welcome_process_silence_seconds", labels)] >= 7.4


def test_how_much_each_worker_does_and_may_do_is_a_metric(web):
    about = {
        101: '{"since": 1, "busy": 7, "doing": [], "limit": 256}',
        102: '{"since": 1, "busy": 3, "doing": []}',  # of an earlier release, which says no limit
    }
    for pid, text in about.items():
        web.services.redis.hset(keys.PROCESSES, f"welcome|db1|{pid}", f"{web.services.ledger.now()}|{text}")
    samples = metrics(web)
    of = {pid: tuple(sorted({"role": "welcome", "host": "db1", "pid": str(pid)}.items())) for pid in about}
    assert [samples[("wecom_welcome_process_tasks", of[pid])] for pid in about] == [7, 3]
    assert samples[("wecom_welcome_process_greetings_limit", of[101])] == 256
    assert ("wecom_welcome_process_greetings_limit", of[102]) not in samples


def test_nothing_is_ready_before_its_time_and_everything_missing_is_named_at_once(web):
    answer = web.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["ready"] is False
    worker, token = answer.json["missing"]
    assert worker == "no welcome worker has taken a message ever: is `role welcome` running?"
    assert token.startswith("app default has no access token: is `role upkeep` running?")


def test_a_worker_that_is_connected_but_does_not_consume_is_not_ready(web, wecom):
    token_is_fetched(web, wecom)
    worker_took_a_message(web, SILENT + 2)
    answer = web.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["missing"] == [
        "no welcome worker has taken a message for 8 s (allowed: 6): is `role welcome` running?"
    ]


def test_without_a_token_nobody_can_be_greeted(web):
    worker_took_a_message(web)
    answer = web.get("/readyz")
    assert answer.status_code == 503
    assert [line.split(":")[0] for line in answer.json["missing"]] == ["app default has no access token"]


def test_a_refused_secret_is_named_although_the_present_token_lives(web, wecom):
    worker_took_a_message(web)
    token_is_fetched(web, wecom)
    app = web.services.settings.apps["default"]
    wecom.register(App(corp_id=app.corp_id, secret="the-new-secret"))
    tokens = build_services(replace(web.services.settings, api_base=wecom.base_url)).clients["default"].tokens
    with pytest.raises(WeComError):
        tokens.refresh(8000, time.monotonic() + 5)
    answer = web.get("/readyz")
    assert answer.status_code == 200
    (remark,) = [line for line in answer.json["remarks"] if "access token" in line]
    assert remark.startswith("app default: WeCom refuses a new access token (40001), and the present one ends in ")


def test_a_token_that_ended_does_not_count(web, wecom):
    worker_took_a_message(web)
    token_is_fetched(web, wecom, lives=3)
    assert web.get("/readyz").status_code == 200
    until(lambda: web.get("/readyz").status_code == 503, what="the token's end")


def test_readiness_says_who_waits_and_for_how_long(web):
    web.post(a_push())
    web.post(a_push())
    web.services.ledger.claim(1)
    answer = web.get("/readyz").json
    assert (answer["waiting"], answer["in_flight"]) == (1, 1)
    assert 0 <= answer["oldest_seconds"] < 5


def test_intake_is_ready_without_any_worker(web):
    answer = web.get("/readyz/intake")
    assert (answer.status_code, answer.json) == (200, {"ready": True, "missing": []})


def test_no_health_page_tells_a_secret_or_who_was_added(web, wecom):
    fields = an_event()
    web.post(a_push(xml(fields)))
    token_is_fetched(web, wecom)
    (key,) = web.services.redis.keys("wecom:token:*")
    secrets = [TOKEN, AES_KEY, ENVIRONMENT["WECOM_CORP_SECRET"], web.services.redis.hget(key, "value")]
    for path in ("/healthz", "/readyz", "/readyz/intake", "/metrics"):
        page = web.get(path).text
        for secret in (*secrets, fields["ExternalUserID"], fields["UserID"], fields["WelcomeCode"]):
            assert secret not in page


# --- /metrics


def test_an_empty_system_has_metrics_and_what_is_not_known_is_left_out_never_zero(web):
    samples = metrics(web)
    assert samples[("wecom_welcome_queue_waiting", ())] == 0
    assert ("wecom_welcome_worker_silence_seconds", ()) not in samples
    assert not [name for name, _ in samples if name == "wecom_welcome_token_left_seconds"]


@pytest.mark.parametrize(
    ("trouble", "is_read"), [(None, True), (gone, False), (hanging, False), (read_only, False), (full, True)]
)
def test_metrics_say_whether_redis_takes_events_and_what_is_known_without_it(hurt_server, trouble, is_read):
    """200 all the same: a scrape that fails looks like a process that is gone."""
    with contextlib.nullcontext() if trouble is None else trouble(hurt_server):
        found = metrics(Web(some_settings(REDIS_URL=hurt_server.url)))
    names = {name for name, _ in found}
    assert found["wecom_welcome_redis_up", ()] == (trouble is None)
    assert "wecom_welcome_build_info" in names
    assert ("wecom_welcome_queue_waiting" in names) is is_read


def test_the_release_and_its_python_are_named(web):
    release, python = metadata.version("wecom-welcome"), platform.python_version()
    assert metrics(web)["wecom_welcome_build_info", (("python", python), ("version", release))] == 1


def test_every_metric_has_the_prefix_and_a_base_unit(web):
    web.post(a_push())
    worker_took_a_message(web)
    web.counted()
    for name, _ in metrics(web):
        assert name.startswith("wecom_welcome_")
        assert not name.endswith(("_ms", "_milliseconds", "_minutes", "_kb", "_mb"))


def test_callbacks_are_counted_by_app_and_result(web):
    message = xml(an_event())
    for _ in range(3):
        web.post(a_push(message))
    web.get("/callback")
    web.counted()
    samples = metrics(web)
    name = "wecom_welcome_callbacks_total"
    assert samples[(name, (("app", "default"), ("result", "stored")))] == 1
    assert samples[(name, (("app", "default"), ("result", "duplicate")))] == 2
    assert samples[(name, (("app", "default"), ("result", "forged")))] == 1


def test_what_waits_is_in_flight_or_silent_is_seen(web, wecom):
    token_is_fetched(web, wecom)
    worker_took_a_message(web, 3)
    web.post(a_push())
    web.post(a_push())
    samples = metrics(web)
    assert samples[("wecom_welcome_queue_waiting", ())] == 2
    assert samples[("wecom_welcome_queue_in_flight", ())] == 0
    assert 0 <= samples[("wecom_welcome_queue_oldest_seconds", ())] < 5
    assert 3 <= samples[("wecom_welcome_worker_silence_seconds", ())] < 8
    assert 7000 < samples[("wecom_welcome_token_left_seconds", (("app", "default"),))] <= 7200
    assert samples[("wecom_welcome_redis_memory_bytes", ())] > 100_000
    web.services.ledger.claim(2)
    assert metrics(web)[("wecom_welcome_queue_in_flight", ())] == 2


def test_the_latency_is_a_histogram_from_receipt_to_wecoms_ok(web):
    ledger = web.services.ledger
    for seconds in (0.05, 0.3, 19.0, 25.0):
        counts = latency("default", seconds) | {count("outcomes_total", app="default", outcome="sent"): 1}
        settled(ledger, counts=counts)
    samples = metrics(web)
    name = "wecom_welcome_greeting_seconds"

    def bucket(limit: str) -> float:
        return samples[(f"{name}_bucket", (("app", "default"), ("le", limit)))]

    assert [bucket(limit) for limit in ("0.1", "0.25", "0.5", "16", "20", "+Inf")] == [1, 1, 2, 2, 3, 4]
    assert samples[(f"{name}_count", (("app", "default"),))] == 4
    assert samples[(f"{name}_sum", (("app", "default"),))] == pytest.approx(44.35)
    outcome = ("wecom_welcome_outcomes_total", (("app", "default"), ("outcome", "sent")))
    assert samples[outcome] == 4


def test_a_refused_secret_is_counted_by_path_and_errcode(web, wecom):
    token_is_fetched(web, wecom)
    services = build_services(
        some_settings(REDIS_URL=web.services.settings.redis_url, WECOM_API_BASE=wecom.base_url, WECOM_CORP_SECRET="old")
    )
    with pytest.raises(WeComError):
        services.clients["default"].tokens.get(time.monotonic() + 5)
    services.counters.flush()
    labels = (("app", "default"), ("code", "40001"), ("path", "gettoken"))
    assert metrics(web)[("wecom_welcome_api_errors_total", labels)] == 1


# --- media


def a_book_with_a_film(web) -> None:
    web.services.books.save(
        "default", a_template("text: t\nattachments:\n- video: {file: media/intro.mp4}"), {"media/intro.mp4": MP4}
    )


def the_film_is_uploaded(web, lives: float) -> None:
    (upload,) = needed(web.services.books.book("default", 1))
    web.services.books.ready.put(web.services.settings.apps["default"].corp_id, upload, "3a", time.time() + lives)


def test_it_is_not_ready_until_the_first_media_is_at_wecom_but_waits_ten_seconds_at_most(web, wecom):
    worker_took_a_message(web)
    token_is_fetched(web, wecom)
    a_book_with_a_film(web)
    answer = web.get("/readyz")
    line = "app default: media/intro.mp4 is not at WeCom: it is on its way"
    assert (answer.status_code, answer.json["missing"], answer.json["media"]) == (503, [line], [])
    web.services.redis.decrby(keys.first_media("default"), 10_000)
    answer = web.get("/readyz")
    assert (answer.status_code, answer.json["missing"], answer.json["media"]) == (200, [], [line])


def test_media_is_an_alarm_while_half_a_day_is_left_and_the_system_is_ready(web, wecom):
    worker_took_a_message(web)
    token_is_fetched(web, wecom)
    a_book_with_a_film(web)
    the_film_is_uploaded(web, lives=3 * 86400)
    assert (web.get("/readyz").status_code, web.get("/readyz").json["media"]) == (200, [])
    label = (("app", "default"),)
    assert metrics(web)[("wecom_welcome_media_failing", label)] == 0
    (upload,) = needed(web.services.books.book("default", 1))
    corp_id = web.services.settings.apps["default"].corp_id
    web.services.books.ready.change(corp_id, upload, lambda record: record.failed(in_words("-1 busy"), time.time()))
    assert metrics(web)[("wecom_welcome_media_failing", label)] == 1
    the_film_is_uploaded(web, lives=3 * 86400)
    assert 258_000 < metrics(web)[("wecom_welcome_media_left_seconds", label)] <= 259_200
    the_film_is_uploaded(web, lives=12 * 3600 - 1)
    answer = web.get("/readyz")
    assert answer.status_code == 200
    assert answer.json["media"] == [
        "app default: media ends in 12.0 h and is not renewed: is `role upkeep` running?",
    ]
    (found,) = [
        one for one in examine(web.services.settings, web.services.settings.apps["default"]) if str(one.what) == "media"
    ]
    assert (found.fine, str(found.detail)) == (
        None,
        "media ends in 12.0 h and is not renewed: is `role upkeep` running?",
    )


def test_the_doctor_says_how_long_media_lives(web):
    a_book_with_a_film(web)
    the_film_is_uploaded(web, lives=3 * 86400)
    (found,) = [
        one for one in examine(web.services.settings, web.services.settings.apps["default"]) if str(one.what) == "media"
    ]
    assert str(found) == "✓ media: 1 files at WeCom, the first to be renewed ends in 72 h"
