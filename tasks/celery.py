"""The Celery app: its two queues, its settings, its schedule. Built by a function; importing it reads no settings.

    queue     tasks                     worker                  why separate
    welcome   greet_due                 role welcome            behind a long task a greeting would miss its window
    upkeep    everything else           role upkeep

`app` is for Celery's own tools, `celery -A tasks inspect …` and Flower: made when it is first asked for, from as few
settings as they need. The product's processes use `make_app`.

Celery over Redis is not at-least-once, late acks or not: BRPOP removes a message before it is stored as unacked. So
work is never recorded in a message alone: the ledger has it, and the reaper sends the message again. Acks would gain
nothing, and they cost: unacked messages of a lost connection stay counted, and kombu then fetches no more.
"""

import functools
import logging
import time
from collections.abc import Callable
from typing import Any

import click
from celery import Celery
from celery.beat import Scheduler
from celery.worker.consumer import Consumer
from kombu.entity import Exchange, Queue
from kombu.transport import TRANSPORT_ALIASES

from tasks import settings
from tasks.ledger import celery_message
from tasks.monitoring.jobs import SCHEDULE
from tasks.monitoring.task_names import FOLLOW_UP, GREET, REMIND
from tasks.settings import SettingsError
from tasks.storage import connections, embedded, keys

log = logging.getLogger(__name__)

TO_BEGIN_AGAIN = 0.3  # seconds; Celery calls more than five tries a second an error
UNSENT = (GREET, FOLLOW_UP, REMIND)  # tasks that no message asks for: see `tasks.monitoring.task_events`


class PromptConsumer(Consumer):
    """Celery's consumer, but reconnected within a second of Redis' return: stock back-off is fixed at 2, 4, … 30 s.

    `came_round`: called every two seconds by the loop that fetches messages, and at each try to reconnect or to begin.
    """

    def __init__(self, *args: Any, came_round: Callable[[], None] = lambda: None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._came_round = came_round

    def register_with_event_loop(self, hub: Any) -> None:
        super().register_with_event_loop(hub)
        hub.call_repeatedly(2.0, self._came_round)

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Redis answers and takes no message: it is full, or a replica.

        At once, Celery would try again five times in a few milliseconds, then log a traceback and wait a second.
        """
        self._came_round()
        super().on_connection_error_before_connected(exc)
        time.sleep(TO_BEGIN_AGAIN)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        self._came_round()
        super().on_connection_error_after_connected(exc)

    def ensure_connected(self, conn: Any) -> Any:
        connect = functools.partial(conn.ensure_connection, interval_start=0.2, interval_step=0.2, interval_max=1.0)

        def ensure(failed: Callable[..., None], *args: Any, **options: Any) -> Any:
            def told(*error: Any) -> None:
                self._came_round()
                failed(*error)

            return connect(told, *args, **options)

        conn.ensure_connection = ensure
        return super().ensure_connected(conn)


class WatchedScheduler(Scheduler):
    """Celery's scheduler in memory: after a restart a task may run twice, or early. `came_round`: called every turn."""

    def __init__(self, *args: Any, came_round: Callable[[], None] = lambda: None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._came_round = came_round

    def tick(self, *args: Any, **options: Any) -> Any:
        self._came_round()
        return super().tick(*args, **options)


def make_app(redis_url: str) -> Celery:
    """A Celery app with this Redis as its broker. `tasks.workers` registers its tasks."""
    broker_url, transport_options = connections.broker(redis_url)
    TRANSPORT_ALIASES.setdefault("unix", connections.TRANSPORT)  # so that `inspect conf` can show such a URL
    app = Celery("wecom-welcome", set_as_current=False)
    app.conf.update(
        broker_url=broker_url,
        broker_transport=connections.TRANSPORT,
        broker_transport_options=transport_options,
        broker_connection_timeout=1,
        broker_pool_acquire_timeout=1,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,  # a failover must not stop the worker
        task_queues=[
            Queue(name, Exchange(name, type="direct"), routing_key=name, no_ack=True)
            for name in (keys.QUEUE, keys.SLOW_QUEUE)
        ],
        task_default_queue=keys.SLOW_QUEUE,
        task_routes={name: {"queue": keys.QUEUE} for name in (celery_message.TASK, GREET)},
        task_ignore_result=True,
        task_publish_retry_policy={"max_retries": 2, "interval_start": 0.05, "interval_step": 0.2, "interval_max": 0.2},
        task_serializer="json",
        accept_content=["json"],
        worker_consumer=f"{__name__}:{PromptConsumer.__name__}",
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_send_task_events=False,  # of messages, from the loop that fetches them; see tasks.monitoring.task_events
        worker_enable_remote_control=False,  # in that loop, too; see tasks.monitoring.remote_control
        worker_cancel_long_running_tasks_on_connection_loss=False,  # a send in flight must finish
        worker_hijack_root_logger=False,
        beat_scheduler=f"{__name__}:{WatchedScheduler.__name__}",
        beat_schedule={
            name: {"task": name, "schedule": seconds, "options": {"expires": seconds}}
            for name, seconds in SCHEDULE.items()
        },
        enable_utc=True,
    )
    return app


# ------------------------------------------------------------------------------------------------ for Celery's tools


def __getattr__(name: str) -> Celery:
    """`app`. Ends the process with one line for each setting that is wrong."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _app()


@functools.cache
def _app() -> Celery:
    try:
        given = settings.load_for_tools()
    except SettingsError as error:
        raise SystemExit("\n".join(error.problems)) from None
    url = given.redis_url or embedded.running_url(given.data_dir)
    if url is None:
        raise SystemExit("no Redis: set REDIS_URL, or start `wecom-welcome up` with this data directory first")
    if not given.remote_control:
        log.warning("CELERY_REMOTE_CONTROL=off: the workers neither answer nor send events")
    app = make_app(url)
    tls = app.conf.broker_transport_options["address"].tls
    if tls is not None:  # for the connection of its own that Flower opens: ours take theirs from the address
        files = {"ssl_ca_certs": tls.ca_certs, "ssl_certfile": tls.certfile, "ssl_keyfile": tls.keyfile}
        app.conf.broker_use_ssl = {"ssl_cert_reqs": "required", "ssl_check_hostname": True, **files}
    for task in (*UNSENT, celery_message.TASK, celery_message.SLOW_TASK, *SCHEDULE):
        register_unsent(app, task)
    for command, instead in (("worker", "role welcome` and `wecom-welcome role upkeep"), ("beat", "role beat")):
        app.user_options[command].add(_refusal(f"{command} is not started by Celery; run `wecom-welcome {instead}`"))
    return app


def register_unsent(app: Celery, name: str) -> None:
    """Register a task that is known by its name, and does nothing if a message asks for it."""

    @app.task(name=name, shared=False)
    def unsent() -> None:
        raise NotImplementedError(f"{name} is not done by a message: see deploy/README.md, Celery's own tools")


def _refusal(why: str) -> click.Option:
    """An option that nobody needs to give: it ends the command before anything starts."""

    def refuse(*_: object) -> None:
        raise click.ClickException(why)

    return click.Option(["--by-celery"], hidden=True, expose_value=False, is_eager=True, callback=refuse)
