"""Who may do what: the token of a request, the scope that its operation asks for, the app of its address; limits.

No cookie is read, so there is nothing that another site could send for somebody. A secret is looked for in the header
`Authorization` only: one in an address would be in logs.
"""

import time
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, current_app, g, request
from flask.typing import ResponseReturnValue
from flask_limiter import Limiter, RateLimitExceeded

from tasks.people.api_tokens import ApiToken, Scope
from tasks.services import Services
from tasks.storage import keys
from webhook.api import PREFIX, current, problems, wrong_tokens
from webhook.api.problems import Problem
from webhook.api.subject import SYNONYMS, Needs

REALM = 'Bearer realm="wecom-welcome"'
LIMITS = ["20 per second", "600 per minute"]  # of one token: what it asks for takes the time of greetings
BODY_LIMIT = 64 << 10  # bytes, but for books
DOCUMENT = "api-docs.openapi_json"  # for everybody: it is the same in every installation
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


def guard(app: Flask, services: Services) -> None:
    """Let nothing into an application that has no token for it. `app.extensions["needs"]`: endpoint → Needs."""
    app.before_request(enter)
    app.after_request(protect)
    pool: Any = services.redis.connection_pool  # the annotation of Limiter knows of no pool
    limiter = Limiter(
        lambda: g.token.id if "token" in g else "",
        app=app,
        application_limits=[*LIMITS],
        storage_uri="redis://",
        storage_options={"connection_pool": pool},
        key_prefix=keys.LIMITER,
        in_memory_fallback_enabled=True,
        swallow_errors=True,
    )
    limiter.exempt(app.view_functions[DOCUMENT])
    app.before_request(authorize)  # after the limiter: what a token may not do counts, too
    app.extensions["limits"] = limiter


def enter() -> ResponseReturnValue | None:
    """Authenticate a request; an answer means that it goes no further."""
    request.max_content_length = BODY_LIMIT
    if request.endpoint is None or request.endpoint == DOCUMENT:
        return None  # 404 or 405: nothing of an installation is in these
    found = _token()
    if isinstance(found, Response):
        return found
    g.token = found
    return None


def authorize() -> ResponseReturnValue | None:
    """Let the token do what it may; an answer means that the request does not reach its view."""
    if request.endpoint is None or request.endpoint == DOCUMENT:
        return None
    found: ApiToken = g.token
    needs = _needs().get(request.endpoint)
    if needs is None or (needs.scope is not None and needs.scope not in found.scopes):
        return _not_permitted(None if needs is None else needs.scope)
    name = (request.view_args or {}).pop("app", None)
    if name is not None:
        if name not in current.services().settings.apps or (found.apps and name not in found.apps):
            raise Problem(404, "no_app", f"This token may ask for no app of this name; see {PREFIX}/apps")
        g.app_name = name
    _check_body(needs)
    return None


def _check_body(needs: Needs) -> None:
    if not needs.takes:
        return
    given = SYNONYMS.get(request.mimetype, request.mimetype)
    if given not in needs.takes:
        raise Problem(415, "media_type", f"Content-Type is to be one of {', '.join(needs.takes)}")
    request.max_content_length = needs.large or BODY_LIMIT
    if (request.content_length or 0) > request.max_content_length:
        raise Problem(413, "too_large", f"The body has more than {request.max_content_length} bytes")


def _needs() -> Mapping[str, Needs]:
    found: Mapping[str, Needs] = current_app.extensions["needs"]
    return found


def _token() -> ApiToken | Response:
    scheme, _, secret = request.headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        problem = Problem(
            401, "no_token", "Send a token: `Authorization: Bearer …`. The console makes one, on its page API tokens"
        )
        return problems.answer(problem, {"WWW-Authenticate": REALM})
    services, limiter = current.services(), current_app.extensions["limits"]
    found = services.api_tokens.verify(secret.strip())
    if found is None and (wait := wrong_tokens.seconds_to_wait(limiter, services.counters)) is not None:
        detail = f"Too many wrong tokens came from this address: try another one in {wait} s"
        return problems.answer(Problem(429, "wrong_tokens", detail), {"Retry-After": str(wait)})
    if found is None:
        problem = Problem(401, "invalid_token", "There is no such token: it is mistyped, revoked or has expired")
        return problems.answer(problem, {"WWW-Authenticate": f'{REALM}, error="invalid_token"'})
    return found


def _not_permitted(scope: Scope | None) -> Response:
    detail = f"The token has no scope {scope}" if scope else "No token may do this"
    told = f'{REALM}, error="insufficient_scope"' + (f', scope="{scope}"' if scope else "")
    return problems.answer(Problem(403, "scope", detail, scope=scope), {"WWW-Authenticate": told})


def too_often(_error: RateLimitExceeded) -> Response:
    """A token has asked more often than its limits allow."""
    limiter: Limiter = current_app.extensions["limits"]
    breached = [one for one in limiter.current_limits if one.breached]
    wait = max((round(one.reset_at - time.time()) for one in breached), default=1)
    wait = max(1, min(wait, 60))
    detail = f"A token may ask {' and '.join(LIMITS)}; go on in {wait} s"
    return problems.answer(Problem(429, "too_often", detail), {"Retry-After": str(wait)})


def protect(response: Response) -> Response:
    """Set the headers of every answer."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
