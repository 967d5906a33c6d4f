"""The worker roles: each builds its services and runs in the foreground until SIGTERM, a warm shutdown.

welcome   the 20-second task, in threads          upkeep   the slow queue          beat   the schedule
"""

import contextlib
import functools
import itertools
import logging
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import redis
from celery import Celery, Task, signals
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning
from celery.worker import WorkController

from tasks import alerts, upkeep
from tasks.celery import PromptConsumer, WatchedScheduler, make_app, register_unsent
from tasks.followups.handler import FollowUpHandler
from tasks.followups.store import FollowUpTask
from tasks.followups.tagger import Tagger
from tasks.followups.tagging import TaggingTask
from tasks.followups.worker import AT_ONCE, DueWorker
from tasks.forwards.forwarder import Forwarder
from tasks.greeting.asking import Asking
from tasks.greeting.dispatcher import Dispatcher
from tasks.greeting.greeter import Greeter
from tasks.greeting.outcomes import Outcomes
from tasks.greeting.ports import Observer
from tasks.greeting.slots import Slots
from tasks.greeting.too_late import TooLate
from tasks.ledger import celery_message
from tasks.lifeboat import make_recovery
from tasks.liveness import Loop, Stamp, Watchdog
from tasks.media_renewal import MediaRenewer
from tasks.monitoring import jobs
from tasks.monitoring.heartbeat import Heartbeat
from tasks.monitoring.node_name import node_name
from tasks.monitoring.observers import FollowUpEvents, GreetingEvents, ReminderEvents, job
from tasks.monitoring.reaper import OFTEN, SELDOM, Reaper
from tasks.monitoring.remote_control import RemoteControl
from tasks.monitoring.task_events import TaskEvents
from tasks.monitoring.task_names import FOLLOW_UP, GREET, REMIND
from tasks.open_files import allow_open_files
from tasks.services import Services, build_services, import_books
from tasks.settings import Settings
from tasks.storage import keys, troubles

log = logging.getLogger(__name__)

UPKEEP_THREADS = 4
FIRST_TOKENS = (1, 2, 4, 8, 16)  # seconds between tries to fetch tokens at a worker's start
WELCOME_THREADS = 2  # one dispatches; the other holds a message that arrived meanwhile
REMINDED = 60  # tries, a second apart, after which the log says again that Redis is waited for
BEAT_SLEEP = 2.0  # seconds after which the schedule comes round at the latest: it shows that it works


def welcome(settings: Settings, stamp: Stamp) -> None:
    """Greet customers until SIGTERM; then finish what is in flight."""
    watchdog = _started_watchdog(stamp)
    services = build_services(settings)
    _import_books(services)
    allow_open_files()
    app = make_app(str(settings.redis_url))
    events = _task_events(app, settings, keys.QUEUE)
    slots = Slots(settings.concurrency)
    observer = GreetingEvents(events) if events is not None else None
    outcomes = Outcomes(observer)
    greeter = make_greeter(services, slots, outcomes, observer)
    too_late = TooLate(services.ledger, greeter.give_up, observer)
    dispatcher = Dispatcher(services.ledger, greeter.greet, slots, too_late, len(settings.apps), outcomes)
    watchdog.watch(dispatcher.loop)
    app.task(name=celery_message.TASK)(dispatcher.run)
    register_unsent(app, GREET)
    heartbeat = Heartbeat(
        services.redis, "welcome", dispatcher.current_tasks, slots.most, services.clock_ahead, services.hooks.states
    )
    role = _Role(keys.QUEUE, WELCOME_THREADS, slots.most, events)
    _work(app, services, role, heartbeat, watchdog, on_stop=dispatcher.stop)


def make_greeter(
    services: Services,
    slots: Slots | None = None,
    outcomes: Outcomes | None = None,
    observer: Observer | None = None,
) -> Greeter:
    """A greeter; its greetings give back the slot that each has while they wait for a lookup. outcomes: see Greeter."""
    return Greeter(
        services.ledger,
        services.books,
        services.lookups if slots is None else services.lookups.within(Asking(slots), slots.lent),
        services.greeting_clients,
        services.queue_pauses,
        services.calls,
        outcomes=outcomes,
        observer=observer,
    )


def upkeep_worker(settings: Settings, stamp: Stamp) -> None:
    """Run the slow queue's tasks, and renew media, until SIGTERM."""
    watchdog = _started_watchdog(stamp)
    app = make_app(str(settings.redis_url))
    events = _task_events(app, settings, keys.SLOW_QUEUE)
    services = build_services(settings)
    if events is not None:
        services = replace(services, reminder_observer=ReminderEvents(events))
    renewer = MediaRenewer(services.redis, services.books, settings.apps, services.clients)
    renewer.start()
    running: list[str] = []  # names of scheduled tasks
    for name in jobs.SCHEDULE:
        _register(app, name, services, running, events)
    workers = _follow_up_worker(services, events), _tagging_worker(services)
    app.task(name=celery_message.SLOW_TASK)(_slow_task(services, workers))
    for name in (FOLLOW_UP, REMIND):
        register_unsent(app, name)
    forwarder = Forwarder(services.forwards, settings.apps, services.counters, app)
    if forwarder.has_targets:
        forwarder.start()
    threading.Thread(target=_first_tokens, args=(services,), name="tokens", daemon=True).start()

    def stop() -> None:
        renewer.stop()
        for worker in workers:
            worker.stop()
        forwarder.stop()

    def current_tasks() -> list[str]:
        return [*running, *(task for one in workers for task in one.current_tasks())]

    heartbeat = Heartbeat(
        services.redis, "upkeep", current_tasks, skew=services.clock_ahead, hooks=services.hooks.states
    )
    role = _Role(keys.SLOW_QUEUE, UPKEEP_THREADS, UPKEEP_THREADS - 1 + AT_ONCE, events)
    _work(app, services, role, heartbeat, watchdog, on_stop=stop)


