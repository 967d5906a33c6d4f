"""The web role: gunicorn and waitress around the Flask application, in the foreground until SIGTERM, which drains.

gunicorn's own process kills and replaces a web process whose loop is silent, and shows by a stamp that it looks.
"""

import gc
import importlib
import logging
import time
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from tasks import alerts, liveness
from tasks.alerts.watch import Watch
from tasks.ledger.intake import TIMEOUT
from tasks.lifeboat import launch
from tasks.lifeboat.lifeboat import Lifeboat
from tasks.liveness import Stamp
from tasks.monitoring.heartbeat import Heartbeat
from tasks.monitoring.reaper import Reaper
from tasks.services import build_services
from tasks.settings import Settings
from webhook import create_app
from webhook.server.addresses import places
from webhook.server.concurrency_limit import ConcurrencyLimit, limited
from webhook.server.worker import Worker

THREADS = 16
BACKLOG = 8192  # connections that wait in the kernel during a burst, as far as net.core.somaxconn allows
SILENT = 5  # seconds without a round of its loop after which a web process is killed, within a second or two
OVERSLEPT = 3.0  # seconds between two looks of gunicorn's own process after which it was itself that was frozen


def serve(settings: Settings, host: str, port: int, stamp: Stamp) -> None:
    """Serve until SIGTERM."""
    with stamp.starting():
        _share(settings)
    bind = list(dict.fromkeys(place for place, _ in places(settings, host, port)))
    _Server(
        settings,
        {
            "bind": bind,
            "workers": settings.web_processes,
            "worker_class": Worker,
            "threads": THREADS,
            "backlog": BACKLOG,
            "timeout": SILENT,
            "graceful_timeout": 20,
            "control_socket_disable": True,
            "logger_class": _Log,
            "proc_name": "wecom-welcome web",
        },
        stamp,
    ).run()


def _share(settings: Settings) -> None:
    """Import before the fork what every web process needs: they share it, and one that is replaced is back at once."""
    importlib.import_module("webhook.application")
    if settings.has_console:
        importlib.import_module("webhook.console.application")
    gc.collect()
    gc.freeze()  # the collector would write to every shared page


class _Log(Logger):
    """gunicorn's lines go where all others go, in their format (`tasks.logs`), instead of a handler of its own."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self._access_log_enabled = False
        self.loglevel = logging.WARNING
        for log in (self.error_log, self.access_log):
            log.propagate = True


class _Server(BaseApplication):
    def __init__(self, settings: Settings, options: dict[str, Any], stamp: Stamp) -> None:
        self._settings = settings
        self._options = options
        self._stamp = stamp
        self._reaper: Reaper | None = None
        self._lifeboat: Lifeboat | None = None
        self._watch: Watch | None = None
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)
        self.cfg.set("worker_exit", self._ended)

    def run(self) -> None:
        _Arbiter(self, self._stamp).run()

    def callbacks_wait(self) -> bool:
        """Whether callbacks wait for the disk now. In threads they wait together, and keep nobody else waiting."""
        return self._lifeboat is not None and self._lifeboat.is_in_use_here()

    def _ended(self, _arbiter: Arbiter, _worker: Worker) -> None:
        """Called in a worker process that has served its last."""
        if self._watch is not None:
            self._watch.stop()
        if self._lifeboat is not None:
            self._lifeboat.stop()
        if self._reaper is not None:
            self._reaper.stop()

    def load(self) -> ConcurrencyLimit:
        """Called in each worker process, after the fork: connections and threads are its own."""
        services = build_services(self._settings, timeout=TIMEOUT)
        heartbeat = Heartbeat(services.redis, "web", skew=services.clock_ahead, hooks=services.hooks.states)
        self._reaper = Reaper(services.ledger, services.regularly, heartbeat)
        self._reaper.start()
        self._lifeboat = launch(services)
        self._watch = alerts.launch(services, self._lifeboat, is_web=True)
        return limited(create_app(services, self._lifeboat))


class _Arbiter(Arbiter):
    """gunicorn's own process, which shows that it works, and which does not take its own sleep for that of others."""

    def __init__(self, app: _Server, stamp: Stamp) -> None:
        super().__init__(app)
        self._stamp = stamp
        self._stamped_at = self._looked_at = time.monotonic()

    def murder_workers(self) -> None:
        """Called every second. A host that was suspended has frozen everybody: they get their time again."""
        now = time.monotonic()
        if now - self._looked_at > OVERSLEPT:
            for worker in self.WORKERS.values():
                worker.tmp.notify()
        self._looked_at = now
        self._show(now)
        super().murder_workers()

    def reap_workers(self) -> None:
        """Called ten times a second while it drains."""
        self._show(time.monotonic())
        super().reap_workers()

    def _show(self, now: float) -> None:
        if now - self._stamped_at >= liveness.EVERY / 2:
            self._stamped_at = now
            self._stamp.renew()
