"""Who is forgotten is gone from everything but the totals, and not found anew."""

import contextlib
import subprocess
from pathlib import Path

import pytest

from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.ledger.ledger import Ledger
from tasks.ledger.rows import index
from tasks.state import erasure
from tasks.storage import connections, keys
from tasks.storage.connections import Redis
from tasks.storage.embedded import Embedded
from tests.support.ledger import a_ledger, accepted, settled
from tests.support.processes import answers
from tests.support.until import until


def greeted(ledger: Ledger, **different: str) -> str:
    return settled(ledger, Settlement(Outcome.SENT, template="t"), {"sent": 1}, claimed=True, **different).id


def test_who_is_forgotten_is_gone_and_totals_stay(redis_client: Redis, ledger: Ledger) -> None:
    known = greeted(ledger, external_user_id="wm1")
    greeted(ledger, external_user_id="wm1", app="sales")
    other = greeted(ledger, external_user_id="wm2")
    waiting = accepted(ledger, external_user_id="wm1")
    totals = {key: redis_client.hgetall(key) for key in [*redis_client.keys(keys.tallies("*") + "*"), keys.COUNTERS]}
    assert erasure.forget(redis_client, "wm1", "default") == 2
    assert ledger.fields(known) is None
    assert redis_client.zscore(keys.DUE, waiting.id) is None
    assert erasure.forget(redis_client, "wm1") == 1
    assert erasure.forget(redis_client, "wm1") == 0
    assert [row.id for row in ledger.deliveries()] == [other]
    everywhere = str([redis_client.dump(key) for key in redis_client.keys("*")])
    assert "wm1" not in everywhere
    assert totals == {key: redis_client.hgetall(key) for key in totals}


def test_who_is_forgotten_is_in_no_list(redis_client: Redis, ledger: Ledger) -> None:
    event = settled(ledger, Settlement(Outcome.FAILED), external_user_id="wm1")
    assert erasure.forget(redis_client, "wm1") == 1
    for key in redis_client.keys("*"):
        if redis_client.type(key) == "zset":
            assert event.id not in redis_client.zrange(key, 0, -1), key


def test_who_is_forgotten_is_remembered_by_a_digest_of_one_app_or_of_all(redis_client: Redis) -> None:
    erasure.forget(redis_client, "wm1")
    erasure.forget(redis_client, "wm2", "sales")
    customers = ["wm1", "wm2", "wm3"]
    assert erasure.forgotten(redis_client, "sales", customers) == {"wm1", "wm2"}
    assert erasure.forgotten(redis_client, "default", customers) == {"wm1"}
    assert erasure.forgotten(redis_client, "default", []) == set()


@pytest.mark.parametrize("customer", ["wm1", "wm*[a]?\\\\", "wm:1", "外部" * 100])
def test_a_set_with_a_customers_id_in_its_name_goes_even_without_a_row(
    redis_client: Redis, ledger: Ledger, customer: str
) -> None:
    other = index("default", "external_user_id", "wm1x")
    names = [index(app, "external_user_id", customer) for app in ("default", "gone-app")]
    for name in (*names, other):
        redis_client.zadd(name, {"f" * 32: 1})
    redis_client.hset(keys.FOLLOWUP_AWAITED, f"default|zhangsan|{customer}", "f" * 32)
    redis_client.hset(keys.FOLLOWUP_AWAITED, f"default|zhangsan|x{customer}", "e" * 32)
    erasure.forget(redis_client, customer, "default")
    assert [redis_client.exists(name) for name in (*names, other)] == [0, 1, 1]
    erasure.forget(redis_client, customer)
    assert [redis_client.exists(name) for name in (*names, other)] == [0, 0, 1]
    assert list(redis_client.hgetall(keys.FOLLOWUP_AWAITED).values()) == ["e" * 32]


def test_the_append_only_file_has_nothing_of_who_is_forgotten(tmp_path: Path) -> None:
    server = Embedded(tmp_path)
    process = subprocess.Popen(server.prepare(), stdout=subprocess.DEVNULL)

    def on_disk() -> bytes:
        while True:
            with contextlib.suppress(FileNotFoundError):  # a rewrite has replaced one since: all of them anew
                return b"".join(one.read_bytes() for one in (server.directory / "appendonlydir").iterdir())

    try:
        until(server.socket.exists, what="the server's socket")
        with connections.connect(server.url, timeout=2) as client:
            until(lambda: answers(client), what="the server's start")
            greeted(a_ledger(client), external_user_id="wm-to-forget")
            until(lambda: b"wm-to-forget" in on_disk())
            client.bgrewriteaof()  # one that may still be under way: it has what is erased now
            assert erasure.forget(client, "wm-to-forget") == 1
            assert erasure.rewrite_log(client)
            until(lambda: b"wm-to-forget" not in on_disk())
    finally:
        process.kill()
        process.wait()


def test_where_redis_may_not_be_told_to_rewrite_it_is_known(redis_client: Redis, redis_url: str) -> None:
    redis_client.acl_setuser("few", enabled=True, nopass=True, keys="*", commands=["+@all", "-bgrewriteaof", "-info"])
    few = connections.connect(redis_url.replace("unix://", "unix://few:x@"), timeout=2)
    try:
        assert not erasure.rewrite_log(few, patience=0)
    finally:
        few.close()
        redis_client.acl_deluser("few")
