"""Which processes there are, and what each does now. Each notes itself every NOTE seconds; a reader sees who is silent.

    Redis   welcome:processes   a hash: role|host|pid → ms of Redis' clock|JSON. One read, however long it all runs

What a process does is said in ids and names of tasks, never in anything that a customer has.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tasks.storage import keys
from tasks.storage.connections import Redis, repeatable

NOTE = 2.0  # seconds
SILENT = 10.0  # seconds without a note after which a process is called silent
GONE = 600.0  # seconds after which it is forgotten
DOING = 16  # of what it does, named at the most

_NOTE = """
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], ARGV[1], (time[1] * 1000 + math.floor(time[2] / 1000)) .. '|' .. ARGV[2])
"""


@dataclass(frozen=True, slots=True)
class Process:
    """One process. `since`: Unix seconds of its start by its own clock. `silence`: seconds since its last note."""

    role: str  # web, welcome, upkeep, beat
    host: str
    pid: int
    since: float
    silence: float
    busy: int  # how many things it does now
    current_tasks: tuple[str, ...]  # event ids or tasks' names, DOING at the most

    @property
    def is_silent(self) -> bool:
        return self.silence > SILENT


class Heartbeat:
    """This process, as the others see it."""

    def __init__(self, client: Redis, role: str, doing: Callable[[], Sequence[str]] = tuple) -> None:
        self._redis = client
        self._doing = doing
        self._since = time.time()
        self._id = f"{role}|{socket.gethostname()[:64]}|{os.getpid()}"
        self._note = repeatable(client.register_script(_NOTE))  # it overwrites
        self._notes = 0

    def beat(self) -> None:
        """Say that it is there. Raises redis.RedisError."""
        doing = self._doing()
        about = {"since": self._since, "busy": len(doing), "doing": list(doing[:DOING])}
        self._note(keys=[keys.PROCESSES], args=[self._id, json.dumps(about)])
        self._notes += 1
        if self._notes % 30 == 1:
            forget(self._redis)

    def deregister(self) -> None:
        """Say that it ends. Raises redis.RedisError."""
        self._redis.hdel(keys.PROCESSES, self._id)


def read(client: Redis) -> list[Process]:
    """The processes heard of within GONE seconds, by role, host and pid. Raises redis.RedisError."""
    return [process for _, process in _read(client) if process.silence <= GONE]


def forget(client: Redis) -> None:
    """Forget those that are gone. Raises redis.RedisError."""
    gone = [field for field, process in _read(client) if process.silence > GONE]
    if gone:
        client.hdel(keys.PROCESSES, *gone)


def _read(client: Redis) -> list[tuple[str, Process]]:
    with client.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.hgetall(keys.PROCESSES)
        (seconds, micros), stored = pipe.execute()
    now = seconds + micros / 1e6
    found = []
    for field, text in sorted(stored.items()):
        role, host, pid = field.split("|")
        at, _, about = text.partition("|")
        known = json.loads(about)
        silence = max(0.0, now - int(at) / 1000)
        process = Process(role, host, int(pid), known["since"], silence, known["busy"], tuple(known["doing"]))
        found.append((field, process))
    return found
