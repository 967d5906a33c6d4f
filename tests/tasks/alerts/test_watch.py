"""The thread that watches: on a real Redis, with the stand-in's robot; a test calls its rounds."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tasks.alerts import episode
from tasks.alerts import reading as readings
from tasks.alerts import watch as watches
from tasks.alerts.conditions import Alert, AppReading, Past, Patience, Reading
from tasks.alerts.reading import Usual, read
from tasks.alerts.records import past_of
from tasks.alerts.store import FileStore, Memory, RedisStore, Store
from tasks.alerts.texts import Sender
from tasks.alerts.watch import Watch
from tasks.counters import count
from tasks.ledger import statistics
from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.monitoring.heartbeat import Heartbeat
from tasks.services import Services, build_services
from tasks.storage import keys, replies
from tasks.wecom import robot as robots
from tasks.wecom.robot import GroupRobot
from tests.simulator.client import StandIn
from tests.support.forwarding import an_installation, given_up
from tests.support.ledger import settled
from tests.support.processes import RedisServer
from tests.support.servers import Server, answering, nobody, whole
from tests.support.until import until

ZONE = ZoneInfo("Asia/Shanghai")
SENDER = Sender("web-1", ZONE)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robots, "WAITS", ())
    monkeypatch.setattr(watches, "SHARE", 1e9)  # each round reads


@pytest.fixture
def address(wecom: StandIn) -> str:
    return wecom.robot()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An alert is told as soon as it is there."""
    monkeypatch.setattr(watches, "PATIENCE", dict.fromkeys(Alert, Patience(0, 0)))


@pytest.fixture
def away(services: Services) -> Services:
    """The same installation, where Redis does not answer."""
    return build_services(replace(services.settings, redis_url="redis://127.0.0.1:1"), timeout=0.2)


Make = Callable[..., Watch]


@pytest.fixture
def make(services: Services, address: str) -> Iterator[Make]:
    """Another process' watch, of a Redis connection of its own."""
    made: list[Watch] = []

    def watch(url: str = address, own: Store | None = None, lifeboat: tuple[bool, bool] = (False, False)) -> Watch:
        other = build_services(services.settings)
        made.append(Watch(other, GroupRobot(url), SENDER, RedisStore(other.redis), own, lambda: lifeboat))
        return made[-1]

    yield watch
    for one in made:
        one.stop()


def consumed(services: Services, ago: float) -> None:
    services.redis.set(keys.CONSUMED, services.ledger.now() - round(ago * 1000))


def watched(services: Services, seconds: float) -> None:
    """As if somebody had watched for so long already."""
    stored = past_of(replies.fields(services.redis.hgetall(keys.ALERTS)))
    assert stored is not None
    services.redis.hset(keys.ALERTS, "past", f'{{"watched_from": {stored.at - seconds}, "at": {stored.at}}}')


def titles(wecom: StandIn, address: str) -> list[str]:
    return [message.partition("\n")[0].partition(">")[2].partition("<")[0] for message in wecom.alerts(address)]


GONE, BACK = "告警：没有进程在发送欢迎语，现在添加的客户收不到", "已恢复：欢迎语进程恢复工作"


@pytest.mark.usefixtures("impatient")
def test_one_of_many_processes_tells_and_after_it_another_which_tells_nothing_twice(
    services: Services, make: Make, wecom: StandIn, address: str
) -> None:
    consumed(services, 60)
    processes = [make() for _ in range(3)]
    for one in processes:
        one.round()
    watched(services, 60)
    for _ in range(2):
        for one in processes:
            one.round()
    assert titles(wecom, address) == [GONE]
    processes[0].stop()  # as at a deployment: the others do not wait for the end of its lease
    for one in processes[1:]:
        one.round()
    assert titles(wecom, address) == [GONE]
    consumed(services, 0)
    for one in processes[1:]:
        one.round()
    assert titles(wecom, address) == [GONE, BACK]


@contextlib.contextmanager
def slow_robot() -> Iterator[Server]:
    """A robot that takes its time to answer: meanwhile nobody knows what was told."""

    def slow(_: int) -> bytes:
        time.sleep(0.4)
        return whole()

    with Server(answering(slow)) as server:
        yield server


