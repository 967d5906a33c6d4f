"""An event as a task of the corp's own Celery app, on our broker or on another one."""

import json

from celery import Celery
from kombu.exceptions import KombuError, OperationalError

from tasks.forwards.senders import Sent
from tasks.forwards.store import Entry
from tasks.reasons import Reason
from tasks.settings import TaskTarget


class TaskSender:
    """As a message for a task of this name, with the event as its one argument and the event's id as its own.

    `app`: a Celery app on the broker that the task's workers take their messages from.
    """

    def __init__(self, target: TaskTarget, app: Celery) -> None:
        self._target = target
        self._app = app
        way = app.connection_for_write()  # which connects when it is used, and not before
        self._errors = (KombuError, OSError, *way.connection_errors, *way.channel_errors)

    def send(self, entry: Entry) -> Sent:
        event = json.loads(entry.body)
        try:
            self._app.send_task(
                self._target.name,
                (event,),
                task_id=entry.id,
                queue=self._target.queue,
                argsrepr="(…)",  # which monitors show: it names a customer
                retry=False,
                ignore_result=True,
            )
        except self._errors as error:  # the last are what RabbitMQ answers where the queue is another one
            return Sent(_cause(error), unwell=True)
        return Sent()

    def reach(self) -> Reason | None:
        try:
            with self._app.connection_for_write() as way:
                way.connect()
        except self._errors as error:
            return _cause(error)
        return None

    def close(self) -> None:
        self._app.close()


def broker(url: str) -> Celery:
    """A Celery app that sends to another broker than ours, and waits for none for long."""
    app = Celery("wecom-welcome", broker=url, set_as_current=False)
    app.conf.update(
        broker_connection_timeout=2,
        broker_pool_acquire_timeout=2,
        broker_transport_options={
            "socket_timeout": 2,  # these are for Redis
            "socket_connect_timeout": 2,
            "max_retries": 0,
            "confirm_publish": True,  # and these for AMQP, where what is not confirmed may be lost
            "read_timeout": 5,
            "write_timeout": 2,
        },
        task_serializer="json",
        accept_content=["json"],
    )
    return app


def _cause(error: Exception) -> Reason:
    cause = error.__cause__ if isinstance(error, OperationalError) else None  # kombu's for each way to fail
    return Reason.from_error(cause if isinstance(cause, Exception) else error)
