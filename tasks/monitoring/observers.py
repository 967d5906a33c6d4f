"""What greetings, follow-ups, reminders and scheduled jobs tell, turned into task events. Ids and codes, never names.

work            its id for Celery's tools       it has failed, to them, if
greeting        the event's                     the customer was missed
follow-up       the event's, and "-follow-up"   it was given up
reminder        the event's, and "-reminder"    the member was not told, and is not tried again
job             its message's                   it raised
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks.followups.store import FollowUpTask
from tasks.ledger.claims import Claim, FollowUpProgress, SettledEvent
from tasks.ledger.delivery import MISSED, Delivery, FollowUpStatus, ReminderStatus
from tasks.monitoring.task_events import TaskEvents
from tasks.monitoring.task_names import FOLLOW_UP, GREET, REMIND
from tasks.reasons import Reason


class GreetingEvents:
    """`tasks.greeting.ports.Observer`."""

    def __init__(self, events: TaskEvents) -> None:
        self._events = events

    def begun(self, claim: Claim) -> None:
        self._events.begun(GREET, claim.id, retries=claim.fencing_token - 1)

    def settled(self, one: SettledEvent, written: bool | None) -> None:
        outcome, reason, errcode = one.settlement.outcome, one.settlement.reason, one.settlement.errcode
        if not written:
            self._events.left(one.event.id)
        elif outcome in MISSED:
            self._events.failed(GREET, one.event.id, _as_exception(outcome, reason, errcode))
        else:
            self._events.succeeded(GREET, one.event.id, str(outcome))

    def put_off(self, claim: Claim, why: str) -> None:
        self._events.put_off(GREET, claim.id, f"put_off({why!r})")

    def left(self, claim: Claim) -> None:
        self._events.left(claim.id)


class FollowUpEvents:
    """`observe` of `tasks.followups.handler.FollowUpHandler`."""

    def __init__(self, events: TaskEvents) -> None:
        self._events = events

    def watched(self, do: Callable[[FollowUpTask], None]) -> Callable[[FollowUpTask], None]:
        """`do`, and it is known when it begins."""

        def watched_do(task: FollowUpTask) -> None:
            self._events.begun(FOLLOW_UP, f"{task.id}-follow-up", task.id, retries=task.attempts - 1)
            try:
                do(task)
            finally:
                self._events.left(f"{task.id}-follow-up")

        return watched_do

    def __call__(self, task: FollowUpTask, progress: FollowUpProgress) -> None:
        identity, status = f"{task.id}-follow-up", progress.status
        if status is FollowUpStatus.FAILED:
            self._events.failed(FOLLOW_UP, identity, _as_exception(status, progress.reason))
        elif status is FollowUpStatus.WAITING:
            self._events.put_off(FOLLOW_UP, identity, _as_exception(status, progress.reason))
        else:
            self._events.succeeded(FOLLOW_UP, identity, str(status))


class ReminderEvents:
    """`tasks.missed.reminders.Observer`."""

    def __init__(self, events: TaskEvents) -> None:
        self._events = events

    def begun(self, row: Delivery) -> None:
        self._events.begun(REMIND, f"{row.id}-reminder", row.id)

    def ended(self, row: Delivery, status: ReminderStatus, reason: Reason | None, tried_again: bool) -> None:
        identity = f"{row.id}-reminder"
        if status is not ReminderStatus.FAILED:
            self._events.succeeded(REMIND, identity, str(status))
        elif tried_again:
            self._events.put_off(REMIND, identity, _as_exception(status, reason))
        else:
            self._events.failed(REMIND, identity, _as_exception(status, reason))


@contextmanager
def job(events: TaskEvents, name: str, identity: str) -> Iterator[None]:
    """The job that runs inside. Exceptions pass through."""
    events.begun(name, identity)
    try:
        yield
    except Exception as error:
        events.failed(name, identity, f"{type(error).__name__}()")  # its text may name a customer
        raise
    events.succeeded(name, identity, "done")


def _as_exception(word: str, reason: Reason | None, errcode: int | None = None) -> str:
    """As an exception is shown: its parameters, which may be names, are left out.

    >>> from tasks.reasons import Kind
    >>> _as_exception("refused", Reason(Kind.WECOM_ERROR, {"errcode": 48002}))
    "refused('wecom_error', 48002)"
    """
    about: list[object] = []
    if reason is not None:
        about.append(str(reason.kind))
        errcode = reason.params.get("errcode") if errcode is None else errcode
    if isinstance(errcode, int):
        about.append(errcode)
    return f"{word}({', '.join(map(repr, about))})"
