"""Pushes WeCom's callbacks: encrypted, on time, and redelivered if not accepted. Docs 90968, 92130, 90238.

    Sender       events → records and pushes; loads with a plan fixed in advance
    └─ Push      one event's delivery: tries, time-out, delays
       └─ Target     one callback address: its connections
          └─ Connection  HTTP/1.1, one exchange at a time

Thousands of pushes within a second must leave most of the machine to the system under test: so this is its own asyncio
Protocol (aiohttp's client costs four times as much), and a load's messages are encrypted before the load begins.
"""

import asyncio
import json
import re
import secrets
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.simulator.records import Record, Records
from tests.simulator.world import App, World
from webhook.callback.crypto import Envelope


@dataclass(frozen=True, slots=True)
class Pushing:
    """How WeCom pushes. The time-out and the three retries are from docs 90238, 96466; the delays are a guess."""

    timeout_s: float = 5
    retries: int = 3  # after the first push
    spacing_s: float = 1
    fresh: bool = True  # each push has its own timestamp, nonce and ciphertext; else a retry is the same bytes
    keep_alive: bool = True
    connections: int = 0  # at most so many at once; 0: as many as the pushes need


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened between a member and a customer. Doc 92130."""

    app: str = "default"
    user_id: str = "zhangsan"
    external_user_id: str | None = None  # None: a new customer
    change: str = "add_external_contact"
    event: str = "change_external_contact"
    state: str = ""  # "": the element is left out
    welcome_code: str | None = None  # None: a new one; "": the element is left out
    created_at: int | None = None  # Unix seconds; None: now
    add_way: int = 1  # doc 92114
    extra: dict[str, str] = field(default_factory=dict)  # further elements
    as_json: bool = False
    push: bool = True  # False: WeCom knows it, but does not call the callback


def document(app: App, event: Event, record: Record) -> bytes:
    """The message inside the envelope."""
    fields: dict[str, str | int] = {
        "ToUserName": app.corp_id,
        "FromUserName": "sys",
        "CreateTime": record.created_at,
        "MsgType": "event",
        "Event": event.event,
        "ChangeType": event.change,
        "UserID": record.user_id,
        "ExternalUserID": record.external_user_id,
    }
    fields |= {"State": record.state} if record.state else {}
    fields |= {"WelcomeCode": record.welcome_code} if record.welcome_code else {}
    fields |= event.extra
    return (json.dumps(fields, ensure_ascii=False) if event.as_json else _xml(fields)).encode()


def _xml(fields: dict[str, str | int]) -> str:
    return f"<xml>{''.join(f'<{k}>{_text(v)}</{k}>' for k, v in fields.items())}</xml>"


def _text(value: str | int) -> str:
    return str(value) if isinstance(value, int) else f"<![CDATA[{value.replace(']]>', ']]]]><![CDATA[>')}]]>"


class Address:
    """Where an app's callbacks go, and how they are sealed."""

    def __init__(self, app: App) -> None:
        url = urlsplit(app.callback_url)
        if url.scheme != "http" or url.hostname is None:
            raise ValueError(f"app {app.name} has no http:// callback URL: {app.callback_url!r}")
        self.app = app
        self.host, self.port = url.hostname, url.port or 80
        self._path = (url.path or "/") + "?" + (url.query + "&" if url.query else "")
        self._netloc = url.netloc
        self._envelope = Envelope.of(app.token, app.encoding_aes_key, app.corp_id)

    def request(self, message: bytes, *, as_json: bool, keep_alive: bool, clock_s: float = 0) -> bytes:
        """A complete HTTP request, encrypted and signed with its own timestamp and nonce."""
        timestamp, nonce = str(int(time.time() + clock_s)), str(secrets.randbelow(10**10))
        encrypted, signature = self._envelope.seal(message, timestamp, nonce)
        fields: dict[str, str | int] = {
            "ToUserName": self.app.corp_id,
            "AgentID": self.app.agent_id,
            "Encrypt": encrypted,
        }
        body = (json.dumps(fields) if as_json else _xml(fields)).encode()
        head = (
            f"POST {self._path}msg_signature={signature}&timestamp={timestamp}&nonce={nonce} HTTP/1.1\r\n"
            f"Host: {self._netloc}\r\nUser-Agent: Mozilla/4.0\r\nAccept: */*\r\n"
            f"Content-Type: {'application/json' if as_json else 'text/xml'}\r\nContent-Length: {len(body)}\r\n"
            f"{'' if keep_alive else 'Connection: close' + chr(13) + chr(10)}\r\n"
        )
        return head.encode() + body

    def verification(self) -> tuple[bytes, bytes]:
        """(HTTP request, the echo that must be the answer): WeCom sends it when an admin presses 保存."""
        timestamp, nonce, echo = str(int(time.time())), str(secrets.randbelow(10**10)), str(secrets.randbits(63))
        encrypted, signature = self._envelope.seal(echo.encode(), timestamp, nonce)
        query = urlencode({"msg_signature": signature, "timestamp": timestamp, "nonce": nonce, "echostr": encrypted})
        head = f"GET {self._path}{query} HTTP/1.1\r\nHost: {self._netloc}\r\nConnection: close\r\n\r\n"
        return head.encode(), echo.encode()


