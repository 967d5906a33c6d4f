"""Redis as Celery connects to it."""

from kombu import Connection

from tasks.storage import connections
from tasks.storage.connections import broker


def celerys(url: str) -> Connection:
    """kombu's connection, as Celery makes it from its settings."""
    broker_url, options = broker(url)
    return Connection(broker_url, transport=connections.TRANSPORT, transport_options=options)
