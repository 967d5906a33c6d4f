"""Redis as Celery connects to it, and what it does there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kombu import Connection

from tasks.storage import connections
from tasks.storage.connections import Redis, broker


def celerys(url: str) -> Connection:
    """kombu's connection, as Celery makes it from its settings."""
    broker_url, options = broker(url)
    return Connection(broker_url, transport=connections.TRANSPORT, transport_options=options)


@contextmanager
def watched(client: Redis, pattern: str) -> Iterator[Callable[[], set[str]]]:
    """→ the keys of a pattern that anybody has changed so far, also those that are gone again."""
    setting = "notify-keyspace-events"
    before = client.config_get(setting)[setting]
    client.config_set(setting, "KA")
    try:
        with client.pubsub() as heard:
            heard.psubscribe(f"__keyspace@*__:{pattern}")
            assert heard.get_message(timeout=5) is not None, "the subscription"

            def changed() -> set[str]:
                client.publish(f"__keyspace@0__:{pattern}", "the last one")
                keys = set()
                while (message := heard.get_message(timeout=5))["data"] != "the last one":
                    keys.add(message["channel"].partition(":")[2])
                return keys

            yield changed
    finally:
        client.config_set(setting, before)
