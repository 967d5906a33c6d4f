"""/healthz, /readyz, /readyz/intake, /metrics: what supervisors, deploys, load balancers and Prometheus ask."""

from collections.abc import Sequence
from functools import partial

import redis
from flask import Blueprint, Response, jsonify

from tasks.lifeboat.metrics import metrics as of_lifeboat
from tasks.monitoring import heartbeat
from tasks.monitoring.metrics import exposition, of_this_process, text
from tasks.monitoring.queue_status import SILENT, Reading
from tasks.services import Services
from tasks.storage import damage, troubles
from tasks.storage.unreadable import readable
from webhook import current
from webhook.reason_texts import media_alarms

blueprint = Blueprint("health", __name__)  # no route needs a sign-in, and none tells a secret or a name


@blueprint.get("/healthz")
def alive() -> Response:
    """This process is alive."""
    return Response("ok", mimetype="text/plain")


@blueprint.get("/readyz/intake")
def can_store() -> tuple[Response, int]:
    """Whether this process can take events: Redis stores them, or the lifeboat takes them."""
    try:
        current.services().queues.probe()
    except redis.RedisError as error:
        lifeboat = current.lifeboat()
        if lifeboat is None or not lifeboat.can_take():
            return _away(error)
    return _answer([])


@blueprint.get("/readyz")
def can_greet() -> tuple[Response, int]:
    """Whether events can be accepted and greeted; if not, what is missing."""
    with damage.left_out() as damaged:
        return _readiness(current.services(), damaged)


def _readiness(services: Services, damaged: set[str]) -> tuple[Response, int]:
    """damaged: keys that were left out, as they are found."""
    try:
        services.queues.probe()
        reading = services.queues.read()
        processes = heartbeat.read(services.redis)
        remarks = [*_remarks(services), *_full(reading), *_refused(services, reading)]
    except redis.RedisError as error:
        return _away(error)
    silent = [one for one in processes if one.is_silent]
    missing = []
    if not reading.consuming:
        since = "ever" if reading.silence is None else f"for {reading.silence:.0f} s (allowed: {SILENT:.0f})"
        why = (
            "Redis is nearly full, see `wecom-welcome check`"
            if reading.is_nearly_full
            else "is `role welcome` running?"
        )
        missing.append(f"no welcome worker has taken a message {since}: {why}")
    missing += [_tokenless(services, app) for app, left in reading.tokens.items() if left is None]
    media: list[str] = []
    for app, one in reading.media.items():
        (missing if one.starting and one.absent else media).extend(f"app {app}: {line}" for line in media_alarms(one))
    return _answer(
        missing,
        remarks=[
            *remarks,
            *map(_said_of, silent),
            *_absent(processes),
            *_limited(reading),
            *(f"the key {name} in Redis is of another type than ours" for name in sorted(damaged)),
        ],
        waiting=reading.waiting,
        in_flight=reading.in_flight,
        oldest_seconds=reading.oldest,
        media=media,
        silent=[{"role": one.role, "host": one.host, "pid": one.pid, "seconds": one.silence} for one in silent],
    )


@blueprint.get("/metrics")
def metrics() -> Response:
    """What Prometheus reads. Without Redis it is what this process knows: that it runs, and that Redis is away."""
    services, lifeboat = current.services(), current.lifeboat()
    of_the_lifeboat = [] if lifeboat is None else of_lifeboat(lifeboat.status())
    try:
        own = [*of_this_process(_takes_writes(services)), *of_the_lifeboat]
        with damage.left_out():
            statuses = services.forwards.statuses(services.settings.forwarding)
            content = exposition(services.redis, services.queues, own, statuses)
    except redis.RedisError:
        content = text([*of_this_process(redis_is_up=False), *of_the_lifeboat])
    return Response(content, content_type="text/plain; version=0.0.4")


def _takes_writes(services: Services) -> bool:
    """Whether Redis takes writes. A full one can still be read. Raises for one that is away or a replica."""
    try:
        services.queues.probe()
    except (redis.ConnectionError, redis.TimeoutError):
        raise
    except redis.RedisError:
        return False
    return True


def _remarks(services: Services) -> list[str]:
    """What prevents greetings although everything runs: no book, a paused queue."""
    remarks = [
        f"app {app} has no welcome book, so nobody is greeted: wecom-welcome templates import FILE"
        for app in services.settings.apps
        if readable(f"the number of the book of {app}", partial(_has_no_book, services, app))
    ]
    for lane, pause in services.queue_pauses.paused().items():
        left = "until somebody resumes it" if pause.left is None else f"for {pause.left:.0f} s more"
        remarks.append(f"the lane {lane} is paused {left}")
    return remarks


def _full(reading: Reading) -> list[str]:
    if not reading.is_nearly_full:
        return []
    return [f"Redis uses {100 * (reading.memory_share or 0.0):.0f} % of its memory: when full, it takes no events"]


def _has_no_book(services: Services, app: str) -> bool:
    return services.books.current(app) is None


def _refused(services: Services, reading: Reading) -> list[str]:
    """For which apps WeCom refuses a new access token, while the one that they have has not ended."""
    return [
        f"app {app}: WeCom refuses a new access token ({refusal.errcode}), and the present one ends in {left:.0f} s at "
        "the latest: see `wecom-welcome check`"
        for app, left in reading.tokens.items()
        if left is not None and (refusal := services.clients[app].tokens.refusal()) is not None
    ]


def _limited(reading: Reading) -> list[str]:
    """For which apps greetings wait for WeCom's limits, and for which one."""
    return [
        f"app {app}: greetings wait, since "
        + (f"WeCom refuses them for its limit ({one.errcode})" if one.errcode else "as many were sent as WeCom allows")
        + f"; {one.minute} of {one.limits.minute} in the last minute, {one.hour} of {one.limits.hour} in the last hour"
        for app, one in reading.calls.items()
        if one.is_held
    ]


def _said_of(process: heartbeat.Process) -> str:
    return f"{process.role} has been silent for {process.silence:.0f} s: process {process.pid} on {process.host}"


def _absent(processes: Sequence[heartbeat.Process]) -> list[str]:
    """The roles beside the greeting that have no process at all: one that died is soon no longer among the silent."""
    there = {one.role for one in processes}
    return [f"{role} has no process: is `role {role}` running?" for role in ("upkeep", "beat") if role not in there]


def _away(error: redis.RedisError) -> tuple[Response, int]:
    return _answer([f"Redis {troubles.of(error).fault}"])


def _tokenless(services: Services, app: str) -> str:
    refusal = services.clients[app].tokens.refusal()
    if refusal is not None:
        return f"app {app} has no access token, WeCom refuses it ({refusal.errcode}): see `wecom-welcome check`"
    return f"app {app} has no access token: is `role upkeep` running? does it reach WECOM_API_BASE?"


def _answer(missing: list[str], **details: object) -> tuple[Response, int]:
    lifeboat = current.lifeboat()
    if lifeboat is not None and (status := lifeboat.status()).in_use:
        details["lifeboat"] = {"waiting": status.waiting, "greeted": status.greeted}
    return jsonify(ready=not missing, missing=missing, **details), 503 if missing else 200
