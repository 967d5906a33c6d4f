"""F53: the machine of the primary dies. Three Sentinels agree that it is gone, and make its replica the primary.

Replication is asynchronous: what the primary accepted in its last moments, and its replica has not heard of, is gone.
The lifeboat of the web process greets these customers, and stores them anew.
"""

import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path

import psutil
import pytest

from tasks.celery import make_app
from tasks.monitoring import heartbeat
from tasks.storage import keys
from tests.simulator.client import StandIn
from tests.support.builders import a_contact
from tests.support.judge import verdict
from tests.support.ledger import a_ledger
from tests.support.processes import ROLES, Product, RedisServer, free_port
from tests.support.proxy import Proxy
from tests.support.sentinels import Sentinels
from tests.support.until import until

RETURN = 15.0  # seconds from the death of the primary to a greeting; 5 are promised, and measured with -v


def all_roles_write(product: Product, since: float) -> bool:
    with product.client() as client:
        return {one.role for one in heartbeat.read(client) if time.time() - one.silence > since} >= set(ROLES)


def workers_answer(url: str) -> bool:
    """Whether `celery inspect ping` finds both workers."""
    app = make_app(url)
    with app.connection() as connection:
        answers = app.control.broadcast("ping", reply=True, limit=2, timeout=2, connection=connection)
    return {name.partition("@")[0] for answer in answers for name in answer} == {"welcome", "upkeep"}


def test_f53_a_failover_of_sentinels_loses_nobody_and_every_role_follows(
    tmp_path: Path, wecom: StandIn, measured: Callable[[str, float], None]
) -> None:
    servers = Sentinels(tmp_path / "redis")
    with Product(tmp_path, wecom, redis=servers) as product:
        pids = {name: role.pid for name, role in product.roles.items()}
        wecom.pushing(retries=100, spacing_s=0.3)
        wecom.faults(latency_ms=80)
        wecom.load(50, rate=30)
        wecom.wait_until_greeted(45)
        product.roles["welcome"].freeze()
        servers.cut_replication()
        unheard = wecom.status()["accepted"]
        wecom.load(100, rate=30)
        until(lambda: wecom.status()["accepted"] >= unheard + 10, what="customers whom only the primary knows")
        servers.servers[0].kill()
        died_at = time.time()
        product.roles["welcome"].thaw()
        until(lambda: servers.is_primary(1), what="another primary")
        measured("F53: the primary is killed, another is named after", time.time() - died_at)
        until(lambda: wecom.status()["last_greeted_at"] > died_at + 0.5, what="a greeting of somebody new")
        wecom.wait_until_pushed()
        found = verdict(wecom, product, redis_died=True)
        records = wecom.records()
        back_at = min(r.greeted_at for r in records if r.greeted_at and r.accepted_at > died_at + 0.1)
        measured("F53: the primary is killed, somebody new is greeted after", back_at - died_at)
        measured("F53: the primary is killed, the slowest greeting", found.to_greeting.max)
        assert back_at - died_at < RETURN
        assert (found.lost, found.missed, found.double) == ([], [], [])
        assert found.accepted == found.events == 150
        assert found.greeted == len(product.rows()) == 150, (
            "the lifeboat takes along what it had handed over just before"
        )
        until(lambda: all_roles_write(product, died_at + 0.5), what="a sign of life of every role")
        until(lambda: workers_answer(servers.url), what="both workers, to Celery's own tools")
        assert pids == {name: role.pid for name, role in product.roles.items() if role.alive()}


# ------------------------------------------------------------------------------------------------ what is lost


class Replicated:
    """A primary and a replica that hears from it through a proxy."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        options = ("--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0")
        self.primary = RedisServer(folder / "a", "--port", str(port), *options)
        self.replica = RedisServer(folder / "b", *options)

    def __enter__(self) -> "Replicated":
        self.primary.start()
        self.replica.start()
        self.line = Proxy(self.primary.socket).__enter__()
        with self.replica.client() as client:
            client.replicaof("127.0.0.1", str(self.line.port))
            until(lambda: client.info("replication")["master_link_status"] == "up", what="replication")
        return self

    def __exit__(self, *_: object) -> None:
        self.line.__exit__()
        for server in (self.primary, self.replica):
            server.kill()
            server.__exit__()

    def dies(self) -> set[str]:
        """The primary's machine is gone, with what was on the line. → the ids of the events that the replica has."""
        self.line.cut()
        self.primary.kill()
        with self.replica.client() as client:
            client.replicaof("NO", "ONE")
            return set(client.zrange(keys.EVENTS, 0, -1))

    def cpu(self) -> float:
        """Seconds of both servers."""
        times = [psutil.Process(server.pid).cpu_times() for server in (self.primary, self.replica)]
        return sum(one.user + one.system for one in times)


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[Replicated]:
    with Replicated(tmp_path) as replicated:
        yield replicated


@pytest.mark.soak
@pytest.mark.parametrize("waits", [False, True], ids=["as it is", "with WAIT"])
def test_f53_what_a_replica_had_not_heard_of_is_lost_and_wait_would_keep_it(
    replicated: Replicated, waits: bool, measured: Callable[[str, float], None]
) -> None:
    """A second of 100 events a second, with a replica 0.1 s behind."""
    accepted = set()
    with replicated.primary.client() as client:
        ledger = a_ledger(client)
        replicated.line.delay = 0.1
        by = time.monotonic() + 1
        while time.monotonic() < by:
            event = a_contact()
            ledger.accept(event)
            if not waits or client.wait(1, 1000):
                accepted.add(event.id)
            time.sleep(0.01)
    lost = accepted - replicated.dies()
    how = f"F53: a replica 0.1 s behind{', WAIT 1' if waits else ''}: lost, as time"
    measured(how, len(lost) / len(accepted))
    assert (len(lost) == 0) is waits


@pytest.mark.soak
def test_f53_what_wait_would_cost_each_hand_over(
    replicated: Replicated, measured: Callable[[str, float], None]
) -> None:
    """Beside each other, in turns, so that the machine is the same for both."""
    wall, cpu, ours = {False: 0.0, True: 0.0}, {False: 0.0, True: 0.0}, {False: 0.0, True: 0.0}
    with replicated.primary.client() as client:
        ledger = a_ledger(client)
        for waits in islice(cycle((False, True)), 20):
            events = [a_contact() for _ in range(100)]
            began, had, own = time.monotonic(), replicated.cpu(), time.process_time()
            for event in events:
                ledger.accept(event)
                assert not waits or client.wait(1, 1000) == 1
            wall[waits] += time.monotonic() - began
            cpu[waits] += replicated.cpu() - had
            ours[waits] += time.process_time() - own
    for waits, how in ((False, "as they are"), (True, "with WAIT 1")):
        measured(f"F53: 1000 hand-overs {how}", wall[waits])
        measured(f"F53: 1000 hand-overs {how}: CPU of web and Redis", ours[waits] + cpu[waits])
