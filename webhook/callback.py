"""GET and POST /callback: which failure becomes which status, and what WeCom then does.

    200  verified (GET), or safely stored, already stored, or of no concern (POST)    WeCom is content
    400  well signed, yet unreadable                                                  WeCom sends it again, in vain
    403  not signed by WeCom, or for another corp; one identical answer               (not WeCom)
    404  no such app                                                                  (not WeCom)
    413  larger than any callback                                                     (not WeCom)
    503  cannot be stored now                                                         WeCom sends it again

WeCom waits 1 s (GET) or 5 s (POST) and sends again up to three times what was not answered 200 (docs 90930, 90238).
"""

import logging
import threading
import time
from collections.abc import Mapping

from flask import Blueprint, Response, abort, request

from tasks.events import ContactAdded
from tasks.intake import Intake, Unavailable
from tasks.ledger import Ledger
from tasks.logs import about
from tasks.metrics import Counters, count
from tasks.settings import DEFAULT_APP
from webhook import parsing
from webhook.crypto import Envelope, EnvelopeError, NotSigned, Unreadable
from webhook.diagnosis import diagnose

log = logging.getLogger(__name__)

DIAGNOSIS_INTERVAL = 1.0  # seconds between two diagnoses for one app: a flood of forgeries costs no more


def callback(envelopes: Mapping[str, Envelope], intake: Intake, ledger: Ledger, counters: Counters) -> Blueprint:
    """The routes /callback and /callback/<app>."""
    blueprint = Blueprint("callback", __name__)
    diagnoses = _Diagnoses(ledger)

    def envelope_of(app: str) -> Envelope:
        envelope = envelopes.get(app)
        if envelope is None:
            abort(404)
        return envelope

    def refuse(app: str, envelope: Envelope, ciphertext: str) -> Response:
        counters.add(count("callbacks_total", app=app, result="forged"))
        response = Response("forbidden", 403, mimetype="text/plain")
        query = request.args.to_dict()
        response.call_on_close(lambda: diagnoses.make(app, envelope, query, ciphertext))
        return response

    @blueprint.get("/callback", defaults={"app": DEFAULT_APP})
    @blueprint.get("/callback/<app>")
    def verify(app: str) -> Response:
        envelope = envelope_of(app)
        echo = request.args.get("echostr", "")
        for ciphertext in dict.fromkeys((echo, echo.replace(" ", "+"))):  # a + that a proxy decoded to a space
            try:
                message = _open(envelope, ciphertext)
            except Unreadable:
                counters.add(count("callbacks_total", app=app, result="unreadable"))
                diagnoses.make(app, envelope, request.args, ciphertext)
                return Response("unreadable", 400, mimetype="text/plain")
            except EnvelopeError:
                continue
            counters.add(count("callbacks_total", app=app, result="verified"))
            diagnoses.note_success(app)
            return Response(message, 200, mimetype="text/plain")
        return refuse(app, envelope, echo)

    @blueprint.post("/callback", defaults={"app": DEFAULT_APP})
    @blueprint.post("/callback/<app>")
    def receive(app: str) -> Response:
        envelope = envelope_of(app)
        body = request.get_data(cache=False)  # bounded by MAX_CONTENT_LENGTH: 413
        ciphertext = ""
        try:
            ciphertext = parsing.read_ciphertext(body)
            event = parsing.parse(app, _open(envelope, ciphertext))
        except Unreadable:
            counters.add(count("callbacks_total", app=app, result="unreadable"))
            diagnoses.make(app, envelope, request.args, ciphertext)
            return Response("unreadable", 400, mimetype="text/plain")
        except EnvelopeError:
            return refuse(app, envelope, ciphertext)
        except parsing.Malformed as error:
            if not ciphertext:  # nothing that could be signed
                return refuse(app, envelope, ciphertext)
            counters.add(count("callbacks_total", app=app, result="malformed"))
            log.warning("a signed callback of app %s is not understood: %s", app, error)
            return Response("unreadable", 400, mimetype="text/plain")
        if not isinstance(event, ContactAdded):
            counters.add(count("callbacks_total", app=app, result="ignored"))
            return Response("success", 200, mimetype="text/plain")
        return accept(app, event)

    def accept(app: str, event: ContactAdded) -> Response:
        with about(event=event.id, app=app):
            try:
                stored = intake.submit(event)
            except Unavailable as error:
                counters.add(count("callbacks_total", app=app, result="unavailable"))
                log.error("not stored, WeCom will send it again: %s", error)
                return Response("not stored", 503, mimetype="text/plain")
            counters.add(count("callbacks_total", app=app, result="stored" if stored else "duplicate"))
            log.info("stored" if stored else "already stored: WeCom sent it again")
        return Response("success", 200, mimetype="text/plain")

    return blueprint


def _open(envelope: Envelope, ciphertext: str) -> bytes:
    given, timestamp, nonce = (request.args.get(name, "") for name in ("msg_signature", "timestamp", "nonce"))
    if not ciphertext:
        raise NotSigned("no ciphertext")
    envelope.check(given, timestamp, nonce, ciphertext)
    return envelope.open(ciphertext)


class _Diagnoses:
    """At most one diagnosis a second for each app: to the log, and to the ledger for `check` and the console."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}

    def make(self, app: str, envelope: Envelope, query: Mapping[str, str], ciphertext: str) -> None:
        with self._lock:
            now = time.monotonic()
            if now < self._next.get(app, 0.0):
                return
            self._next[app] = now + DIAGNOSIS_INTERVAL
        verdict = diagnose(envelope, query, ciphertext)
        log.warning("a callback of app %s was refused: %s", app, verdict)
        self._ledger.note_verification(app, verdict)

    def note_success(self, app: str) -> None:
        self._ledger.note_verification(app, "")
