"""Heartbeats: every process records every INTERVAL seconds that it is alive, and which tasks it is running.

    Redis   welcome:processes   a hash: role|host|pid → ms of Redis' clock|JSON. Read in one call

Running tasks are named by event id or task name, never by anything about a customer.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from tasks.liveness import SILENT
from tasks.storage import keys
from tasks.storage.clock import seconds
from tasks.storage.connections import Redis, repeatable
from tasks.storage.unreadable import readable

INTERVAL = 2.0  # seconds between two heartbeats
GONE = 600.0  # seconds without one after which its entry is removed
MOST_TASKS = 16  # running tasks that are named

_BEAT = """
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], ARGV[1], (time[1] * 1000 + math.floor(time[2] / 1000)) .. '|' .. ARGV[2])
"""


@dataclass(frozen=True, slots=True)
class Process:
    """One process. `since`: Unix seconds of its start by its own clock. `silence`: seconds since its last heartbeat."""

    role: str  # web, welcome, upkeep, beat
    host: str
    pid: int
    since: float
    silence: float
    busy: int  # how many tasks it is running
    current_tasks: tuple[str, ...]  # event ids or task names, MOST_TASKS at most
    limit: int | None = None  # on greetings at once; None: it greets nobody, or is of an earlier release
    skew: float | None = None  # seconds that its clock is ahead of WeCom's; None: not known
    redis_skew: float | None = None  # seconds that Redis' clock is, seen from here
    hooks: Mapping[str, str] | None = None  # see Hooks.states; None: it asks none, or is of an earlier release

    @property
    def is_silent(self) -> bool:
        return self.silence > SILENT


class Heartbeat:
    """The heartbeat of this process. `current_tasks`: returns the ids or names of the tasks that it is running.

    `skew`: returns the seconds that this host's clock is ahead of WeCom's; None: not known. `hooks`: how it stands with
    the hooks of installed packages, see `tasks.placeholders.asking.Hooks.states`; None: it asks none.
    """

    def __init__(
        self,
        client: Redis,
        role: str,
        current_tasks: Callable[[], Sequence[str]] = tuple,
        limit: int | None = None,
        skew: Callable[[], float | None] = lambda: None,
        hooks: Callable[[], Mapping[str, str] | None] = lambda: None,
    ) -> None:
        self._redis = client
        self._current_tasks = current_tasks
        self._limit = limit
        self._skew = skew
        self._hooks = hooks
        self._since = time.time()
        self._host = socket.gethostname()[:64]
        self._id = f"{role}|{self._host}|{os.getpid()}"
        self._beat = repeatable(client.register_script(_BEAT))  # it overwrites
        self._beats = 0

    def beat(self) -> None:
        """Record that the process is alive. Raises redis.RedisError."""
        running = self._current_tasks()
        about = {
            "since": self._since,
            "busy": len(running),
            "doing": list(running[:MOST_TASKS]),
            "limit": self._limit,
            "skew": self._skew(),
            "clock": time.time(),
            "hooks": self._hooks(),
        }
        self._beat(keys=[keys.PROCESSES], args=[self._id, json.dumps(about)])
        self._beats += 1
        if self._beats % 30 == 1:
            forget(self._redis, self._host)

    def deregister(self) -> None:
        """Remove this process' entry, when it shuts down. Raises redis.RedisError."""
        self._redis.hdel(keys.PROCESSES, self._id)


def read(client: Redis) -> list[Process]:
    """The processes with a heartbeat within GONE seconds, sorted by role, host and pid. Raises redis.RedisError."""
    return [process for _, process in _read(client) if process.silence <= GONE]


def forget(client: Redis, host: str) -> None:
    """Remove the entries of processes that are gone. `host`: ours, whose processes we can see.

    Where two containers have one host name, a living one is removed too, and is back with its next heartbeat.
    """
    gone = [
        field
        for field, process in _read(client)
        if process.silence > GONE or (process.host == host and not _exists(process.pid))
    ]
    if gone:
        client.hdel(keys.PROCESSES, *gone)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read(client: Redis) -> list[tuple[str, Process]]:
    with client.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.hgetall(keys.PROCESSES)
        answered_at, stored = pipe.execute()
    now = seconds(answered_at)
    found = []
    for field, text in sorted(stored.items()):
        process = readable(f"the heartbeat of {field}", partial(_process, field, text, now))
        if process is not None:
            found.append((field, process))
    return found


def _process(field: str, text: str, now: float) -> Process:
    role, host, pid = field.split("|")
    at, _, about = text.partition("|")
    known = json.loads(about)
    skew, clock = known.get("skew"), known.get("clock")  # an earlier release says neither
    return Process(
        role,
        host,
        int(pid),
        float(known["since"]),
        max(0.0, now - int(at) / 1000),
        int(known["busy"]),
        tuple(known["doing"]),
        known.get("limit"),
        skew,
        hooks=known.get("hooks"),
        redis_skew=None if skew is None or clock is None else skew - clock + int(at) / 1000,
    )
