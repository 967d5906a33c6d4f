"""What was wrong with refused callbacks, on its way to the operator: to the log, and to the ledger for all else."""

import logging
import threading
import time
from collections.abc import Iterable, Mapping

from tasks.ledger.verifications import Verifications
from tasks.reasons import Reason
from webhook.callback import parsing
from webhook.callback.crypto import Envelope
from webhook.callback.diagnosis import diagnose, is_proven
from webhook.reason_texts import describe

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between two diagnoses for one app: a flood of forgeries costs no more


class Diagnoses:
    """At most one diagnosis a second for each app. Thread-safe. Redis' absence is logged, and costs no answer."""

    def __init__(self, verifications: Verifications, apps: Iterable[str]) -> None:
        self._verifications = verifications
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}
        self._refused = set(apps)  # those whose last callback may have been refused: at first, all

    def make(
        self,
        app: str,
        envelope: Envelope,
        query: Mapping[str, str],
        ciphertext: str,
        problem: Reason | None = None,
    ) -> None:
        """`problem`: what is wrong, where it is known."""
        if not self.is_due(app):
            return
        problem = problem or diagnose(envelope, query, ciphertext)
        signed_at = parsing.seconds(query.get("timestamp", "")) or 0
        self.record(app, problem, is_proven(problem, time.time() - signed_at))

    def record(self, app: str | None, problem: Reason, proven: bool) -> None:
        """app None: it is not known whose callback it was; it goes to the log alone."""
        log.warning("a callback of app %s was refused: %s", app or "?", describe(problem))
        if app is not None:
            self._refused.add(app)
            self._verifications.record(app, problem, proven)

    def is_due(self, app: str) -> bool:
        """Whether a diagnosis may be made now; it counts as made."""
        with self._lock:
            now = time.monotonic()
            if now < self._next.get(app, 0.0):
                return False
            self._next[app] = now + INTERVAL
            return True

    def refused(self, app: str) -> bool:
        """Whether the app's last callback may have been refused, so that `clear` has something to do."""
        return app in self._refused

    def clear(self, app: str) -> None:
        """WeCom's callback was accepted: whatever was wrong no longer is. Asks Redis only if something was."""
        if app in self._refused:
            self._refused.discard(app)
            self._verifications.record(app, None)
