"""Cookies that a browser keeps for a year: the name that was typed, the language, that it was signed in here."""

from flask import request
from werkzeug.wrappers import Response

YEAR = 365 * 86_400  # seconds


def keep(response: Response, name: str, value: str) -> None:
    """Have the browser that asks keep a value; no script reads it, and no other site's form sends it."""
    response.set_cookie(name, value, max_age=YEAR, httponly=True, samesite="Lax", secure=request.is_secure)
