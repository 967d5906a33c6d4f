"""The services that a view works with: those of the application that handles the request."""

from flask import Flask, current_app
from flask.sansio.app import App

from tasks.services import Services

_KEY = "services"


def set_services(app: Flask, services: Services) -> None:
    """Give an application its services; before its blueprints are registered, some of which prepare more from them."""
    app.extensions[_KEY] = services


def services(app: App | None = None) -> Services:
    """Those of the application that handles this request, or of the given one."""
    found: Services = (app or current_app).extensions[_KEY]
    return found
