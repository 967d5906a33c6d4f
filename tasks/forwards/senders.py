"""How an event gets to a target: over HTTPS, signed; or as a task of the corp's own Celery app.

No proxy is used, and none of the environment's.
"""

import contextlib
import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from tasks.forwards.addresses import is_public
from tasks.forwards.signature import headers
from tasks.forwards.store import Entry
from tasks.reasons import Reason
from tasks.settings import Forward, Target, TaskTarget
from tasks.wecom.errors import Failure, NotSent, Unanswered
from tasks.wecom.http1 import Response
from tasks.wecom.transport import Transport

if TYPE_CHECKING:
    from celery import Celery

TIMEOUT = 10.0  # seconds for one send
SHARE = 4  # sends to one target at a time
MOST_WAIT = 3600.0  # seconds that a target may ask for with Retry-After
CONNECTION_AGE = 300.0  # seconds after which a connection is made anew: the name may lead elsewhere by now
UNWELL = (408, 429, 500, 502, 503, 504)  # statuses that speak of the target, not of the event
GONE = 410


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a try. why: it was not delivered; None: it was.

    unwell: that speaks of the target as a whole; wait: seconds that it asks for; gone: by the Standard Webhooks
    specification it is not to be tried again.
    """

    why: Reason | None = None
    unwell: bool = False
    wait: float = 0.0
    gone: bool = False


def judge(response: Response, now: float) -> Sent:
    """What an answer says. Pure."""
    status = response.status
    if 200 <= status < 300:
        return Sent()
    error = Unanswered("forward", Failure.HTTP_STATUS, str(status))
    wait = _retry_after(response.headers.get("retry-after", ""), now)
    return Sent(Reason.from_error(error), status in UNWELL, wait, status == GONE)


def _retry_after(text: str, now: float) -> float:
    text = text.strip()
    if re.fullmatch("[0-9]{1,8}", text):
        return min(float(text), MOST_WAIT)
    with contextlib.suppress(ValueError, OverflowError):
        return min(max(0.0, parsedate_to_datetime(text).timestamp() - now), MOST_WAIT)
    return 0.0


class Sender(Protocol):
    """Of one target. Thread-safe."""

    def send(self, entry: Entry) -> Sent:
        """Deliver an event. Raises nothing that the target or the way to it does."""

    def reach(self) -> Reason | None:
        """Why the target cannot be reached now; None if it can. Nothing is sent to it."""

    def close(self) -> None:
        """Let the connections go."""


class HTTPSender:
    """Over connections that are kept open. No redirect is followed; of an answer 64 kB are read at most."""

    def __init__(self, target: Forward, connections: int) -> None:
        parts = urlsplit(target.url)
        allowed = target.private or parts.scheme == "http"  # the latter is on this machine
        origin, permits = f"{parts.scheme}://{parts.netloc}", None if allowed else is_public
        self._transport = Transport(origin, connections=connections, permits=permits, age=CONNECTION_AGE)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._secret = target.secret

    def send(self, entry: Entry) -> Sent:
        signed = headers(self._secret, entry.id, int(time.time()), entry.body)
        try:
            by = time.monotonic() + TIMEOUT
            response = self._transport.post(self._path, entry.body, by=by, headers=signed, cut=True)
        except (NotSent, Unanswered) as error:
            return Sent(Reason.from_error(error), unwell=True)
        return judge(response, time.time())

    def reach(self) -> Reason | None:
        try:
            self._transport.connect(time.monotonic() + TIMEOUT)
        except NotSent as error:
            return Reason.from_error(error)
        return None

    def close(self) -> None:
        self._transport.close()


def sender(target: Target, own: "Celery | None" = None) -> Sender:
    """The sender to a target.

    own: a Celery app on our broker, for a task whose workers take messages from there. Raises ValueError without it.
    """
    if not isinstance(target, TaskTarget):
        return HTTPSender(target, connections=SHARE)
    from tasks.forwards.task_sender import TaskSender, broker  # and with it Celery, which the web side does without

    if target.broker:
        return TaskSender(target, broker(target.broker))
    if own is None:
        raise ValueError("a task on our broker needs a Celery app on it")
    return TaskSender(target, own)
