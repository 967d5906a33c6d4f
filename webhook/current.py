"""The services of the Flask application that handles the request."""

from flask import Flask, current_app
from flask.sansio.app import App

from tasks.services import Services

_KEY = "services"


def set_services(app: Flask, services: Services) -> None:
    """Give an application its services, before its blueprints are registered: some prepare state from them."""
    app.extensions[_KEY] = services


def services(app: App | None = None) -> Services:
    """The services of the current application, or of the given one."""
    found: Services = (app or current_app).extensions[_KEY]
    return found
