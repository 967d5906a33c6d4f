"""The web application: `create_app` is wiring, nothing else."""

import logging
import threading
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from tasks.lifeboat.lifeboat import Lifeboat
from tasks.services import Services
from webhook import api, current, health
from webhook.callback import views
from webhook.callback.parsing import BODY_LIMIT
from webhook.callback.path import served_as
from webhook.callback.reception import Reception

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)


def create_app(services: Services, lifeboat: Lifeboat | None = None) -> Flask:
    """The web application on these services; `intake.TIMEOUT` must be their time-out for Redis."""
    settings = services.settings
    app = Flask("webhook", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT
    current.set_services(app, services)
    current.set_lifeboat(app, lifeboat)
    app.extensions["callback"] = Reception(services, lifeboat)
    app.register_blueprint(views.blueprint)
    app.register_blueprint(health.blueprint)
    served: WSGIApplication = _Registered(app.wsgi_app, settings.apps)
    if settings.has_console:
        from webhook.console.application import create_console  # half as much again as the rest; not everybody has one

        app.extensions["console"] = create_console(services)
        current.set_lifeboat(app.extensions["console"], lifeboat)
        app.extensions["api"] = OnDemand(services)
        parts = {"/console": app.extensions["console"], api.PREFIX: app.extensions["api"]}
        served = DispatcherMiddleware(served, parts)
    else:
        log.info("neither CONSOLE_PASSWORD nor CONSOLE_ADMINS: the console is off")
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        served = ProxyFix(served, x_for=hops, x_proto=hops, x_host=hops)
    apart = {"metrics": settings.metrics_bind, "console": settings.console_bind, "api": settings.console_bind}
    app.wsgi_app = _Apart(served, {part: _port(bind) for part, bind in apart.items() if bind})  # type: ignore[method-assign]
    return app


class OnDemand:
    """The API, made by its first request: it takes 6 MB in each web process, and most installations have no token."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._made: Flask | None = None
        self._making = threading.Lock()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        return self.made()(environ, start_response)

    def made(self) -> Flask:
        """It. Thread-safe."""
        with self._making:
            if self._made is None:
                from webhook.api.application import create_api

                self._made = create_api(self._services)
            return self._made


class _Registered:
    """Serves the callback at the paths that can mean nothing else: see `webhook.callback.path`."""

    def __init__(self, served: "WSGIApplication", apps: Collection[str]) -> None:
        self._served = served
        self._apps = apps
        self._exact = {"/callback", *(f"/callback/{app}" for app in apps)}

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path not in self._exact:
            meant = served_as(path, self._apps)
            environ = environ if meant is None else environ | {"PATH_INFO": meant}
        return self._served(environ, start_response)


class _Apart:
    """Serves parts with a port of their own on that port only; besides them there is only /healthz on it.

    Outside of ProxyFix: a forwarded port is the client's word.
    """

    def __init__(self, served: "WSGIApplication", ports: Mapping[str, str]) -> None:
        self._served = served
        self._ports = ports

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path, port = environ.get("PATH_INFO", ""), environ["SERVER_PORT"]
        first = path.lstrip("/").partition("/")[0]  # routing too passes over slashes that lead
        part = first if first in self._ports else "callback"
        alive = path == "/healthz"
        if alive or part in self._at(port):
            return self._served(environ, start_response)
        return NotFound()(environ, start_response)

    def _at(self, port: str) -> list[str]:
        """What is served at a port."""
        return [part for part, own in self._ports.items() if own == port] or ["callback"]


def _port(bind: str) -> str:
    return bind.rpartition(":")[2]
