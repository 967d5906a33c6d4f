"""GET and POST /callback, the file that verifies the domain, and what was sent to a path where nothing is.

    200  verified (GET); a push: see `webhook.callback.reception`                     WeCom is content
    400  well signed, yet unreadable
    403  not signed by WeCom, or for another corp; one identical answer               (not WeCom)
    404  no such app, or another path: the operator is told if it is signed           (WeCom, if the URL is wrong)
    413  larger than any callback                                                     (not WeCom)

WeCom waits 1 s for the answer to a verification (doc 90930).
"""

from collections.abc import Mapping
from functools import partial

from flask import Blueprint, Response, abort, current_app, request
from werkzeug.exceptions import HTTPException, NotFound

from tasks.counters import CallbackResult
from tasks.reasons import Kind, Reason
from tasks.settings import DEFAULT_APP
from webhook import current
from webhook.callback import parsing
from webhook.callback.crypto import Envelope, EnvelopeError, NotSigned
from webhook.callback.diagnosis import is_signed
from webhook.callback.reception import Answer, Reception, opened

blueprint = Blueprint("callback", __name__)


@blueprint.get("/callback")
@blueprint.get("/callback/<app>")
def verify(app: str = DEFAULT_APP) -> Response:
    """URL verification: answer with the decrypted echo."""
    reception = _reception(app)
    envelope = reception.envelopes[app]
    query = request.args.to_dict()
    echo = query.get("echostr", "")
    try:
        try:
            message = opened(envelope, query, echo)
        except NotSigned:
            message = opened(envelope, query, echo.replace(" ", "+"))  # a + that a proxy decoded to a space
    except EnvelopeError as error:
        return _response(reception.refuse(app, query, echo, error))
    if not parsing.is_echo(message):
        problem = Reason.of(Kind.NOT_AN_ECHO)
        return _response(reception.refuse(app, query, echo, parsing.Malformed("not an echo"), problem))
    reception.count(app, CallbackResult.VERIFIED)
    ours = message.startswith(parsing.ECHO.encode())  # WeCom may still have another key than we
    return _response(Answer(200, message, None if ours else partial(reception.diagnoses.clear, app)))


@blueprint.post("/callback")
@blueprint.post("/callback/<app>")
def receive(app: str = DEFAULT_APP) -> Response:
    """A push of WeCom's."""
    return _response(_reception(app).receive(app, request.args.to_dict(), _read_body()))


@blueprint.get("/WW_verify_<code>.txt")
def domain_verification(code: str) -> Response:
    """The file by which WeCom verifies who owns the domain: its content is the code in its name."""
    if code != current.services().settings.domain_verification:
        abort(404)
    return Response(code, mimetype="text/plain")


@blueprint.app_errorhandler(404)
def astray(error: NotFound) -> NotFound:
    """Nothing is at this path. Where the request looks like WeCom's, the operator is told, and the sender is not.

    It proves nothing: a captured callback can be sent to any path.
    """
    reception: Reception = current_app.extensions["callback"]
    if "msg_signature" in request.args and reception.diagnoses.is_due(""):
        app = _signed_for(reception.envelopes)
        only = next(iter(reception.paths)) if len(reception.paths) == 1 else None
        path = "".join(character if character.isprintable() else "?" for character in request.path[:100])
        right = reception.paths.get(app or "", " / ".join(reception.paths.values()))
        problem = Reason.of(Kind.WRONG_PATH, path=path, right=right)
        reception.diagnoses.record(app or only, problem, proven=False)
    return error


def _signed_for(envelopes: Mapping[str, Envelope]) -> str | None:
    """The app for which this request is signed, at whatever path."""
    try:
        ciphertext = request.args.get("echostr", "") or parsing.read_ciphertext(_read_body())
    except (parsing.Malformed, HTTPException):
        return None
    signed_for = (app for app, envelope in envelopes.items() if is_signed(envelope, request.args, ciphertext))
    return next(signed_for, None)


def _response(answer: Answer) -> Response:
    response = Response(answer.body, answer.status, mimetype="text/plain")
    if answer.afterwards is not None:
        response.call_on_close(answer.afterwards)
    return response


def _reception(app: str) -> Reception:
    """Where the callbacks of all apps are received. 404 if there is no such app."""
    found: Reception = current_app.extensions["callback"]
    if app not in found.envelopes:
        abort(404)
    return found


def _read_body() -> bytes:
    """The body, at most BODY_LIMIT: a longer one is 413, the server has it whole before it asks."""
    body = request.get_data(cache=False)
    if request.content_length is None and len(body) >= parsing.BODY_LIMIT:
        abort(413)  # chunked: what is beyond the limit is cut off without a word
    return body
