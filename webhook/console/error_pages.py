"""Error pages. What was typed is kept, and can be sent again from the error page."""

import logging
import secrets

import redis
from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_limiter import RateLimitExceeded
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, InternalServerError, RequestEntityTooLarge

from tasks.messages import Message
from tasks.people.roles import Role
from tasks.storage import troubles
from webhook.console import access, current
from webhook.console.language import sentence
from webhook.console.links import here

log = logging.getLogger(__name__)

SIGN_IN = "access.sign_in"
_NEVER_KEPT = frozenset({"csrf_token", "password"})


class NoKey(Exception):
    """The key that signs the sessions is not available now."""


def kept_fields(prefix: str = "") -> list[tuple[str, str]]:
    """(name, value) of the submitted fields, to be sent again; with a prefix: of those kept under it before."""
    pairs = [(name, value) for name, values in request.form.lists() for value in values]
    found = [(name.removeprefix(prefix), value) for name, value in pairs if name.startswith(prefix)]
    return [(name, value) for name, value in found if name not in _NEVER_KEPT]


blueprint = Blueprint("errors", __name__)  # it has no routes


@blueprint.app_errorhandler(CSRFError)
def open_for_long(_error: CSRFError) -> ResponseReturnValue:
    """The CSRF token has expired with its session."""
    if request.endpoint == SIGN_IN:
        flash(_("This page has expired. Sign in again"))
        return redirect(url_for(SIGN_IN))
    return _kept(403, _("This page has expired. Press the button again; your text is kept"))


@blueprint.app_errorhandler(NoKey)
@blueprint.app_errorhandler(redis.RedisError)
def redis_away(error: Exception) -> ResponseReturnValue:
    """Redis cannot be used, so nothing was read or stored."""
    if isinstance(error, redis.RedisError):
        trouble = troubles.of(error)
        log.error("a page could not be made: Redis %s", troubles.line(error))
    else:
        trouble = troubles.of(redis.ConnectionError())  # the log has said why there is no key
    if request.method == "POST" and request.endpoint != SIGN_IN:
        said = Message.of("Not saved: Redis %(fault)s. Your text is still here, try again", fault=trouble.fault)
        return _kept(503, sentence(said))
    lifeboat = current.lifeboat()
    if lifeboat is not None and lifeboat.can_take():
        until = Message.of("Until it is back, the web process sends greetings itself")
    else:
        until = Message.of("Until it is back, WeCom is asked to send its callbacks again")
    text = Message.of("Redis %(fault)s: %(cure)s. %(until)s", fault=trouble.fault, cure=trouble.cure, until=until)
    return _failure(503, _("Cannot read the data"), sentence(text), "unknown")


@blueprint.app_errorhandler(RateLimitExceeded)
def too_often(error: RateLimitExceeded) -> ResponseReturnValue:
    """A rate limit was reached."""
    minutes = max(1, round(error.limit.limit.get_expiry() / 60))
    text = _("Too many attempts. Try again in %(minutes)s minutes", minutes=minutes)
    return _failure(429, _("Too many attempts"), text, "warn")


@blueprint.app_errorhandler(RequestEntityTooLarge)
def too_large(_error: RequestEntityTooLarge) -> ResponseReturnValue:
    """The request is larger than its view accepts."""
    most = f"{(request.max_content_length or 0) / (1 << 20):g}"
    return _failure(413, _("Too large"), _("What was sent is larger than %(most)s MB", most=most))


@blueprint.app_errorhandler(HTTPException)
def other(error: HTTPException) -> ResponseReturnValue:
    """Any other HTTP error."""
    if error.code == 404:
        text = _("The address is wrong, or the record is past the days for which it is kept")
        return _failure(404, _("Not found"), text, "plain")
    if error.code is None or error.code < 400:
        return error.get_response()
    if error.code == 405:
        return redirect(url_for("today.show"))
    return _failure(error.code, _("This did not work"), _("What was submitted cannot be read"))


@blueprint.app_errorhandler(InternalServerError)
def own_fault(error: InternalServerError) -> ResponseReturnValue:
    """A view raised an unexpected exception."""
    number = secrets.token_hex(4)
    log.error("a page failed (%s)", number, exc_info=error.original_exception or error)
    text = _("An error of the console. Its number in the log: %(number)s", number=number)
    return _failure(500, _("This did not work"), text)


def not_allowed(least: Role, own: Role) -> ResponseReturnValue:
    """A request that needs a higher role. What was typed can be copied."""
    text = _(
        "This needs the role %(least)s; yours is %(own)s. An admin gives roles on the page People",
        least=access.WORDS[least],
        own=access.WORDS[own],
    )
    if request.method == "POST" and kept_fields():
        return _kept(403, text)
    return _failure(403, _("Your role does not allow this"), text, "warn")


def _failure(status: int, title: str, text: str, tone: str = "bad") -> tuple[str, int]:
    return render_template("failure.html", title=title, text=text, tone=tone), status


def _kept(status: int, reason: str) -> tuple[str, int]:
    page = render_template("kept.html", action=here(), fields=kept_fields(), reason=reason, files=sorted(request.files))
    return page, status
