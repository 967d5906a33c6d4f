"""The worker roles: each puts its parts together and runs in the foreground until SIGTERM, which drains.

welcome   the 20-second task, in threads          upkeep   the slow queue          beat   the schedule
"""

import logging
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import redis
from celery import Celery, signals
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning

from tasks import jobs, upkeep, wake
from tasks.app import make_app
from tasks.assembly import Parts, assemble, import_books
from tasks.corp_tags import CorpTags
from tasks.followup import Follower, FollowUp
from tasks.lanes import Lanes
from tasks.ledger.followups import FollowUps
from tasks.media import Keeper
from tasks.people import People
from tasks.presence import Presence
from tasks.queues import UPKEEP
from tasks.reaper import Reaper
from tasks.settings import Settings
from tasks.welcome import Dispatcher, Greeter

log = logging.getLogger(__name__)

UPKEEP_THREADS = 4
FIRST_TOKENS = (1, 2, 4, 8, 16)  # seconds between the tries of a worker's start
WELCOME_THREADS = 2  # one dispatches; the other holds the message that came meanwhile


def welcome(settings: Settings) -> None:
    """Greet, until SIGTERM; then finish what is in flight."""
    parts = assemble(settings)
    _import_books(parts)
    people = People(parts.redis, settings.timezone)
    greeter = Greeter(parts.ledger, parts.books, people, parts.clients, parts.counters, Lanes(parts.redis))
    dispatcher = Dispatcher(parts.ledger, greeter.greet, settings.concurrency)
    app = make_app(str(settings.redis_url))
    app.task(name=wake.TASK)(dispatcher.run)
    presence = Presence(parts.redis, "welcome", dispatcher.doing)
    _work(app, parts, wake.QUEUE, WELCOME_THREADS, presence, on_stop=dispatcher.stop)


def upkeep_worker(settings: Settings) -> None:
    """Run the slow queue's tasks, and look after media, until SIGTERM."""
    parts = assemble(settings)
    keeper = Keeper(parts.redis, parts.books, settings.apps, parts.clients)
    keeper.start()
    app = make_app(str(settings.redis_url))
    running: list[str] = []  # names of scheduled tasks
    for name in jobs.SCHEDULE:
        _register(app, name, parts, running)
    follow_up = FollowUp(
        store=FollowUps(parts.redis),
        books=parts.books,
        people=People(parts.redis, settings.timezone),
        tags=CorpTags(parts.redis),
        clients=parts.clients,
        counters=parts.counters,
    )
    follower = Follower(follow_up.store, follow_up.do)
    app.task(name=wake.SLOW_TASK)(follower.run)
    threading.Thread(target=_first_tokens, args=(parts,), name="tokens", daemon=True).start()

    def stop() -> None:
        keeper.stop()
        follower.stop()

    presence = Presence(parts.redis, "upkeep", lambda: [*running, *follower.doing()])
    _work(app, parts, UPKEEP, UPKEEP_THREADS, presence, on_stop=stop)


def _first_tokens(parts: Parts) -> None:
    """A token for every app at once: nobody is to wait a minute for the schedule, nor for a message that got lost.

    What fails for FIRST_TOKENS, with Redis there, is left to the schedule.
    """
    waits = iter(FIRST_TOKENS)
    while True:
        try:
            parts.queues.probe()  # with Redis away it would be fetched in vain
            with jobs.noted(parts.redis, "tasks.upkeep.refresh_tokens"):
                fine = upkeep.refresh_tokens(parts)
            if fine:
                return
        except redis.RedisError:
            time.sleep(1)
            continue
        wait = next(waits, None)
        if wait is None:
            return
        time.sleep(wait)


def beat(settings: Settings) -> None:
    """Send the scheduled tasks, until SIGTERM."""
    app = make_app(str(settings.redis_url))
    signals.setup_logging.connect(_keep_logging, weak=False)
    parts = assemble(settings)
    reaper = Reaper(None, parts.counters.flush, Presence(parts.redis, "beat"))
    reaper.start()
    try:
        app.Beat(quiet=True, loglevel="WARNING").run()
    finally:
        reaper.stop()


def _import_books(parts: Parts) -> None:
    while True:
        try:
            import_books(parts)
        except redis.RedisError as error:
            log.warning("waiting for Redis: %s", type(error).__name__)
            time.sleep(1)
        else:
            return


def _register(app: Celery, name: str, parts: Parts, running: list[str]) -> None:
    work = getattr(upkeep, name.rpartition(".")[2])

    @app.task(name=name)
    def task() -> None:
        running.append(name)
        try:
            with jobs.noted(parts.redis, name):
                work(parts)
        finally:
            running.remove(name)


def _work(app: Celery, parts: Parts, queue: str, threads: int, presence: Presence, on_stop: Callable[[], None]) -> None:
    signals.setup_logging.connect(_keep_logging, weak=False)
    signals.worker_shutting_down.connect(_once_aside(on_stop), weak=False)
    reaper = Reaper(parts.ledger, parts.counters.flush, presence)
    reaper.start()
    warnings.filterwarnings("ignore", category=SecurityWarning)  # Celery's about root: it is for pickle, this is JSON
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)  # of a setting that `tasks.app` does make
    worker = app.Worker(
        pool="threads",
        concurrency=threads,
        queues=[queue],
        hostname=f"{queue}@%h",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    reaper.stop()
    sys.exit(worker.exitcode)


def _once_aside(on_stop: Callable[[], None]) -> Callable[..., None]:
    """A receiver that runs `on_stop` once, in a thread of its own.

    It is called by a signal handler, and a second SIGTERM interrupts the first: what takes a lock there would wait for
    itself.
    """
    asked: list[bool] = []

    def receive(**_: Any) -> None:
        if not asked:
            asked.append(True)
            threading.Thread(target=on_stop, name="stop", daemon=True).start()

    return receive


def _keep_logging(**_: Any) -> None:
    """Celery leaves logging alone when somebody listens to this signal."""
