"""The worker roles: each builds its services and runs in the foreground until SIGTERM, a warm shutdown.

welcome   the 20-second task, in threads          upkeep   the slow queue          beat   the schedule
"""

import functools
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

from tasks import alerts, upkeep
from tasks.celery import PromptConsumer, WatchedScheduler, make_app
from tasks.followups.worker import FollowUpHandler, FollowUpWorker
from tasks.greeting.asking import Asking
from tasks.greeting.dispatcher import Dispatcher
from tasks.greeting.greeter import Greeter
from tasks.greeting.outcomes import Outcomes
from tasks.greeting.slots import Slots
from tasks.greeting.too_late import TooLate
from tasks.ledger import celery_message
from tasks.lifeboat import make_recovery
from tasks.liveness import Loop, Stamp, Watchdog
from tasks.media_renewal import MediaRenewer
from tasks.monitoring import jobs
from tasks.monitoring.heartbeat import Heartbeat
from tasks.monitoring.reaper import OFTEN, SELDOM, Reaper
from tasks.open_files import allow_open_files
from tasks.services import Services, build_services, import_books
from tasks.settings import Settings
from tasks.storage import keys, troubles

log = logging.getLogger(__name__)

UPKEEP_THREADS = 4
FIRST_TOKENS = (1, 2, 4, 8, 16)  # seconds between tries to fetch tokens at a worker's start
WELCOME_THREADS = 2  # one dispatches; the other holds a message that arrived meanwhile
BEAT_SLEEP = 2.0  # seconds after which the schedule comes round at the latest: it shows that it works


def welcome(settings: Settings, stamp: Stamp) -> None:
    """Greet customers until SIGTERM; then finish what is in flight."""
    watchdog = _started_watchdog(stamp)
    services = build_services(settings)
    _import_books(services)
    allow_open_files()
    slots = Slots(settings.concurrency)
    outcomes = Outcomes()
    greeter = make_greeter(services, slots, outcomes)
    too_late = TooLate(services.ledger, greeter.give_up)
    dispatcher = Dispatcher(services.ledger, greeter.greet, slots, too_late, len(settings.apps), outcomes)
    watchdog.watch(dispatcher.loop)
    app = make_app(str(settings.redis_url))
    app.task(name=celery_message.TASK)(dispatcher.run)
    heartbeat = Heartbeat(services.redis, "welcome", dispatcher.current_tasks, slots.most, services.clock_ahead)
    _work(app, services, keys.QUEUE, WELCOME_THREADS, heartbeat, watchdog, on_stop=dispatcher.stop)


def make_greeter(services: Services, slots: Slots | None = None, outcomes: Outcomes | None = None) -> Greeter:
    """A greeter; its greetings give back the slot that each has while they wait for a lookup. outcomes: see Greeter."""
    return Greeter(
        services.ledger,
        services.books,
        services.lookups if slots is None else services.lookups.within(Asking(slots)),
        services.greeting_clients,
        services.queue_pauses,
        services.calls,
        outcomes=outcomes,
    )


def upkeep_worker(settings: Settings, stamp: Stamp) -> None:
    """Run the slow queue's tasks, and renew media, until SIGTERM."""
    watchdog = _started_watchdog(stamp)
    services = build_services(settings)
    renewer = MediaRenewer(services.redis, services.books, settings.apps, services.clients)
    renewer.start()
    app = make_app(str(settings.redis_url))
    running: list[str] = []  # names of scheduled tasks
    for name in jobs.SCHEDULE:
        _register(app, name, services, running)
    follow_up_worker = FollowUpWorker(services.follow_ups, make_follow_up_handler(services).do)
    app.task(name=celery_message.SLOW_TASK)(follow_up_worker.run)
    threading.Thread(target=_first_tokens, args=(services,), name="tokens", daemon=True).start()

    def stop() -> None:
        renewer.stop()
        follow_up_worker.stop()

    heartbeat = Heartbeat(
        services.redis, "upkeep", lambda: [*running, *follow_up_worker.current_tasks()], skew=services.clock_ahead
    )
    _work(app, services, keys.SLOW_QUEUE, UPKEEP_THREADS, heartbeat, watchdog, on_stop=stop)


