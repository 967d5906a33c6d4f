"""How fast passwords may be tried: whoever gave a few wrong ones waits, for seconds at first, a minute at most.

name at an address   five wrong ones, then a wait that grows; a colleague at the same address waits for nothing of it
address              eight a minute, under whatever names: of IPv6 its /64
everybody            ten a minute, so that many addresses are no faster: 14 400 guesses a day
known browser        its own alone, wherever it is: others' wrong passwords close the sign-in to nobody who was here

A right password counts for nothing.
"""

import functools
import hashlib
import time
from typing import Any

from flask import Flask, Response, current_app, request
from flask_limiter import Limiter, RateLimitExceeded, RequestLimit

from webhook.client_address import whence
from webhook.console import known_browsers

TRIES = 5  # wrong passwords before the first wait
TRIES_OF_ADDRESS, TRIES_OF_ALL = 8, 10  # in a minute
OF_NAME = f"{TRIES} per 10 seconds; {TRIES + 1} per 20 seconds; {TRIES + 2} per 40 seconds; {TRIES + 3} per minute"


def set_limiter(app: Flask, limiter: Limiter) -> None:
    """Give an application its rate limits."""
    app.extensions["pacing"] = limiter


def limiter() -> Limiter:
    """The rate limits of this application: `with limiter().limit("1 per minute"):` around what is expensive."""
    found: Limiter = current_app.extensions["pacing"]
    return found


class TooSoon(Exception):
    """A password was sent before its time. `wait`: seconds."""

    def __init__(self, wait: int) -> None:
        super().__init__(f"{wait} s too soon")
        self.wait = wait


def paced(view: Any, limiter: Limiter) -> Any:
    """The view of the sign-in, whose POST raises TooSoon: of one application, since each has a limiter of its own."""
    post: dict[str, Any] = {"methods": ["POST"], "deduct_when": _was_wrong}
    everybody, is_known = (lambda: "everybody"), (lambda: known_browsers.known() is not None)
    for limit, whose, exempt in (
        (f"{TRIES_OF_ALL} per minute", everybody, is_known),
        (f"{TRIES_OF_ADDRESS} per minute", whence, is_known),
        (OF_NAME, _whose, None),
    ):
        view = limiter.limit(limit, key_func=whose, exempt_when=exempt, **post)(view)

    @functools.wraps(view)
    def within(**arguments: Any) -> Any:
        try:
            return view(**arguments)
        except RateLimitExceeded:
            waits = [_left(one) for one in limiter.current_limits if one.breached]
            raise TooSoon(max(waits, default=1)) from None

    return within


def wait_after_this(limiter: Limiter) -> int:
    """Seconds until the next try, after a wrong password that is about to be counted."""
    return max((_left(one) for one in limiter.current_limits if one.remaining <= 1), default=0)


def _whose() -> str:
    """A known browser, or else the name that was typed, at its address: not as it is, it may be the password."""
    number = known_browsers.known()
    if number is not None:
        return f"browser {number}"
    name = request.form.get("name", "").strip().casefold()
    return hashlib.sha256(f"{whence()}|{name}".encode("utf-8", "replace")).hexdigest()[:24]


def _was_wrong(response: Response) -> bool:
    return response.status_code == 422


def _left(limit: RequestLimit) -> int:
    """Seconds until a window is over: at least one, at most the whole of it."""
    return max(1, min(round(limit.reset_at - time.time()), limit.limit.get_expiry()))