class Connection(asyncio.Protocol):
    """HTTP/1.1 to a target, one exchange at a time."""

    _LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
    _CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)

    def __init__(self, target: "Target", push: "Push") -> None:
        self._target = target
        self._push: Push | None = push
        self._received = b""
        self._used = False  # for an earlier exchange
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        if self._push is None:
            transport.close()
        else:
            self.begin(self._push)

    def begin(self, push: "Push") -> None:
        self._push, push.connection = push, self
        self.transport.write(push.request)

    def abandon(self) -> None:
        """The push gave up waiting."""
        self._push = None
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        received = self._received = self._received + data if self._received else data
        end = received.find(b"\r\n\r\n")
        if end < 0 or self._push is None:
            return
        head = received[: end + 2]
        length = self._LENGTH.search(head)
        if length is not None and len(received) < end + 4 + int(length[1]):
            return
        push, self._push, self._received, self._used = self._push, None, b"", True
        if length is None or not push.pushing.keep_alive or self._CLOSE.search(head):
            self.transport.close()
        else:
            self._target.free(self)
        push.answered(int(received[9:12]))

    def refused(self) -> None:
        self._target.lost(self)
        if self._push is not None:
            self._push.failed("refused")

    def connection_lost(self, exc: Exception | None) -> None:
        self._target.lost(self)
        push, self._push = self._push, None
        if push is None:
            return
        if self._used and not self._received:
            self._target.send(push)  # closed while it was idle: like any HTTP client, use another connection
        else:
            push.failed("closed")


class Target:
    """The connections to one callback address."""

    def __init__(self, host: str, port: int, limit: int) -> None:
        self._host, self._port, self._limit = host, port, limit
        self._idle: dict[Connection, None] = {}  # last in, first out
        self._waiting: deque[Push] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self.open = 0

    def send(self, push: "Push") -> None:
        while self._idle:
            connection, _ = self._idle.popitem()
            if not connection.transport.is_closing():
                connection.begin(push)
                return
        if self._limit and self.open >= self._limit:
            self._waiting.append(push)
            return
        self.open += 1
        task = asyncio.ensure_future(self._connect(push))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connect(self, push: "Push") -> None:
        push.connection = connection = Connection(self, push)
        try:
            await asyncio.get_running_loop().create_connection(lambda: connection, self._host, self._port)
        except OSError:
            connection.refused()

    def free(self, connection: Connection) -> None:
        while self._waiting:
            push = self._waiting.popleft()
            if push.waits:
                connection.begin(push)
                return
        self._idle[connection] = None

    def lost(self, connection: Connection) -> None:
        self.open -= 1
        self._idle.pop(connection, None)
        while self._waiting and self.open < self._limit:
            push = self._waiting.popleft()
            if push.waits:
                self.send(push)

    def close(self) -> None:
        for connection in self._idle:
            connection.transport.close()
        for task in self._opening:
            task.cancel()


