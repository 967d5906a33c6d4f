"""Alerts to a WeCom group robot (ALERT_WEBHOOK), for those who have no Prometheus.

make_robot(settings)   the robot; None if none is set
launch(services)       the thread of a process that watches, running; None if no robot is set
send_test(robot, …)    send a test alert
"""

import socket
import time
from typing import TYPE_CHECKING

from tasks.alerts.texts import Sender, of_test
from tasks.settings import Settings
from tasks.wecom.proxy import Proxy
from tasks.wecom.robot import GroupRobot

if TYPE_CHECKING:
    from tasks.alerts.watch import Watch
    from tasks.lifeboat.lifeboat import Lifeboat
    from tasks.services import Services

PATIENCE = 8.0  # seconds for a test alert


def make_robot(settings: Settings) -> GroupRobot | None:
    if settings.alert_webhook is None:
        return None
    return GroupRobot(settings.alert_webhook, Proxy.parse(settings.alert_proxy) if settings.alert_proxy else None)


def send_test(robot: GroupRobot, settings: Settings) -> None:
    """Raises WeComError."""
    robot.send(of_test(time.time(), _sender(settings)), time.monotonic() + PATIENCE)


def launch(services: "Services", lifeboat: "Lifeboat | None" = None, is_web: bool = False) -> "Watch | None":
    """is_web: it also tells that Redis is gone; `lifeboat`: that of its process."""
    robot = make_robot(services.settings)
    if robot is None:
        return None
    watch = make_watch(services, robot, lifeboat, is_web)
    watch.start()
    return watch


def make_watch(
    services: "Services", robot: GroupRobot, lifeboat: "Lifeboat | None" = None, is_web: bool = False
) -> "Watch":
    """As `launch`; it is not started yet."""
    from tasks import lifeboat as boats
    from tasks.alerts.store import FileStore, Memory, RedisStore, Store
    from tasks.alerts.watch import Watch

    def state() -> tuple[bool, bool]:
        if lifeboat is None:
            return False, False
        status = lifeboat.status()
        return status.in_use, status.ready

    own: Store | None = None
    if is_web:
        own = Memory() if lifeboat is None else FileStore(boats.folder(services.settings))
    return Watch(services, robot, _sender(services.settings), RedisStore(services.redis), own, state)


def _sender(settings: Settings) -> Sender:
    known = settings.public_url and settings.has_console and not settings.console_bind
    return Sender(socket.gethostname(), settings.timezone, f"{settings.public_url}/console" if known else None)
