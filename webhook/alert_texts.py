"""Why an alert did not reach the group robot, in words: English here, Chinese in the console's catalogue. Pure."""

from tasks.messages import Message
from tasks.reasons import Reason
from tasks.wecom import WeComAPIError, WeComError
from webhook.errcode_texts import explained

NO_ROBOT, TOO_MANY = 93000, 45009


def not_sent(error: WeComError, host: str) -> Message:
    """What went wrong, and what to do. It has neither the URL nor its key."""
    if not isinstance(error, WeComAPIError):
        why = explained(Reason.from_error(error))
        return Message.of("the group robot at %(host)s does not take it: %(why)s", host=host, why=why)
    if error.errcode == NO_ROBOT:
        return Message.of(
            "WeCom knows no group robot with the key in ALERT_WEBHOOK (93000): copy its Webhook URL anew from the group"
        )
    if error.errcode == TOO_MANY:
        return Message.of("the group robot takes 20 messages a minute, and has had them (45009): wait a minute")
    return Message.of("WeCom refuses the test alert: %(why)s", why=explained(Reason.from_error(error)))
