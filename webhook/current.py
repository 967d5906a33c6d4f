"""The services, and the lifeboat, of the Flask application that handles the request."""

from flask import Flask, current_app

from tasks.lifeboat.lifeboat import Lifeboat
from tasks.services import Services

_KEY, _LIFEBOAT = "services", "lifeboat"


def set_services(app: Flask, services: Services) -> None:
    """Give an application its services, before its blueprints are registered: some prepare state from them."""
    app.extensions[_KEY] = services


def set_lifeboat(app: Flask, lifeboat: Lifeboat | None) -> None:
    """Give an application the lifeboat of its process."""
    app.extensions[_LIFEBOAT] = lifeboat


def lifeboat() -> Lifeboat | None:
    """The lifeboat of the current application; None if it has none."""
    found: Lifeboat | None = current_app.extensions.get(_LIFEBOAT)
    return found


def services() -> Services:
    """The services of the current application."""
    found: Services = current_app.extensions[_KEY]
    return found
