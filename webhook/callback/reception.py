"""POST /callback: what is done with a push, and which failure becomes which status.

    200  safely stored, already stored, or of no concern                              WeCom is content
         or, if Redis takes nothing, in the lifeboat (`tasks.lifeboat`)
    400  well signed, yet unreadable                                                  WeCom sends it again, in vain
    403  not signed by WeCom, or for another corp; one identical answer               (not WeCom)
    503  cannot be stored now                                                         WeCom sends it again

WeCom waits 5 s and sends again up to three times what was not answered 200 (doc 90238).

Nothing here knows Flask: `webhook.callback.views` is the border.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from tasks.counters import CallbackResult
from tasks.events import ContactAdded, ContactChanged
from tasks.ledger.intake import Intake, Unavailable
from tasks.ledger.ledger import Acceptance
from tasks.lifeboat.lifeboat import Lifeboat
from tasks.logs import about
from tasks.reasons import Reason
from tasks.services import Services
from webhook.callback import parsing
from webhook.callback.crypto import Envelope, EnvelopeError, NotSigned, Unreadable
from webhook.callback.diagnosis import SIGNED
from webhook.callback.refusals import Diagnoses

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in plain text. afterwards: what is done once it is sent, since WeCom waits and Redis may be slow."""

    status: int
    body: bytes
    afterwards: Callable[[], None] | None = None


SUCCESS = Answer(200, b"success")

_KNOWN = (Acceptance.STORED, Acceptance.DUPLICATE)
_BECAME = {
    Acceptance.STORED: (logging.INFO, "stored"),
    Acceptance.DUPLICATE: (logging.INFO, "already stored: WeCom sent it again"),
    Acceptance.FORGOTTEN: (logging.WARNING, "ignored: its customer was forgotten since, so somebody replays it"),
    Acceptance.OUTDATED: (
        logging.WARNING,
        "ignored: older than what is remembered, so somebody replays it, or Redis' clock is days off",
    ),
}


class Reception:
    """Receives the callbacks of all apps. Thread-safe."""

    def __init__(self, services: Services, lifeboat: Lifeboat | None = None) -> None:
        apps = services.settings.apps.values()
        self.envelopes = {app.name: Envelope.of(app.token, app.encoding_aes_key, app.corp_id) for app in apps}
        self.paths = {app.name: app.callback_path for app in apps}
        self.diagnoses = Diagnoses(services.verifications, self.envelopes)
        self._intake = Intake(services.ledger)
        self._changes = services.contact_changes
        self._counters = services.counters
        self._lifeboat = lifeboat

    def receive(self, app: str, query: Mapping[str, str], body: bytes) -> Answer:
        """Accept an event: 200 once it is stored, or if it is of no concern."""
        envelope = self.envelopes[app]
        ciphertext = ""
        try:
            ciphertext = parsing.read_ciphertext(body)
            pushed_at = parsing.seconds(query.get("timestamp", ""))
            event = parsing.parse(app, opened(envelope, query, ciphertext), pushed_at)
        except EnvelopeError as error:
            return self.refuse(app, query, ciphertext, error)
        except parsing.Malformed as error:
            if not ciphertext:  # nothing that could be signed
                return self.refuse(app, query, ciphertext, error)
            self.count(app, CallbackResult.MALFORMED)
            log.warning("a signed callback of app %s is not understood: %s", app, error)
            return Answer(400, b"unreadable")
        if isinstance(event, ContactChanged):
            return self._accept_change(app, event)
        if not isinstance(event, ContactAdded):
            self.count(app, CallbackResult.IGNORED)
            return SUCCESS
        return self._accept(app, event)

    def _accept(self, app: str, event: ContactAdded) -> Answer:
        with about(event=event.id, app=app):
            lifeboat = self._lifeboat
            if lifeboat is not None and lifeboat.took(event):
                self.count(app, CallbackResult.DUPLICATE)
                log.info("already in the lifeboat: WeCom sent it again")
                return SUCCESS
            try:
                became = self._intake.submit(event)
            except Unavailable as error:
                if lifeboat is not None and lifeboat.take(event, error.in_doubt):
                    self.count(app, CallbackResult.LIFEBOAT)
                    log.info("not stored, so it is in the lifeboat: %s", error)
                    return SUCCESS
                self.count(app, CallbackResult.UNAVAILABLE)
                log.error("not stored, WeCom will send it again: %s", error)
                return Answer(503, b"not stored")
            if lifeboat is not None and became is Acceptance.STORED:
                lifeboat.handed_over(event)
            rehearsed = event.rehearsal and became in _KNOWN
            self.count(app, CallbackResult.REHEARSAL if rehearsed else CallbackResult(became.value))
            log.log(*_BECAME[became])
        if not event.rehearsal and became in _KNOWN and self.diagnoses.refused(app):  # a replay proves nothing
            return Answer(200, b"success", partial(self.diagnoses.clear, app))
        return SUCCESS

    def _accept_change(self, app: str, event: ContactChanged) -> Answer:
        with about(event=event.id, app=app):
            try:
                became = self._intake.keep(lambda: self._changes.record(event))
            except Unavailable as error:
                self.count(app, CallbackResult.UNAVAILABLE)
                log.error("a change of a contact is not stored, WeCom will send it again: %s", error)
                return Answer(503, b"not stored")
            self.count(app, CallbackResult.CHANGED if became is Acceptance.STORED else CallbackResult(became.value))
            log.log(*_BECAME[became])
        return SUCCESS

    def refuse(
        self, app: str, query: Mapping[str, str], ciphertext: str, error: Exception, problem: Reason | None = None
    ) -> Answer:
        """`problem`: what is wrong, where it is known."""
        unreadable = isinstance(error, Unreadable)
        self.count(app, CallbackResult.UNREADABLE if unreadable else CallbackResult.FORGED)
        diagnosis = partial(self.diagnoses.make, app, self.envelopes[app], query, ciphertext, problem)
        return Answer(400, b"unreadable", diagnosis) if unreadable else Answer(403, b"forbidden", diagnosis)

    def count(self, app: str, result: CallbackResult) -> None:
        self._counters.answered(app, result)


def opened(envelope: Envelope, query: Mapping[str, str], ciphertext: str) -> bytes:
    """The message in a signed envelope. Raises EnvelopeError."""
    given, timestamp, nonce = (query.get(name, "") for name in SIGNED)
    if not ciphertext:
        raise NotSigned("no ciphertext")
    envelope.check(given, timestamp, nonce, ciphertext)
    return envelope.open(ciphertext)
