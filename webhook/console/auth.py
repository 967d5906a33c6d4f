"""Authentication: the sign-in, and the checks that every request of the console passes before its view.

session    with WeCom (wecom.py) or with name and password, then a signed cookie (sessions.py)
role       each route asks for one (access.py), which is looked at here and nowhere else
CSRF       a token in every form; it lives as long as the session, so that nothing typed is lost
limits     after a few wrong passwords a name at an address waits for seconds, a minute at most: webhook.console.pacing
headers    scripts, styles, images and frames from this origin only
"""

import functools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    current_app,
    flash,
    g,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_limiter import Limiter
from flask_wtf import CSRFProtect, FlaskForm
from secure import ContentSecurityPolicy, ReferrerPolicy, Secure, XContentTypeOptions, XFrameOptions
from werkzeug.security import check_password_hash, generate_password_hash
from werkzeug.wrappers import Response as BaseResponse
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from tasks.audit import Act, Via
from tasks.services import Services
from tasks.storage import keys
from webhook.client_address import whence
from webhook.console import access, cookies, current, known_browsers, pacing, permitted_forms, sessions, wecom
from webhook.console.error_pages import SIGN_IN, NoKey, kept_fields, not_allowed
from webhook.console.links import from_elsewhere, here, inside

log = logging.getLogger(__name__)

LONGEST_PASSWORD = 1024
HASHES, HASH_PATIENCE = 1, 1.0  # passwords compared at once, each 32 MB and 0.1 s of a core; seconds to wait for it
STRANGERS_LIMIT = 256 << 10  # bytes that are parsed of somebody who is not signed in: a form that was being written
KEPT = "kept:"  # + name of a field that was typed before the sign-in
KEYLESS = frozenset({"language.choose", "static"})  # they need no session
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
_NAME_COOKIE = "welcome-operator"

blueprint = Blueprint("access", __name__)
_hashing = threading.BoundedSemaphore(HASHES)


class SignIn(FlaskForm):
    """Name and password."""

    name = StringField(validators=[InputRequired(), Length(max=64)], filters=[lambda text: (text or "").strip()])
    password = PasswordField(validators=[InputRequired(), Length(max=LONGEST_PASSWORD)])


def guard(app: Flask, services: Services) -> None:
    """Put an application behind the sign-in."""
    settings = services.settings
    password = settings.console_password
    if not settings.has_console:
        raise ValueError("there is no console without CONSOLE_PASSWORD or CONSOLE_ADMINS")
    app.secret_key = settings.secret_key
    app.session_interface = sessions.Sessions(services.redis)
    app.config.update(SESSION_COOKIE_SAMESITE="Lax", SESSION_COOKIE_PATH="/", WTF_CSRF_TIME_LIMIT=None)
    app.before_request(enter)
    CSRFProtect(app)  # after `enter`: a session that has ended is no forgery
    app.after_request(protect)
    pool: Any = services.redis.connection_pool  # the annotation of Limiter knows of no pool
    limiter = Limiter(
        whence,
        app=app,
        storage_uri="redis://",
        storage_options={"connection_pool": pool},
        key_prefix=keys.LIMITER,
        in_memory_fallback_enabled=True,
        swallow_errors=True,
        fail_on_first_breach=False,  # the longest wait is told
    )
    stored = functools.cache(lambda: generate_password_hash(password or ""))  # 0.1 s: when somebody signs in
    app.extensions["access"] = _Access(password, stored)
    app.register_blueprint(blueprint)
    pacing.set_limiter(app, limiter)
    app.view_functions[SIGN_IN] = pacing.paced(app.view_functions[SIGN_IN], limiter)
    app.register_error_handler(pacing.TooSoon, too_soon)
    app.jinja_env.add_extension(permitted_forms.PermittedForms)
    app.jinja_env.globals.update(may=may, who_may=who_may)


@dataclass(frozen=True, slots=True)
class _Access:
    """What one application checks a sign-in with. `stored`: the password's hash, computed when it is first needed."""

    password: str | None = field(repr=False)
    stored: Callable[[], str] = field(repr=False)

    def mark(self) -> str | None:
        """What a session keeps of the password; None: there is none to sign in with."""
        return sessions.fingerprint(self.password, current_app.secret_key or b"") if self.password else None


def _access() -> _Access:
    found: _Access = current_app.extensions["access"]
    return found


limiter = pacing.limiter


# ------------------------------------------------------------------------------------------------ every request


def enter() -> ResponseReturnValue | None:
    """Authenticate a request; an answer means that it does not reach its view."""
    if request.method not in ("GET", "HEAD", "OPTIONS") and from_elsewhere():
        abort(403)  # before its fields are read: the page would offer to send them again, with our token
    fetched = "HX-Request" in request.headers  # by the page itself
    key, static = current_app.secret_key, request.endpoint == "static"
    person = sessions.operator(current.services(), _access().mark(), not fetched) if key and not static else None
    current.set_person(person)
    if person is None:
        request.max_content_length = STRANGERS_LIMIT  # whatever the view would take
    if not key and request.endpoint not in KEYLESS:
        raise NoKey
    if request.endpoint in access.OPEN:
        return None
    if person is not None:
        return _within_role(person, fetched)
    if fetched and request.method == "POST":
        return Response(status=401)  # the preview of a form that is being written: what is typed stays there
    if fetched:  # never a sign-in inside a page
        return Response(status=401, headers={"HX-Redirect": url_for(SIGN_IN, next=inside(_current_page()))})
    if request.method == "POST":
        return _page(SignIn(formdata=None), here(), repeat=True, kept=kept_fields()), 401
    return redirect(wecom.silent_start(here()) or url_for(SIGN_IN, next=here()))


