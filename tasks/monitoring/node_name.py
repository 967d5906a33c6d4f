"""A worker's name for Celery's tools, which no other worker of this host and this Redis has: they go by the name."""

import errno
import hashlib
import socket

from celery.utils.nodenames import nodename

MOST = 64  # workers of a queue that share a host

_held: list[socket.socket] = []


def node_name(queue: str, redis_url: str) -> str:
    """welcome@host; for a second worker beside it welcome-2@host, and so on: the lowest number that is free.

    A name is held as long as the process lives, by an address in Linux' abstract namespace. Two containers share that
    exactly if they share the host's network, and so mostly its name. Elsewhere all workers of a host have one name.
    """
    place = hashlib.sha256(redis_url.encode()).hexdigest()[:16]
    name = queue
    for number in range(1, MOST):
        name = queue if number == 1 else f"{queue}-{number}"
        try:
            _held.append(_bound(f"\0wecom-welcome/{place}/{name}"))
        except OSError as error:  # it has one, or there is no such namespace
            if error.errno == errno.EADDRINUSE:
                continue
            name = queue
        break
    return str(nodename(name, socket.gethostname()))


def _bound(address: str) -> socket.socket:
    held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        held.bind(address)
    except OSError:
        held.close()
        raise
    return held
