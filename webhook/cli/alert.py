"""`wecom-welcome alert --test`: whether alerts reach the group."""

import time

import click

from tasks import alerts, settings
from tasks.audit import Act, AuditTrail, Via
from tasks.services import reachable
from tasks.settings import Settings
from tasks.storage import connections
from tasks.wecom import WeComError
from webhook.alert_texts import not_sent
from webhook.cli.common import APP_OF_ALL, CommandFailure, account, named_app
from webhook.cli.terminal import say


@click.command()
@click.option("--test", is_flag=True, required=True, help="Send a test alert now.")
@APP_OF_ALL
def alert(test: bool, app_name: str | None) -> None:
    """Send a test alert to ALERT_WEBHOOK, the group robot (群机器人) that the system's alerts go to.

    \b
    Example:  wecom-welcome alert --test
    """
    config = settings.load()
    named_app(config, app_name)
    robot = alerts.make_robot(config)
    if robot is None:
        raise CommandFailure("ALERT_WEBHOOK is not set; set it to the URL of a group robot (群机器人 → Webhook地址)")
    try:
        robot.send(alerts.text_of_test(config), time.monotonic() + alerts.PATIENCE)
    except WeComError as error:
        raise CommandFailure(str(not_sent(error, robot.host))) from None
    _record(config)
    say(f"The test alert is in the group, sent through {robot.host}.")


def _record(config: Settings) -> None:
    """Put it into the audit trail, where Redis is known. Never raises: the alert is in the group."""
    found = reachable(config)
    if found is not None:
        AuditTrail(connections.connect(str(found.redis_url), timeout=2)).record(
            Act.TESTED_ALERT, account(), Via.COMMAND
        )
