"""The web role: gunicorn and waitress around the Flask application, in the foreground until SIGTERM, which drains."""

import atexit
import logging
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from tasks.ledger.intake import TIMEOUT
from tasks.monitoring.heartbeat import Heartbeat
from tasks.monitoring.reaper import Reaper
from tasks.services import build_services
from tasks.settings import Settings
from webhook import create_app
from webhook.server.addresses import address
from webhook.server.concurrency_limit import ConcurrencyLimit
from webhook.server.worker import Worker

THREADS = 16
BACKLOG = 8192  # connections that wait in the kernel during a burst, as far as net.core.somaxconn allows


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM."""
    bind = [address(host, port)]
    bind += sorted({own for own in (settings.metrics_bind, settings.console_bind) if own})
    _Server(
        settings,
        {
            "bind": bind,
            "workers": settings.web_processes,
            "worker_class": Worker,
            "threads": THREADS,
            "backlog": BACKLOG,
            "timeout": 30,
            "graceful_timeout": 20,
            "control_socket_disable": True,
            "accesslog": None,
            "loglevel": "warning",
            "logger_class": _Log,
            "proc_name": "wecom-welcome web",
        },
    ).run()


class _Log(Logger):
    """gunicorn's lines go where all others go, in their format (`tasks.logs`), instead of a handler of its own."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self._access_log_enabled = False
        self.loglevel = logging.WARNING
        for log in (self.error_log, self.access_log):
            log.propagate = True


class _Server(BaseApplication):
    def __init__(self, settings: Settings, options: dict[str, Any]) -> None:
        self._settings = settings
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> ConcurrencyLimit:
        """Called in each worker process, after the fork: connections and threads are its own."""
        services = build_services(self._settings, timeout=TIMEOUT)
        reaper = Reaper(services.ledger, services.each_second, Heartbeat(services.redis, "web"))
        reaper.start()
        atexit.register(reaper.stop)
        return ConcurrencyLimit(create_app(services))
