"""Who may come in: the sign-in, and what every request of the console passes before its view.

session    name and password once, then a signed cookie (webhook.console.sessions)
CSRF       a token in every form; it lives as long as the session, so that nobody loses what he typed
limits     a few wrong passwords for each address, and for all together
headers    no script, style, image or frame from anywhere else
"""

import functools
import ipaddress
import logging
import threading
from collections.abc import Callable
from urllib.parse import quote, unquote, urlsplit

from flask import Blueprint, Flask, Response, abort, flash, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_limiter import Limiter
from flask_wtf import CSRFProtect, FlaskForm
from secure import ContentSecurityPolicy, ReferrerPolicy, Secure, XContentTypeOptions, XFrameOptions
from werkzeug.security import check_password_hash, generate_password_hash
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from tasks.services import Services
from tasks.storage import keys
from webhook.console import sessions
from webhook.console.error_pages import SIGN_IN, NoKey, kept_fields
from webhook.console.links import from_elsewhere, here, inside

log = logging.getLogger(__name__)

TRIES, TRIES_OF_ALL, MINUTES = 5, 100, 15  # wrong passwords: from one address, from all, in so many minutes
LONGEST_PASSWORD = 1024
HASHES, HASH_PATIENCE = 1, 1.0  # passwords compared at once, each 32 MB and 0.1 s of a core; seconds to wait for it
STRANGERS_LIMIT = 256 << 10  # bytes that are parsed of somebody who is not signed in: a form that was being written
KEPT = "kept:"  # + name of a field that was typed before the sign-in
OPEN = frozenset({SIGN_IN, "language.choose", "static"})
HEADERS = Secure(
    csp=ContentSecurityPolicy()
    .default_src("'none'")
    .script_src("'self'")
    .style_src("'self'")
    .img_src("'self'", "data:", "blob:")
    .connect_src("'self'")
    .form_action("'self'")
    .base_uri("'none'")
    .frame_ancestors("'none'"),
    referrer=ReferrerPolicy().same_origin(),  # not no-referrer: the CSRF check over HTTPS asks for it
    xcto=XContentTypeOptions().nosniff(),
    xfo=XFrameOptions().deny(),
)
_YEAR = 365 * 86400
_NAME_COOKIE = "welcome-operator"


class SignIn(FlaskForm):
    """Name and password."""

    name = StringField(validators=[InputRequired(), Length(max=64)], filters=[lambda text: (text or "").strip()])
    password = PasswordField(validators=[InputRequired(), Length(max=LONGEST_PASSWORD)])


def guard(app: Flask, services: Services) -> Limiter:
    """Put an application behind the sign-in. → the limiter, for views that are dear."""
    settings = services.settings
    password = settings.console_password
    if not password:
        raise ValueError("there is no console without CONSOLE_PASSWORD")
    app.secret_key = settings.secret_key
    app.session_interface = sessions.Sessions(services.redis)
    app.config.update(SESSION_COOKIE_SAMESITE="Lax", SESSION_COOKIE_PATH="/", WTF_CSRF_TIME_LIMIT=None)

    def mark() -> str:
        return sessions.fingerprint(password, app.secret_key or b"")

    @app.before_request
    def enter() -> Response | tuple[str, int] | None:
        if request.method not in ("GET", "HEAD", "OPTIONS") and from_elsewhere():
            abort(403)  # before its fields are read: they would be offered to be sent again, with our token
        fetched = "HX-Request" in request.headers  # by the page itself
        g.operator = sessions.operator(services.redis, mark(), acting=not fetched) if app.secret_key else None
        if g.operator is None:
            request.max_content_length = STRANGERS_LIMIT  # whatever the view would take
        if request.endpoint in OPEN or g.operator is not None:
            return None
        if not app.secret_key:
            raise NoKey
        if fetched and request.method == "POST":
            return Response(status=401)  # the preview of a form that is being written: what is typed stays there
        if fetched:  # never a sign-in inside a page
            return Response(status=401, headers={"HX-Redirect": url_for(SIGN_IN, next=inside(_current_page()))})
        if request.method == "POST":
            return _page(SignIn(formdata=None), here(), repeat=True, kept=kept_fields()), 401
        return redirect(url_for(SIGN_IN, next=here()))  # type: ignore[return-value]

    CSRFProtect(app)  # after `enter`: a session that has ended is no forgery

    @app.after_request
    def protect(response: Response) -> Response:
        for name, value in HEADERS.header_items():
            response.headers.setdefault(name, value)
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "private, no-cache")
        return response

    limiter = Limiter(
        _whence,
        app=app,
        storage_uri="redis://",
        storage_options={"connection_pool": services.redis.connection_pool},
        key_prefix=keys.LIMITER,
        in_memory_fallback_enabled=True,
        swallow_errors=True,
    )
    stored = functools.cache(functools.partial(generate_password_hash, password))  # 0.1 s: when somebody signs in
    app.register_blueprint(_routes(services, stored, mark, limiter))
    return limiter


