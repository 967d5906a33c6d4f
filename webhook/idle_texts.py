"""The time in which no worker took messages, in words: English here, Chinese in the console's catalogue."""

from datetime import datetime
from zoneinfo import ZoneInfo

from tasks.ledger.delivery import Delivery
from tasks.ledger.idle import IdlePeriod, idle_period
from tasks.messages import Message
from tasks.storage.connections import Redis
from webhook.outcomes import waited_for_a_worker


def why_no_worker(client: Redis, row: Delivery, window: float, zone: ZoneInfo) -> Message | None:
    """When nobody worked, for a delivery that was too late for that; None: it was not, or it is not known.

    Raises redis.RedisError.
    """
    found = idle_period(client, row.received_at, window) if waited_for_a_worker(row) else None
    return None if found is None else no_worker(found, zone)


def no_worker(period: IdlePeriod, zone: ZoneInfo) -> Message:
    """The sentence. Seconds are told of a short time, dates of one that is of two days. Pure."""
    since, until = (datetime.fromtimestamp(one, zone) for one in (period.since, period.until))
    form = "%H:%M" if period.until - period.since >= 120 else "%H:%M:%S"
    if since.date() != until.date():
        form = f"%m-%d {form}"
    values = {"since": since.strftime(form), "until": until.strftime(form)}
    return Message("No worker was running from %(since)s to %(until)s.", values)
