"""Processes that say that they are there, and what they do."""

import os
import socket

import pytest

from tasks.ledger.celery_message import QUEUE
from tasks.monitoring import heartbeat, jobs
from tasks.monitoring.heartbeat import Heartbeat
from tasks.monitoring.reaper import Reaper
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.ledger import a_ledger, accepted
from tests.support.until import until


def test_a_process_says_what_it_does(redis_client: Redis) -> None:
    Heartbeat(redis_client, "web").beat()
    Heartbeat(redis_client, "welcome", lambda: [f"{n:032x}" for n in range(40)], 256).beat()
    web, welcome = heartbeat.read(redis_client)
    assert (web.role, web.pid, web.busy, web.current_tasks) == ("web", os.getpid(), 0, ())
    assert (web.limit, welcome.limit) == (None, 256)
    assert (welcome.role, welcome.busy, len(welcome.current_tasks)) == ("welcome", 40, heartbeat.MOST_TASKS)
    assert 0 <= web.silence < 5
    assert not web.is_silent


def test_a_process_says_how_far_its_clock_is_off_and_so_redis_is_known_too(redis_client: Redis) -> None:
    Heartbeat(redis_client, "web").beat()
    Heartbeat(redis_client, "upkeep", skew=lambda: 7.0, hooks=lambda: {"crm": "fine"}).beat()
    upkeep, web = heartbeat.read(redis_client)
    assert (web.skew, web.redis_skew) == (None, None)
    assert (upkeep.skew, upkeep.hooks, web.hooks) == (7.0, {"crm": "fine"}, None)
    assert upkeep.redis_skew == pytest.approx(7.0, abs=1.0)  # the test's Redis has the clock of this host


def test_a_heartbeat_of_an_earlier_release_says_nothing_of_clocks(redis_client: Redis) -> None:
    now, _ = redis_client.time()
    redis_client.hset(keys.PROCESSES, "web|a|7", f'{now * 1000}|{{"since": 1, "busy": 0, "doing": []}}')
    (process,) = heartbeat.read(redis_client)
    assert (process.skew, process.redis_skew, process.hooks) == (None, None, None)


def test_who_ends_in_order_is_gone_at_once(redis_client: Redis) -> None:
    process = Heartbeat(redis_client, "web")
    process.beat()
    process.deregister()
    assert heartbeat.read(redis_client) == []


def test_beat_sends_heartbeats_and_queues_no_message(redis_client: Redis) -> None:
    accepted(a_ledger(redis_client))
    redis_client.delete(QUEUE)  # the message is lost
    beat = Reaper(None, lambda: None, Heartbeat(redis_client, "beat"))
    beat.start()
    until(lambda: [process.role for process in heartbeat.read(redis_client)] == ["beat"])
    beat.stop()
    beat.join()
    assert not redis_client.exists(QUEUE)


def test_an_error_in_one_round_of_the_reaper_does_not_end_it(redis_client: Redis) -> None:
    rounds: list[str] = []

    def current_tasks() -> list[str]:
        rounds.append("one more")
        if len(rounds) == 1:
            raise RuntimeError("Set changed size during iteration")
        return ["a-task"]

    beat = Reaper(None, lambda: None, Heartbeat(redis_client, "beat", current_tasks), interval=0.1)
    beat.start()
    until(lambda: [process.current_tasks for process in heartbeat.read(redis_client)] == [("a-task",)])
    beat.stop()
    beat.join()


@pytest.mark.parametrize(("silence", "seen", "silent"), [(5, True, False), (45, True, True), (601, False, None)])
def test_who_died_is_silent_and_then_forgotten(
    redis_client: Redis, silence: int, seen: bool, silent: bool | None
) -> None:
    Heartbeat(redis_client, "upkeep").beat()
    ((field, text),) = redis_client.hgetall(keys.PROCESSES).items()
    at, _, about = text.partition("|")
    redis_client.hset(keys.PROCESSES, field, f"{int(at) - silence * 1000}|{about}")
    assert [process.is_silent for process in heartbeat.read(redis_client)] == ([silent] if seen else [])
    Heartbeat(redis_client, "web").beat()  # every heartbeat may remove processes that are gone
    assert redis_client.hexists(keys.PROCESSES, field) is seen


def test_a_successors_first_heartbeat_removes_who_has_died_on_its_host_and_nobody_else(redis_client: Redis) -> None:
    host, dead = socket.gethostname()[:64], 2**22 + 1  # beyond any pid
    about = '{"since": 1, "busy": 0, "doing": []}'
    now, _ = redis_client.time()
    for field in (f"welcome|{host}|{dead}", f"welcome|another|{dead}", f"welcome|{host}|{os.getppid()}"):
        redis_client.hset(keys.PROCESSES, field, f"{now * 1000}|{about}")
    Heartbeat(redis_client, "welcome").beat()
    known = {(one.host, one.pid) for one in heartbeat.read(redis_client)}
    assert known == {("another", dead), (host, os.getppid()), (host, os.getpid())}


def test_how_a_job_went_is_kept(redis_client: Redis) -> None:
    schedule = {"a": 60.0, "b": 600.0}
    with jobs.recorded(redis_client, "a"):
        pass
    (fine, never) = jobs.read(redis_client, schedule)
    assert (fine.failed, never.at, never.next_at) == ("", None, None)
    assert fine.at is not None
    assert fine.next_at == fine.at + 60

    with pytest.raises(OSError, match="disk"), jobs.recorded(redis_client, "a"):
        raise OSError("disk")
    failed = jobs.read(redis_client, schedule)[0]
    assert (failed.failed, failed.fine_at) == ("OSError", fine.at)
    assert failed.at is not None
    assert failed.at > fine.at
    with jobs.recorded(redis_client, "a"):
        pass
    fine_again = jobs.read(redis_client, schedule)[0]
    assert (fine_again.failed, fine_again.failed_at) == ("", failed.at)