def _routes(services: Services, stored: Callable[[], str], mark: Callable[[], str], limiter: Limiter) -> Blueprint:
    blueprint = Blueprint("access", __name__)
    hashing = threading.BoundedSemaphore(HASHES)

    def was_wrong(response: Response) -> bool:
        return response.status_code == 422

    @blueprint.route("/login", methods=["GET", "POST"])
    @limiter.limit(f"{TRIES} per {MINUTES} minutes", methods=["POST"], deduct_when=was_wrong)
    @limiter.limit(
        f"{TRIES_OF_ALL} per {MINUTES} minutes", methods=["POST"], deduct_when=was_wrong, key_func=lambda: "everybody"
    )
    def sign_in() -> Response | str | tuple[str, int]:
        form = SignIn()
        target = inside(request.values.get("next", ""))
        repeat, kept = bool(request.form.get("repeat")), kept_fields(KEPT)
        if request.method == "GET":
            return _page(form, target)
        if not form.validate():
            return _page(form, target, repeat, kept), 422
        if not hashing.acquire(timeout=HASH_PATIENCE):
            form.password.errors = [_("Others are signing in right now. Press the button again")]
            return _page(form, target, repeat, kept), 503
        try:
            right = check_password_hash(stored(), form.password.data)
        finally:
            hashing.release()
        if not right:
            log.warning("a sign-in was refused: wrong password, from %s", request.remote_addr)
            left = min((limit.remaining for limit in limiter.current_limits), default=1) - 1
            return _page(form, target, repeat, kept, wrong=True, left=left), 422
        sessions.begin(form.name.data, mark())
        g.operator = form.name.data
        response = redirect(target)
        if repeat:
            response = Response(render_template("kept.html", action=target, fields=kept, reason=_("You are signed in")))
        response.set_cookie(
            _NAME_COOKIE, quote(form.name.data), max_age=_YEAR, httponly=True, samesite="Lax", secure=request.is_secure
        )
        return response  # type: ignore[return-value]

    @blueprint.post("/logout")
    def sign_out() -> Response:
        sessions.end(services.redis)
        flash(_("You are signed out"))
        response = redirect(url_for(SIGN_IN))
        response.headers["Clear-Site-Data"] = '"cache"'  # pages that the browser keeps for its back button
        return response  # type: ignore[return-value]

    return blueprint


def _page(
    form: SignIn,
    target: str,
    repeat: bool = False,
    kept: list[tuple[str, str]] | None = None,
    wrong: bool = False,
    left: int | None = None,
) -> str:
    form.name.data = form.name.data or unquote(request.cookies.get(_NAME_COOKIE, ""))
    return render_template(
        "sign_in.html", form=form, target=target, repeat=repeat, kept=kept or [], prefix=KEPT, wrong=wrong, left=left
    )


def _whence() -> str:
    """Whose tries are counted together: an address, or of IPv6 the /64 that a single customer of a provider has."""
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return request.remote_addr or "unknown"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _current_page() -> str:
    """The page whose part is fetched."""
    url = urlsplit(request.headers.get("HX-Current-URL", ""))
    return url.path + (f"?{url.query}" if url.query else "")
