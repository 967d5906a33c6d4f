"""Before the first start of an installation: whether WeCom knows its apps at all.

Credentials that are wrong from the beginning are a mistake of the set-up, and `up` ends with it. Where customers have
been greeted already, they may be wrong for an hour, and `up` stays: it records who comes meanwhile.
"""

import time

import redis

from tasks.services import Services, build_services
from tasks.settings import Settings
from tasks.wecom import WeComAPIError, WeComError
from tasks.wecom.errors import CODES
from tasks.wecom.token import REFUSED

WITHIN = 3.0  # seconds for all that is asked


def refusals(settings: Settings) -> list[str]:
    """A line for each app, if WeCom refuses corp id or secret of every one, and none has had a customer; else none.

    WeCom is not asked again within ten minutes: the refusal is remembered with the token.
    """
    services = build_services(settings, timeout=1)
    try:
        return [] if _has_customers(services) else _refused(services)
    except (redis.RedisError, WeComError):  # not there, or not now: nothing is known
        return []


def _has_customers(services: Services) -> bool:
    return next(iter(services.ledger.deliveries()), None) is not None


def _refused(services: Services) -> list[str]:
    lines, by = [], time.monotonic() + WITHIN
    for name, client in services.clients.items():
        try:
            client.tokens.get(by)
        except WeComAPIError as error:
            if error.errcode not in REFUSED:
                return []
            known = CODES[error.errcode]
            lines.append(f"WeCom refuses app {name} ({error.errcode}): {known.meaning}; {known.cure}")
        else:
            return []
    return lines
