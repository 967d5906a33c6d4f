"""The product does what it does, on a real Redis, and every key that comes and goes meanwhile is as the table says."""

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from tasks import alerts, upkeep
from tasks.changes.store import ContactChanges
from tasks.counters import CallbackResult
from tasks.directory.members import staff
from tasks.events import LATER_CHANGES, LEFT, ContactChanged
from tasks.followups.worker import DueWorker
from tasks.forwards.store import Forwards
from tasks.ledger import pauses
from tasks.ledger.claims import FollowUpProgress, Settlement
from tasks.ledger.delivery import FollowUpStatus, Outcome
from tasks.media_renewal import MediaRenewer, media_status
from tasks.monitoring import jobs
from tasks.monitoring.heartbeat import Heartbeat
from tasks.people import roles
from tasks.people.api_tokens import Scope
from tasks.people.roles import Grant
from tasks.reasons import Kind, Reason
from tasks.settings import Forward
from tasks.state import erasure
from tasks.storage import connections, formats, keys
from tasks.templates.edits import TEMPLATE, Part, SetNamed
from tasks.templates.model import Tag
from tasks.wecom import WeComClient, WeComError
from tasks.wecom.robot import GroupRobot
from tasks.workers import make_follow_up_handler
from tests.simulator.client import StandIn
from tests.support.books import FILES, SHANGHAI
from tests.support.console import PASSWORD, Browser
from tests.support.controlled import controlled
from tests.support.ledger import settled
from tests.support.until import until
from tests.support.worker import Worker
from webhook.console import rehearsal_steps
from webhook.console.checkup import Checkup

BOOK = """\
version: 1
templates:
  default:
    text: 您好，我是{department}的{member}
    attachments:
    - image: {file: media/hello.png}
    - file: {file: media/price.pdf}
    then: {tags: [来源/新客户]}
  far: {text: 您好}
rules:
- when: {department: 99}
  use: far
- use: default
group_welcome:
  hello: {text: 欢迎}
"""
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=SHANGHAI)
UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_SNAPSHOT = """
local found = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  found[#found + 1] = {key, redis.call('TYPE', key)['ok'], redis.call('PTTL', key)}
end
return found
"""


def longest(life: str) -> float:
    """Seconds: of "7 days", or "WELCOME_KEEP_DAYS and 1 day"."""
    number, unit = life.replace("WELCOME_KEEP_DAYS and 1 day", "31 days").split()
    return int(number) * UNITS[unit.removesuffix("s")]


class Observer(threading.Thread):
    """Hears of every key that is written, and looks at all there are, again and again.

    `seen`: which of the table there were. `wrong`: what was not as the table says.
    """

    def __init__(self, redis_url: str) -> None:
        super().__init__(daemon=True)
        self._client = connections.connect(redis_url, timeout=5)
        self._events = self._client.pubsub(ignore_subscribe_messages=True)
        self._stopping = threading.Event()
        self.seen: set[str] = set()
        self.wrong: set[str] = set()

    def run(self) -> None:
        while not self._stopping.is_set():
            for name, kind, left in self._client.eval(_SNAPSHOT, 0):
                self._check(name, kind, left / 1000)
            event = self._events.get_message(timeout=0.01)
            while event is not None:
                self._found(event["channel"].partition(":")[2])
                event = self._events.get_message()

    def _found(self, name: str) -> keys.Key | None:
        key = keys.find(name)
        if key is None:
            self.wrong.add(f"{name} is not in the table")
        else:
            self.seen.add(key.name)
        return key

    def _check(self, name: str, kind: str, left: float) -> None:
        key = self._found(name)
        if key is not None and kind != key.type:
            self.wrong.add(f"{name} is a {kind}")
        if key is not None and ((left >= 0) != bool(key.life) or (key.life and left > longest(key.life))):
            self.wrong.add(f"{name} has {left} s to live")

    def __enter__(self) -> "Observer":
        self._client.config_set("notify-keyspace-events", "KA")
        self._events.psubscribe("__keyspace@*__:*")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.join(30)
        self._client.config_set("notify-keyspace-events", "")
        self._events.close()
        self._client.close()


@pytest.fixture
def here(wecom: StandIn, redis_url: str) -> Iterator[Worker]:
    worker = Worker.made(wecom, redis_url, book=None, WECOM_AGENT_ID="1000002", CONSOLE_PASSWORD=PASSWORD)
    wecom.people(members={"zhangsan": {"name": "张三"}})
    wecom.faults(latency_ms=30)  # so that the life of what is held during a call is seen
    yield worker
    worker.close()


def test_every_key_is_in_the_table_and_every_row_of_the_table_is_met(here: Worker, redis_url: str) -> None:
    with Observer(redis_url) as observer:
        for act in (
            books,
            greetings,
            follow_ups,
            later_changes,
            the_missed,
            at_wecom,
            processes,
            celerys_tools,
            console,
        ):
            act(here)
        with contextlib.suppress(AssertionError):
            until(lambda: {key.name for key in keys.TABLE} <= observer.seen)
    assert observer.wrong == set()
    assert {key.name for key in keys.TABLE} - observer.seen == set()


def books(here: Worker) -> None:
    services, app = here.services, here.services.settings.apps["default"]
    services.books.save("default", BOOK, FILES)
    renewer = MediaRenewer(services.redis, services.books, {"default": app}, services.clients)
    until(lambda: renewer.look() and not media_status(services.books, app).absent)
    renewer.stop()
    drafts = services.drafts
    was = drafts.working("default").content.digest(Part(TEMPLATE, "far"))
    drafts.change("default", SetNamed(TEMPLATE, "far", {"text": "你好"}, was), "李敏")
    drafts.hold("default", "b.png", FILES["media/cover.png"])
    services.labels.add("default", ["far"], "label")


