"""The scheduled jobs: the schedule, and for each when it last ran, how long it took, and whether it failed.

welcome:job:TASK    a hash: at, fine_at, failed_at (Unix seconds), took (ms), failed (exception's class, "" if it
                    succeeded)
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from redis.typing import EncodableT, FieldT

from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.storage.unreadable import readable

SCHEDULE = {  # task → seconds between two runs
    "tasks.upkeep.refresh_tokens": 60.0,
    "tasks.upkeep.import_books": 60.0,
    "tasks.upkeep.trim_ledger": 600.0,
    "tasks.upkeep.watch_memory": 60.0,
    "tasks.upkeep.watch_media": 600.0,
    "tasks.upkeep.sync_group_welcomes": 60.0,
    "tasks.upkeep.compare_customers": 30.0,  # checks whether a comparison is due, requested or in progress
    "tasks.upkeep.remind_members": 60.0,
    "tasks.upkeep.log_commands": 60.0,
}


@dataclass(frozen=True, slots=True)
class Job:
    """The last run of a job that is scheduled every `every` seconds. Times are Unix seconds; None: it never ran."""

    name: str
    every: float
    at: float | None = None
    took: float = 0.0  # seconds
    failed: str = ""  # the exception's class; "" if it succeeded
    fine_at: float | None = None  # the last run that succeeded
    failed_at: float | None = None  # the last run that did not

    @property
    def short_name(self) -> str:
        """Without the module: refresh_tokens."""
        return self.name.rpartition(".")[2]

    @property
    def next_at(self) -> float | None:
        """When it runs next, within a few seconds, if role beat is running."""
        return None if self.at is None else self.at + self.every


@contextmanager
def recorded(client: Redis, name: str) -> Iterator[None]:
    """Record the result of the job that runs inside. Exceptions pass through. Raises redis.RedisError."""
    begun, at, failed = time.monotonic(), time.time(), ""
    try:
        yield
    except Exception as error:
        failed = type(error).__name__
        raise
    finally:
        run: dict[FieldT, EncodableT] = {"at": at, "took": round((time.monotonic() - begun) * 1000), "failed": failed}
        client.hset(keys.job(name), mapping=run | {"failed_at" if failed else "fine_at": at})


def read(client: Redis, schedule: Mapping[str, float]) -> list[Job]:
    """The last run of each job of a schedule (name → seconds between two runs), where it is readable. One exchange."""
    with client.pipeline(transaction=False) as pipe:
        for name in schedule:
            pipe.hgetall(keys.job(name))
        rows = pipe.execute()
    found = [
        readable(f"the record of job {name}", partial(_job, name, every, row))
        for (name, every), row in zip(schedule.items(), rows, strict=True)
    ]
    return [job for job in found if job is not None]


def _job(name: str, every: float, row: Mapping[str, str]) -> Job:
    if not row:
        return Job(name, every)
    return Job(
        name,
        every,
        at=float(row["at"]),
        took=int(row["took"]) / 1000,
        failed=row["failed"],
        fine_at=float(row["fine_at"]) if "fine_at" in row else None,
        failed_at=float(row["failed_at"]) if "failed_at" in row else None,
    )