def test_two_processes_at_the_same_moment_tell_once(services: Services, make: Make) -> None:
    consumed(services, 60)
    make().round()
    services.redis.delete(keys.ALERTS_LEASE)
    watched(services, 60)
    with slow_robot() as server:
        threads = [threading.Thread(target=make(f"{server.url}/?key=k").round) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert len(server.requests) == 1


def test_a_process_that_ends_first_says_what_it_told(
    services: Services, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "EVERY", 0.01)
    consumed(services, 60)
    with slow_robot() as server:
        ending, other = make(f"{server.url}/?key=k"), make(f"{server.url}/?key=k")
        ending.round()
        watched(services, 60)
        ending.start()
        until(lambda: server.requests, what="a message under way")
        ending.stop()
        other.round()
        assert len(server.requests) == 1


def test_a_process_that_was_killed_is_followed_after_its_lease(
    services: Services, make: Make, wecom: StandIn, address: str
) -> None:
    make().round()
    watched(services, 60)
    consumed(services, 60)
    other = make()
    other.round()
    assert titles(wecom, address) == []
    services.redis.delete(keys.ALERTS_LEASE)
    other.round()
    assert titles(wecom, address) == [GONE]


def test_where_readings_are_slow_and_so_far_apart_it_still_counts_for_how_long_something_lasts(
    services: Services, make: Make, wecom: StandIn, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With thousands of apps, or a Redis that is far away, a reading takes seconds."""
    consumed(services, 0)
    watch = make()
    monkeypatch.setattr(watches, "SHARE", 1e-9)  # as if it took very long
    watch.round()
    assert watch._read_at - time.monotonic() == pytest.approx(watches.SLOWEST, abs=5)
    stored = past_of(replies.fields(services.redis.hgetall(keys.ALERTS)))
    assert stored is not None
    before = stored.at - watches.SLOWEST  # it is a minute later
    services.redis.hset(keys.ALERTS, "past", f'{{"watched_from": {before}, "at": {before}}}')
    consumed(services, watches.SLOWEST)
    watch._read_at = 0.0
    watch.round()
    assert titles(wecom, address) == [GONE]


def test_a_robot_that_does_not_answer_is_tried_again_and_the_log_has_no_key(
    services: Services, make: Make, wecom: StandIn, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    consumed(services, 0)
    with nobody() as away:
        watch = make(f"{away}/cgi-bin/webhook/send?key=a-secret-key")
        watch.round()
        watched(services, 60)
        consumed(services, 60)
        watch.round()
        watch.round()
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert said == ["the alert WorkersSilent (began) cannot be sent: 127.0.0.1: the connection is refused"]
    assert "a-secret-key" not in caplog.text
    watch.stop()
    stored = services.redis.hget(keys.ALERTS, "WorkersSilent|")
    services.redis.hset(keys.ALERTS, "WorkersSilent|", str(stored).replace('"failed_at": 1', '"failed_at": 0.1'))
    make().round()
    assert titles(wecom, address) == [GONE]


def test_a_process_that_does_not_reach_the_robot_leaves_it_to_another(
    services: Services, make: Make, wecom: StandIn, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(episode, "RETRY", 0.0)
    consumed(services, 0)
    with nobody() as away:
        shut_in, other = make(f"{away}/cgi-bin/webhook/send?key=k"), make()
        shut_in.round()
        watched(services, 60)
        consumed(services, 60)
        shut_in.round()
        shut_in.round()
        other.round()
    assert titles(wecom, address) == [GONE]


def test_the_first_missed_customer_is_told(services: Services, make: Make, wecom: StandIn, address: str) -> None:
    consumed(services, 0)
    watch = make()
    watch.round()
    for outcome in (Outcome.EXPIRED, Outcome.EXPIRED, Outcome.REFUSED, Outcome.SENT):
        settled(services.ledger, Settlement(outcome), {count("outcomes_total", app="default", outcome=outcome): 1})
    watch.round()
    watch.round()
    (message,) = wecom.alerts(address)
    assert "> 应用 default：3 位（超时 2，企业微信拒绝 1）" in message


def test_the_reading_knows_what_redis_knows(services: Services) -> None:
    called = round(time.time() * 1000) - 9000
    services.redis.hset(keys.LAST_CALLBACK, "default", called)
    services.redis.hset(
        keys.COUNTERS,
        mapping={
            count("outcomes_total", app="default", outcome="expired"): 1,
            count("outcomes_total", app="default", outcome="sent"): 9,
        },
    )
    services.redis.config_set("maxmemory", 1 << 30)
    try:
        found = read(services)
    finally:
        services.redis.config_set("maxmemory", 0)
    app = found.apps["default"]
    assert (app.called_at, app.missed, app.refused, app.limit) == (called / 1000, {"expired": 1}, None, None)
    assert not app.has_token
    assert found.memory is not None
    assert 0 < found.memory < 0.5
    assert read(services).memory is None


def test_the_reading_knows_what_other_systems_have_not_got(redis_url: str, tmp_path: Path) -> None:
    services = an_installation(redis_url, tmp_path, ("sales", "https://crm.example.com/hook", ""))
    given_up(services)
    (target,) = read(services).apps["sales"].targets
    assert (target.host, target.parked, target.oldest >= 0) == ("crm.example.com", 1, True)
    assert target.parked_at is not None
    assert abs(target.parked_at - time.time()) < 60


def test_the_reading_knows_which_hooks_fail_or_are_missing_where_others_have_them(services: Services) -> None:
    for states in ({"crm": "silent", "loyalty": "fine"}, {"crm": "fine", "loyalty": "fine"}):
        Heartbeat(services.redis, f"welcome-{states['crm']}", hooks=lambda states=states: states).beat()
    assert read(services).hooks == ("crm",)
    Heartbeat(services.redis, "welcome-bare", hooks=dict).beat()
    assert read(services).hooks == ("crm", "loyalty")


def test_what_is_usual_is_read_from_the_tallies_of_the_same_hours(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(ZONE).replace(minute=30)
    for number in range(1, 29):
        for hours in (1, 2):
            at = now - timedelta(days=number, hours=hours)
            key = statistics.key("default", at.date(), "hour")
            services.redis.hincrby(key, f"sent|{at.hour:02}", 20 + number)
            services.redis.hincrby(key, f"expired|{at.hour:02}", 1)
    past = Past(0.0, now.timestamp())
    quiet = Reading(past.at, 20.0, apps={"default": AppReading(called_at=past.at - 3 * 3600)})
    usual = Usual(services)
    assert usual.of(quiet, past) == {"default": 2 * (21 + 7)}
    monkeypatch.setattr(readings.statistics, "read", None)  # and it is not read again at once
    assert usual.of(quiet, past) == {"default": 2 * (21 + 7)}
    monkeypatch.undo()
    many = {f"app{number}": AppReading(called_at=past.at - 9000) for number in range(readings.AT_ONCE + 5)}
    assert len(usual.of(replace(quiet, apps=many), past)) == readings.AT_ONCE
    assert len(usual.of(replace(quiet, apps=many), past)) == len(many)
    lively = replace(quiet, apps={"default": AppReading(called_at=past.at)})
    assert usual.of(lively, past) == {}


# ------------------------------------------------------------------------------------------------ without Redis


AWAY, AGAIN = "告警：Redis 不接收写入，由 web 进程自行发送欢迎语（救生艇）", "已恢复：Redis 恢复写入，记录已补上"


@pytest.mark.usefixtures("impatient")
def test_a_web_process_of_each_host_tells_that_redis_is_gone_without_it(
    services: Services, away: Services, wecom: StandIn, address: str, tmp_path: Path
) -> None:
    state = [(False, True)]

    def process(now: Services) -> Watch:
        return Watch(now, GroupRobot(address), SENDER, RedisStore(now.redis), FileStore(tmp_path), lambda: state[0])

    one, two = process(away), process(away)
    for _ in range(2):
        one.round()
        two.round()
    assert titles(wecom, address) == [AWAY]
    one.stop()  # it was killed, or ended: another one of the host knows what was told
    state[0] = (True, True)
    two.round()
    assert titles(wecom, address) == [AWAY]
    two.stop()
    three = process(services)
    three.round()
    assert titles(wecom, address) == [AWAY]  # the lifeboat still has what is not in Redis
    state[0] = (False, True)
    consumed(services, 0)
    three.round()
    three.stop()
    assert titles(wecom, address) == [AWAY, AGAIN]


@pytest.mark.usefixtures("impatient")
def test_without_a_lifeboat_it_tells_that_customers_are_not_taken(away: Services, wecom: StandIn, address: str) -> None:
    watch = Watch(away, GroupRobot(address), SENDER, RedisStore(away.redis), Memory())
    watch.round()
    watch.round()
    assert titles(wecom, address) == ["告警：无法受理新客户：Redis 不接收写入，救生艇也不能代替"]


@pytest.mark.parametrize("made", ["alerts.new", "alerts.lock", None], ids=["no file", "no lock", "no folder"])
@pytest.mark.usefixtures("impatient")
def test_a_disk_that_takes_nothing_keeps_nobody_from_hearing_of_it(
    away: Services,
    wecom: StandIn,
    address: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    made: str | None,
) -> None:
    folder = tmp_path / "lifeboat"
    if made is not None:
        (folder / made).mkdir(parents=True)  # where a file should be: not even root can write it
    watch = Watch(away, GroupRobot(address), SENDER, RedisStore(away.redis), FileStore(folder))
    for _ in range(3):
        watch.round()
    assert titles(wecom, address) == ["告警：无法受理新客户：Redis 不接收写入，救生艇也不能代替"]
    assert caplog.text.count("the course of the alerts cannot be written") == (made != "alerts.lock")


def test_a_full_redis_counts_as_gone(server: RedisServer, make: Make, services: Services) -> None:
    full = build_services(replace(services.settings, redis_url=server.url))
    full.redis.config_set("maxmemory", 1)
    watch = Watch(full, GroupRobot("http://127.0.0.1:1/?key=k"), SENDER, RedisStore(full.redis), Memory())
    watch.round()
    assert watch._away


@pytest.mark.usefixtures("impatient")
def test_other_roles_say_nothing_of_it(away: Services, wecom: StandIn, address: str) -> None:
    Watch(away, GroupRobot(address), SENDER, RedisStore(away.redis)).round()
    assert titles(wecom, address) == []


def test_an_app_that_is_no_longer_configured_is_forgotten(services: Services, make: Make) -> None:
    services.redis.hset(keys.ALERTS, "TokenRefused|gone", '{"since": 1.0, "told": true, "told_at": 1.0}')
    services.redis.hset(keys.ALERTS, "OfALaterRelease|gone", "{}")
    make().round()
    assert not services.redis.hexists(keys.ALERTS, "TokenRefused|gone")
    assert services.redis.hexists(keys.ALERTS, "OfALaterRelease|gone")


def test_stop_does_not_wait_and_a_thread_that_runs_ends(make: Make) -> None:
    watch = make()
    watch.start()
    began = time.monotonic()
    watch.stop()
    watch.join(10)
    assert not watch.is_alive()
    assert time.monotonic() - began < 9


@pytest.mark.usefixtures("impatient")
def test_what_a_later_release_stored_stops_no_alert(
    services: Services, make: Make, wecom: StandIn, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    consumed(services, 0)
    client, lost = services.redis, Settlement(Outcome.EXPIRED)
    client.hset(keys.job("tasks.upkeep.trim_ledger"), mapping={"at": "soon", "outcome": "fine"})
    client.hset(keys.LAST_CALLBACK, "default", '{"at": 1}')
    client.hset(keys.ALERTS, mapping={"GreetingsMissed|default": '{"since": "soon"}', "past|default": '{"missed": 7}'})
    watch = make()
    watch.round()
    settled(services.ledger, lost, {count("outcomes_total", app="default", outcome=lost.outcome): 1})
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            watch.round()
    assert any("> 应用 default：1 位（超时 1）" in message for message in wecom.alerts(address))
    assert len([one for one in caplog.messages if "trim_ledger" in one]) <= 1