def greetings(here: Worker) -> None:
    here.services.redis.set(keys.CONSUMED, here.ledger.now() - 60_000)  # nobody worked for a minute
    here.added(state="xhs")
    here.dispatcher().run()
    here.ledger.requeue()
    here.services.verifications.record("default", Reason.of(Kind.WRONG_TOKEN))
    here.services.queue_pauses.pause(pauses.WELCOME, "李敏")
    here.services.queue_pauses.resume(pauses.WELCOME, "李敏")


def follow_ups(here: Worker) -> None:
    handler = make_follow_up_handler(here.services)
    DueWorker(handler.store, handler.do).run()
    for progress in (
        FollowUpProgress(FollowUpStatus.FAILED, Reason.of(Kind.TEXT, text="why")),
        FollowUpProgress(FollowUpStatus.WAITING, delay=60, awaits_full_add=True),
    ):
        settled(here.ledger, claimed=True, follow_up=True)
        (task,) = handler.store.claim(1)
        handler.store.record(task, progress)


def later_changes(here: Worker) -> None:
    target = Forward("http://127.0.0.1:1/hook", b"k" * 32, frozenset(LATER_CHANGES))
    app = replace(here.services.settings.apps["default"], forwards=(target,))
    changes = ContactChanges(here.services.redis, 30, SHANGHAI, {"default"})
    forwards = Forwards(here.services.redis, {"default": app}, here.ledger)
    added = settled(here.ledger)
    who = (added.user_id, added.external_user_id, added.created_at)
    changes.record(ContactChanged("default", added.corp_id, LEFT, *who))
    changes.apply_due()
    forwards.route()
    (entry,) = forwards.claim("default", target.id, 1)
    forwards.failed(entry, Reason.of(Kind.TEXT, text="why"), unwell=True)
    forwards.parked(entry)


def the_missed(here: Worker) -> None:
    app = here.services.app("default")
    app.reminders.switch_on("李敏")
    here.services.redis.hset(keys.reminders("default"), "since", 0)
    for customer in ("wm1", "wm2", "wm3"):
        settled(here.ledger, Settlement(Outcome.FAILED), ago=600, external_user_id=customer)
    app.work_list.tick([app.work_list.page().rows[0].id], "李敏", here.ledger.now())
    app.reminders.run(NOON)
    app.transfer_results.ask("zhangsan", "lisi", "李敏")
    upkeep.compare_customers(here.services)
    upkeep.trim_ledger(here.services)
    upkeep.log_commands(here.services)
    erasure.forget(here.services.redis, "wm3")


def at_wecom(here: Worker) -> None:
    services, app = here.services, here.services.app("default")
    upkeep.sync_group_welcomes(services)
    channel = app.channels.create("douyin", "", ("zhangsan",), (), True)
    app.channels.picture(channel, time.monotonic() + 5)
    staff(services.redis, "default", app.wecom, 0)
    with suppress(WeComError):
        WeComClient(here.app.corp_id, "wrong", here.wecom.base_url, services.redis).user.get("zhangsan")
    with suppress(WeComError):
        WeComClient(here.app.corp_id, "away", "http://127.0.0.1:1", services.redis).user.get("zhangsan")


def processes(here: Worker) -> None:
    Heartbeat(here.services.redis, "web").beat()
    with jobs.recorded(here.services.redis, "tasks.upkeep.refresh_tokens"):
        upkeep.refresh_tokens(here.services)
    here.services.queues.probe()
    here.services.counters.answered("default", CallbackResult.STORED)
    here.services.counters.flush()
    formats.settle(here.services.redis)
    watch = alerts.make_watch(here.services, GroupRobot(here.wecom.robot()))
    watch.round()
    watch.stop()


def celerys_tools(here: Worker) -> None:
    with controlled(str(here.services.settings.redis_url)) as worker:
        assert worker.ask("ping")
        assert worker.takes_a_message()
        with worker.app.connection() as connection:
            connection.default_channel.qos.restore_visible()  # as Celery does every ten seconds


def console(here: Worker) -> None:
    services = here.services
    browse = Browser(services)
    browse.get("/login")
    browse.post("/login", {"name": "李敏", "password": "wrong"})
    browse.sign_in()
    browse.get("/deliveries")
    browse.post("/deliveries/search", {"text": "王芳"})
    done = next(row for row in services.ledger.deliveries() if row.outcome and not row.rehearsal)
    browse.post("/tag", {"id": done.id})
    services.taggings.ask("default", [done.id], [Tag("等级", "VIP")], "李敏")
    browse.post("/logout")
    services.grants.give(Grant(here.app.corp_id, roles.Kind.MEMBER, "zhangsan", roles.Role.VIEWER))
    here.wecom.people(members={"zhangsan": {"name": "张三"}})
    services.api_tokens.verify(services.api_tokens.create("BI", [Scope.NUMBERS_READ])[1])
    browse.sign_in_with_wecom(here.wecom, "zhangsan")
    services.redis.delete(keys.person(here.app.corp_id, "zhangsan"))
    browse.get("/")  # WeCom is asked again
    browse.get(f"/e/{next(services.ledger.deliveries()).id}")
    services.approvals.switch("default", True, "zhangsan", "张三")
    Checkup(services).begin(services.settings.apps["default"])
    kept: dict[str, Any] = {
        "event": "1f",
        "at": 1.0,
        "url": "u",
        "member": "m",
        "state": "",
        "author": "a",
        "status": 200,
    }
    rehearsal_steps.keep(services.redis, "default", rehearsal_steps.KeptRehearsal(**kept))
    until(lambda: Checkup(services).last(services.settings.apps["default"]))