def make_follow_up_handler(services: Services) -> FollowUpHandler:
    return FollowUpHandler(
        store=services.follow_ups,
        books=services.books,
        people=services.lookups,
        tags=services.corp_tags,
        clients=services.clients,
        counters=services.counters,
    )


def _first_tokens(services: Services) -> None:
    """Fetch a token for every app at start, without waiting for the schedule.

    After the tries of FIRST_TOKENS with Redis reachable, it is left to the schedule.
    """
    waits = iter(FIRST_TOKENS)
    while True:
        try:
            services.queues.probe()  # without Redis the token could not be shared
            with jobs.recorded(services.redis, "tasks.upkeep.refresh_tokens"):
                fine = upkeep.refresh_tokens(services)
            if fine:
                return
        except redis.RedisError:
            time.sleep(1)
            continue
        wait = next(waits, None)
        if wait is None:
            return
        time.sleep(wait)


def beat(settings: Settings, stamp: Stamp) -> None:
    """Send the scheduled tasks, until SIGTERM."""
    watchdog = _started_watchdog(stamp)
    app = make_app(str(settings.redis_url))
    signals.setup_logging.connect(_keep_logging, weak=False)
    services = build_services(settings)
    reaper = Reaper(None, services.each_second, Heartbeat(services.redis, "beat"), watchdog.redis_answered)
    reaper.start()
    scheduler = functools.partial(WatchedScheduler, came_round=watchdog.watch(Loop("the schedule")).came_round)
    try:
        app.Beat(quiet=True, loglevel="WARNING", scheduler_cls=scheduler, max_interval=BEAT_SLEEP).run()
    finally:
        watchdog.drain()
        reaper.stop()


def _started_watchdog(stamp: Stamp) -> Watchdog:
    watchdog = Watchdog(stamp)
    watchdog.start()
    return watchdog


def _import_books(services: Services) -> None:
    while True:
        try:
            import_books(services)
        except redis.RedisError as error:
            log.warning("waiting for Redis, which %s", troubles.line(error))
            time.sleep(1)
        else:
            return


def _register(app: Celery, name: str, services: Services, running: list[str]) -> None:
    work = getattr(upkeep, name.rpartition(".")[2])

    @app.task(name=name)
    def task() -> None:
        running.append(name)
        try:
            with jobs.recorded(services.redis, name):
                work(services)
        finally:
            running.remove(name)


def _work(
    app: Celery,
    services: Services,
    queue: str,
    threads: int,
    heartbeat: Heartbeat,
    watchdog: Watchdog,
    on_stop: Callable[[], None],
) -> None:
    def stop() -> None:
        watchdog.drain()
        on_stop()

    signals.setup_logging.connect(_keep_logging, weak=False)
    signals.worker_shutting_down.connect(_once_aside(stop), weak=False)
    came_round = watchdog.watch(Loop("the consumer")).came_round
    app.conf.worker_consumer = functools.partial(PromptConsumer, came_round=came_round)
    interval = OFTEN if queue == keys.QUEUE else SELDOM
    reaper = Reaper(services.ledger, services.each_second, heartbeat, watchdog.redis_answered, interval)
    reaper.start()
    make_recovery(services).start()
    watch = alerts.launch(services)
    warnings.filterwarnings("ignore", category=SecurityWarning)  # about running as root: concerns pickle, this is JSON
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)  # about a setting that `tasks.celery` sets
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
    if watch is not None:
        watch.stop()
    reaper.stop()
    sys.exit(worker.exitcode)


def _once_aside(on_stop: Callable[[], None]) -> Callable[..., None]:
    """A signal receiver that runs `on_stop` once, in a thread of its own.

    Celery calls it inside a signal handler, which a second SIGTERM interrupts: taking a lock there could deadlock.
    """
    asked: list[bool] = []

    def receive(**_: Any) -> None:
        if not asked:
            asked.append(True)
            threading.Thread(target=on_stop, name="stop", daemon=True).start()

    return receive


def _keep_logging(**_: Any) -> None:
    """Celery leaves logging alone when this signal has a receiver."""
