"""Sums of many days' counts, of which those of all days but the newest are kept in this process.

A page by member reads tens of thousands of fields for a month. Each settled event is counted by hour in the step that
counts it elsewhere: while the days' hours, of which there are few, are the same, so is all else.
"""

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from datetime import date

from tasks.ledger import statistics
from tasks.ledger.statistics import DIMENSIONS, Tallies
from tasks.storage.connections import Redis

KEPT = 6  # sums of a dimension
LARGEST = 20_000  # entries of one that is kept: 5 MB

_Key = tuple[str, str, tuple[date, ...]]  # app, dimension, days
_Hours = tuple[int, ...]  # of each day, a hash of what is counted by hour


class Sums:
    """Of the counts of one Redis. Thread-safe."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Key, tuple[_Hours, Tallies]] = OrderedDict()

    def read(self, app: str, days: Sequence[date], dimensions: Collection[str] = DIMENSIONS) -> Tallies:
        """As `statistics.read_sum`, at little cost where it was asked before. Raises redis.RedisError."""
        newest = max(days)
        found, marks = statistics.read_hours(self._redis, app, days, dimensions)  # first: what comes later changes it
        earlier = tuple(day for day in days if day != newest)
        hours = tuple(marks[day] for day in earlier)
        rest = [dimension for dimension in dimensions if dimension not in ("total", "hour")]
        for sums in self._earlier(app, earlier, rest, hours):
            found.update(sums)
        for one, number in statistics.read_sum(self._redis, app, [newest], rest).items():
            found[one] = found.get(one, 0) + number
        return found

    def _earlier(self, app: str, days: tuple[date, ...], dimensions: Sequence[str], hours: _Hours) -> list[Tallies]:
        """The sum of each dimension."""
        with self._lock:
            known = {one: self._kept.get((app, one, days)) for one in dimensions}
        found = {one: kept[1] for one, kept in known.items() if kept is not None and kept[0] == hours}
        missing = [one for one in dimensions if one not in found]
        if missing and days:
            found |= {one: {} for one in missing}
            for key, number in statistics.read_sum(self._redis, app, days, missing).items():
                found[key[0]][key] = number
            with self._lock:
                for one in missing:
                    self._kept.pop((app, one, days), None)
                    if len(found[one]) <= LARGEST:
                        self._kept[app, one, days] = hours, found[one]
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return list(found.values())
