"""How large an installation has to be: the arithmetic, pure, from figures that were measured.

    python -m tests.bench.sizing            table "More corps" of deploy/README.md, from figures that stand there
    python -m tests.bench.sizing --measure  those figures that `make bench` does not print; a minute

The figures are read from deploy/README.md and stand nowhere else; tests/bench/test_sizing.py holds the table to them.
"""

import math
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.rate_limits.limits import SECONDS, Limits
from tasks.storage import keys
from tests.bench.measure import CpuMeter, pss, tree
from tests.simulator.client import StandIn
from tests.support.books import FOLLOWED_UP
from tests.support.documents import ROOT, Page
from tests.support.processes import Product
from tests.support.until import until

PAGE = ROOT / "deploy/README.md"
BUSY = 0.7  # of a core that is planned for: the rest is for what comes on top, and for a process that is restarted
APPS = 1000  # of an installation, at most: see "More corps"
DAYS = 30  # WELCOME_KEEP_DAYS
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Measured:
    """What one greeting and one process take. CPU in ms, memory in MB."""

    cpu: float  # of a greeting: all roles and Redis
    followup: float  # of its tags and remark, in role upkeep
    idle: float  # a second
    memory: float  # of all roles, the console and Redis
    callbacks: int  # a second, of a web process
    greetings: int  # a second, that one welcome process was seen to carry
    welcome_memory: float  # of one more welcome process
    web_memory: float  # of one more web process
    row: int  # bytes of Redis for a greeting, with its follow-up and indexes
    commands: float  # of Redis for a greeting
    redis_cpu: float  # of a greeting, Redis' own part
    calls: float  # of WeCom's API for a greeting, tags and remark included
    connections: int  # to Redis, of all four roles
    app_memory: float  # of one more app, in each process
    app_cpu: float  # of one more app a second, all roles and Redis
    app_commands: float  # of Redis a second, for each app


@dataclass(frozen=True, slots=True)
class Load:
    """What comes: adds a day, and a second at the peak."""

    corps: int
    day: int
    peak: int


@dataclass(frozen=True, slots=True)
class Size:
    """What it takes, of all installations together. memory without Redis', both in MB; redis_share: of one core."""

    installations: int
    web: int
    welcome: int
    cores: float
    memory: float
    redis: float
    commands: int
    redis_cores: float
    connections: int
    addresses: int


