"""The doctor's findings, stored so that all operators see the same examination.

    welcome:checkup:APP           JSON of the last examination
    welcome:checkup-running:APP   Unix seconds at which one began; deleted at its end, expires after LONGEST

WeCom may be slow or not answer, so an examination runs in a thread of its own and no page waits for it longer than
GRACE.
"""

import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import redis

from tasks.messages import Message
from tasks.services import Services
from tasks.settings import App
from tasks.storage import keys
from tasks.storage.unreadable import readable
from webhook.doctor import Finding, examine

log = logging.getLogger(__name__)

LONGEST = 60  # seconds: the time-outs of everything that the doctor asks, one after the other
GRACE = 2.0  # seconds for which a request waits for the result


@dataclass(frozen=True, slots=True)
class Examination:
    """The findings of one examination. `at`: Unix seconds."""

    at: int
    findings: tuple[Finding, ...]

    @property
    def stops(self) -> int:
        """How many findings would stop a welcome."""
        return sum(finding.stops for finding in self.findings)


class Checkup:
    """The examinations of each app. Thread-safe. Raises redis.RedisError."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._redis = services.redis

    def last(self, app: App) -> Examination | None:
        """The last one that was completed; None if there was none, or none that this release can read."""
        kept = self._redis.get(keys.checkup(app.name))
        try:
            return None if kept is None else _read(json.loads(kept))
        except (ValueError, TypeError, KeyError):
            return None

    def running_since(self, app: App) -> int | None:
        """Unix seconds at which the current one began; None if none is running."""
        began = self._redis.get(keys.checkup_running(app.name))
        return None if began is None else readable(f"the check of {app.name}", partial(int, began))

    def begin(self, app: App) -> bool:
        """Start one unless one is running. → whether it was completed within GRACE."""
        if not self._redis.set(keys.checkup_running(app.name), int(time.time()), nx=True, ex=LONGEST):
            return False
        thread = threading.Thread(target=self._examine, args=(app,), name="checkup", daemon=True)
        thread.start()
        thread.join(GRACE)
        return not thread.is_alive()

    def _examine(self, app: App) -> None:
        findings: list[Finding] = []
        try:
            findings.extend(examine(self._services.settings, app))  # one by one: what comes before an error stays
        except Exception:  # the edge of a thread
            log.exception("the check-up of app %s ended in an error", app.name)
            findings.append(
                Finding(
                    Message.of("The check itself"), None, Message.of("ended in an error"), Message.of("see the log")
                )
            )
        try:
            kept = json.dumps(_written(Examination(int(time.time()), tuple(findings))), ensure_ascii=False)
            with self._redis.pipeline() as pipe:
                pipe.set(keys.checkup(app.name), kept)
                pipe.delete(keys.checkup_running(app.name))
                pipe.execute()
        except redis.RedisError as error:
            log.warning("the check-up of app %s cannot be kept: %s", app.name, type(error).__name__)


# ------------------------------------------------------------------------------------------------ as JSON


def _written(examination: Examination) -> dict[str, Any]:
    rows = [[_said(one.what), one.fine, _said(one.detail), _said(one.cure)] for one in examination.findings]
    return {"at": examination.at, "findings": rows}


def _said(what: object) -> Any:
    """A Message as {"msgid", "values"}; anything else as it is."""
    if isinstance(what, Message):
        return {"msgid": what.msgid, "values": {name: _said(value) for name, value in what.values.items()}}
    return what


def _read(kept: Mapping[str, Any]) -> Examination:
    return Examination(int(kept["at"]), tuple(_finding(row) for row in kept["findings"]))


def _finding(row: Sequence[Any]) -> Finding:
    what, fine, detail, cure = row
    return Finding(_heard(what), fine, _heard(detail), _heard(cure))


def _heard(kept: Any) -> Any:
    if isinstance(kept, dict):
        msgid, values = kept["msgid"], kept["values"]
        return Message(msgid, {name: _heard(value) for name, value in values.items()})
    return kept