class Push:
    """One event's delivery to the callback: tries until one is answered 200."""

    __slots__ = (
        "_attempt", "_event", "_message", "_sender", "_started", "_timer",
        "address", "connection", "done", "pushing", "record", "request",
    )  # fmt: skip

    def __init__(self, sender: "Sender", address: Address, event: Event, record: Record) -> None:
        self._sender, self.address, self._event, self.record = sender, address, event, record
        self.pushing = sender.pushing
        self._message = document(address.app, event, record)
        self._attempt = 0
        self._started = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.connection: Connection | None = None
        self.done = True  # no try is in progress
        self.request = b""
        self.seal()

    @property
    def waits(self) -> bool:
        """Whether a try is in progress that has no connection yet."""
        return not self.done and self.connection is None

    def seal(self) -> None:
        keep_alive = self.pushing.keep_alive
        self.request = self.address.request(
            self._message, as_json=self._event.as_json, keep_alive=keep_alive, clock_s=self._sender.clock_s
        )

    def start(self) -> None:
        """Begin the next try."""
        record, now = self.record, time.time()
        if self._attempt and self.pushing.fresh:
            self.seal()
        self._attempt += 1
        self._started, self.done, self.connection = now, False, None
        record.pushes += 1
        if record.pushed_at is None:
            record.pushed_at = now
        self._timer = asyncio.get_running_loop().call_later(self.pushing.timeout_s, self._timed_out)
        self._sender.target(self.address).send(self)

    def answered(self, status: int) -> None:
        if status != 200:
            self.failed(str(status))
            return
        if self.done:
            return
        self._end()
        now = time.time()
        self._sender.records.accept(self.record, now, now - self._started)
        self._sender.finished(self)

    def failed(self, reason: str) -> None:
        """The try failed: schedule another one, or give up."""
        if self.done:
            return
        self._end()
        self.record.failures.append(reason)
        if self._attempt <= self.pushing.retries:
            self._timer = asyncio.get_running_loop().call_later(self.pushing.spacing_s, self.start)
        else:
            self._sender.finished(self)

    def cancel(self) -> None:
        connection = self.connection
        self._end()
        if connection is not None:
            connection.abandon()

    def _timed_out(self) -> None:
        connection = self.connection
        self.failed("timeout")
        if connection is not None:
            connection.abandon()

    def _end(self) -> None:
        self.done, self.connection = True, None
        if self._timer is not None:
            self._timer.cancel()


