"""What Prometheus reads of an installation in which every metric has a value."""

import contextlib
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

from tasks.counters import count
from tasks.missed.comparison_run import ComparisonRun
from tasks.monitoring import jobs
from tasks.monitoring.heartbeat import Heartbeat
from tasks.placeholders.asking import Result
from tasks.services import Services
from tasks.settings import Forward
from tasks.storage import keys
from tasks.templates.render import needed
from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support.books import MP4, a_template
from tests.support.builders import ENVIRONMENT, some_settings
from tests.support.ledger import missed
from tests.support.pushes import a_push
from tests.support.web import Web


def scrape(redis_url: str, wecom: StandIn, folder: Path) -> str:
    """The text of /metrics. Redis is empty before, and has a maxmemory for the moment."""
    wecom.register(App(corp_id=ENVIRONMENT["WECOM_CORP_ID"], secret=ENVIRONMENT["WECOM_CORP_SECRET"]))
    settings = some_settings(REDIS_URL=redis_url, WECOM_API_BASE=wecom.base_url, WELCOME_DATA_DIR=str(folder))
    forward = Forward("https://crm.example.com/hook", b"k" * 32, frozenset({"add"}))
    app = replace(settings.apps["default"], forwards=(forward,))
    web = Web(replace(settings, apps={"default": app}), with_lifeboat=True)
    assert web.lifeboat is not None
    redis = web.services.redis
    before = redis.config_get("maxmemory")["maxmemory"]
    try:
        redis.config_set("maxmemory", "1gb")
        _live(web.services)
        web.post(a_push())
        web.services.counters.flush()
        return web.get("/metrics").text
    finally:
        redis.config_set("maxmemory", before)
        web.lifeboat.stop()


def _live(services: Services) -> None:
    """A token, a book with a film, a missed customer, workers and jobs."""
    redis, books = services.redis, services.books
    services.clients["default"].tokens.get(time.monotonic() + 5)
    film = a_template("text: t\nattachments:\n- video: {file: media/intro.mp4}")
    (upload,) = needed(books.book("default", books.save("default", film, {"media/intro.mp4": MP4})))
    books.ready.put(services.settings.apps["default"].corp_id, upload, "3a", time.time() + 86400)
    missed(redis)
    services.counters.add(count("variants_total", app="default", rule="r", variant="v", outcome="sent"))
    for result in Result:
        services.counters.add(count("placeholder_calls_total", app="default", hook="crm", result=result))
    services.counters.add(count("api_errors_total", app="default", path="gettoken", code=-1))
    redis.set(keys.CONSUMED, services.ledger.now())
    Heartbeat(redis, "welcome", limit=8, skew=services.clock_ahead).beat()
    run = ComparisonRun(since=0, until=1, started_at=1, by="")
    redis.hset(keys.comparison("default"), "good", json.dumps(asdict(run)))
    for job in jobs.SCHEDULE:
        with contextlib.suppress(OSError), jobs.recorded(redis, job):
            raise OSError
        with jobs.recorded(redis, job):
            pass
