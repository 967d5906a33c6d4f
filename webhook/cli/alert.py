"""`wecom-welcome alert --test`: whether alerts reach the group."""

import click

from tasks import alerts, settings
from tasks.audit import Act
from tasks.wecom import WeComError
from webhook.alert_texts import not_sent
from webhook.cli.common import APP_OF_ALL, CommandFailure, named_app, record_if_possible
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
        alerts.send_test(robot, config)
    except WeComError as error:
        raise CommandFailure(str(not_sent(error, robot.host))) from None
    record_if_possible(config, Act.TESTED_ALERT)
    say(f"The test alert is in the group, sent through {robot.host}.")
