"""Browsers that were signed in here before: a signed cookie that outlives sessions.

Wrong passwords of strangers, however many, never close the sign-in to them; their own are counted for each of them.

The cookie opens nothing: it holds a random number, no name, and its owner still needs the password.
"""

import secrets

from flask import Response, current_app, request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from webhook.console import cookies

COOKIE = "welcome-known"
LIFE = cookies.YEAR
_SALT = "known browser"


def known() -> str | None:
    """The number of the browser that asks; None for one that was not signed in within the last year."""
    signer = _signer()
    value = request.cookies.get(COOKIE)
    if signer is None or not value:
        return None
    try:
        number = signer.loads(value, max_age=LIFE)
    except BadSignature:
        return None
    return number if isinstance(number, str) else None


def remember(response: Response) -> None:
    """Make the browser that asks, and is signed in, a known one."""
    signer = _signer()
    if signer is not None and known() is None:
        cookies.keep(response, COOKIE, str(signer.dumps(secrets.token_hex(8))))


def _signer() -> URLSafeTimedSerializer | None:
    """None while the key is not known: Redis is away."""
    key = current_app.secret_key
    return URLSafeTimedSerializer(key, salt=_SALT) if key else None
