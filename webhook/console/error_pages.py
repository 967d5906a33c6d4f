"""What a page says when something fails. Whatever was typed is shown again, ready to be sent once more."""

import logging
import secrets

import redis
from flask import Flask, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_limiter import RateLimitExceeded
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, InternalServerError, RequestEntityTooLarge

from webhook.console.links import here

log = logging.getLogger(__name__)

SIGN_IN = "access.sign_in"
_NEVER_KEPT = frozenset({"csrf_token", "password"})


class NoKey(Exception):
    """The key that signs the sessions cannot be read now."""


def kept_fields(prefix: str = "") -> list[tuple[str, str]]:
    """(name, value) of what was typed, to be sent again; with a prefix: of what was kept under it before."""
    pairs = [(name, value) for name, values in request.form.lists() for value in values]
    found = [(name.removeprefix(prefix), value) for name, value in pairs if name.startswith(prefix)]
    return [(name, value) for name, value in found if name not in _NEVER_KEPT]


def explain(app: Flask) -> None:
    """Give an application its pages of failure."""

    def failure(status: int, title: str, text: str, tone: str = "bad") -> tuple[str, int]:
        return render_template("failure.html", title=title, text=text, tone=tone), status

    def kept(status: int, reason: str) -> tuple[str, int]:
        page = render_template(
            "kept.html", action=here(), fields=kept_fields(), reason=reason, files=sorted(request.files)
        )
        return page, status

    @app.errorhandler(CSRFError)
    def open_for_long(_error: CSRFError) -> tuple[str, int] | Response:
        reason = _("This page was open for long. Press the button again; your text is still here")
        if request.endpoint == SIGN_IN:
            flash(_("This page was open for long. Sign in again"))
            return redirect(url_for(SIGN_IN))  # type: ignore[return-value]
        return kept(403, reason)

    @app.errorhandler(NoKey)
    @app.errorhandler(redis.RedisError)
    def redis_away(error: Exception) -> tuple[str, int]:
        log.error("a page could not be made: %s", type(error).__name__)
        if request.method == "POST" and request.endpoint != SIGN_IN:
            return kept(503, _("Not saved: Redis did not answer. Your text is still here, try again"))
        text = _("Redis does not answer. Until it does, WeCom is told to send its callbacks again")
        return failure(503, _("Cannot read the data"), text, "unknown")

    @app.errorhandler(RateLimitExceeded)
    def too_often(error: RateLimitExceeded) -> tuple[str, int]:
        minutes = max(1, round(error.limit.limit.get_expiry() / 60))
        text = _("Too many tries. Try again in %(minutes)s minutes", minutes=minutes)
        return failure(429, _("Too many tries"), text, "warn")

    @app.errorhandler(RequestEntityTooLarge)
    def too_large(_error: RequestEntityTooLarge) -> tuple[str, int]:
        most = f"{(request.max_content_length or 0) / (1 << 20):g}"
        return failure(413, _("Too large"), _("What was sent is larger than %(most)s MB", most=most))

    @app.errorhandler(HTTPException)
    def other(error: HTTPException) -> tuple[str, int] | Response:
        if error.code == 404:
            text = _("There is no such page. A record may have reached the end of the days it is kept")
            return failure(404, _("Not found"), text, "plain")
        if error.code is None or error.code < 400:
            return error.get_response()  # type: ignore[return-value]
        if error.code == 405:
            return redirect(url_for("today.show"))  # type: ignore[return-value]
        return failure(error.code, _("This did not work"), _("The console did not understand what was sent"))

    @app.errorhandler(InternalServerError)
    def own_fault(error: InternalServerError) -> tuple[str, int]:
        number = secrets.token_hex(4)
        log.error("a page failed (%s)", number, exc_info=error.original_exception or error)
        text = _("This is a fault of the console. Its number in the log is %(number)s", number=number)
        return failure(500, _("This did not work"), text)
