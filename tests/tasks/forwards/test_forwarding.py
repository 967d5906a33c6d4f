"""From the ledger to the target: whole, in order, at least once; and what becomes of what cannot be delivered."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from amqp.exceptions import PreconditionFailed

from tasks.celery import make_app
from tasks.events import LEFT, ContactAdded, ContactChanged
from tasks.forwards import forwarder as forwarder_module
from tasks.forwards import payload, senders
from tasks.forwards import store as store_module
from tasks.forwards.forwarder import PROBES, THREADS, Forwarder
from tasks.forwards.senders import Sent, judge
from tasks.forwards.store import Entry
from tasks.forwards.task_sender import TaskSender, broker
from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Delivery, Outcome
from tasks.reasons import Kind, Reason
from tasks.services import Services, build_services
from tasks.settings import TaskTarget, read
from tasks.state.erasure import forget
from tasks.storage import keys, replies
from tasks.storage.connections import Redis
from tasks.wecom.http1 import Response
from tests.support.forwarding import an_installation
from tests.support.ledger import settled
from tests.support.processes import RedisServer
from tests.support.receiver import Receiver
from tests.support.servers import Server, answering, silent, whole
from tests.support.until import until

SENT = Settlement(Outcome.SENT, template="hello", rule="all", values={"customer": "王芳"})


@contextmanager
def running(services: Services) -> Iterator[Forwarder]:
    forwarder = Forwarder(
        services.forwards,
        services.settings.apps,
        services.counters,
        make_app(str(services.settings.redis_url)),
    )
    forwarder.start()
    try:
        yield forwarder
    finally:
        forwarder.stop()


@pytest.fixture
def services(redis_url: str, tmp_path: Path, receives: Receiver) -> Services:
    return an_installation(redis_url, tmp_path, ("sales", receives.url, ""))


@pytest.fixture(autouse=True)
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarder_module, "TICK", 0.05)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "DELAYS", (0.05,))
    monkeypatch.setattr(store_module, "REST", 0.05)
    monkeypatch.setattr(store_module, "LONGEST_REST", 0.1)


def added(services: Services, settlement: Settlement = SENT, **different: object) -> ContactAdded:
    return settled(services.ledger, settlement, app="sales", **different)


def left(services: Services, event: ContactAdded, after: int = 5) -> ContactChanged:
    change = ContactChanged(
        "sales", event.corp_id, LEFT, event.user_id, event.external_user_id, event.created_at + after
    )
    services.contact_changes.record(change)
    return change


def nothing_waits(services: Services) -> bool:
    return not any(one.waiting for one in services.forwards.status("sales").values())


def test_an_add_and_what_became_of_it_arrive_signed_and_in_order(services: Services, receives: Receiver) -> None:
    event = added(services, state="douyin", welcome_code="CODE-1")
    change = left(services, event)
    with running(services):
        until(lambda: len(receives.got) == 2)
    assert receives.ids == [event.id, change.id]
    add, gone = (body for _, body in receives.got)
    assert add["type"] == "contact.add"
    assert add["data"] == {
        "id": event.id,
        "app": "sales",
        "corp_id": event.corp_id,
        "user_id": event.user_id,
        "external_user_id": event.external_user_id,
        "state": "douyin",
        "outcome": "sent",
        "errcode": None,
        "template": "hello",
        "rule": "all",
        "variant": None,
        "attempts": 0,
    }
    assert (gone["type"], gone["data"]["id"]) == ("contact.del_follow_user", change.id)
    assert "CODE-1" not in json.dumps(receives.got)


def test_names_and_ids_are_there_as_the_setting_says(redis_url: str, tmp_path: Path, receives: Receiver) -> None:
    services = an_installation(redis_url, tmp_path, ("sales", receives.url, "names = true\nids = false"))
    added(services)
    with running(services):
        until(lambda: receives.got)
    (_, body) = receives.got[0]
    assert body["data"]["names"] == {"customer": "王芳"}
    assert not {"user_id", "external_user_id", "corp_id"} & set(body["data"])


def test_a_target_gets_the_changes_that_it_asks_for(redis_url: str, tmp_path: Path, receives: Receiver) -> None:
    services = an_installation(redis_url, tmp_path, ("sales", receives.url, 'changes = ["del_follow_user"]'))
    change = left(services, added(services))
    with running(services):
        until(lambda: receives.got)
    assert receives.ids == [change.id]


def test_rehearsals_and_events_of_other_apps_are_not_forwarded(services: Services, receives: Receiver) -> None:
    added(services, Settlement(Outcome.REHEARSED), rehearsal=True)
    settled(services.ledger, SENT, app="default")
    assert services.forwards.route() == 0
    assert services.redis.llen(keys.FORWARD_NEW) == 0


@pytest.mark.usefixtures("hasty")
def test_what_is_refused_is_sent_again_and_later_events_of_the_customer_wait(
    services: Services, receives: Receiver
) -> None:
    receives.answer = 500
    first = added(services)
    second = left(services, first)
    with running(services):
        until(lambda: receives.refused >= 3)
        (status,) = services.forwards.status("sales").values()
        assert (status.failures > 0, str(status.why)) == (True, str(status.why))
        receives.answer = 204
        until(lambda: len(receives.got) == 2)
    assert receives.ids == [first.id, second.id]
    (status,) = services.forwards.status("sales").values()
    assert (status.failures, status.waiting, status.delivered) == (0, 0, 2)


@pytest.mark.usefixtures("hasty")
def test_a_dead_target_slows_no_living_one(redis_url: str, tmp_path: Path, receives: Receiver, other: Receiver) -> None:
    services = an_installation(redis_url, tmp_path, ("sales", receives.url, ""), ("sales", other.url, ""))
    receives.slow = 0.5
    receives.answer = 503
    events = [added(services) for _ in range(30)]
    began = time.monotonic()
    with running(services):
        until(lambda: len(other.got) == 30)
    assert set(other.ids) == {event.id for event in events}
    assert receives.refused <= 4 + (time.monotonic() - began) / receives.slow, "one at a time while it is unwell"


def test_an_event_is_given_up_after_a_day_and_can_be_tried_again(
    services: Services, receives: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = added(services)
    services.forwards.route()
    (target,) = services.forwards.status("sales")
    services.redis.hincrby(keys.forward_entry("sales", target, event.id), "at", -86_401_000)
    with running(services):
        until(lambda: services.forwards.status("sales")[target].parked == 1)
        (parked,) = services.forwards.listed("sales", 10)
        assert (parked.id, parked.parked_at is not None) == (event.id, True)
        assert services.forwards.retry("sales", event.id) == 1
        until(lambda: receives.got)
    assert receives.ids == [event.id]
    assert services.forwards.listed("sales", 10) == []
    assert services.forwards.retry("sales", event.id) == 0


def test_one_that_died_with_its_process_is_sent_by_the_next(
    services: Services, receives: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "LEASE", 0.05)
    event = added(services)
    services.forwards.route()
    (target,) = services.forwards.status("sales")
    (claimed,) = services.forwards.claim("sales", target, 9)
    with running(services):
        until(lambda: receives.got)
    assert receives.ids == [event.id]
    assert not services.forwards.delivered(claimed)  # the first one's word counts no longer


def test_a_period_is_forwarded_once_more_under_the_same_ids(services: Services, receives: Receiver) -> None:
    events = [added(services) for _ in range(3)]
    with running(services):
        until(lambda: len(receives.got) == 3)
        until(lambda: nothing_waits(services))
        now = services.ledger.now()
        assert services.forwards.replay("sales", now - 60_000, now) == 3
        until(lambda: len(receives.got) == 6)
    assert sorted(receives.ids) == sorted(2 * [event.id for event in events])


def test_later_changes_of_a_period_are_forwarded_once_more_in_their_order(
    services: Services, receives: Receiver
) -> None:
    event = added(services)
    with services.redis.pipeline() as pipe:  # long before the period
        pipe.hincrby(keys.event(event.id), "received_at", -86_400_000)
        pipe.zincrby(keys.EVENTS, -86_400_000, event.id)
        pipe.execute()
    other = replace(event, user_id=event.user_id.upper())  # as another call may spell it (doc 90195)
    changes = [left(services, other, 1), left(services, event, 2)]
    left(services, event, 3600)
    services.contact_changes.apply_due()
    with running(services):
        until(lambda: len(receives.got) == 4)
        until(lambda: nothing_waits(services))
        receives.got.clear()
        begin = event.created_at * 1000
        assert services.forwards.replay("sales", begin, begin + 60_000) == 2
        until(lambda: len(receives.got) == 2)
    assert receives.ids == [change.id for change in changes]


def test_nothing_of_who_is_forgotten_is_on_its_way(services: Services, receives: Receiver) -> None:
    gone, stays = added(services, external_user_id="wm-gone"), added(services)
    services.forwards.route()
    left(services, gone)
    left(services, stays)
    forget(services.redis, "wm-gone")
    with running(services):
        until(lambda: len(receives.got) == 2)
        until(lambda: waiting(services) == [], what="the receiver's last answer")
    assert {body["data"]["external_user_id"] for _, body in receives.got} == {stays.external_user_id}
    assert waiting(services) == []


@pytest.mark.parametrize("what", ["add", "change"])
def test_who_is_forgotten_while_an_event_is_routed_is_not_on_its_way(
    services: Services, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    gone, make = added(services, external_user_id="wm-gone"), payload.body
    if what == "change":
        services.forwards.route()
        forget(services.redis, "wm-gone")
        left(services, gone)

    def forgetting(*args: Any) -> bytes:
        made = make(*args)
        forget(services.redis, "wm-gone")
        return made

    monkeypatch.setattr(payload, "body", forgetting)
    services.forwards.route()
    assert waiting(services) == []


def test_who_is_forgotten_while_a_period_is_forwarded_once_more_is_not_on_its_way(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, stays = added(services, external_user_id="wm-gone"), added(services)
    for event in (gone, stays):
        left(services, event)
    services.contact_changes.apply_due()
    services.forwards.route()
    read_all = services.ledger.deliveries

    def forgetting(**asked: Any) -> list[Delivery]:
        rows = list(read_all(**asked))
        forget(services.redis, "wm-gone")
        services.redis.delete(keys.FORWARD_NEW)
        return rows

    monkeypatch.setattr(services.ledger, "deliveries", forgetting)
    begin = stays.created_at * 1000
    services.forwards.replay("sales", begin, begin + 60_000)
    listed = str(replies.texts(services.redis.lrange(keys.FORWARD_NEW, 0, -1)))
    assert "wm-gone" not in listed
    assert stays.external_user_id in listed


def waiting(services: Services) -> list[str]:
    """The keys of what is on its way."""
    ways = (keys.forward_entry("sales", "*", "*"), keys.forward_line("sales", "*", "*"), keys.FORWARD_NEW,
            keys.forward_waiting("sales", "*"))  # fmt: skip
    return [key for way in ways for key in services.redis.scan_iter(way)]


def test_a_redirect_is_not_followed(services: Services, receives: Receiver, other: Receiver) -> None:
    receives.answer, receives.headers = 302, {"Location": other.url}
    added(services)
    with running(services):
        until(lambda: receives.refused)
        time.sleep(0.1)
    assert (other.got, other.refused) == ([], 0)


@pytest.mark.parametrize(
    "answer",
    [
        whole(b"x" * 1_000_000),
        whole(b"{}", "200 OK", "Content-Encoding: gzip"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + b"x" * 0x10000 + b"\r\n1\r\nx\r\n",
    ],
    ids=["long", "no gzip", "chunks without end"],
)
def test_the_status_alone_says_whether_an_event_was_taken(redis_url: str, tmp_path: Path, answer: bytes) -> None:
    with Server(answering(answer)) as server:
        services = an_installation(redis_url, tmp_path, ("sales", server.url, ""))
        event = added(services)
        left(services, event)
        with running(services):
            until(lambda: [one.delivered for one in services.forwards.status("sales").values()] == [2])
        assert len(server.requests) == 2


def test_an_address_that_is_not_public_is_not_reached(redis_url: str, tmp_path: Path) -> None:
    services = an_installation(redis_url, tmp_path, ("sales", "https://127.0.0.1:1/hook", ""))
    added(services)
    with running(services):
        until(lambda: next(iter(services.forwards.status("sales").values())).failures)
    (status,) = services.forwards.status("sales").values()
    assert status.why is not None
    assert status.why.params["failure"] == "address_not_allowed"


@pytest.mark.unit
@pytest.mark.parametrize(
    ("status", "headers", "delivered", "unwell", "wait"),
    [
        (200, {}, True, False, 0),
        (204, {}, True, False, 0),
        (301, {}, False, False, 0),
        (400, {}, False, False, 0),
        (403, {"retry-after": "\u00b2"}, False, False, 0),
        (503, {"retry-after": "1e3"}, False, True, 0),
        (503, {"retry-after": "Thu, 26 Nov 0001 00:01:00 -0000"}, False, True, 0),
        (429, {"retry-after": "120"}, False, True, 120),
        (503, {"retry-after": "Thu, 26 Nov 2026 00:01:00 GMT"}, False, True, 60),
        (503, {"retry-after": "9999999"}, False, True, 3600),
        (503, {"retry-after": "junk"}, False, True, 0),
        (500, {"retry-after": "-5"}, False, True, 0),
    ],
)
def test_each_answer_is_judged(
    status: int, headers: dict[str, str], delivered: bool, unwell: bool, wait: float
) -> None:
    sent = judge(Response(status, headers, b"", True), 1795651200.0)
    assert (sent.why is None, sent.unwell, sent.wait, sent.gone) == (delivered, unwell, wait, False)


def test_a_target_that_is_gone_for_good_is_not_tried_for_a_day(services: Services, receives: Receiver) -> None:
    receives.answer = 410
    event = added(services)
    with running(services):
        until(lambda: [one.parked for one in services.forwards.status("sales").values()] == [1])
        (parked,) = services.forwards.listed("sales", 9)
        assert (parked.id, parked.why is not None, receives.refused) == (event.id, True, 1)
        receives.answer = 204  # or it was a mistake
        services.forwards.retry("sales", event.id)
        until(lambda: receives.got)
    assert receives.ids == [event.id]


@pytest.mark.usefixtures("hasty")
def test_targets_that_hang_leave_threads_to_the_living(
    redis_url: str, tmp_path: Path, receives: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(senders, "TIMEOUT", 60.0)
    hangs, goes_on = threading.Event(), threading.Event()

    def serve(server: Server, connection: socket.socket) -> None:
        while True:
            server.request(connection)
            if hangs.is_set():
                goes_on.wait(60)
            connection.sendall(whole(b"", "503 Service Unavailable"))

    with Server(serve) as dead:
        targets = [("sales", f"{dead.url}/{number}", "") for number in range(2 * THREADS)]
        services = an_installation(redis_url, tmp_path, *targets, ("sales", receives.url, ""))
        added(services)
        with running(services):
            until(lambda: sum(one.failures > 0 for one in services.forwards.status("sales").values()) == len(targets))
            hangs.set()
            seen = len(dead.requests)
            until(lambda: len(dead.requests) >= seen + PROBES)
            events = [added(services) for _ in range(20)]
            until(lambda: {event.id for event in events} <= set(receives.ids))
            assert len(dead.requests) <= seen + THREADS  # those that were on their way, and no more
            goes_on.set()


def test_no_proxy_of_the_environment_is_used(
    services: Services, receives: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:1")
    event = added(services)
    with running(services):
        until(lambda: receives.got)
    assert receives.ids == [event.id]


def test_a_line_is_not_kept_up_by_one_that_is_past_its_life(services: Services, receives: Receiver) -> None:
    event = added(services, external_user_id="wm1")
    later = left(services, event)
    services.forwards.route()
    (target,) = services.forwards.status("sales")
    services.redis.delete(keys.forward_entry("sales", target, event.id))
    with running(services):
        until(lambda: receives.got)
    assert receives.ids == [later.id]


def test_one_of_another_release_stops_none_beside_it(services: Services, receives: Receiver) -> None:
    services.redis.rpush(keys.FORWARD_NEW, 'change:{"of": "a later release"}', "something:else", "event:gone")
    event = added(services)
    with running(services):
        until(lambda: receives.got)
    assert receives.ids == [event.id]


def test_an_event_that_cannot_be_read_holds_up_none_behind_it(services: Services, receives: Receiver) -> None:
    hurt = added(services)
    services.redis.hset(keys.event(hurt.id), "created_at", "yesterday")
    far = {"app": "sales", "corp_id": "ww1", "change": LEFT, "user_id": "z", "external_user_id": "wm1"}
    for at in (10**15, "soon", None):
        services.redis.rpush(keys.FORWARD_NEW, "change:" + json.dumps({**far, "created_at": at}))
    services.redis.rpush(keys.FORWARD_NEW, "change:[]")
    event = added(services)
    with running(services):
        until(lambda: receives.got)
    assert receives.ids == [event.id]
    assert services.redis.llen(keys.FORWARD_NEW) == 0


def test_an_entry_that_cannot_be_read_holds_up_nobody(
    redis_url: str, tmp_path: Path, receives: Receiver, other: Receiver
) -> None:
    services = an_installation(redis_url, tmp_path, ("sales", receives.url, ""), ("sales", other.url, ""))
    hurt, event = added(services), added(services)
    services.forwards.route()
    target = next(iter(services.forwards.status("sales")))
    services.redis.hdel(keys.forward_entry("sales", target, hurt.id), "body")
    assert services.forwards.listed("sales", 10) == []
    with running(services):
        until(lambda: receives.got and len(other.got) == 2)
    assert receives.ids == [event.id]
    due = keys.forward_due("sales", target)
    (line,) = services.redis.zrange(due, 0, -1)
    services.redis.zadd(due, {line: 0})  # its lease is over
    assert services.forwards.claim("sales", target, 4) == []
    assert services.redis.zcard(due) == 0


def test_a_target_whose_keys_are_hurt_holds_up_no_other_one(
    redis_url: str, tmp_path: Path, receives: Receiver, other: Receiver
) -> None:
    services = an_installation(redis_url, tmp_path, ("sales", receives.url, ""), ("sales", other.url, ""))
    event = added(services)
    services.forwards.route()
    services.redis.set(keys.forward_target("sales", next(iter(services.forwards.status("sales")))), "no hash")
    with running(services):
        until(lambda: other.got)
    assert (receives.ids, other.ids) == ([], [event.id])


def test_a_long_list_is_routed_a_part_at_a_time(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "AT_ONCE", 2)
    for _ in range(3):
        added(services)
    assert [services.forwards.route() for _ in range(3)] == [2, 1, 0]


def test_a_target_that_refuses_an_event_is_well_again(services: Services) -> None:
    for number in range(3):
        added(services, external_user_id=f"wm{number}")
    services.forwards.route()
    (target,) = services.forwards.status("sales")
    first, *_ = services.forwards.claim("sales", target, 1)
    services.forwards.failed(first, Reason.of(Kind.NOT_SENT), unwell=True)
    services.redis.hdel(keys.forward_target("sales", target), "rests_until")  # its rest is over
    (probe,) = services.forwards.claim("sales", target, 4)
    services.forwards.failed(probe, Reason.of(Kind.NOT_SENT), unwell=False)  # 400: it answers
    assert services.forwards.status("sales")[target].failures == 0
    assert len(services.forwards.claim("sales", target, 4)) == 1


def test_what_failed_is_due_when_the_target_answers_again(services: Services, receives: Receiver) -> None:
    events = [added(services) for _ in range(3)]
    services.forwards.route()
    (target,) = services.forwards.status("sales")
    for entry in services.forwards.claim("sales", target, 2):
        services.forwards.failed(entry, Reason.of(Kind.NOT_SENT), unwell=True, wait=3600)
    assert services.forwards.claim("sales", target, 4) == []  # it rests, for as long as it asked for
    services.redis.hdel(keys.forward_target("sales", target), "rests_until")  # an hour has passed
    with running(services):
        until(lambda: len(receives.got) == 3)
    assert set(receives.ids) == {event.id for event in events}


def test_redis_is_not_held_up_by_what_is_made_due(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MADE_DUE", 2)
    (target,) = services.settings.apps["sales"].forwards
    added(services)
    services.forwards.route()
    (entry,) = services.forwards.claim("sales", target.id, 1)
    due, later = keys.forward_due("sales", target.id), services.ledger.now() + 3_600_000
    services.redis.zadd(due, {f"line-{number}": later for number in range(5)})
    services.redis.hset(keys.forward_target("sales", target.id), "failures", 1)
    assert services.forwards.delivered(entry)
    assert services.redis.zcount(due, later, "+inf") == 3, "it answers again: some at a time"
    assert services.forwards.retry_all("sales") == 3
    assert services.redis.zcount(due, later, "+inf") == 0, "whoever asks for all gets all"


def test_one_under_a_lease_is_not_due_when_the_target_answers_again(services: Services) -> None:
    for number in range(2):
        added(services, external_user_id=f"wm{number}")
    services.forwards.route()
    (target,) = services.forwards.status("sales")
    first, second = services.forwards.claim("sales", target, 2)
    services.redis.hset(keys.forward_target("sales", target), "failures", 1)
    assert services.forwards.delivered(first)
    assert services.forwards.claim("sales", target, 2) == []
    assert services.forwards.delivered(second)


def test_how_many_are_on_their_way_and_since_when(services: Services, receives: Receiver) -> None:
    events = [added(services) for _ in range(3)]
    services.forwards.route()
    (target,) = services.forwards.status("sales")
    way = keys.forward_waiting("sales", target)
    services.redis.zincrby(way, -60_000, keys.forward_entry("sales", target, events[0].id))
    status = services.forwards.status("sales")[target]
    assert (status.waiting, 60 <= status.oldest < 120) == (3, True)
    services.redis.delete(keys.forward_entry("sales", target, events[0].id))  # past its life
    with running(services):
        until(lambda: services.forwards.status("sales")[target].waiting == 0)
    assert services.forwards.status("sales")[target].oldest == 0


def test_all_that_was_given_up_is_tried_again_in_its_order(services: Services, receives: Receiver) -> None:
    first = added(services)
    later = left(services, first)
    services.forwards.route()
    (target,) = services.forwards.status("sales")
    for _ in (first, later):
        (entry,) = services.forwards.claim("sales", target, 1)
        services.forwards.parked(entry)
    status = services.forwards.status("sales")[target]
    assert (status.waiting, status.parked, status.parked_at is not None) == (0, 2, True)
    assert services.forwards.retry_all("sales") == 2
    status = services.forwards.status("sales")[target]
    assert (status.waiting, status.parked, status.parked_at) == (2, 0, None)
    with running(services):
        until(lambda: len(receives.got) == 2)
    assert receives.ids == [first.id, later.id]


def test_the_list_of_parked_events_does_not_grow_for_ever(services: Services) -> None:
    added(services)
    services.forwards.route()
    (target,) = services.forwards.status("sales")
    services.redis.zadd(keys.forward_parked("sales", target), {"of long ago": 1})
    (entry,) = services.forwards.claim("sales", target, 1)
    assert services.forwards.parked(entry)
    assert services.redis.zrange(keys.forward_parked("sales", target), 0, -1) == [entry.key]
    assert 0 < services.redis.ttl(keys.forward_parked("sales", target)) <= store_module.LIFE


def test_the_order_holds_for_each_customer_beside_others(services: Services, receives: Receiver) -> None:
    pairs = [(event := added(services), left(services, event, 1), left(services, event, 2)) for _ in range(20)]
    with running(services):
        until(lambda: len(receives.got) == 60)
    for line in pairs:
        places = [receives.ids.index(one.id) for one in line]
        assert places == sorted(places)


def test_a_broker_has_to_confirm_what_it_is_given_and_is_not_waited_for_without_end() -> None:
    options = broker("amqp://crm@127.0.0.1//").conf.broker_transport_options
    assert options["confirm_publish"] is True
    assert 0 < options["read_timeout"] + options["write_timeout"] < store_module.LEASE


# ------------------------------------------------------------------------------------------------ on_settled


def test_what_a_broker_refuses_is_tried_again_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_args: Any, **_options: Any) -> None:
        raise PreconditionFailed("inequivalent arg 'x-queue-type' for queue 'crm'")  # RabbitMQ's, of a quorum queue

    app = broker("amqp://crm@127.0.0.1//")
    monkeypatch.setattr(app, "send_task", refuses)
    entry = Entry("1" * 32, "sales", "crm", "add", "line", b"{}", at=0.0, tries=1)
    sent = TaskSender(TaskTarget("crm.greeted", "crm"), app).send(entry)
    assert sent == Sent(Reason.of(Kind.UNEXPECTED, error="PreconditionFailed"), unwell=True)


def test_why_a_broker_is_not_reached_is_told_by_the_cause() -> None:
    entry = Entry("1" * 32, "sales", "crm", "add", "line", b"{}", at=0.0, tries=1)
    sent = TaskSender(TaskTarget("crm.greeted", "crm"), broker("amqp://crm@127.0.0.1:1//")).send(entry)
    assert sent == Sent(Reason.of(Kind.UNEXPECTED, error="ConnectionRefusedError"), unwell=True)


def with_a_task(redis_url: str, folder: Path, broker_url: str, url: str) -> Services:
    """An installation whose settled events are sent to a task, and to a URL."""
    an_installation(redis_url, folder, ("sales", url, ""))
    config = folder / "apps.toml"
    told = f'on_settled = "crm.greeted"\non_settled_broker = "{broker_url}"\n'
    config.write_text(config.read_text().replace("[[apps.", told + "[[apps.", 1))
    return build_services(read({"WELCOME_CONFIG": config.name, "REDIS_URL": redis_url}, folder))


def messages_of(client: Redis) -> list[str]:
    """The ids of the tasks in the queue, in order."""
    found = (json.loads(one) for one in reversed(replies.texts(client.lrange("on-settled", 0, -1))))
    return [message["headers"]["id"] for message in found]


@pytest.mark.usefixtures("hasty")
def test_a_broker_that_was_away_gets_each_event_once_it_is_back(
    redis_url: str, tmp_path: Path, receives: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    server = RedisServer(tmp_path / "theirs")
    url = server.url.replace("unix://", "redis+socket://").partition("?")[0]
    services = with_a_task(redis_url, tmp_path, url, receives.url)
    http, task = (target.id for target in services.settings.apps["sales"].forwards)
    events = [added(services) for _ in range(10)]
    with running(services):
        until(lambda: len(receives.got) == 10)  # forwarding goes on meanwhile
        until(lambda: services.forwards.status("sales")[task].failures > 1)
        assert services.forwards.status("sales")[task].waiting == 10
        assert services.forwards.status("sales")[http].failures == 0
        with server:
            until(lambda: services.forwards.status("sales")[task].waiting == 0)
            server.stop()  # and once more, with a connection that was in use
            events += [added(services) for _ in range(5)]
            until(lambda: services.forwards.status("sales")[task].failures > 1)
            server.start()
            until(lambda: services.forwards.status("sales")[task].waiting == 0)
            with server.client() as client:
                assert set(messages_of(client)) == {event.id for event in events}
                client.set("on-settled", "no list")  # it refuses the message itself
                last = added(services)
                until(lambda: services.forwards.status("sales")[task].failures > 1)
                client.delete("on-settled")
                until(lambda: messages_of(client) == [last.id])
    assert "cannot record" not in caplog.text


@pytest.mark.usefixtures("hasty")
def test_a_broker_that_hangs_slows_no_other_target(redis_url: str, tmp_path: Path, receives: Receiver) -> None:
    with Server(silent) as server:
        services = with_a_task(redis_url, tmp_path, f"redis://127.0.0.1:{server.port}/0", receives.url)
        _, task = (target.id for target in services.settings.apps["sales"].forwards)
        events = [added(services) for _ in range(20)]
        with running(services):
            until(lambda: len(receives.got) == 20)
            until(lambda: services.forwards.status("sales")[task].failures > 0)
            assert services.forwards.status("sales")[task].waiting == 20
        assert set(receives.ids) == {event.id for event in events}