LOADS = (
    Load(1, 1_000, 10),
    Load(10, 10_000, 100),
    Load(6, 100_000, 6 * (Limits.of().minute // SECONDS)),  # each at the limit that WeCom sets a corp
    Load(100, 50_000, 300),
    Load(1_000, 200_000, 600),
    Load(10_000, 1_000_000, 1_000),
)


def sized(load: Load, one: Measured) -> Size:
    installations = math.ceil(load.corps / APPS)
    web = max(installations, math.ceil(load.peak / one.callbacks))
    welcome = max(installations, math.ceil(load.peak / one.greetings))
    processes = web + welcome + 2 * installations  # upkeep and beat
    apps = load.corps / installations * processes
    more = (web - installations) * one.web_memory + (welcome - installations) * one.welcome_memory
    commands = load.peak * one.commands + load.corps * one.app_commands
    per_command = one.redis_cpu / one.commands
    idle = installations * one.idle
    return Size(
        installations=installations,
        web=web,
        welcome=welcome,
        cores=(load.peak * (one.cpu + one.followup) + load.corps * one.app_cpu + idle) / 1000 / BUSY,
        memory=installations * one.memory + more + apps * one.app_memory,
        redis=load.day * DAYS * one.row / MB,
        commands=round(commands),
        redis_cores=commands * per_command / 1000,
        connections=round(one.connections / 4 * processes),
        addresses=max(1, math.ceil(load.peak * 60 * one.calls / Limits.of().address_minute)),
    )


# ------------------------------------------------------------------------------------------------ the page


NUMBER = re.compile(r"[\d ]*\d(?:\.\d+)?")
FIGURES = {  # field → what its row of the page begins with, and which number of its last cell it is
    "cpu": ("CPU per send", 0),
    "followup": ("CPU of a follow-up", 0),
    "idle": ("CPU a second while idle", 0),
    "memory": ("memory (PSS): all roles + Redis", 1),
    "callbacks": ("callbacks that a `web` process stores", 0),
    "greetings": ("greetings that a `welcome` process was seen to carry", 0),
    "web_memory": ("memory (PSS) of one more process", 0),
    "welcome_memory": ("memory (PSS) of one more process", 1),
    "row": ("Redis: bytes of a greeting", 0),
    "commands": ("Redis: commands, CPU of a greeting", 0),
    "redis_cpu": ("Redis: commands, CPU of a greeting", 1),
    "calls": ("calls of WeCom's API", 0),
    "connections": ("connections to Redis", 0),
    "app_memory": ("one more app", 0),
    "app_cpu": ("one more app", 1),
    "app_commands": ("one more app", 2),
}


def measured(rows: Sequence[Sequence[str]]) -> Measured:
    """The figures of the page's tables."""
    found: dict[str, float] = {}
    for name, (begins, nth) in FIGURES.items():
        (cells,) = [cells for cells in rows if cells[0].startswith(begins)]
        found[name] = float(NUMBER.findall(cells[-1])[nth].replace(" ", ""))
    whole = {name: int(found.pop(name)) for name in ("callbacks", "greetings", "row", "connections")}
    return Measured(**found, **whole)  # type: ignore[arg-type]


def lines(one: Measured) -> Iterator[str]:
    """The table, in the page's form."""
    yield (
        "| corps | adds a day; a second at the peak | installations | `web`, `welcome` | cores "
        "| memory, without what Redis keeps | Redis: memory for 30 days "
        "| Redis: commands a second; of a core | connections | outbound addresses |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for load in LOADS:
        size = sized(load, one)
        yield " | ".join(
            (
                f"| {_number(load.corps)}",
                f"{_number(load.day)}; {_number(load.peak)}",
                _number(size.installations),
                f"{size.web}, {size.welcome}",
                f"{size.cores:.1f}",
                _memory(size.memory),
                _memory(size.redis),
                f"{_number(size.commands)}; {size.redis_cores:.0%}".replace("%", " %"),
                _number(size.connections),
                f"{size.addresses} |",
            )
        )


def _number(value: int) -> str:
    return f"{value:,}".replace(",", " ")


def _memory(mb: float) -> str:
    return f"{mb / 1000:.1f} GB" if mb >= 1000 else f"{mb:.0f} MB"


# ------------------------------------------------------------------------------------------------ measuring

COUNT, RATE = 2000, 100


def measure() -> Mapping[str, float]:
    """Of a greeting with follow-up, by a running system: see the names."""
    with (
        tempfile.TemporaryDirectory() as folder,
        StandIn() as wecom,
        Product(Path(folder), wecom, book=FOLLOWED_UP, CONSOLE_PASSWORD="let-me-in") as product,
    ):
        wecom.load(200, rate=RATE)  # what is read, loaded and made once
        wecom.wait_until_greeted(200)
        with product.client() as client:
            meters = {name: CpuMeter([process.pid]) for name, process in product.roles.items()}

            def now() -> dict[str, float]:
                info = client.info()
                answers = sum(sum(codes.values()) for codes in wecom.summary().answers.values())
                cpu = {f"CPU of {name}, ms": meter.seconds() * 1000 for name, meter in meters.items()}
                redis = (info["used_cpu_user"] + info["used_cpu_sys"]) * 1000
                taken = info["used_memory"]
                counts = {"commands": info["total_commands_processed"], "calls": answers, "Redis: bytes": taken}
                return {**cpu, **counts, "CPU of Redis, ms": redis}

            until(lambda: not client.zcard(keys.FOLLOWUP_DUE), 120, what="the follow-ups")
            begun, before = time.monotonic(), now()
            time.sleep(10)
            idle = {name: (value - before[name]) / (time.monotonic() - begun) for name, value in now().items()}
            begun, before = time.monotonic(), now()
            wecom.load(COUNT, rate=RATE)
            wecom.wait_until_greeted(COUNT + 200)
            until(lambda: not client.zcard(keys.FOLLOWUP_DUE), 120, what="the follow-ups")
            took = time.monotonic() - begun
            found = {name: (value - before[name] - idle[name] * took) / COUNT for name, value in now().items()}
            found["connections"] = client.info()["connected_clients"] - 1
            for name, process in product.roles.items():
                found[f"PSS of {name}, MB"] = sum(pss(one.pid) for one in tree(process.pid)) / MB
            return found | {f"idle, a second: {name}": value for name, value in idle.items()}


def main(arguments: Sequence[str]) -> None:
    if "--measure" in arguments:
        for name, value in measure().items():
            print(f"{name:<40} {value:10.3f}")
        return
    for line in lines(measured(Page(PAGE).rows())):
        print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
