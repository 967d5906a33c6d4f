"""/healthz, /readyz, /readyz/intake, /metrics: what supervisors, deploys, load balancers and Prometheus ask."""

import redis
from flask import Blueprint, Response, jsonify

from tasks.assembly import Parts
from tasks.lanes import Lanes
from tasks.metrics import exposition
from tasks.queues import SILENT


def health(parts: Parts) -> Blueprint:
    """The routes. None of them needs a sign-in, and none tells a secret or a name."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def alive() -> Response:
        return Response("ok", mimetype="text/plain")

    @blueprint.get("/readyz/intake")
    def can_store() -> tuple[Response, int]:
        try:
            parts.queues.probe()
        except redis.RedisError as error:
            return _answer([f"Redis does not take a write: {type(error).__name__}"])
        return _answer([])

    @blueprint.get("/readyz")
    def can_greet() -> tuple[Response, int]:
        try:
            parts.queues.probe()
            reading = parts.queues.read()
        except redis.RedisError as error:
            return _answer([f"Redis does not take a write: {type(error).__name__}"])
        missing = []
        if not reading.consuming:
            since = "ever" if reading.silence is None else f"for {reading.silence:.0f} s (allowed: {SILENT:.0f})"
            missing.append(f"no welcome worker has taken a message {since}: is `role welcome` running?")
        missing += [_tokenless(parts, app) for app, left in reading.tokens.items() if left is None]
        remarks = [
            f"app {app} has no welcome book, so nobody is greeted: wecom-welcome templates import FILE"
            for app in parts.settings.apps
            if parts.books.current(app) is None
        ]
        for lane, pause in Lanes(parts.redis).paused().items():
            left = "until somebody resumes it" if pause.left is None else f"for {pause.left:.0f} s more"
            remarks.append(f"the lane {lane} is paused {left}")
        media: list[str] = []
        for app, one in reading.media.items():
            (missing if one.starting and one.absent else media).extend(f"app {app}: {line}" for line in one.alarms())
        return _answer(
            missing,
            remarks=remarks,
            waiting=reading.waiting,
            in_flight=reading.in_flight,
            oldest_seconds=reading.oldest,
            media=media,
        )

    @blueprint.get("/metrics")
    def metrics() -> Response:
        try:
            return Response(exposition(parts.redis, parts.queues), content_type="text/plain; version=0.0.4")
        except redis.RedisError as error:
            return Response(f"Redis does not answer: {type(error).__name__}", 503, mimetype="text/plain")

    return blueprint


def _tokenless(parts: Parts, app: str) -> str:
    refusal = parts.clients[app].tokens.refusal()
    if refusal is not None:
        return f"app {app} has no access token, WeCom refuses it ({refusal.errcode}): see `wecom-welcome check`"
    return f"app {app} has no access token: is `role upkeep` running? does it reach WECOM_API_BASE?"


def _answer(missing: list[str], **details: object) -> tuple[Response, int]:
    return jsonify(ready=not missing, missing=missing, **details), 503 if missing else 200
