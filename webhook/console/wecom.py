"""Sign-in with WeCom: the browser goes to WeCom's page and comes back with a code, and WeCom says whose.

state    random, in a signed cookie of the browser that began, for ten minutes; what comes back must be the same, and
         works once: nobody signs another browser in, nor twice
code     goes to WeCom alone: in no log, no page, no session
back     to a page of the console, as it stands in the cookie
member   active, in the app's range, of its corp (a linked corp's is none), with a role; else there is no session
"""

import hmac
import logging
import secrets
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import redis
from flask import Blueprint, Response, abort, current_app, flash, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.wrappers import Response as BaseResponse

from tasks.messages import Message
from tasks.people import members
from tasks.settings import App, Settings
from tasks.storage import keys
from tasks.wecom import InvalidRequest, WeComAPIError, WeComClient, WeComError, auth
from webhook.client_address import whence
from webhook.console import current, known_browsers, pacing, sessions
from webhook.console.error_pages import SIGN_IN, NoKey
from webhook.console.language import sentence
from webhook.console.links import inside
from webhook.errcode_texts import cure_of, errcode

log = logging.getLogger(__name__)

COOKIE = "welcome-sign-in"
LIFE = 600  # seconds from the beginning of a sign-in to its end
PATIENCE = 5.0  # seconds for WeCom
PER_ADDRESS, OF_ALL = "10 per minute", "60 per minute"  # exchanges: each is a call of WeCom's
_SALT = "sign-in with WeCom"

blueprint = Blueprint("wecom", __name__)


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that this browser has begun."""

    state: str
    app: str
    target: str


def offered() -> list[str]:
    """The apps to sign in with, one of each corp: if an admin is named or a role was given, else nobody comes in."""
    services = current.services()
    by_corp = {app.corp_id: name for name, app in reversed(list(services.settings.apps.items())) if app.agent_id}
    try:
        given = bool(by_corp) and (bool(services.settings.console_admins) or services.grants.any())
    except redis.RedisError:
        given = False
    return list(reversed(by_corp.values())) if given else []


def silent_start(target: str) -> str | None:
    """Where to send a browser of WeCom's own that is not signed in; None for any other, or if it has to be chosen."""
    if not auth.is_wecom_browser(request.user_agent.string):
        return None
    found = offered()
    return url_for("wecom.start", app_name=found[0], next=target) if len(found) == 1 else None


@blueprint.get("/login/wecom/start/<app_name>")
def start(app_name: str) -> ResponseReturnValue:
    """To WeCom's page: with a QR code, or within WeCom the one that asks nothing."""
    app = current.services().settings.apps.get(app_name)
    if app is None or not app.agent_id:
        abort(404)
    begun = Begun(secrets.token_hex(16), app_name, inside(request.args.get("next", "")))
    response = redirect(_page_of_wecom(current.services().settings, app, begun.state))
    response.headers["Cache-Control"] = "no-store"
    value = str(_signer().dumps([begun.state, begun.app, begun.target]))
    secure = request.is_secure
    response.set_cookie(_cookie(), value, max_age=LIFE, httponly=True, samesite="Lax", secure=secure)
    return response


@blueprint.get("/login/wecom/back")
def back() -> ResponseReturnValue:
    """From WeCom's page: begin the member's session, or say why there is none."""
    answer = _come_back()
    response: BaseResponse = answer if isinstance(answer, Response) else redirect(answer)
    response.headers["Cache-Control"] = "no-store"
    response.delete_cookie(_cookie(), httponly=True, samesite="Lax", secure=request.is_secure)
    return response