def _within_role(person: sessions.Operator, fetched: bool) -> ResponseReturnValue | None:
    """None if the person's role is enough for this request."""
    least = access.least(request.endpoint, request.method)
    if least is None or person.role >= least:
        return None
    if person.unread is not None:
        raise person.unread  # it may be enough: what was typed is kept
    log.warning("%s, a %s, asked for what needs a %s: %s", person.who, person.role.word, least.word, request.endpoint)
    return Response(status=403) if fetched else not_allowed(least, person.role)


def may(endpoint: str, method: str = "POST") -> bool:
    """Whether who is signed in may send a form to a route, or with GET look at it; so too while nobody can tell."""
    least = access.least(endpoint, method)
    return least is None or (g.person is not None and (g.person.role >= least or g.person.unread is not None))


def who_may(endpoint: str) -> str:
    """The role that a form to a route asks for, in words."""
    return str(_("This needs the role %(role)s", role=access.WORDS[access.least(endpoint, "POST") or access.VIEWER]))


def protect(response: Response) -> Response:
    """Set the security headers, and remember the browser of a signed-in operator."""
    for name, value in HEADERS.header_items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "private, no-cache")
    if g.get("operator") is not None:
        known_browsers.remember(response)
    return response


# ------------------------------------------------------------------------------------------------ the sign-in


@blueprint.route("/login", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """Sign in, and go on with the form that was interrupted by it, if any."""
    if request.method == "POST" and _access().password is None:
        abort(404)
    form = SignIn()
    target = inside(request.values.get("next", ""))
    repeat, kept = bool(request.form.get("repeat")), kept_fields(KEPT)
    if request.method == "GET":
        return _page(form, target)
    if not form.validate():
        return _page(form, target, repeat, kept), 422
    right = _is_right(form.password.data)
    if right is None:
        form.password.errors = [_("Others are signing in right now. Press the button again")]
        return _page(form, target, repeat, kept), 503
    if not right:
        log.warning("a sign-in was refused: wrong password, from %s", request.remote_addr)
        return _page(form, target, repeat, kept, wrong=True, wait=pacing.wait_after_this(limiter())), 422
    return _signed_in(form.name.data, target, kept if repeat else None)


def too_soon(early: pacing.TooSoon) -> ResponseReturnValue:
    """A sign-in before its time: the page says how long it is, and keeps what was typed, but for the password."""
    target, repeat = inside(request.form.get("next", "")), bool(request.form.get("repeat"))
    page = _page(SignIn(), target, repeat, kept_fields(KEPT), wait=early.wait)
    return Response(page, 429, headers={"Retry-After": str(early.wait)})


def _is_right(password: str) -> bool | None:
    """Whether the password is right; None if too many are being compared now."""
    if not _hashing.acquire(timeout=HASH_PATIENCE):
        return None
    try:
        return check_password_hash(_access().stored(), password)
    finally:
        _hashing.release()


def _signed_in(name: str, target: str, kept: list[tuple[str, str]] | None) -> ResponseReturnValue:
    """Begin a session and redirect to the target; `kept`: the fields of an interrupted form, to be sent again."""
    mark = _access().mark()
    if mark is None:
        abort(404)
    current.session_begun(sessions.Operator(name, name, access.ADMIN, Via.CONSOLE, sessions.begin(name, mark)))
    response: BaseResponse = redirect(target)
    if kept is not None:
        response = Response(render_template("kept.html", action=target, fields=kept, reason=_("You are signed in")))
    cookies.keep(response, _NAME_COOKIE, quote(name))
    return response


@blueprint.post("/logout")
def sign_out() -> ResponseReturnValue:
    """End the session, also for copies of its cookie."""
    current.record(Act.SIGNED_OUT, of_app=False)
    sessions.end(current.services())
    flash(_("You are signed out"))
    response = redirect(url_for(SIGN_IN))
    response.headers["Clear-Site-Data"] = '"cache"'  # pages that the browser keeps for its back button
    return response


def _page(
    form: SignIn,
    target: str,
    repeat: bool = False,
    kept: list[tuple[str, str]] | None = None,
    wrong: bool = False,
    wait: int = 0,
) -> str:
    form.name.data = form.name.data or unquote(request.cookies.get(_NAME_COOKIE, ""))
    return render_template(
        "sign_in.html",
        form=form,
        target=target,
        repeat=repeat,
        kept=kept or [],
        prefix=KEPT,
        wrong=wrong,
        wait=wait,
        with_password=_access().password is not None,
        with_wecom=wecom.offered(),
    )


def _current_page() -> str:
    """The page that fetches a part of itself."""
    url = urlsplit(request.headers.get("HX-Current-URL", ""))
    return url.path + (f"?{url.query}" if url.query else "")
