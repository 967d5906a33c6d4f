"""What Redis knows of an installation beside the queues, for /metrics: a few reads of fixed keys, whatever it holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from tasks.ledger.pauses import QUEUES, QueuePauses
from tasks.media_renewal import PER_DAY, PER_MONTH, quota_keys
from tasks.missed.comparison import last_good
from tasks.monitoring import heartbeat
from tasks.monitoring import jobs as scheduled
from tasks.storage import keys
from tasks.storage.clock import seconds
from tasks.storage.connections import Redis
from tasks.storage.unreadable import readable

ROLES = ("web", "welcome", "upkeep", "beat")


@dataclass(frozen=True, slots=True)
class AppSnapshot:
    """What is known of one app. Unix seconds by Redis' clock; None: not known, or there is none."""

    missed: int  # customers to be greeted by hand
    oldest_missed: float | None  # when the first of them was added
    last_callback: float | None  # when WeCom last sent an event
    compared: float | None  # when the last completed comparison with WeCom's customers began
    images: Mapping[str, tuple[int, int]]  # day and month → (permanent images uploaded for its corp, allowed)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of the installation."""

    apps: Mapping[str, AppSnapshot]
    paused: Mapping[str, bool]  # by queue
    follow_ups: int  # that are not done yet
    follow_ups_oldest: float  # seconds that the first of them is overdue; 0: none is
    processes: Sequence[heartbeat.Process]
    jobs: Sequence[scheduled.Job]

    def at_work(self, role: str) -> int:
        """How many processes of a role send heartbeats."""
        return sum(process.role == role and not process.is_silent for process in self.processes)

    @property
    def redis_skew(self) -> float | None:
        """Seconds that Redis' clock is ahead of WeCom's, as most processes see it; None: none knows."""
        seen = sorted(one.redis_skew for one in self.processes if one.redis_skew is not None and not one.is_silent)
        return seen[len(seen) // 2] if seen else None


def read(client: Redis, corps: Mapping[str, str]) -> Snapshot:
    """`corps`: app → corp id. Raises redis.RedisError."""
    with client.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.hgetall(keys.LAST_CALLBACK)
        pipe.zcard(keys.FOLLOWUP_DUE)
        pipe.zrange(keys.FOLLOWUP_DUE, 0, 0, withscores=True)
        for app, corp_id in corps.items():
            pipe.zcard(keys.missed(app))
            pipe.zrange(keys.missed(app), 0, 0, withscores=True)
            pipe.hget(keys.comparison(app), "good")
            pipe.mget(quota_keys(corp_id))
        time, called, follow_ups, first, *found = pipe.execute()
    rows = zip(found[::4], found[1::4], found[2::4], found[3::4], strict=True)  # four answers for each app
    paused = QueuePauses(client).paused()
    return Snapshot(
        apps={app: _app(app, *row, called.get(app)) for app, row in zip(corps, rows, strict=True)},
        paused={queue: queue in paused for queue in QUEUES},
        follow_ups=follow_ups,
        follow_ups_oldest=max(0.0, seconds(time) - first[0][1] / 1000) if first else 0.0,
        processes=heartbeat.read(client),
        jobs=scheduled.read(client, scheduled.SCHEDULE),
    )


def _app(
    name: str,
    missed: int,
    first: list[tuple[str, float]],
    good: str | None,
    uploaded: list[str | None],
    called: str | None,
) -> AppSnapshot:
    day, month = (readable(f"the images uploaded for {name}", partial(int, one or 0)) or 0 for one in uploaded)
    called_ms = readable(f"the last callback of {name}", partial(int, called)) if called else None
    return AppSnapshot(
        missed=missed,
        oldest_missed=first[0][1] / 1000 if first else None,
        last_callback=None if called_ms is None else called_ms / 1000,
        compared=readable(f"the last comparison of {name}", partial(last_good, good)),
        images={"day": (day, PER_DAY), "month": (month, PER_MONTH)},
    )
