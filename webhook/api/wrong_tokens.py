"""Requests with a token that is none: counted, and slowed by the address that they come from.

A right token is never held up by wrong ones at its address. Guesses are without hope, for a token has 256 random bits:
what is kept short here is the log, and the work for a program that goes on with a token which was revoked.
"""

import logging
import time

import redis
from flask import request
from flask_limiter import Limiter
from limits import parse

from tasks.counters import Counters, count
from tasks.storage import keys
from webhook.client_address import whence

log = logging.getLogger(__name__)

REFUSED = count("api_tokens_refused_total")
OF_ADDRESS = parse("10 per minute")
_PLACE = (keys.LIMITER, "wrong-token")  # in the limiter's names


def seconds_to_wait(limiter: Limiter, counters: Counters) -> int | None:
    """After a wrong token: seconds until the next one of this address is looked at; None: it may come now."""
    counters.add(REFUSED)
    try:
        if limiter.limiter.hit(OF_ADDRESS, *_PLACE, whence()):
            log.warning("a token of the API was refused, from %s", request.remote_addr)
            return None
        left = limiter.limiter.get_window_stats(OF_ADDRESS, *_PLACE, whence()).reset_time - time.time()
    except redis.RedisError:
        return None
    return max(1, min(round(left), OF_ADDRESS.get_expiry()))