class Sender:
    """Turns events into records and pushes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.pushing = Pushing()
        self._targets: dict[tuple[str, int], Target] = {}
        self._addresses: dict[App, Address] = {}
        self._under_way: set[Push] = set()
        self._events: dict[int, Event] = {}
        self._load: asyncio.Task[None] | None = None

    @property
    def records(self) -> Records:
        return self._world.records

    @property
    def clock_s(self) -> float:
        return self._world.settings.clock_s

    def status(self) -> dict[str, Any]:
        return {
            "pushing": len(self._under_way),
            "loading": self._load is not None and not self._load.done(),
            "connections": sum(target.open for target in self._targets.values()),
        }

    def reset(self) -> None:
        """Stop everything in progress."""
        if self._load is not None:
            self._load.cancel()
        for push in self._under_way:
            push.cancel()
        for target in self._targets.values():
            target.close()
        self._under_way, self._targets, self._events = set(), {}, {}

    def add(self, event: Event) -> Record:
        """Make an event happen now. → its record."""
        record = self._record(event, time.time())
        if event.push:
            self._start(self._prepare(event, record))
        else:
            record.pushed_at = record.planned_at
        return record

    def repeat(self, record_id: int, times: int) -> None:
        """Push the same event `times` more, at once and in parallel, whether it was accepted or not."""
        record = self.records.all[record_id - 1]
        for _ in range(times):
            self._start(self._prepare(self._events[record_id], record))

    async def load(self, event: Event, count: int, rate: float, members: int, lead_s: float = 0.2) -> dict[str, float]:
        """Add `count` customers at a steady `rate` a second, as an open loop. → when it begins and ends, Unix time.

        Everything is encrypted before it begins. `members`: how many members they are spread over (user_id-1 …).
        """
        if self._load is not None and not self._load.done():
            raise ValueError("a load is running")
        if count < 1 or rate <= 0 or members < 1:
            raise ValueError("a load has a count, a rate and members")
        pushes = []
        for n in range(count):
            user_id = f"{event.user_id}-{n % members + 1}" if members > 1 else event.user_id
            record = self._record(replace(event, user_id=user_id), time.time() + lead_s + n / rate)
            pushes.append(self._prepare(event, record))
            if n % 100 == 99:
                await asyncio.sleep(0)
        starts_at = time.time() + lead_s
        for n, push in enumerate(pushes):
            push.record.planned_at = starts_at + n / rate
        self._load = asyncio.ensure_future(self._run(pushes))
        return {"starts_at": starts_at, "ends_at": starts_at + (count - 1) / rate}

    async def _run(self, pushes: list[Push]) -> None:
        for n, push in enumerate(pushes):
            ahead = push.record.planned_at - time.time()
            if ahead > 0:
                await asyncio.sleep(ahead)
            elif n % 16 == 0:
                await asyncio.sleep(0)  # behind the plan: let answers be read
            self._start(push)

    async def verify(self, app: App) -> dict[str, Any]:
        """Press 保存 in the admin console: whether the URL is answered correctly within a second."""
        address = Address(app)
        request, echo = address.verification()
        started = time.time()
        try:
            async with asyncio.timeout(1):  # doc 90930
                reader, writer = await asyncio.open_connection(address.host, address.port)
                writer.write(request)
                answer = await reader.read()
                writer.close()
        except OSError as exc:  # TimeoutError is one
            return {"ok": False, "status": None, "reason": type(exc).__name__, "seconds": time.time() - started}
        head, _, body = answer.partition(b"\r\n\r\n")
        status = int(head[9:12] or 0)
        return {"ok": status == 200 and body == echo, "status": status, "seconds": time.time() - started}

    def target(self, address: Address) -> Target:
        place = address.host, address.port
        if place not in self._targets:
            self._targets[place] = Target(*place, self.pushing.connections)
        return self._targets[place]

    def finished(self, push: Push) -> None:
        self._under_way.discard(push)
        if push.record.accepted_at is None:
            self.records.given_up += 1

    def _record(self, event: Event, planned_at: float) -> Record:
        app = self._world.apps[event.app]
        record = Record(
            id=len(self.records.all) + 1,
            app=app.name,
            corp_id=app.corp_id,
            change=event.change,
            user_id=event.user_id,
            external_user_id=event.external_user_id or "wm" + secrets.token_urlsafe(22),
            welcome_code=secrets.token_urlsafe(32) if event.welcome_code is None else event.welcome_code,
            state=event.state,
            planned_at=planned_at,
            created_at=int(planned_at + self.clock_s) if event.created_at is None else event.created_at,
            add_way=event.add_way,
        )
        self.records.add(record)
        self._world.corp(app).meet(record)
        self._events[record.id] = event
        return record

    def _prepare(self, event: Event, record: Record) -> Push:
        app = self._world.apps[event.app]
        if app not in self._addresses:
            self._addresses[app] = Address(app)
        return Push(self, self._addresses[app], event, record)

    def _start(self, push: Push) -> None:
        self._under_way.add(push)
        push.start()
