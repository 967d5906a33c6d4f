"""GET and POST /callback: which failure becomes which status, and what WeCom then does.

    200  verified (GET), or safely stored, already stored, or of no concern (POST)    WeCom is content
         or, if Redis takes nothing, in the lifeboat (`tasks.lifeboat`)
    400  well signed, yet unreadable                                                  WeCom sends it again, in vain
    403  not signed by WeCom, or for another corp; one identical answer               (not WeCom)
    404  no such app, or another path: the operator is told if it is signed           (WeCom, if the URL is wrong)
    413  larger than any callback                                                     (not WeCom)
    503  cannot be stored now                                                         WeCom sends it again

WeCom waits 1 s (GET) or 5 s (POST) and sends again up to three times what was not answered 200 (docs 90930, 90238).
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from flask import Blueprint, Response, abort, current_app, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import HTTPException, NotFound

from tasks.counters import count
from tasks.events import ContactAdded
from tasks.ledger.intake import Intake, Unavailable
from tasks.ledger.ledger import Acceptance
from tasks.ledger.verifications import Verifications
from tasks.logs import about
from tasks.reasons import Kind, Reason
from tasks.settings import DEFAULT_APP
from webhook import current
from webhook.callback import parsing
from webhook.callback.crypto import Envelope, EnvelopeError, NotSigned, Unreadable
from webhook.callback.diagnosis import SIGNED, diagnose, is_proven, is_signed
from webhook.reason_texts import describe

log = logging.getLogger(__name__)

DIAGNOSIS_INTERVAL = 1.0  # seconds between two diagnoses for one app: a flood of forgeries costs no more

blueprint = Blueprint("callback", __name__)


@blueprint.get("/callback")
@blueprint.get("/callback/<app>")
def verify(app: str = DEFAULT_APP) -> Response:
    """URL verification: answer with the decrypted echo."""
    envelope = _envelope(app)
    echo = request.args.get("echostr", "")
    try:
        try:
            message = _open(envelope, request.args, echo)
        except NotSigned:
            message = _open(envelope, request.args, echo.replace(" ", "+"))  # a + that a proxy decoded to a space
    except EnvelopeError as error:
        return _refuse(app, envelope, echo, error)
    if not parsing.is_echo(message):
        return _refuse(app, envelope, echo, parsing.Malformed("not an echo"), Reason.of(Kind.NOT_AN_ECHO))
    _count(app, "verified")
    ours = message.startswith(parsing.ECHO.encode())  # WeCom may still have another key than we
    return _answer(200, message, None if ours else partial(_callback().diagnoses.clear, app))


@blueprint.get("/WW_verify_<code>.txt")
def domain_verification(code: str) -> Response:
    """The file by which WeCom verifies who owns the domain: its content is the code in its name."""
    if code != current.services().settings.domain_verification:
        abort(404)
    return Response(code, mimetype="text/plain")


@blueprint.post("/callback")
@blueprint.post("/callback/<app>")
def receive(app: str = DEFAULT_APP) -> Response:
    """Accept an event: 200 once it is stored, or if it is of no concern."""
    envelope, query = _envelope(app), request.args
    body = _read_body()
    ciphertext = ""
    try:
        ciphertext = parsing.read_ciphertext(body)
        pushed_at = parsing.seconds(query.get("timestamp", ""))
        event = parsing.parse(app, _open(envelope, query, ciphertext), pushed_at)
    except EnvelopeError as error:
        return _refuse(app, envelope, ciphertext, error)
    except parsing.Malformed as error:
        if not ciphertext:  # nothing that could be signed
            return _refuse(app, envelope, ciphertext, error)
        _count(app, "malformed")
        log.warning("a signed callback of app %s is not understood: %s", app, error)
        return _answer(400, "unreadable")
    if not isinstance(event, ContactAdded):
        _count(app, "ignored")
        return _answer(200, "success")
    return _accept(app, event)


@blueprint.app_errorhandler(404)
def astray(error: NotFound) -> NotFound:
    """Nothing is at this path. Where the request looks like WeCom's, the operator is told, and the sender is not.

    It proves nothing: a captured callback can be sent to any path.
    """
    callback = _callback()
    if "msg_signature" in request.args and callback.diagnoses.is_due(""):
        app = _signed_for(callback.envelopes)
        only = next(iter(callback.paths)) if len(callback.paths) == 1 else None
        path = "".join(character if character.isprintable() else "?" for character in request.path[:100])
        right = callback.paths.get(app or "", " / ".join(callback.paths.values()))
        problem = Reason.of(Kind.WRONG_PATH, path=path, right=right)
        callback.diagnoses.record(app or only, problem, proven=False)
    return error


def _signed_for(envelopes: Mapping[str, Envelope]) -> str | None:
    """The app for which this request is signed, at whatever path."""
    try:
        ciphertext = request.args.get("echostr", "") or parsing.read_ciphertext(_read_body())
    except (parsing.Malformed, HTTPException):
        return None
    signed_for = (app for app, envelope in envelopes.items() if is_signed(envelope, request.args, ciphertext))
    return next(signed_for, None)


def _accept(app: str, event: ContactAdded) -> Response:
    callback = _callback()
    with about(event=event.id, app=app):
        lifeboat = current.lifeboat()
        if lifeboat is not None and lifeboat.took(event):
            _count(app, Acceptance.DUPLICATE.value)
            log.info("already in the lifeboat: WeCom sent it again")
            return _answer(200, "success")
        try:
            became = callback.intake.submit(event)
        except Unavailable as error:
            if lifeboat is not None and lifeboat.take(event, error.in_doubt):
                _count(app, "lifeboat")
                log.info("not stored, so it is in the lifeboat: %s", error)
                return _answer(200, "success")
            _count(app, "unavailable")
            log.error("not stored, WeCom will send it again: %s", error)
            return _answer(503, "not stored")
        if lifeboat is not None and became is Acceptance.STORED:
            lifeboat.handed_over(event)
        _count(app, "rehearsal" if event.rehearsal and became in _KNOWN else became.value)
        log.log(*_BECAME[became])
    clear = not event.rehearsal and became in _KNOWN  # a replay proves nothing
    return _answer(200, "success", partial(callback.diagnoses.clear, app) if clear else None)


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


def _refuse(app: str, envelope: Envelope, ciphertext: str, error: Exception, problem: Reason | None = None) -> Response:
    """`problem`: what is wrong, where it is known."""
    unreadable = isinstance(error, Unreadable)
    _count(app, "unreadable" if unreadable else "forged")
    diagnosis = partial(_callback().diagnoses.make, app, envelope, request.args.to_dict(), ciphertext, problem)
    return _answer(400, "unreadable", diagnosis) if unreadable else _answer(403, "forbidden", diagnosis)


def _answer(status: int, body: str | bytes, afterwards: Callable[[], None] | None = None) -> Response:
    response = Response(body, status, mimetype="text/plain")
    if afterwards is not None:
        response.call_on_close(afterwards)  # WeCom waits a second for a verification, and Redis may be slow
    return response


def _envelope(app: str) -> Envelope:
    envelope = _callback().envelopes.get(app)
    if envelope is None:
        abort(404)
    return envelope


def _count(app: str, result: str) -> None:
    current.services().counters.add(count("callbacks_total", app=app, result=result))


def _read_body() -> bytes:
    """The body, at most BODY_LIMIT: a longer one is 413, the server has it whole before it asks."""
    body = request.get_data(cache=False)
    if request.content_length is None and len(body) >= parsing.BODY_LIMIT:
        abort(413)  # chunked: what is beyond the limit is cut off without a word
    return body


def _open(envelope: Envelope, query: Mapping[str, str], ciphertext: str) -> bytes:
    given, timestamp, nonce = (query.get(name, "") for name in SIGNED)
    if not ciphertext:
        raise NotSigned("no ciphertext")
    envelope.check(given, timestamp, nonce, ciphertext)
    return envelope.open(ciphertext)


class _Diagnoses:
    """At most one diagnosis a second for each app: to the log, and to the ledger for `check` and the console."""

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
            self._next[app] = now + DIAGNOSIS_INTERVAL
            return True

    def clear(self, app: str) -> None:
        """WeCom's callback was accepted: whatever was wrong no longer is. Asks Redis only if something was."""
        if app in self._refused:
            self._refused.discard(app)
            self._verifications.record(app, None)


@dataclass(frozen=True, slots=True)
class _Callback:
    """What the views use besides the services; one per application."""

    envelopes: Mapping[str, Envelope]  # by app
    paths: Mapping[str, str]  # by app
    intake: Intake
    diagnoses: _Diagnoses


@blueprint.record
def prepare(setup: BlueprintSetupState) -> None:
    """Make an application's envelopes, intake and diagnoses when the blueprint is registered."""
    services = current.services(setup.app)
    apps = services.settings.apps.values()
    envelopes = {app.name: Envelope.of(app.token, app.encoding_aes_key, app.corp_id) for app in apps}
    paths = {app.name: app.callback_path for app in apps}
    setup.app.extensions["callback"] = _Callback(
        envelopes, paths, Intake(services.ledger), _Diagnoses(services.verifications, envelopes)
    )


def _callback() -> _Callback:
    found: _Callback = current_app.extensions["callback"]
    return found