def _slow_task(services: Services, workers: Sequence[DueWorker[Any]]) -> Callable[[], None]:
    """What a message on the slow queue has done: all that is due."""

    def due() -> None:
        try:
            services.contact_changes.apply_due()
        except redis.RedisError as error:
            log.warning("cannot apply what became of contacts: %s", type(error).__name__)
        except Exception:  # the workers run all the same
            log.exception("applying what became of contacts ended in an error")
        for worker in workers:
            worker.run()

    return due


def _tagging_worker(services: Services) -> DueWorker[TaggingTask]:
    return DueWorker(services.taggings, Tagger(services.taggings, services.corp_tags, services.clients).do)


def _follow_up_worker(services: Services, events: TaskEvents | None) -> DueWorker[FollowUpTask]:
    handler = make_follow_up_handler(services)
    if events is None:
        return DueWorker(services.follow_ups, handler.do)
    observer = FollowUpEvents(events)
    return DueWorker(services.follow_ups, observer.watched(replace(handler, observe=observer).do))


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
    reaper = Reaper(None, services.regularly, Heartbeat(services.redis, "beat"), watchdog.redis_answered)
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
    said = ""
    for second in itertools.count():
        try:
            import_books(services)
        except redis.RedisError as error:
            trouble = troubles.line(error)
            if trouble != said or second % REMINDED == 0:
                log.warning("waiting for Redis, which %s", trouble)
            said = trouble
            time.sleep(1)
        else:
            return


def _register(app: Celery, name: str, services: Services, running: list[str], events: TaskEvents | None) -> None:
    work = getattr(upkeep, name.rpartition(".")[2])

    @app.task(name=name, bind=True)
    def task(self: Task) -> None:
        running.append(name)
        shown = contextlib.nullcontext() if events is None else job(events, name, self.request.id)
        try:
            with shown, jobs.recorded(services.redis, name):
                work(services)
        finally:
            running.remove(name)


@dataclass(frozen=True, slots=True)
class _Role:
    """What is a worker's own. `at_once`: how many tasks it works on, at most, as Celery's tools count them."""

    queue: str
    threads: int
    at_once: int
    events: TaskEvents | None  # None: Celery's tools hear nothing


def _task_events(app: Celery, settings: Settings, queue: str) -> TaskEvents | None:
    """Of a worker under a name of its own; None if Celery's tools are to hear nothing."""
    if not settings.remote_control:
        return None
    return TaskEvents(app, node_name(queue, str(settings.redis_url)), queue)


def _work(
    app: Celery,
    services: Services,
    role: _Role,
    heartbeat: Heartbeat,
    watchdog: Watchdog,
    on_stop: Callable[[], None],
) -> None:
    """Run a worker, and what goes with it in its process, until SIGTERM; then end the process."""

    def stop() -> None:
        watchdog.drain()
        on_stop()

    signals.setup_logging.connect(_keep_logging, weak=False)
    signals.worker_shutting_down.connect(_once_aside(stop), weak=False)
    came_round = watchdog.watch(Loop("the consumer")).came_round
    app.conf.worker_consumer = functools.partial(PromptConsumer, came_round=came_round)
    interval = OFTEN if role.queue == keys.QUEUE else SELDOM
    reaper = Reaper(services.ledger, services.regularly, heartbeat, watchdog.redis_answered, interval)
    reaper.start()
    make_recovery(services).start()
    watch = alerts.launch(services)
    worker = _celery_worker(app, role)
    with _shown_to_celerys_tools(app, worker, role):
        worker.start()
        if watch is not None:
            watch.stop()
        reaper.stop()
    sys.exit(worker.exitcode)


def _celery_worker(app: Celery, role: _Role) -> WorkController:
    warnings.filterwarnings("ignore", category=SecurityWarning)  # about running as root: concerns pickle, this is JSON
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)  # about a setting that `tasks.celery` sets
    return app.Worker(
        pool="threads",
        concurrency=role.threads,
        queues=[role.queue],
        hostname=role.events.node if role.events is not None else None,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )


@contextlib.contextmanager
def _shown_to_celerys_tools(app: Celery, worker: WorkController, role: _Role) -> Iterator[None]:
    """Send Celery's events and answer its remote control inside of the `with` block, unless that is switched off."""
    if role.events is None:
        yield
        return
    role.events.start()
    control = RemoteControl(app, worker, role.events, role.at_once)
    control.start()
    yield
    control.stop()
    role.events.stop()


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
