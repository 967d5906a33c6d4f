"""Reads from Redis what the alerts are judged by: fixed keys, a few for each app."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from tasks.alerts import callbacks
from tasks.alerts.conditions import QUIET, AppReading, Past, Reading, TargetReading, quiet_since
from tasks.counters import count
from tasks.ledger import statistics
from tasks.ledger.delivery import MISSED
from tasks.monitoring import heartbeat, jobs
from tasks.monitoring.hook_status import of_hooks
from tasks.placeholders.asking import State
from tasks.services import Services
from tasks.storage import damage, keys, replies
from tasks.storage.clock import now_ms
from tasks.storage.unreadable import readable

AGAIN = 1800.0  # seconds: another hour may have passed in silence whenever so many more of Unix time have
AT_ONCE = 50  # apps whose usual numbers are looked up in one reading


def read(services: Services) -> Reading:
    """The reading of now: of what can be read. Raises redis.RedisError."""
    with damage.left_out():
        return _read(services)


def _read(services: Services) -> Reading:
    now = now_ms(services.redis) / 1000
    queues = services.queues.read()
    missed = {
        (name, outcome.value): count("outcomes_total", app=name, outcome=outcome)
        for name in services.clients
        for outcome in sorted(MISSED)
    }
    with services.redis.pipeline(transaction=False) as pipe:
        pipe.hmget(keys.COUNTERS, list(missed.values()))
        pipe.hgetall(keys.LAST_CALLBACK)
        found, called = pipe.execute()
    numbers = (readable("a count of missed customers", partial(int, one or 0)) or 0 for one in found)
    counts = dict(zip(missed, numbers, strict=True))
    called_ms = {
        name: readable(f"the last callback of {name}", partial(int, at)) for name, at in replies.fields(called).items()
    }
    called_at = {name: at / 1000 for name, at in called_ms.items() if at is not None}
    targets = _targets(services)
    hooks = of_hooks(heartbeat.read(services.redis), used=frozenset())
    apps = {}
    for name, client in services.clients.items():
        refusal, media, calls = client.tokens.refusal(), queues.media.get(name), queues.calls.get(name)
        apps[name] = AppReading(
            missed={one.value: counts[name, one.value] for one in sorted(MISSED) if counts[name, one.value]},
            called_at=called_at.get(name),
            has_token=queues.tokens.get(name) is not None,
            refused=refusal.errcode if refusal is not None else None,
            media=0 if media is None or media.starting else media.troubled,
            limit=(calls.errcode or 0) if calls is not None and calls.is_held else None,
            targets=tuple(targets.get(name, ())),
        )
    return Reading(
        now=now,
        window=services.settings.window,
        consumed_at=now - queues.silence if queues.silence is not None else None,
        oldest=queues.oldest or 0.0,
        memory=queues.memory_share,
        jobs=tuple(jobs.read(services.redis, jobs.SCHEDULE)),
        hooks=tuple(name for name, states in hooks.items() if states.keys() - {State.FINE}),
        apps=apps,
    )


def _targets(services: Services) -> Mapping[str, Sequence[TargetReading]]:
    """App → the systems that its events are forwarded to."""
    found = defaultdict[str, list[TargetReading]](list)
    for name, target, status in services.forwards.statuses(services.settings.forwarding):
        found[name].append(TargetReading(target.host, status.oldest, status.parked, status.parked_at))
    return found


class Usual:
    """How many customers the hours that are silent now bring on other days, by app; read twice an hour at most."""

    def __init__(self, services: Services) -> None:
        self._redis = services.redis
        self._zone = services.settings.timezone
        self._known: dict[str, tuple[int, int | None]] = {}  # app → in which half of an hour it was read, what it was

    def of(self, reading: Reading, past: Past) -> Mapping[str, int | None]:
        """Of the apps that have been quiet for long enough. Raises redis.RedisError."""
        since = {name: quiet_since(app, past) for name, app in reading.apps.items()}
        asked = [name for name, begin in since.items() if reading.now - begin >= QUIET]
        for name in self._known.keys() - set(asked):
            del self._known[name]
        half = int(reading.now // AGAIN)
        due = [name for name in asked if name not in self._known or self._known[name][0] != half]
        for name in due[:AT_ONCE]:
            self._known[name] = half, self._read(name, since[name], reading.now)
        return {name: self._known[name][1] for name in asked if name in self._known}

    def _read(self, app: str, since: float, now: float) -> int | None:
        today = datetime.fromtimestamp(now, self._zone).date()
        days = [today - timedelta(number) for number in range(callbacks.REACH, -1, -1)]
        found = statistics.read(self._redis, app, days, ["hour"])
        hours = {day: _by_hour(tallies) for day, tallies in found.items()}
        first = next((day for day in days if hours[day]), today)
        return callbacks.usual(since, now, self._zone, lambda day, hour: hours.get(day, {}).get(hour, 0), first)


def _by_hour(tallies: statistics.Tallies) -> dict[int, int]:
    hours: dict[int, int] = {}
    for (_, value, _), number in tallies.items():
        if isinstance(value, str) and replies.text(value).isdigit():
            hours[int(value)] = hours.get(int(value), 0) + number
    return hours