def _come_back() -> str:
    """The address to go on to."""
    services, begun = current.services(), _begun()
    if begun is None or not hmac.compare_digest(request.args.get("state", "").encode(), begun.state.encode()):
        return _refused(_("This sign-in was started in another browser, or too long ago. Start again"))
    with pacing.limiter().limit(PER_ADDRESS, key_func=whence), _of_all():
        if not services.redis.set(keys.sign_in_used(begun.state), 1, nx=True, ex=LIFE + 300):
            return _refused(_("This sign-in was started in another browser, or too long ago. Start again"))
    if not request.args.get("code"):
        return _refused(_("The sign-in was cancelled at WeCom"), begun.target)
    try:
        return _signed_in(services.clients[begun.app], services.settings.apps[begun.app], begun)
    except InvalidRequest:
        return _refused(_("The answer is not WeCom's. Start again"), begun.target)
    except WeComAPIError as error:
        log.warning("a sign-in with WeCom failed: %s", error)
        meaning = errcode(error.errcode, error.errmsg)[0]
        said = Message("%(meaning)s (%(code)s): %(cure)s")
        values = {"meaning": meaning, "code": error.errcode, "cure": cure_of(error.errcode, error.address)}
        return _refused(sentence(Message(said.msgid, values)), begun.target)
    except WeComError as error:
        log.warning("a sign-in with WeCom failed: %s", error)
        return _refused(_("WeCom does not answer. Try again in a moment"), begun.target)


def _of_all() -> AbstractContextManager[Any]:
    """The limit of all browsers together that are not known."""
    known = known_browsers.known() is not None
    return nullcontext() if known else pacing.limiter().limit(OF_ALL, key_func=lambda: "everybody")


def _signed_in(client: WeComClient, app: App, begun: Begun) -> str:
    """Raises WeComError, redis.RedisError."""
    services = current.services()
    by = time.monotonic() + PATIENCE
    userid = client.with_deadline(by).auth.getuserinfo(request.args["code"]).get("userid")
    if not isinstance(userid, str) or not userid or "/" in userid:
        log.warning("a sign-in with WeCom was refused: no member of the corp")
        return _refused(_("Only members of the company can sign in"), begun.target)
    member = members.ask(client, app.corp_id, userid, by)
    services.members.keep(app.corp_id, userid, member)
    person = None if member is None else sessions.of_member(services, member)
    if member is None or person is None:
        log.warning("a sign-in with WeCom was refused: %s has no role, or is out of the app's range", userid)
        return _refused(
            _("%(who)s has no role here. An admin gives roles on the page People", who=_named(member, userid)),
            begun.target,
        )
    if g.person is not None:
        sessions.end(services)  # somebody else's in this browser
    kept = {"corp": app.corp_id, "userid": member.userid, "app": app.name}
    mark = sessions.wecom_mark(app.corp_id, current_app.secret_key or b"")
    identity = sessions.begin(person.label, mark, kept)
    current.session_begun(replace(person, session=identity))
    return begun.target


def _named(member: members.Member | None, userid: str) -> str:
    """As an admin finds the member on the page People: by name, and by account."""
    return userid if member is None or member.name in ("", userid) else f"{member.name} ({userid})"


def _refused(why: str, target: str = "") -> str:
    flash(why, "bad")
    return url_for(SIGN_IN, next=target or None)


def _page_of_wecom(settings: Settings, app: App, state: str) -> str:
    """WeCom's own hosts; a stand-in's on this machine where the API is one."""
    url, page = (
        (auth.silent_url, auth.SILENT_PAGE)
        if auth.is_wecom_browser(request.user_agent.string)
        else (auth.qr_url, auth.QR_PAGE)
    )
    if settings.has_stand_in:
        page = settings.api_base + urlsplit(page).path
    return url(app.corp_id, app.agent_id, _back_address(settings), state, page)


def _back_address(settings: Settings) -> str:
    """This console's, at the host that the browser knows: WeCom refuses one that is not registered.

    The public URL has the better scheme where a proxy is not trusted to tell it.
    """
    path, public = url_for("wecom.back"), urlsplit(settings.public_url or "")
    scheme = public.scheme if public.netloc == request.host else request.scheme
    return f"{scheme}://{request.host}{path}"


def _begun() -> Begun | None:
    """What this browser has begun; None if nothing, or too long ago, or if somebody has changed it."""
    try:
        state, app, target = _signer().loads(request.cookies.get(_cookie(), ""), max_age=LIFE)
    except (BadSignature, ValueError, TypeError):
        return None
    return Begun(state, app, inside(target)) if app in current.services().settings.apps else None


def _cookie() -> str:
    return f"__Host-{COOKIE}" if request.is_secure else COOKIE


def _signer() -> URLSafeTimedSerializer:
    if not current_app.secret_key:
        raise NoKey
    return URLSafeTimedSerializer(current_app.secret_key, salt=_SALT)
