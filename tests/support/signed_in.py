"""A session of the console without its sign-in: tests compare a password only where they are about that."""

from flask import Flask, session
from flask_wtf.csrf import generate_csrf

from webhook.console import sessions

COOKIE = "welcome-console"


def signed_in(console: Flask, name: str, password: str) -> tuple[str, str]:
    """(value of COOKIE, CSRF token) as after a sign-in."""
    with console.test_request_context("/"):
        sessions.begin(name, sessions.fingerprint(password, console.secret_key or ""))
        token, held = generate_csrf(), dict(session)
    return console.session_interface.get_signing_serializer(console).dumps(held), token  # type: ignore[attr-defined]
